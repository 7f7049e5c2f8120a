"""Products of halves on MLX's CPU backend, which multiplies them one by one.

That is forty times slower than the BLAS multiplies floats, so they are computed in float32 and
rounded once, as a GPU does it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import mlx.core as mx

F = TypeVar("F", bound=Callable[..., Any])


def in_float32(function: F) -> F:
    """Decorate a function of arrays whose result has the dtype of the first of them."""

    @wraps(function)
    def widened(x: mx.array, *others: Any) -> Any:
        if x.dtype == mx.float32:
            return function(x, *others)
        wide = [o.astype(mx.float32) if isinstance(o, mx.array) else o for o in (x, *others)]
        return function(*wide).astype(x.dtype)

    return cast(F, widened)
