"""Frames cut anywhere, too long, or filled with something else."""

from __future__ import annotations

import io
import json
import struct

import pytest

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.messages import (
    MAX_BLOB,
    MAX_JSON,
    Message,
    MessageStream,
    ProtocolError,
    pack,
)


class Drops:
    """A stream that gives what it has in pieces of a few bytes."""

    def __init__(self, data: bytes, pieces: list[int]) -> None:
        self._data, self._pieces = io.BytesIO(data), pieces

    def readinto(self, buffer: memoryview) -> int:
        size = self._pieces.pop(0) if self._pieces else len(buffer)
        data = self._data.read(min(size, len(buffer)))
        buffer[: len(data)] = data
        return len(data)


class Shy:
    """A stream that takes one byte at a time."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: memoryview) -> int:
        self.data += bytes(data[:1])
        return 1


def framed(text: bytes, blob: bytes = b"") -> bytes:
    return struct.pack("<II", len(text), len(blob)) + text + blob


def stream(data: bytes, *pieces: int) -> MessageStream:
    return MessageStream(Drops(data, list(pieces)), io.BytesIO())


ONE = framed(b'{"id":1}', b"abc")
TWO = ONE + framed(b"{}")


@pytest.mark.parametrize("cut", range(1, len(TWO)))
def test_a_frame_may_come_in_any_two_pieces(cut: int) -> None:
    messages = stream(TWO, cut)
    one, two = messages.receive(), messages.receive()
    assert one == Message({"id": 1}, bytearray(b"abc")) and two == Message({}, bytearray())
    assert messages.receive() is None


@pytest.mark.parametrize("cut", sorted({*range(1, len(TWO))} - {len(ONE)}))
def test_an_end_within_a_frame_is_an_error(cut: int) -> None:
    messages = stream(TWO[:cut])
    with pytest.raises(ProtocolError, match="middle"):
        while messages.receive() is not None:
            pass


@pytest.mark.parametrize(
    "lengths", [(MAX_JSON + 1, 0), (2, MAX_BLOB + 1), (2**31, 2**31), (2**32 - 1, 2**32 - 1)]
)
def test_lengths_are_checked_before_anything_is_read(lengths: tuple[int, int]) -> None:
    with pytest.raises(ProtocolError, match="may have"):
        stream(struct.pack("<II", *lengths)).receive()


def test_a_blob_without_room_is_passed_over() -> None:
    messages = stream(framed(b'{"id":1}', bytes(200_000)) + framed(b'{"id":2}'))
    assert messages.receive(lambda: 199_999) == Message({"id": 1}, None)
    assert messages.receive() == Message({"id": 2}, bytearray())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"7",
        b'{"id":',
        b'{"id":NaN}',
        b'{"id":-Infinity}',
        b"\xff\xfe",
        b'{"a":' + b"[" * 200_000,
        b'{"id":' + b"9" * 100_000 + b"}",
    ],
)
def test_what_is_no_object_is_refused_and_the_next_is_read(text: bytes) -> None:
    messages = stream(framed(text, b"xy") + framed(b'{"id":3}'))
    with pytest.raises(Refusal) as refusal:
        messages.receive()
    assert refusal.value.code == "bad_request"
    assert messages.receive() == Message({"id": 3}, bytearray())


def test_a_stream_that_takes_little_gets_all() -> None:
    target = Shy()
    MessageStream(io.BytesIO(), target).send(Message({"id": 1}, b"abc"))  # type: ignore[arg-type]
    assert target.data == framed(b'{"id":1}', b"abc")


def test_what_does_not_fit_is_not_sent() -> None:
    with pytest.raises(ValueError, match="at most"):
        pack(Message({"text": "x" * MAX_JSON}))
    with pytest.raises(ValueError):
        pack(Message({"number": float("nan")}))
    assert json.loads(pack(Message({"text": "é"}))[0][8:]) == {"text": "é"}
