"""Which of MLX's backends operations run on; asked where it is used, as the default may change."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import mlx.core as mx

F = TypeVar("F", bound=Callable[..., Any])

_BACKENDS = {"cpu": mx.cpu, "gpu": mx.gpu}
# As programs for torch call the GPU.
_GPU_WORDS = ("gpu", "mps", "cuda", "metal")


def on_cpu() -> bool:
    """Whether the default device is a CPU."""
    return mx.default_device().type == mx.cpu


def on_gpu() -> bool:
    """Whether the default device is a GPU: Apple's or, with MLX's CUDA build, another."""
    return mx.default_device().type == mx.gpu


def device_kind() -> str:
    """The default device in a word, cpu or gpu."""
    return "gpu" if on_gpu() else "cpu"


def resolve_device(device: Any) -> tuple[str | None, str | None]:
    """The backend that a device argument means.

    Args:
        device: "auto" or None, "gpu", "cpu"; also torch's words and devices, "mps", "cuda:0".

    Returns:
        "cpu", "gpu", or None for MLX's default; and one line for the user where a GPU was asked for
        and MLX has none, so that it is the CPU.

    Raises:
        ValueError: another word.
    """
    word = "auto" if device is None else str(device).partition(":")[0].lower()
    if word in ("auto", "cpu"):
        return (None if word == "auto" else "cpu"), None
    if word not in _GPU_WORDS:
        raise ValueError(f"device is auto, gpu or cpu (mps and cuda mean gpu); got {device!r}")
    if mx.is_available(mx.gpu):
        return "gpu", None
    return "cpu", f"MLX has no GPU here, so device {word} is the CPU"


def set_default(device: str) -> str | None:
    """Let all operations of the process run on a device; returns a line for the user, or None."""
    home, note = resolve_device(device)
    if home is not None:
        mx.set_default_device(_BACKENDS[home])
    return note


@contextmanager
def running_on(home: str | None) -> Iterator[None]:
    """Let operations run on a backend, "cpu" or "gpu"; None leaves MLX's default."""
    if home is None:
        yield
    else:
        with mx.stream(_BACKENDS[home]):
            yield


def at_home(method: F) -> F:
    """Let a method of what has a `model` run on the backend that the model was loaded for."""
    if inspect.isgeneratorfunction(method):

        @wraps(method)
        def iterate(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            steps = method(self, *args, **kwargs)
            try:
                while True:
                    with running_on(self.model.home):
                        try:
                            item = next(steps)
                        except StopIteration:
                            return
                    yield item
            finally:
                steps.close()

        return iterate  # type: ignore[return-value]

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with running_on(self.model.home):
            return method(self, *args, **kwargs)

    return call  # type: ignore[return-value]
