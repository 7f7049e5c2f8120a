"""Files: outputs that appear whole, inputs that are nothing else, and the place of the cache."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import reprlib
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import BinaryIO

MAX_JSON_BYTES = 2**24
"""The longest JSON file that is read: 16 MB; a config has a few kilobytes."""

_PARTIAL = re.compile(r"\.sam2-mlx\.([0-9a-f]{8})\.(\d+)\.\d+\.partial(?:\..*)?", re.DOTALL)
# A Path has one slash where there were two.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_LONGEST_SUFFIX = 16
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_numbers = count()
_in_use: set[str] = set()
_swept: set[Path] = set()
_complete: ContextVar[list[_Staged] | None] = ContextVar("_complete", default=None)


class FileError(ValueError):
    """A file that cannot be read or written; one line that says what to do."""


def writing_failed(target: Path, problem: Exception) -> FileError:
    """The error for a write that failed, from what the system or the encoder said."""
    number = getattr(problem, "errno", None)
    if number in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return FileError(
            f"the disk is full: {target} was not written; free some space or write elsewhere"
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FileError(f"no permission to write {target}; write to another folder")
    reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return FileError(f"{target} could not be written: {reason}")


def cache_dir() -> Path:
    """Where models and verdicts are kept: SAM2_MLX_CACHE, else the platform's cache folder."""
    chosen = os.environ.get("SAM2_MLX_CACHE")
    return Path(chosen).expanduser() if chosen else platform_cache()


def platform_cache() -> Path:
    """This user's cache folder on this platform."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sam2_mlx"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sam2_mlx"


def quoted(value: object) -> str:
    """A value from a file as a message shows it: short, and without control characters."""
    return _SHORT.repr(value)


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path as people write it: `~` at its start is the home folder.

    Raises:
        FileError: if it is an address on a network.
    """
    place = Path(path)
    if _ADDRESS.match(os.fspath(path)) and not place.exists():
        raise FileError(f"{os.fspath(path)} is an address; download it and give the file")
    try:
        return place.expanduser()
    except RuntimeError:
        return place  # nobody has that name


def real_path(path: Path) -> Path:
    """A path without links; one whose links go round stays, where `Path.resolve` raises."""
    return Path(os.path.realpath(path))


def free_path(folder: Path, stem: str, ending: str) -> Path:
    """A path in a folder that nothing has yet; the stem gets a number where it is taken."""
    paths = (folder / f"{stem}{f'_{number}' if number else ''}{ending}" for number in count())
    return next(path for path in paths if not path.exists())


def printable(text: str) -> str:
    """A line of text, with anything that a terminal would obey written out."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing else: a device, a pipe or a folder could block or hang.

    Raises:
        FileNotFoundError: no such file.
        FileError: something that is not a regular file.
        OSError: no permission to read it.
    """
    # Looked at before, because to open a device can already do something.
    check_regular(path)
    # Without waiting for the other end, if it has become a pipe meanwhile.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    try:
        _require_regular(path, os.fstat(file.fileno()).st_mode)
    except FileError:
        file.close()
        raise
    return file


def check_regular(path: Path) -> None:
    """Check that a path is a file, for libraries that open it themselves.

    Raises:
        FileNotFoundError: no such file.
        FileError: something that is not a regular file.
    """
    _require_regular(path, os.stat(path).st_mode)


def sha256(*paths: Path) -> str:
    """Hexadecimal SHA-256 of the content of files, one after another; raises as `open_regular`."""
    digest = hashlib.sha256()
    for path in paths:
        with open_regular(path) as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def read_json(path: Path) -> object:
    """The value in a JSON file of at most `MAX_JSON_BYTES`.

    Raises:
        FileNotFoundError: no such file.
        FileError: not a regular file, too long, nested too deeply, or not JSON.
    """
    with open_regular(path) as file:
        data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise FileError(f"it is longer than {MAX_JSON_BYTES // 2**20} MB")
    return parse_json(data)


def parse_json(data: bytes | str) -> object:
    """The value of a JSON text in UTF-8, with the mark that Windows puts before it or without.

    Raises:
        FileError: nested too deeply, or not JSON.
    """
    try:
        return json.loads(data.decode("utf-8-sig") if isinstance(data, bytes) else data)
    except RecursionError:
        raise FileError("it is nested too deeply") from None
    except ValueError as problem:
        raise FileError(f"it is not JSON: {quoted(str(problem))}") from problem


def check_target(target: Path) -> None:
    """Check that a file can be made where `target` is; an existing one may be replaced.

    Raises:
        FileError: if it is a folder or a device, or its folder does not exist or cannot be
            written to.
    """
    _check_parent(target)
    if target.is_dir():
        raise FileError(f"{target} is a folder; give the name of a file in it")
    if target.exists() and not target.is_file():
        raise FileError(f"{target} is a device or a pipe; give the name of a file")


@contextmanager
def together() -> Iterator[None]:
    """Let all that is committed inside get its name at the end, in that order, or nothing of it.

    Until then everything may fail and the earlier outputs stay; what follows is a few renames.

    Raises:
        FileError: if something cannot be renamed.
    """
    waiting: list[_Staged] = []
    outer = _complete.set(waiting)
    try:
        try:
            yield
        finally:
            _complete.reset(outer)
        for staged in waiting:
            staged._rename()
    finally:
        # Not between two renames: an earlier folder of many masks takes seconds to remove.
        for staged in waiting:
            staged.discard()


class _Staged:
    """What is written under a hidden name beside its target, and renamed at the end.

    Used with `with`, it is committed where all went well and discarded where not; what the system
    refuses then becomes a `FileError`.

    Attributes:
        target: as given.
        path: where to write until `commit`.
    """

    def __init__(self, target: Path, suffix: str = "") -> None:
        self.target = target
        _sweep(target.parent)
        # Short, because the target's own name may be as long as a name can be.
        number = next(_numbers)
        self.path = target.with_name(f".sam2-mlx.{_here()}.{os.getpid()}.{number}.partial{suffix}")
        _in_use.add(self.path.name)

    def commit(self) -> None:
        """Give what was written its name; within `together`, say that it is complete.

        Raises:
            FileError: if it cannot be renamed.
        """
        waiting = _complete.get()
        if waiting is not None:
            waiting.append(self)
            return
        try:
            self._rename()
        finally:
            self.discard()

    def _rename(self) -> None:
        # What a folder replaces is there until `discard`.
        try:
            self._replace()
        except OSError as problem:
            raise writing_failed(self.target, problem) from problem

    def discard(self) -> None:
        """Remove what was written and not renamed, and what a folder replaced."""
        _remove(self.path)
        _in_use.discard(self.path.name)

    def _replace(self) -> None:
        os.replace(self.path, self.target)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if problem is None:
            self.commit()
            return
        self.discard()
        if isinstance(problem, OSError) and not isinstance(problem, BrokenPipeError):
            raise writing_failed(self.target, problem) from problem


class StagedFile(_Staged):
    """A file that appears complete or not at all.

    Args:
        target: where the finished file goes; an existing file is replaced.

    Raises:
        FileError: as `check_target`.
    """

    def __init__(self, target: Path) -> None:
        check_target(target)
        # The suffix stays: encoders tell the format by it.
        super().__init__(target, target.suffix[:_LONGEST_SUFFIX])


def write_json(target: Path, value: object, indent: int | None = None) -> None:
    """Write a value as a staged file; raises as `StagedFile`."""
    with StagedFile(target) as path:
        path.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")


class StagedFolder(_Staged):
    """A folder that appears complete or not at all.

    Args:
        target: where the finished folder goes. An existing one is replaced only if all that it
            holds is of an earlier run, so that nobody's own files are lost; what is put there
            meanwhile stays.
        written: names of the files that an earlier run wrote into a folder, read from the folder.

    Raises:
        FileError: if the target may not be replaced or cannot be written.
    """

    def __init__(self, target: Path, written: Callable[[Path], Iterable[str]]) -> None:
        _check_parent(target)
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise FileError(f"{target} is a file or a link; give the name of a folder")
        self._written = written
        if target.is_dir() and (others := self._others(target)):
            raise FileError(
                f"{target} holds other files and will not be replaced ({min(others)!r} for "
                "example); name a new or empty folder"
            )
        super().__init__(target)
        try:
            self.path.mkdir()
        except OSError as problem:
            raise writing_failed(target, problem) from problem

    def _others(self, folder: Path) -> set[str]:
        # A folder that was looked at on a Mac holds .DS_Store.
        names = {entry.name for entry in folder.iterdir()} - {".DS_Store"}
        return names - set(self._written(folder)) if names else names

    def _replace(self) -> None:
        # Not a partial name: should the process end between the two, nobody must remove it.
        old = self.path.with_suffix(".old")
        if self.target.is_dir():
            os.replace(self.target, old)
        try:
            os.replace(self.path, self.target)
        except OSError:
            if old.is_dir():
                os.replace(old, self.target)
            raise
        if old.is_dir():
            for name in self._others(old):
                if not (self.target / name).exists():
                    os.replace(old / name, self.target / name)
            # Now it may go, and if that is cut short the next run does the rest.
            os.replace(old, self.path)


def _check_parent(target: Path) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise FileError(f"the folder {folder} does not exist; make it, or write to another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"no permission to write in the folder {folder}; write to another one")


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise FileError(f"{path} is a folder, where a file is needed")
    if not stat.S_ISREG(mode):
        raise FileError(f"{path} is a device or a pipe, not a file; save its content to a file")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _here() -> str:
    """The machine, and on Linux the container: where a process number means something."""
    space = ""
    with suppress(OSError):
        space = str(os.stat("/proc/self/ns/pid").st_ino)
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"


def _sweep(folder: Path) -> None:
    """Remove what runs that were killed left half written in a folder, once in a process."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for entry in list(folder.iterdir()):
            match = _PARTIAL.fullmatch(entry.name)
            if match and match[1] == _here() and not _is_running(int(match[2]), entry.name):
                _remove(entry)


def _is_running(process: int, name: str) -> bool:
    if process == os.getpid():
        return name in _in_use
    try:
        os.kill(process, 0)
    except (OSError, OverflowError) as problem:
        return not isinstance(problem, ProcessLookupError)
    return True
