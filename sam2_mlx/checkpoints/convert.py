"""Convert any checkpoint to a folder of ours: `config.json` and `model.safetensors`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from sam2_mlx.checkpoints.assemble import DTYPES, Weights, read_weights
from sam2_mlx.checkpoints.files import FORMAT_VERSION
from sam2_mlx.checkpoints.locate import find_file
from sam2_mlx.checkpoints.quantized import GROUP_SIZES, quantize
from sam2_mlx.checkpoints.read_safetensors import read_safetensors
from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import ModelConfig
from sam2_mlx.files import StagedFolder, sha256
from sam2_mlx.model.sam import Sam

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


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
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    file = find_file(source)
    _check_target(out, file, overwrite)
    read_as = DTYPES[dtype] if bits is None else mx.float32
    with StagedFolder(Path(os.path.abspath(out)), lambda _: (CONFIG_NAME, WEIGHTS_NAME)) as folder:
        weights = read_weights(file, config=config, image_size=image_size, dtype=read_as)
        if weights.quantization is not None:
            raise CheckpointError(
                f"{file.name} is quantised already; convert the checkpoint that it was made from"
            )
        if bits is not None:
            weights = _quantized(weights, bits, DTYPES[dtype])
        _write(folder, weights, dtype, file)
    return weights.config


def _quantized(weights: Weights, bits: int, dtype: mx.Dtype) -> Weights:
    model = Sam(weights.config)
    model.load_weights(list(weights.arrays.items()), strict=True)
    quantization = quantize(model, bits)
    arrays = {
        key: value if value.dtype == mx.uint32 else value.astype(dtype)
        for key, value in dict(tree_flatten(model.parameters())).items()
    }
    mx.eval(arrays)
    return replace(weights, arrays=arrays, quantization=quantization)


def _check_target(out: Path, source: Path, overwrite: bool) -> None:
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise FileExistsError(f"{out} is there already; add --overwrite or choose another name")
    if source.resolve().parent == out.resolve():
        raise FileExistsError(f"{out} holds the source itself; choose another name")


def _write(folder: Path, weights: Weights, dtype: str, source: Path) -> None:
    path = folder / WEIGHTS_NAME
    size = sum(array.nbytes for array in weights.arrays.values())
    free = shutil.disk_usage(folder).free
    if free < size + 2**20:
        raise OSError(
            f"not enough space in {folder.parent}: {size / 1e6:.0f} MB are needed, "
            f"{free / 1e6:.0f} MB are free"
        )
    try:
        mx.save_safetensors(str(path), weights.arrays, metadata={"format": "mlx"})
        # MLX does not report a short write, so the file is read back as far as its table.
        read_safetensors(path)
    except (RuntimeError, CheckpointError) as error:
        raise OSError(f"could not write {size / 1e6:.0f} MB to {folder.parent}") from error
    record: dict[str, Any] = {
        "format": "sam2_mlx",
        "format_version": FORMAT_VERSION,
        "dtype": dtype,
        "source": {
            "name": source.name,
            "sha256": sha256(source),
            "layout": weights.layout,
        },
        "model": weights.config.to_dict(),
    }
    if weights.quantization is not None:
        record["quantization"] = weights.quantization.to_dict()
    (folder / CONFIG_NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sam2-mlx convert",
        description="Convert a checkpoint to a folder with config.json and model.safetensors.",
    )
    parser.add_argument(
        "source",
        help="a .pt or .safetensors file, a folder, a model name (tiny), or a Hugging Face id",
    )
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--dtype", choices=list(DTYPES), default="float32")
    parser.add_argument("--image-size", type=int, metavar="PIXELS", help="another input size")
    parser.add_argument(
        "--quantize",
        type=int,
        choices=list(GROUP_SIZES),
        metavar="BITS",
        help="8 or 4: linear layers in so many bits, the rest in --dtype; a smaller model, not a "
        "faster one",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier converted folder"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run `sam2-mlx convert`.

    Args:
        argv: the arguments after the command's name; None takes the process's.

    Returns:
        Exit code: 0, 2 on bad input (with one line on stderr), 130 after Ctrl-C.
    """
    from sam2_mlx.checkpoints.load import locate

    args = _parser().parse_args(argv)
    try:
        source = locate(args.source)
        config = convert_checkpoint(
            source,
            args.out,
            dtype=args.dtype,
            image_size=args.image_size,
            bits=args.quantize,
            overwrite=args.overwrite,
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    size = (args.out / WEIGHTS_NAME).stat().st_size / 1e6
    # With a separator in it, a folder is not taken for a model's name.
    model = args.out if len(args.out.parts) > 1 else os.path.join(".", args.out)
    kind = args.dtype if args.quantize is None else f"{args.quantize} bits and {args.dtype}"
    print(
        f"wrote {args.out}: {config.name}, {config.image_size} px, {kind}, {size:.1f} MB; "
        f"use it with --model {model}"
    )
    return 0
