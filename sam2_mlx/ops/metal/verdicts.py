"""What earlier processes found out about the kernels on this machine, in one small file."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

PASSED = ""
"""The verdict on a kernel that agrees with its twin; other texts say why it is not used."""
SLOWER = "slower than plain MLX"
"""How the verdict on a kernel begins that is right, but lost its race."""


def verdict_file() -> Path:
    """Where verdicts are kept: kernels.json in SAM2_MLX_CACHE or the platform's cache folder."""
    chosen = os.environ.get("SAM2_MLX_CACHE")
    if chosen:
        folder = Path(chosen).expanduser()
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "sam2_mlx"
    else:
        base = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(base) if base else Path.home() / ".cache") / "sam2_mlx"
    return folder / "kernels.json"


@lru_cache(maxsize=1)
def platform_key() -> str:
    """What a verdict depends on besides the kernel: MLX, the GPU and the system's compiler."""
    details = mx.device_info() if hasattr(mx, "device_info") else mx.metal.device_info()
    # Metal's compiler comes with the system, so an update asks for a new verdict.
    system = platform.mac_ver()[0] or platform.release()
    return f"mlx {version('mlx')}, {details.get('device_name', 'unnamed device')}, {system}"


def recall(key: str) -> str | None:
    """The stored verdict on a kernel, or None where there is none that can be read."""
    verdict = _read(verdict_file()).get(f"{key}, {platform_key()}")
    return verdict if isinstance(verdict, str) else None


def remember(key: str, verdict: str) -> None:
    """Store a verdict; a folder that cannot be written only costs the next process a check."""
    path = verdict_file()
    verdicts = _read(path)
    verdicts[f"{key}, {platform_key()}"] = verdict
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Replaced in one step: another process may be reading it.
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".kernels-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(verdicts, file, indent=1, sort_keys=True)
            os.replace(draft, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(draft)


def _read(path: Path) -> dict[str, object]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
