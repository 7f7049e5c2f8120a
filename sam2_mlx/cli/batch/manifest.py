"""What has been done: one line a result, appended when it is complete."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from sam2_mlx.cli.batch.jobs import digest_clip
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.files import check_regular, writing_failed

NAME = "manifest.jsonl"
# Scores of ten objects over two hours; what is longer is not ours, and no result.
_LONGEST_LINE = 2**26
DONE, FAILED, DIED = "done", "failed", "died"


@dataclass(frozen=True)
class Entry:
    """How a job ended.

    Attributes:
        name: of the job.
        state: done, failed, or died, which its worker did.
        fingerprint: what the result was made from.
        reason: why it is not done.
        files: the results, each with its size in bytes.
        notes: what the user should know.
        seconds: that it took.
        score: what was measured.
    """

    name: str
    state: str
    fingerprint: str
    reason: str = ""
    files: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    score: dict[str, Any] = field(default_factory=dict)


class Manifest:
    """The log of a folder of results; no other process can have it at the same time.

    Args:
        folder: the folder; without one nothing is noted.

    Raises:
        UsageError: if another run works there.
        FileError, OSError: if it cannot be written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._entries: dict[str, Entry] = {}
        self._deaths: dict[tuple[str, str], int] = {}
        self._digests: dict[str, list[Any]] = {}
        self._file: FileIO | None = None
        if folder is None:
            return
        self._path = folder / NAME
        if self._path.exists():
            check_regular(self._path)
        # Not buffered: what a full disk refuses would be written once more when it is closed.
        self._file = open(self._path, "ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UsageError(f"another run works in {folder}; wait for it") from None
        last = b"\n"
        with open(self._path, "rb") as earlier:
            while line := earlier.readline(_LONGEST_LINE):
                last = line
                self._take(line)
        if not last.endswith(b"\n"):
            # The process died within a line; what it said is done again.
            self._write(b"\n")

    def earlier(self, name: str, fingerprint: str, folder: Path) -> Entry | None:
        """How a job ended, if it was made from the same and what it wrote is in the folder."""
        entry = self._entries.get(name)
        if entry is None or entry.fingerprint != fingerprint:
            return None
        return entry if sizes(folder, entry.files) == entry.files else None

    def deaths(self, name: str, fingerprint: str) -> int:
        """How many workers a job has killed."""
        return self._deaths.get((name, fingerprint), 0)

    def add(self, entry: Entry) -> None:
        """Note how a job ended; it is on disk when this returns."""
        self._write(json.dumps(asdict(entry)).encode() + b"\n")
        self._note(entry)

    def digest(self, clip: Path, parts: Sequence[str] = ()) -> str:
        """As `digest_clip`; a file that looks as it did is not read again."""
        facts = _facts(clip)
        before = self._digests.get(str(clip))
        if facts and before and before[:-1] == facts:
            return str(before[-1])
        digest = digest_clip(clip, parts)
        if facts:
            self._digests[str(clip)] = [*facts, digest]
            self._write(json.dumps({"clip": str(clip), "facts": [*facts, digest]}).encode() + b"\n")
        return digest

    def close(self) -> None:
        """Let others work there."""
        if self._file is not None:
            self._file.close()

    def _take(self, line: bytes) -> None:
        try:
            content = json.loads(line)
            if "clip" in content:
                self._digests[content["clip"]] = list(content["facts"])
            else:
                kinds = {"files": dict, "notes": list, "score": dict}
                parts = {name: kind(content.get(name, ())) for name, kind in kinds.items()}
                self._note(Entry(**content | parts))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass  # cut off, or from another version: what it said is done again

    def _note(self, entry: Entry) -> None:
        key = entry.name, entry.fingerprint
        if entry.state == DIED:
            self._deaths[key] = self._deaths.get(key, 0) + 1
        else:
            self._entries[entry.name] = entry

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as problem:
            raise writing_failed(self._path, problem) from problem


def sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """The bytes in each of some files and folders that are there."""
    by_name = {}
    for name in names:
        path = folder / name
        if path.is_dir():
            files = (file for file in path.rglob("*") if file.is_file())
            by_name[name] = sum(file.stat().st_size for file in files)
        elif path.is_file():
            by_name[name] = path.stat().st_size
    return by_name


def _facts(clip: Path) -> list[int]:
    """What changes when a file does; nothing for folders, whose files may."""
    if not clip.is_file():
        return []
    status = clip.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]
