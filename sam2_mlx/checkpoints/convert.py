"""Convert any checkpoint to a folder of ours: `config.json` and `model.safetensors`."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from sam2_mlx.checkpoints.files import (
    CONFIG_NAME,
    FORMAT_VERSION,
    PROFILE_NAME,
    WEIGHTS_NAME,
    find_file,
    parts,
)
from sam2_mlx.checkpoints.quantized import quantize
from sam2_mlx.checkpoints.read import Weights, read_weights
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import ModelConfig
from sam2_mlx.files import StagedFolder, real_path, sha256
from sam2_mlx.ops.dtypes import FLOATS
from sam2_mlx.ops.random_state import random_numbers_kept
from sam2_mlx.ops.tensor_file import write_safetensors


@random_numbers_kept()
def convert_checkpoint(
    source: Path,
    out: Path,
    *,
    dtype: str = "float32",
    config: ModelConfig | None = None,
    image_size: int | None = None,
    bits: int | None = None,
    overwrite: bool = False,
) -> ModelConfig:
    """Convert a checkpoint; the folder appears complete or not at all.

    Args:
        source: a `.pt` or safetensors file, or a folder with one of them.
        out: the folder to make.
        dtype: "float32", "float16" or "bfloat16".
        config: the dimensions, where they are known.
        image_size: input size in pixels to write into the config.
        bits: quantise the linear layers to 8 or 4 bits, after folding; the rest keeps `dtype`.
        overwrite: replace an earlier converted folder.

    Returns:
        The config that was written.

    Raises:
        FileNotFoundError: no source.
        FileExistsError: `out` is there already and `overwrite` is not set, or it holds the source.
        CheckpointError: a source that is damaged, foreign, or does not fit the model.
        FileError: `out` holds other files or cannot be written, for example on a full disk.
    """
    if dtype not in FLOATS:
        raise ValueError(f"dtype must be one of {', '.join(FLOATS)}; got {dtype!r}")
    file = find_file(source)
    _check_target(out, file, overwrite)
    with _appearing(out) as folder:
        read_as = FLOATS[dtype] if bits is None else mx.float32
        weights = read_weights(file, config=config, image_size=image_size, dtype=read_as)
        if weights.quantization is not None:
            raise CheckpointError(
                f"{file.name} is quantised already; convert the checkpoint that it was made from"
            )
        if bits is not None:
            weights = _quantized(weights, bits, FLOATS[dtype])
        _write(folder, weights, weights.config, dtype, file)
    return weights.config


def write_folder(out: Path, weights: Weights, config: ModelConfig, source: Path) -> None:
    """Keep a checkpoint that was read in float32 as a folder of ours, in place of an earlier one.

    Raises:
        FileError: `out` holds other files or cannot be written, for example on a full disk.
    """
    with _appearing(out) as folder:
        _write(folder, weights, config, "float32", source)


def _appearing(out: Path) -> StagedFolder:
    ours = CONFIG_NAME, WEIGHTS_NAME, PROFILE_NAME
    return StagedFolder(Path(os.path.abspath(out)), lambda _: ours)


def _quantized(weights: Weights, bits: int, dtype: mx.Dtype) -> Weights:
    weights.model.load_weights(list(weights.arrays.items()), strict=True)
    quantization = quantize(weights.model, bits)
    arrays = {
        key: value if value.dtype == mx.uint32 else value.astype(dtype)
        for key, value in dict(tree_flatten(weights.model.parameters())).items()
    }
    mx.eval(arrays)
    return replace(weights, arrays=arrays, quantization=quantization)


def _check_target(out: Path, source: Path, overwrite: bool) -> None:
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise FileExistsError(f"{out} is there already; add --overwrite or choose another name")
    if real_path(source).parent == real_path(out):
        raise FileExistsError(f"{out} holds the source itself; choose another name")


def _write(folder: Path, weights: Weights, config: ModelConfig, dtype: str, source: Path) -> None:
    size = sum(array.nbytes for array in weights.arrays.values())
    free = shutil.disk_usage(folder).free
    if free < size + 2**20:
        raise OSError(
            f"not enough space in {folder.parent}: {size / 1e6:.0f} MB are needed, "
            f"{free / 1e6:.0f} MB are free"
        )
    write_safetensors(folder / WEIGHTS_NAME, weights.arrays, {"format": "mlx"})
    record: dict[str, Any] = {
        "format": "sam2_mlx",
        "format_version": FORMAT_VERSION,
        "dtype": dtype,
        "source": dict(name=source.name, sha256=sha256(*parts(source)), layout=weights.layout),
        "model": config.to_dict(),
    }
    if weights.quantization is not None:
        record["quantization"] = weights.quantization.to_dict()
    (folder / CONFIG_NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
