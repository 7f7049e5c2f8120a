"""Dimensions that come from a file: type and size of each are checked before anything is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from sam2_mlx.checkpoints.tensors import CheckpointError
from sam2_mlx.config import ENCODERS, ModelConfig
from sam2_mlx.files import quoted

_MOST_ENTRIES = 64
_MOST_LETTERS = 100
# Whole numbers are from 1 to this, other numbers from 0 to this, where the table has nothing else.
_MOST = 65536
_RANGES: dict[str, tuple[float, float]] = {
    "image_size": (32, 4096),
    "hidden_dim": (1, 4096),
    "embed_dim": (1, 4096),
    "stage_dims": (1, 4096),
    "dim": (1, 4096),
    "num_heads": (1, 64),
    "num_layers": (1, 64),
    "num_multimasks": (1, 64),
    "fuser_layers": (0, 64),
    "stages": (1, 256),
    "depth": (1, 256),
    "global_blocks": (0, 1024),
    # The work of attention grows with the fourth power of a window's side.
    "window_sizes": (1, 64),
    "window_size": (1, 64),
    "background_size": (1, 512),
    "grid": (1, 512),
    "num_frames": (1, 64),
    "max_pointers": (0, 1024),
    "rope_theta": (1, 1e9),
}


def check_values(values: Mapping[str, Any], source: str) -> None:
    """Check dimensions, all of them or some.

    Args:
        values: as in config.json: a nested dict with keys of `ModelConfig`.
        source: where they are from, for the message.

    Raises:
        CheckpointError: an unknown key, or a value of another type or out of its range.
    """
    try:
        _check_record(values, ModelConfig, "")
    except _Unusable as error:
        raise CheckpointError(f"has {source} that cannot be used: {error}") from None


class _Unusable(ValueError):
    pass


def _check_record(values: Mapping[str, Any], kind: Any, inside: str) -> None:
    hints = get_type_hints(kind)
    for name, value in values.items():
        key = f"{inside}{name}" if name in hints else quoted(f"{inside}{name}")
        if name not in hints:
            raise _Unusable(
                f"unknown {kind.__name__} key {key}; known keys: {', '.join(sorted(hints))}"
            )
        options = list(get_args(hints[name]) or (hints[name],))
        if value is None and type(None) in options:
            continue
        if any(is_dataclass(option) for option in options):
            if not isinstance(value, dict):
                raise _wrong(key, "an object", value)
            _check_record(*_part(name, value, options), f"{key}.")
        else:
            _check(key, name, hints[name], value)


def _part(name: str, value: dict[str, Any], options: list[Any]) -> tuple[dict[str, Any], Any]:
    """A nested record's values, and which record it is."""
    if name != "encoder":
        return value, next(option for option in options if is_dataclass(option))
    kind = value.get("kind", "hiera")
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise _wrong("encoder.kind", f"one of {', '.join(ENCODERS)}", kind)
    return {key: part for key, part in value.items() if key != "kind"}, ENCODERS[kind]


def _check(key: str, name: str, hint: Any, value: Any) -> None:
    low, high = _RANGES.get(name, (0 if float in (hint, *get_args(hint)) else 1, _MOST))
    numbers = f"from {low} to {high:g}"
    if hint is bool:
        wanted, fits = "true or false", isinstance(value, bool)
    elif hint is str:
        wanted = f"a text of up to {_MOST_LETTERS} letters"
        fits = isinstance(value, str) and len(value) <= _MOST_LETTERS and value.isprintable()
    elif hint is int:
        wanted, fits = f"a whole number {numbers}", _is_whole(value, low, high)
    elif getattr(hint, "__origin__", None) is tuple:
        wanted = f"a list of up to {_MOST_ENTRIES} whole numbers {numbers}"
        fits = isinstance(value, (list, tuple)) and len(value) <= _MOST_ENTRIES
        fits = fits and all(_is_whole(number, low, high) for number in value)
    else:
        wanted = f"a number {numbers}"
        fits = type(value) in (int, float) and low <= value <= high and math.isfinite(value)
    if not fits:
        raise _wrong(key, wanted, value)


def _is_whole(value: Any, low: float, high: float) -> bool:
    return type(value) is int and low <= value <= high


def _wrong(key: str, wanted: str, value: Any) -> _Unusable:
    return _Unusable(f"{key} is {wanted}; got {quoted(value)}")
