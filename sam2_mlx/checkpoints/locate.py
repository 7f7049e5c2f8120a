"""Find the one checkpoint file that a path means."""

from __future__ import annotations

from pathlib import Path

from sam2_mlx.checkpoints.tensors import CheckpointError

SUFFIXES = (".safetensors", ".pt", ".pth")


def find_file(path: Path) -> Path:
    """The checkpoint file at a path.

    Args:
        path: a file, or a folder: `model.safetensors` in it, else its only checkpoint.

    Raises:
        FileNotFoundError: nothing there.
        CheckpointError: a folder without a checkpoint, or with several.
    """
    path = path.expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"no file or folder {path}; check the path")
    if (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(f"{path} holds no checkpoint ({', '.join(SUFFIXES)})")
    names = ", ".join(p.name for p in found[:10])
    raise CheckpointError(f"{path} holds several checkpoints ({names}); name one of them")
