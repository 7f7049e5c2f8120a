"""Load a model by name, by Hugging Face id or by path."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx

from sam2_mlx.checkpoints import hub
from sam2_mlx.checkpoints.convert import write_folder
from sam2_mlx.checkpoints.files import SUFFIXES, find_file
from sam2_mlx.checkpoints.names import BUNDLED, PUBLISHED, model_name, unknown_model
from sam2_mlx.checkpoints.profiles import profile_file, use_profile
from sam2_mlx.checkpoints.quantized import adapt
from sam2_mlx.checkpoints.read import Weights, read_weights
from sam2_mlx.checkpoints.tensors import CheckpointError, DamagedError
from sam2_mlx.config import MODELS, ModelConfig
from sam2_mlx.files import FileError
from sam2_mlx.model.folding import fold, folding_wanted, lay_out
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.device import resolve_device, running_on
from sam2_mlx.ops.dtypes import resolve_dtype
from sam2_mlx.ops.precision import hold_float32
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
    device: Any = None,
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
        device: "auto" (MLX's default), "gpu" or "cpu": where the model runs. Torch's words are
            understood: "mps" and "cuda" mean the GPU, or the CPU where MLX has none.

    Returns:
        The model with its weights evaluated, frozen, in evaluation mode.

    Raises:
        ValueError: an unknown name, dtype, image size or device, or a file that is not a SAM 2
            checkpoint.
        FileNotFoundError: a path with nothing there.
        DownloadError: a published model that is not cached and cannot be downloaded.
    """
    home, note = resolve_device(device)
    if note is not None:
        warnings.warn(note, stacklevel=3)
    with running_on(home):
        model = _load(name_or_path, dtype, image_size, config)
    model.home = home
    if name_or_path != "auto":  # then it was loaded by a name
        use_profile(profile_place(name_or_path), model)
    return model


def _load(
    name_or_path: str | Path,
    dtype: str | mx.Dtype,
    image_size: int | None,
    config: ModelConfig | None,
) -> Sam:
    if name_or_path == "auto":
        name, model, note = load_auto(dtype=dtype, image_size=image_size, config=config)
        if name == BUNDLED:
            warnings.warn(note, stacklevel=4)
        return model
    kind = resolve_dtype(dtype)
    report_once()
    place = _resolve(name_or_path)
    if isinstance(place, str):
        return _load_published(place, config, image_size, kind)
    return _load_file(place, config, image_size, kind)


def load_auto(
    *,
    dtype: str | mx.Dtype = "auto",
    image_size: int | None = None,
    config: ModelConfig | None = None,
) -> tuple[str, Sam, str]:
    """Load the default model as `load`: the official tiny one if it can be had, else the bundled.

    Returns:
        The model's name, the model, and one line for the user that says which it is and, for the
        bundled one, how to get the official weights.
    """
    how = "cached" if hub.cached(PUBLISHED["tiny"].repository) else "downloaded"
    try:
        model = load("tiny", dtype=dtype, image_size=image_size, config=config)
    except (OSError, FileError, CheckpointError) as error:
        reason = str(error).partition(";")[0]
        note = (
            f"using {BUNDLED}, a small stand-in that comes with the package ({reason}); for the "
            "official weights: --model tiny with a connection, or --model FILE.pt with a "
            "downloaded checkpoint"
        )
        return BUNDLED, load(BUNDLED, dtype=dtype, image_size=image_size), note
    return "tiny", model, f"using SAM 2.1 tiny (official weights, {how})"


def locate(name_or_path: str | Path) -> Path:
    """The checkpoint file that a name, an id or a path means, downloaded if need be.

    Raises:
        ValueError: an unknown name.
        FileNotFoundError: a path with nothing there.
        DownloadError: not cached, and cannot be downloaded.
    """
    place = _resolve(name_or_path)
    return find_file(place) if isinstance(place, Path) else hub.download(place)


def profile_place(name_or_path: str | Path) -> Path:
    """Where the profile of a model is, whether there is one or not.

    Args:
        name_or_path: as in `load`, but for "auto".

    Raises:
        ValueError: an unknown name.
        FileNotFoundError: a path with nothing there.
    """
    place = _resolve(name_or_path)
    if isinstance(place, str):
        return profile_file(place)
    return profile_file(find_file(place), bundled=place == BUNDLED_FOLDER)


def _resolve(name_or_path: str | Path) -> Path | str:
    """The file or folder, or else the Hugging Face id, that a name, an id or a path means."""
    text = str(name_or_path)
    if not text.strip():
        raise ValueError(unknown_model(text))
    if isinstance(name_or_path, str):
        name = model_name(text)
        if name == BUNDLED:
            return BUNDLED_FOLDER
        if name is not None and not ("/" in text and Path(text).exists()):
            return PUBLISHED[name].repository
    path = Path(text).expanduser()
    if path.exists():
        return path
    if isinstance(name_or_path, Path) or _looks_like_path(text):
        raise FileNotFoundError(
            f"no file or folder {text}; check the path, or use a model name: {', '.join(MODELS)}"
        )
    if hub.is_repository(text):
        return text
    raise ValueError(unknown_model(text))


def _looks_like_path(text: str) -> bool:
    return (
        text.startswith((".", "/", "~"))
        or text.lower().endswith((*SUFFIXES, ".bin"))
        or text.count("/") > 1
        or "\\" in text
    )


def _load_file(
    path: Path, config: ModelConfig | None, image_size: int | None, dtype: mx.Dtype
) -> Sam:
    file = find_file(path)
    return _filled(read_weights(file, config=config, image_size=image_size, dtype=dtype), dtype)


def _load_published(
    repository: str, config: ModelConfig | None, image_size: int | None, dtype: mx.Dtype
) -> Sam:
    """A published model: from the folder kept of it, else from its file, and then it is kept."""
    folder = hub.cached(repository)
    if folder is not None:
        try:
            return _load_file(folder, config, image_size, dtype)
        except CheckpointError as error:
            if config is not None and not isinstance(error, DamagedError):
                raise
    file = hub.download(repository)
    read = partial(read_weights, config=config, image_size=image_size, dtype=mx.float32)
    try:
        weights = read(file)
    except DamagedError as error:
        file = _again(repository, error)
        weights = read(file)
    dimensions = weights.stored if config is None else MODELS.get(model_name(repository) or "")
    if dimensions is not None:
        with suppress(OSError, FileError):
            hub.kept_folder(repository).parent.mkdir(parents=True, exist_ok=True)
            write_folder(hub.kept_folder(repository), weights, dimensions, file)
    return _filled(weights, dtype)


def _again(repository: str, problem: DamagedError) -> Path:
    try:
        return hub.download(repository, anew=True)
    except hub.DownloadError as error:
        raise DamagedError(f"{problem}; it could not be fetched anew: {error}") from error


def _filled(weights: Weights, dtype: mx.Dtype) -> Sam:
    """The model of a checkpoint, with its values and ready to use."""
    if dtype == mx.float32:
        hold_float32()
    model, arrays = weights.model, weights.arrays
    for key, value in arrays.items():
        # In place, so that values in two types need not be held at once.
        arrays[key] = value if value.dtype == mx.uint32 else value.astype(dtype)
        mx.eval(arrays[key])
    model.load_weights(list(arrays.items()), strict=True)
    arrays.clear()
    if weights.quantization is not None:
        adapt(model)  # folded before it was quantised
    elif folding_wanted():
        fold(model)
    lay_out(model)
    mx.eval(model.parameters())
    model.eval()
    model.freeze()
    return model
