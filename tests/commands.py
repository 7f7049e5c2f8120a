"""The commands as tests call them: through the dispatcher, which has the one guard."""

from __future__ import annotations

from sam2_mlx.__main__ import main


def video(argv: list[str]) -> int:
    return main(["video", *argv])


def image(argv: list[str]) -> int:
    return main(["image", *argv])


def everything(argv: list[str]) -> int:
    return main(["everything", *argv])


def convert(argv: list[str]) -> int:
    return main(["convert", *argv])


def batch(argv: list[str]) -> int:
    return main(["batch", *argv])
