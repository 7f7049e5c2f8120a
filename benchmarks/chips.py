"""What a machine can do at most: Apple's chips by specification, this one by measurement."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx


@dataclass(frozen=True)
class Chip:
    """Peak rates of a chip with all its GPU cores.

    Attributes:
        name: such as "M2 Max", or what was measured.
        flops: float32 operations a second; MLX's matrix products in half precision have the same
            peak on these GPUs.
        bandwidth: bytes a second.
    """

    name: str
    flops: float
    bandwidth: float


# GPU TFLOP/s and memory GB/s of the largest variant of each. Up to M2 Ultra as Apple publishes
# them; from M3 on the first number is cores x 128 lanes x 2 x the clock that is reported.
_RATES = {
    "M1": (2.6, 68),
    "M1 Pro": (5.2, 200),
    "M1 Max": (10.4, 400),
    "M1 Ultra": (20.8, 800),
    "M2": (3.6, 100),
    "M2 Pro": (6.8, 200),
    "M2 Max": (13.6, 400),
    "M2 Ultra": (27.2, 800),
    "M3": (3.5, 100),
    "M3 Pro": (6.4, 150),
    "M3 Max": (14.1, 400),
    "M3 Ultra": (28.3, 819),
    "M4": (3.8, 120),
    "M4 Pro": (8.1, 273),
    "M4 Max": (16.2, 546),
}
CHIPS = {name: Chip(name, tera * 1e12, giga * 1e9) for name, (tera, giga) in _RATES.items()}
"""Apple's chips by name."""


def find_chip(text: str) -> Chip:
    """A chip by its name.

    Args:
        text: "M2 Max", "m2max", "Apple M2 Max".

    Raises:
        ValueError: unknown.
    """
    wanted = text.lower().replace("apple", "").replace(" ", "").replace("-", "")
    for name, chip in CHIPS.items():
        if name.lower().replace(" ", "") == wanted:
            return chip
    raise ValueError(f"unknown chip {text!r}; known are {', '.join(CHIPS)}")


def this_machine() -> Chip:
    """The default device: an Apple GPU by its name, anything else by measurement.

    A measured rate is what a float32 matrix product and an addition of two large arrays reach.
    """
    device = mx.default_device()
    if device.type == mx.gpu and hasattr(mx, "device_info"):
        try:
            return find_chip(str(mx.device_info(device).get("device_name", "")))
        except ValueError:
            pass
    return Chip("measured here", *_measured())


def _measured() -> tuple[float, float]:
    side, count = 2048, 2**24
    left, right = mx.full((side, side), 0.5), mx.full((side, side), 0.25)
    first, second = mx.full((count,), 0.5), mx.full((count,), 0.25)
    mx.eval(left, right, first, second)
    product = _best(lambda: left @ right)
    addition = _best(lambda: first + second)
    return 2 * side**3 / product, 3 * first.nbytes / addition


def _best(function: Callable[[], mx.array], rounds: int = 10) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        mx.eval(function())
        times.append(time.perf_counter() - start)
    return min(times)
