"""What earlier processes found out on this machine, in small files: of kernels, and of forms."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

from sam2_mlx.files import FileError, StagedFile, cache_dir, read_json

PASSED = ""
"""The verdict on a kernel that agrees with its twin; other texts say why it is not used."""


def verdict_file() -> Path:
    """Where verdicts are kept."""
    return cache_dir() / "kernels.json"


@lru_cache(maxsize=1)
def platform_key() -> str:
    """What a verdict depends on besides the kernel: MLX, the GPU and the system's compiler."""
    details = mx.device_info() if hasattr(mx, "device_info") else mx.metal.device_info()
    # Metal's compiler comes with the system, so an update asks for a new verdict.
    system = platform.mac_ver()[0] or platform.release()
    return f"mlx {version('mlx')}, {details.get('device_name', 'unnamed device')}, {system}"


def recall(key: str) -> str | None:
    """The stored verdict on a kernel, or None where there is none that can be read."""
    verdict = look_up(verdict_file(), key)
    return verdict if isinstance(verdict, str) else None


def remember(key: str, verdict: str) -> None:
    """Store a verdict; a folder that cannot be written only costs the next process a check."""
    with suppress(OSError, FileError):
        keep(verdict_file(), key, verdict)


def look_up(path: Path, key: str) -> object:
    """What a file has under a key for this platform, or None."""
    return _read(path).get(f"{key}, {platform_key()}")


def all_of(path: Path) -> dict[str, object]:
    """Everything that a file has for this platform, by key."""
    end = f", {platform_key()}"
    values = _read(path).items()
    return {key.removesuffix(end): value for key, value in values if key.endswith(end)}


def keep(path: Path, key: str, value: object) -> None:
    """Put a value under a key for this platform into a file, beside what else is in it.

    Raises:
        OSError: if the folder cannot be made.
        FileError: if the file cannot be written.
    """
    values = _read(path)
    values[f"{key}, {platform_key()}"] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    # Replaced in one step: another process may be reading it.
    with StagedFile(path) as draft:
        draft.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")


def _read(path: Path) -> dict[str, object]:
    try:
        stored = read_json(path)
    except (OSError, FileError):
        return {}
    return stored if isinstance(stored, dict) else {}
