"""`sam2-mlx convert SOURCE OUT`: turn a checkpoint into this package's format."""

from __future__ import annotations

import argparse
import os

from sam2_mlx.cli.arguments import DTYPES, CommandParser, add_options, file_path
from sam2_mlx.cli.errors import say


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0."""
    args = _parser().parse_args(argv)
    from sam2_mlx.checkpoints.convert import convert_checkpoint
    from sam2_mlx.checkpoints.files import WEIGHTS_NAME
    from sam2_mlx.checkpoints.load import locate

    config = convert_checkpoint(
        locate(args.source),
        args.out,
        dtype=args.dtype,
        image_size=args.image_size,
        bits=args.quantize,
        overwrite=args.overwrite,
    )
    size = (args.out / WEIGHTS_NAME).stat().st_size / 1e6
    # With a separator in it, a folder is not taken for a model's name.
    model = args.out if len(args.out.parts) > 1 else os.path.join(".", args.out)
    kind = args.dtype if args.quantize is None else f"{args.quantize} bits and {args.dtype}"
    say(
        f"wrote {args.out}: {config.name}, {config.image_size} px, {kind}, {size:.1f} MB; "
        f"use it with --model {model}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "convert", "Convert a checkpoint to a folder with config.json and model.safetensors."
    )
    parser.add_argument(
        "source",
        help="a .pt or .safetensors file, a folder, a model name (tiny), or a Hugging Face id",
    )
    parser.add_argument("out", type=file_path, help="the folder to make")
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="of the weights; float32 by default"
    )
    add_options(parser, int, {"--image-size PIXELS": "another input size"})
    parser.add_argument(
        "--quantize",
        type=int,
        choices=(8, 4),
        metavar="BITS",
        help="8 or 4: linear layers in so many bits, the rest in --dtype; a smaller model, not a "
        "faster one",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier converted folder"
    )
    return parser
