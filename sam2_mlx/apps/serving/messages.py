"""Messages on the wire: JSON beside bytes, in a frame that says how long both are.

A frame is two u32 (little-endian, the lengths of JSON and blob), the JSON and the blob.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

from sam2_mlx.apps.fields import Refusal

MAX_JSON = 2**20
"""Bytes of JSON in a message."""

MAX_BLOB = 2**29
"""Bytes of a blob: a frame of 2**27 pixels with four bytes each."""

_HEAD = struct.Struct("<II")
_DRAIN = 2**16

Blob = bytes | bytearray | memoryview


class ProtocolError(Exception):
    """Bytes that are no frame: nothing that follows them can be understood."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        fields: the JSON object.
        blob: bytes that belong to it; None where they were too many to take in.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    blob: Blob | None = b""


class RawStream(Protocol):
    """What a door needs of a pipe or a socket: unbuffered reads and writes of bytes."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a part of the buffer; 0 at the end."""

    def write(self, data: memoryview, /) -> int | None:
        """Write a part of the data."""


class MessageStream:
    """Messages over a pair of byte streams."""

    def __init__(self, source: RawStream, target: RawStream) -> None:
        self._source = source
        self._target = target
        self._writing = threading.Lock()

    def receive(self, room: Callable[[], int] = lambda: MAX_BLOB) -> Message | None:
        """The next message; waits for it.

        Args:
            room: gives the bytes of a blob that can be taken in; a longer one is passed over.

        Returns:
            The message, or None where the stream ends between two messages.

        Raises:
            ProtocolError: if the stream ends within a message or the lengths are out of range.
            Refusal: if the JSON is not an object; the next message can be received.
            OSError: if the stream breaks.
        """
        head = bytearray(_HEAD.size)
        if not self._fill(head, may_end=True):
            return None
        length, blob_length = _HEAD.unpack(head)
        if length > MAX_JSON or blob_length > MAX_BLOB:
            raise ProtocolError(
                f"a message may have {MAX_JSON} bytes of JSON and {MAX_BLOB} of a blob; "
                f"got {length} and {blob_length}"
            )
        text = bytearray(length)
        self._fill(text)
        if blob_length > room():
            self._pass_over(blob_length)
            return Message(parse(text), None)
        blob = bytearray(blob_length)
        self._fill(blob)
        return Message(parse(text), blob)

    def send(self, message: Message) -> None:
        """Send a message; may be called from any thread.

        Raises:
            ValueError: if it is longer than a message may be.
            OSError: if the other side is gone.
        """
        head, blob = pack(message)
        with self._writing:
            for part in (head, blob):
                view = memoryview(part).cast("B") if len(part) else memoryview(b"")
                while len(view):
                    view = view[self._target.write(view) or 0 :]

    def _fill(self, buffer: bytearray, may_end: bool = False) -> bool:
        """Read until the buffer is full; False where the stream ends before the first byte."""
        view, filled = memoryview(buffer), 0
        while filled < len(buffer):
            count = self._source.readinto(view[filled:])
            if not count:
                if may_end and not filled:
                    return False
                raise ProtocolError("the stream ended in the middle of a message")
            filled += count
        return True

    def _pass_over(self, length: int) -> None:
        waste = bytearray(min(length, _DRAIN))
        while length:
            part = waste if length >= len(waste) else bytearray(length)
            self._fill(part)
            length -= len(part)


def pack(message: Message) -> tuple[bytes, Blob]:
    """The two parts of a frame: lengths with JSON, and the blob.

    Raises:
        ValueError: if the message is longer than one may be, or holds a number JSON has not.
    """
    text = json.dumps(message.fields, separators=(",", ":"), allow_nan=False).encode()
    blob = message.blob or b""
    size = len(memoryview(blob).cast("B")) if len(blob) else 0
    if len(text) > MAX_JSON or size > MAX_BLOB:
        raise ValueError(
            f"the answer has {len(text)} bytes of JSON and {size} of masks; at most {MAX_JSON} "
            f"and {MAX_BLOB} fit a message: ask for fewer objects or for run lengths"
        )
    return _HEAD.pack(len(text), size) + text, blob


def frame(message: Message) -> str | bytes:
    """A message as one frame of a WebSocket: text, or bytes where it has a blob.

    Raises:
        ValueError: as `pack`.
    """
    head, blob = pack(message)
    return b"".join((head, blob)) if len(blob) else head[_HEAD.size :].decode()


def unframe(data: bytes, room: Callable[[], int]) -> Message:
    """The message of a frame of bytes; see `MessageStream.receive`.

    Raises:
        ProtocolError: if the lengths do not fit.
        Refusal: if the JSON is not an object.
    """
    view = memoryview(data)
    length, blob_length = _HEAD.unpack_from(view) if len(view) >= _HEAD.size else (0, 0)
    if length > MAX_JSON or _HEAD.size + length + blob_length != len(view):
        raise ProtocolError(
            f"a frame of {len(view)} bytes says {length} of JSON (at most {MAX_JSON}) and "
            f"{blob_length} of a blob"
        )
    fields = parse(view[_HEAD.size : _HEAD.size + length])
    return Message(fields, view[_HEAD.size + length :] if blob_length <= room() else None)


def parse(text: Blob) -> dict[str, Any]:
    """The fields of a message.

    Raises:
        Refusal: `bad_request` if it is not one JSON object of plain numbers.
    """
    try:
        fields = json.loads(bytes(text), parse_constant=_no_number)
    # Nesting ends in RecursionError, an integer of many thousand digits in ValueError.
    except (ValueError, RecursionError) as problem:
        raise Refusal("bad_request", f"the message is not JSON: {problem}") from problem
    if not isinstance(fields, dict):
        raise Refusal("bad_request", f"a message is an object; got {type(fields).__name__}")
    return fields


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
