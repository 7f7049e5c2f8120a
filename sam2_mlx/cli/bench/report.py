"""The benchmark's lines for people, and what is said of the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sam2_mlx import __version__
from sam2_mlx.cli.bench.chips import Chip
from sam2_mlx.ops import runtime

_COLUMNS = (
    ("median ms", 11),
    ("best ms", 9),
    ("peak MB", 9),
    ("GFLOP", 8),
    ("MB moved", 10),
    ("primitives", 12),
    ("launches", 10),
    ("floor ms", 10),
    ("GPU launches", 14),
)


def describe(chips: tuple[Chip, Chip] | None) -> dict[str, Any]:
    """What the numbers were measured on, as plain values.

    Args:
        chips: this machine, and the GPU that the least time is said for.
    """
    about = runtime.describe()
    found: dict[str, Any] = {
        "version": __version__,
        "mlx": version("mlx"),
        "device": about["device"],
        "processor": about["device_name"] or _processor(),
        "cores": os.cpu_count(),
        "blas": about["blas"]["origin"],
    }
    if chips is not None:
        here, gpu = chips
        found["rates"] = {
            "name": here.name,
            "gflops": here.flops / 1e9,
            "gbytes": here.bandwidth / 1e9,
        }
        found["chip"] = {"name": gpu.name, "gflops": gpu.flops / 1e9, "gbytes": gpu.bandwidth / 1e9}
    return found


def title(found: dict[str, Any]) -> str:
    """The first line: versions, machine and its rates."""
    rates = found["rates"]
    return (
        f"sam2_mlx {found['version']}, MLX {found['mlx']} on the {found['device']}: "
        f"{found['cores']} cores, {found['processor']}; {rates['gflops']:.0f} GFLOP/s, "
        f"{rates['gbytes']:.0f} GB/s ({rates['name']})"
    )


def header(chip: Chip) -> str:
    """The heads of the columns of `row`."""
    heads = "".join(f"{name:>{width}}" for name, width in _COLUMNS)
    return f"{'what':<28}{heads}{f'{chip.name} ms':>{len(chip.name) + 5}}"


def row(found: dict[str, Any], chip: Chip) -> str:
    """One measurement in columns; a dash where it was not measured or cannot be counted.

    Args:
        found: what `record` returned.
        chip: the GPU of the last column.
    """
    gpu = found.get("gpu", {})
    values = (
        _number(found.get("median_s"), 1e3, 1),
        _number(found.get("best_s"), 1e3, 1),
        _number(found.get("peak_bytes"), 1e-6, 0),
        _number(found.get("flops"), 1e-9, 1),
        _number(found.get("bytes"), 1e-6, 0),
        _number(found.get("primitives"), 1, 0),
        _number(found.get("launches"), 1, 0),
        _number(found.get("roofline_s"), 1e3, 1),
        f"{gpu['launches']} > {gpu['compiled_launches']}" if gpu else "-",
    )
    cells = "".join(f"{v:>{width}}" for v, (_, width) in zip(values, _COLUMNS, strict=True))
    last = _number(gpu.get("roofline_s"), 1e3, 1)
    return f"{_name(found):<28}{cells}{last:>{len(chip.name) + 5}}"


def _name(found: dict[str, Any]) -> str:
    parts = [found["what"]]
    if "memories" in found:
        parts.append(f"{found['memories']} mem.")
    if "objects" in found:
        parts.append(f"{found['objects']} obj.")
    return ", ".join(parts)


def _number(value: float | None, scale: float, digits: int) -> str:
    return "-" if value is None else f"{value * scale:.{digits}f}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
