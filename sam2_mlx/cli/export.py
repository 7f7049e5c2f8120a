"""`sam2-mlx export MODEL OUT`: a model as a bundle, for apps without Python."""

from __future__ import annotations

import argparse
from pathlib import Path

from sam2_mlx.cli.arguments import CommandParser, add_dtype_argument, add_options
from sam2_mlx.cli.errors import say


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0."""
    options = _parser().parse_args(argv)
    from sam2_mlx.apps.exporting.bundle import MODEL, check_bundle, export_bundle, read_bundle
    from sam2_mlx.checkpoints.load import load

    model = load(options.model, dtype=options.dtype, image_size=options.image_size)
    facts = export_bundle(model, options.out)
    check_bundle(read_bundle(options.out), options.out)
    size = (options.out / MODEL).stat().st_size / 1e6
    say(
        f"wrote {options.out}: {facts.model}, {facts.image_size} px, {facts.dtype}, {size:.1f} MB, "
        f"for MLX {facts.mlx} on a {facts.device}; read again, and it gives what the model gives"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "export",
        "Write a model as a bundle: its functions and weights in one file, for apps "
        "without Python. It is for the device that MLX runs on here: for a Mac, export on a Mac.",
    )
    parser.add_argument(
        "model",
        help="a model name (tiny, nano), a Hugging Face id, a folder, a .pt or .safetensors file",
    )
    parser.add_argument("out", type=Path, help="the folder to make; an earlier bundle is replaced")
    add_dtype_argument(parser)
    add_options(parser, int, {"--image-size N": "side of the model's input in pixels"})
    return parser
