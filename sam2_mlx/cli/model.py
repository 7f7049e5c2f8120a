"""Load the weights that a command was asked for, and say which they are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.cli.progress import said_if_slow

if TYPE_CHECKING:
    from sam2_mlx.config import ModelConfig
    from sam2_mlx.model.sam import Sam

# MLX keeps freed buffers of every shape it has met; without a limit they add up over a clip.
_CACHE_BYTES = 2**30


@dataclass(frozen=True)
class ModelChoice:
    """The model that a command line asks for.

    Attributes:
        name: as `sam2_mlx.load` takes it, or `auto`.
        dtype: auto, float32, float16 or bfloat16.
        image_size: side of the model's input in pixels, or None for its own.
        follow: whether it is for a clip; the first Segment Anything then does not fit.
    """

    name: str = "auto"
    dtype: str = "auto"
    image_size: int | None = None
    follow: bool = False

    @property
    def files(self) -> list[Path]:
        """What is read, where the name is a path: the file, or the folder and what is in it."""
        path = Path(self.name)
        inside = path.iterdir() if path.is_dir() else ()
        return [path, *inside] if path.exists() else []


def load_model(choice: ModelChoice) -> Sam:
    """Load a model and print one line that says which weights are in use.

    Raises:
        ValueError: an unknown name, a file that is no checkpoint, or a model without memory
            where one is needed.
        OSError: a file that is not there, or a download that failed.
    """
    import mlx.core as mx

    from sam2_mlx.checkpoints.load import BUNDLED, load, load_auto
    from sam2_mlx.checkpoints.names import model_name
    from sam2_mlx.config import MODELS
    from sam2_mlx.ops.cpu.allocator import keep_freed_memory
    from sam2_mlx.ops.dtypes import dtype_name
    from sam2_mlx.ops.runtime import report_once

    published = None if Path(choice.name).exists() else model_name(choice.name)
    if published is not None:
        # Before hundreds of megabytes are downloaded for nothing.
        _check_memory(choice, MODELS[published])
    keep_freed_memory()
    mx.set_cache_limit(_CACHE_BYTES)
    report_once()
    with said_if_slow(f"loading {_title(choice.name)}"):
        if choice.name == "auto":
            _, model, note = load_auto(dtype=choice.dtype, image_size=choice.image_size)
        else:
            model, note = load(choice.name, dtype=choice.dtype, image_size=choice.image_size), ""
    if not note:
        size = model.config.image_size
        note = f"using {_title(choice.name)} ({dtype_name(model.dtype)}, {size}x{size})"
    if choice.name == BUNDLED:
        note = (
            f"using the bundled {BUNDLED} model, a small stand-in; "
            "--model tiny gets the official weights"
        )
    _check_memory(choice, model.config)
    print(note, file=sys.stderr)
    return model


def _check_memory(choice: ModelChoice, config: ModelConfig) -> None:
    if choice.follow and config.memory is None:
        raise UsageError(
            f"{_title(choice.name)} is SAM v1, which has no memory to follow objects with; use "
            "SAM 2 (--model tiny, or auto), or the image command for a single picture"
        )
    if choice.follow:
        config.with_image_size(choice.image_size).require_memory()


def _title(name: str) -> str:
    return Path(name).name if Path(name).exists() else name
