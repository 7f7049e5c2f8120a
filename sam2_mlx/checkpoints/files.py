"""Find and open a checkpoint file: its format is told by its content, never by its name."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

from sam2_mlx.checkpoints.bounds import check_values
from sam2_mlx.checkpoints.read_torch import TorchArchive
from sam2_mlx.checkpoints.rename import has_layout
from sam2_mlx.checkpoints.tensors import CheckpointError, DamagedError, StoredTensor
from sam2_mlx.config import ModelConfig
from sam2_mlx.files import FileError, open_regular, quoted, read_json
from sam2_mlx.ops.tensor_file import read_safetensors

FORMAT_VERSION = 1
"""Version of the folders that we write."""
CONFIG_NAME, WEIGHTS_NAME = "config.json", "model.safetensors"
"""The two files of such a folder."""
PROFILE_NAME = "profile.json"
"""What `sam2-mlx tune` puts beside them."""
SUFFIXES = (".safetensors", ".pt", ".pth")
"""What the names of checkpoint files end in."""

MAX_TENSORS = 20_000
"""Tensors that a checkpoint may hold; the largest published model has about 900."""
MAX_NAME = 500
"""Letters that the name of a tensor may have."""

# The transformers library cuts large models into such files.
_PART = re.compile(r"(.+)-\d{5}-of-(\d{5})(\.safetensors)")
_KEYS = {field.name for field in fields(ModelConfig)}
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@contextmanager
def open_tensors(path: Path) -> Iterator[Mapping[str, StoredTensor]]:
    """The tensors of a checkpoint, readable while the file is open.

    Args:
        path: a PyTorch archive or a safetensors file; of one in parts, any part.

    Yields:
        Name -> tensor, as stored.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: neither format, or damaged. The message leaves out the file's name.
    """
    tensors: dict[str, StoredTensor] = {}
    with ExitStack() as stack:
        for part in parts(path):
            tensors.update(_read_table(stack.enter_context(open_regular(part))))
        yield _named_well(tensors)


def parts(path: Path) -> list[Path]:
    """The files of a checkpoint: itself, or all parts of one in several files.

    Raises:
        DamagedError: a part is not there.
    """
    match = _PART.fullmatch(path.name)
    if match is None:
        return [path]
    stem, count, suffix = match.groups()
    files = [path.with_name(f"{stem}-{n:05}-of-{count}{suffix}") for n in range(1, int(count) + 1)]
    for file in files:
        if not file.is_file():
            raise DamagedError(f"is one of {int(count)} parts, and {file.name} is not there")
    return files


def _read_table(file: BinaryIO) -> dict[str, StoredTensor]:
    head = file.read(64)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        return TorchArchive(file).tensors(has_layout)
    if not _is_safetensors(head, size):
        raise CheckpointError(_foreign(head))
    try:
        return read_safetensors(file)[0]
    except FileError as error:
        raise DamagedError(str(error)) from error


def find_file(path: Path) -> Path:
    """The checkpoint file at a path.

    Args:
        path: a file, or a folder: `model.safetensors` in it, else its only checkpoint, or the
            first part of one in several files.

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
    if len({_PART.sub(r"\1", file.name) for file in files}) == 1:
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
        raise CheckpointError(f"has a {path.name} that cannot be used: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"has beside it a {path.name} that is not a JSON object")
    return values


def read_given(path: Path) -> dict[str, Any] | None:
    """The model's dimensions in a config.json, checked: one of ours, whole or in part.

    Args:
        path: the file, which need not exist.

    Returns:
        The nested dict under "model", or the object itself where somebody wrote only that; of the
        transformers library's file the input size alone; None where nothing is said.

    Raises:
        CheckpointError: not JSON, written by a later version, or a value that cannot be.
    """
    values = read_config(path)
    if values is None:
        return None
    if "model_type" in values:
        stated = _transformers_size(values)
    elif "model" in values or values.get("format_version", FORMAT_VERSION) != FORMAT_VERSION:
        version = values.get("format_version", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"was written in format {quoted(version)}; this version reads format "
                f"{FORMAT_VERSION}: update sam2_mlx, or convert the checkpoint again"
            )
        stated = values["model"]
        if not isinstance(stated, dict):
            raise CheckpointError(f"has beside it a {path.name} whose 'model' is not an object")
    else:
        # A config.json without any key of ours is about something else in the same folder.
        stated = values if _KEYS & set(values) else None
    if stated is not None:
        check_values(stated, f"a {path.name}")
    return stated


def _transformers_size(values: dict[str, Any]) -> dict[str, Any] | None:
    """The input size in a config of the transformers library, which has several places for it."""
    if not str(values["model_type"]).startswith("sam"):
        return None
    vision = values.get("vision_config")
    backbone = vision.get("backbone_config") if isinstance(vision, dict) else None
    for part in (values, values.get("prompt_encoder_config"), vision, backbone):
        size = part.get("image_size") if isinstance(part, dict) else None
        if size is not None:
            # A side, or height and width.
            return {"image_size": size[0] if isinstance(size, list) and size else size}
    return None


def _named_well(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors, if their names can be matched in bounded time and printed."""
    if len(tensors) > MAX_TENSORS:
        raise CheckpointError(f"holds {len(tensors)} tensors; no model has over {MAX_TENSORS}")
    for name in tensors:
        if len(name) > MAX_NAME or not name.isprintable():
            raise CheckpointError(f"names a tensor {quoted(name)}, which is no parameter's name")
    return tensors


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
