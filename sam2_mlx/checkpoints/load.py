"""Load a model by name, by Hugging Face id or by path."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx

from sam2_mlx.checkpoints import hub
from sam2_mlx.checkpoints.assemble import DTYPES, Weights, read_weights
from sam2_mlx.checkpoints.locate import SUFFIXES, find_file
from sam2_mlx.checkpoints.names import BUNDLED, PUBLISHED, model_name, unknown_model
from sam2_mlx.checkpoints.names import config_for as config_for
from sam2_mlx.checkpoints.quantized import adapt, empty_model
from sam2_mlx.config import MODELS, ModelConfig
from sam2_mlx.model.folding import fold, folding_wanted
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.random_state import random_numbers_kept
from sam2_mlx.ops.runtime import report_once

BUNDLED_FOLDER = Path(__file__).parent.parent / "assets" / BUNDLED


@random_numbers_kept()
def load(
    name_or_path: str | Path,
    *,
    dtype: str | mx.Dtype = "auto",
    image_size: int | None = None,
    config: ModelConfig | None = None,
) -> Sam:
    """Load a model, ready to use.

    Args:
        name_or_path: `nano` (bundled), `tiny`, `small`, `base_plus`, `large` (SAM 2.1), `2.0-tiny`
            and so on, `auto` (`tiny` if it can be had, else `nano`), a Hugging Face id, a folder,
            or a `.pt` or safetensors file. Downloads happen once.
        dtype: "auto" (float16 on a GPU, float32 on a CPU), "float32", "float16" or "bfloat16".
        image_size: side of the square model input in pixels, a multiple of 32; None keeps the
            model's own.
        config: the dimensions; None infers them from the tensors and a `config.json` beside them.

    Returns:
        The model with its weights evaluated, frozen, in evaluation mode.

    Raises:
        ValueError: an unknown name, dtype or image size, or a file that is not a SAM 2 checkpoint.
        FileNotFoundError: a path with nothing there.
        DownloadError: a published model that is not cached and cannot be downloaded.
    """
    kind = resolve_dtype(dtype)
    if name_or_path == "auto":
        name_or_path, note = resolve_auto()
        if name_or_path == BUNDLED:
            warnings.warn(note, stacklevel=2)
    path = _resolve(name_or_path, hub.fetch)
    return load_checkpoint(path, config, dtype=kind, image_size=image_size)


@random_numbers_kept()
def load_checkpoint(
    path: str | Path,
    config: ModelConfig | None = None,
    *,
    dtype: str | mx.Dtype = "auto",
    image_size: int | None = None,
) -> Sam:
    """Load a model from a file or a folder.

    Args:
        path: a `.pt` or safetensors file, or a folder with one.
        config: the dimensions; None infers them from the tensors and a `config.json` beside them.
        dtype: as in `load`.
        image_size: as in `load`.

    Returns:
        The model with its weights evaluated, frozen, in evaluation mode.

    Raises:
        FileNotFoundError: nothing there.
        ValueError: not a SAM 2 checkpoint, or one that does not fit the config.
    """
    kind = resolve_dtype(dtype)
    file = find_file(Path(path))
    report_once()
    return _build(read_weights(file, config=config, image_size=image_size, dtype=kind))


def locate(name_or_path: str | Path) -> Path:
    """The checkpoint file that a name, an id or a path means, downloaded if need be.

    Raises:
        ValueError: an unknown name.
        FileNotFoundError: a path with nothing there.
        DownloadError: not cached, and cannot be downloaded.
    """
    return find_file(_resolve(name_or_path, hub.download))


def resolve_auto() -> tuple[str, str]:
    """Choose the default model: the official tiny one if it can be had, else the bundled one.

    Returns:
        The model's name, and one line for the user that says which it is and, for the bundled one,
        how to get the official weights.
    """
    repository = PUBLISHED["tiny"].repository
    if hub.cached(repository) is not None:
        return "tiny", "using SAM 2.1 tiny (official weights, cached)"
    try:
        hub.fetch(repository)
    except OSError as error:
        reason = str(error).partition(";")[0]
        return BUNDLED, (
            f"using {BUNDLED}, a small stand-in that comes with the package ({reason}); for the "
            "official weights: --model tiny with a connection, or --model FILE.pt with a "
            "downloaded checkpoint"
        )
    return "tiny", "using SAM 2.1 tiny (official weights, downloaded)"


def resolve_dtype(dtype: str | mx.Dtype) -> mx.Dtype:
    """The element type that a dtype argument means on the default device.

    Raises:
        ValueError: not one of the types that a model can have.
    """
    if dtype == "auto":
        return mx.float16 if mx.default_device().type == mx.gpu else mx.float32
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    if isinstance(dtype, mx.Dtype) and dtype in DTYPES.values():
        return dtype
    raise ValueError(f"dtype must be auto, {', '.join(DTYPES)}; got {dtype!r}")


def _resolve(name_or_path: str | Path, get: Callable[[str], Path]) -> Path:
    """A file or folder for a name, an id or a path; `get` brings a published one."""
    text = str(name_or_path)
    if not text.strip():
        raise ValueError(unknown_model(text))
    if isinstance(name_or_path, str):
        name = model_name(text)
        if name == BUNDLED:
            return BUNDLED_FOLDER
        if name is not None and not ("/" in text and Path(text).exists()):
            return get(PUBLISHED[name].repository)
    path = Path(text).expanduser()
    if path.exists():
        return path
    if isinstance(name_or_path, Path) or _looks_like_path(text):
        raise FileNotFoundError(
            f"no file or folder {text}; check the path, or use a model name: {', '.join(MODELS)}"
        )
    if hub.is_repository(text):
        return get(text)
    raise ValueError(unknown_model(text))


def _looks_like_path(text: str) -> bool:
    return (
        text.startswith((".", "/", "~"))
        or text.lower().endswith((*SUFFIXES, ".bin"))
        or text.count("/") > 1
        or "\\" in text
    )


def _build(weights: Weights) -> Sam:
    arrays = list(weights.arrays.items())
    if weights.quantization is not None:
        # Folded before it was quantised.
        model = empty_model(weights.config, weights.quantization)
        model.load_weights(arrays, strict=True)
        adapt(model)
    else:
        model = Sam(weights.config)
        model.load_weights(arrays, strict=True)
        if folding_wanted():
            fold(model)
    mx.eval(model.parameters())
    model.eval()
    model.freeze()
    return model
