"""Shared memory: files of the app, and what is none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sam2_mlx.apps.fields import Refusal
from sam2_mlx.apps.serving.maps import MAX_MAP, SharedMap


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "map"
    path.write_bytes(bytes(range(100)))
    path.chmod(0o600)
    return path


def test_it_is_read_and_written_in_place(file: Path) -> None:
    area = SharedMap.open(str(file))
    assert area.size == 100 and bytes(area.read(10, 5)) == bytes(range(10, 15))
    area.write(95, b"hello")
    assert file.read_bytes()[95:] == b"hello"
    # The app deletes it once both have it open.
    file.unlink()
    assert bytes(area.read(95, 5)) == b"hello"
    area.close()


@pytest.mark.parametrize(("offset", "length"), [(0, 101), (100, 1), (2**31, 1), (96, 5)])
def test_its_ends_are_kept(file: Path, offset: int, length: int) -> None:
    area = SharedMap.open(str(file))
    for use in (lambda: area.read(offset, length), lambda: area.write(offset, bytes(length))):
        with pytest.raises(Refusal) as refusal:
            use()
        assert refusal.value.code == "bad_frame"
    assert file.stat().st_size == 100
    area.close()


def test_one_that_becomes_shorter_is_an_error_and_no_crash(file: Path) -> None:
    area = SharedMap.open(str(file))
    os.truncate(file, 50)
    with pytest.raises(Refusal, match="shorter"):
        area.read(20, 60)
    area.close()


def test_what_is_no_map(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    empty = tmp_path / "empty"
    empty.touch(0o600)
    shared = tmp_path / "shared"
    shared.write_bytes(b"x")
    shared.chmod(0o644)
    large = tmp_path / "large"
    large.touch(0o600)
    os.truncate(large, MAX_MAP + 1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    problems = {
        link: "cannot be opened",
        fifo: "no regular file",
        tmp_path: "cannot be opened",
        tmp_path / "socket": "cannot be opened",
        tmp_path / "nothing": "cannot be opened",
        Path("/dev/zero"): "no regular file",
        empty: "0 bytes",
        shared: "mode 644",
        large: "bytes",
    }
    for path, message in problems.items():
        with pytest.raises(Refusal, match=message) as refusal:
            SharedMap.open(str(path))
        assert refusal.value.code == "bad_map"
    listener.close()
    assert file.exists() and link.exists()
