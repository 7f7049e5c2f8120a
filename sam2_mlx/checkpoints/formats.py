"""Find and open a checkpoint file: its format is told by its content, never by its name."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from sam2_mlx.checkpoints.read_safetensors import read_safetensors
from sam2_mlx.checkpoints.read_torch import TorchArchive
from sam2_mlx.checkpoints.tensors import CheckpointError, StoredTensor
from sam2_mlx.config import ModelConfig
from sam2_mlx.files import FileError, open_regular, read_json

FORMAT_VERSION = 1
"""Version of the folders that we write."""
CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"
"""The two files of such a folder."""
SUFFIXES = (".safetensors", ".pt", ".pth")
"""What the names of checkpoint files end in."""

_KEYS = {field.name for field in fields(ModelConfig)}
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@contextmanager
def open_tensors(path: Path) -> Iterator[Mapping[str, StoredTensor]]:
    """The tensors of a checkpoint, readable while the file is open.

    Args:
        path: a PyTorch archive or a safetensors file.

    Yields:
        Name -> tensor, as stored.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: neither format, or damaged. The message leaves out the file's name.
    """
    with open_regular(path) as file:
        head = file.read(64)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if head.startswith(b"PK\x03\x04"):
            yield TorchArchive(file).tensors()
        elif _is_safetensors(head, size):
            yield read_safetensors(path)
        else:
            raise CheckpointError(_foreign(head))


def find_file(path: Path) -> Path:
    """The checkpoint file at a path.

    Args:
        path: a file, or a folder: `model.safetensors` in it, else its only checkpoint.

    Raises:
        FileNotFoundError: nothing there.
        CheckpointError: a folder without a checkpoint, or with several.
    """
    path = path.expanduser()
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}; check the path")
    if not path.is_dir():
        return path
    if (path / WEIGHTS_NAME).is_file():
        return path / WEIGHTS_NAME
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if len(files) == 1:
        return files[0]
    if not files:
        raise CheckpointError(f"{path} holds no checkpoint ({', '.join(SUFFIXES)})")
    names = ", ".join(p.name for p in files[:10])
    raise CheckpointError(f"{path} holds several checkpoints ({names}); name one of them")


def read_config(path: Path) -> dict[str, Any] | None:
    """The JSON object in a config.json, or None where there is no file.

    Raises:
        CheckpointError: not a JSON object, or not a file.
    """
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    except FileError as error:
        raise CheckpointError(f"has beside it a {path.name} that {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"has beside it a {path.name} that is not a JSON object")
    return values


def read_given(path: Path) -> dict[str, Any] | None:
    """The model's dimensions in a config.json: one of ours, whole or in part.

    Args:
        path: the file, which need not exist.

    Returns:
        The nested dict under "model", or the object itself where somebody wrote only that; None
        without a file, or for one that belongs to another library.

    Raises:
        CheckpointError: not JSON, or written by a later version.
    """
    values = read_config(path)
    if values is None or "model_type" in values:
        return None
    version = values.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"was written in format {version}; this version reads format {FORMAT_VERSION}: "
            "update sam2_mlx, or convert the checkpoint again"
        )
    if "model" not in values:
        # A config.json without any key of ours is about something else in the same folder.
        return values if _KEYS & set(values) else None
    if not isinstance(values["model"], dict):
        raise CheckpointError(f"has beside it a {path.name} whose 'model' is not an object")
    return values["model"]


def _is_safetensors(head: bytes, size: int) -> bool:
    # Eight bytes of header length, then the header, a JSON object. A length beyond the end of the
    # file still counts: that file is cut short, and the reader says so.
    if len(head) < 10 or head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return length < 2**32 and size > 8


def _foreign(head: bytes) -> str:
    wanted = "a checkpoint is a PyTorch .pt file or a .safetensors file"
    if not head:
        return f"is empty; {wanted}"
    if head.startswith(_LEGACY_TORCH):
        return (
            "is in PyTorch's old format from before version 1.6; open it with PyTorch and save it "
            "again: torch.save(torch.load(old, weights_only=True), new)"
        )
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; fetch it with: git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"is a web page, probably a failed download; {wanted}"
    if head.startswith(b"\x80"):
        return f"is a Python pickle, which is not safe to open; {wanted}"
    return f"is not a checkpoint (it begins with {head[:12]!r}); {wanted}"
