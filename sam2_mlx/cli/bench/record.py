"""One line of the benchmark: what was measured, what was counted, and the least it could take."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from sam2_mlx.cli.bench.chips import Chip
from sam2_mlx.cli.bench.gpu_form import as_on_gpu, hollow
from sam2_mlx.cli.bench.graph import count_primitives, count_work
from sam2_mlx.cli.bench.models import hollow_model
from sam2_mlx.cli.bench.steps import make_step
from sam2_mlx.cli.bench.timing import make_run, measure
from sam2_mlx.model.sam import Sam

COUNTED = ("image", "encoder", "frame")
"""What is one graph; a clip is many."""


def cases(wanted: list[str], objects: list[int], frames: int) -> list[tuple[str, dict[str, int]]]:
    """Every measurement that the options ask for.

    Args:
        wanted: some of "image", "encoder", "frame", "clip".
        objects: numbers of objects for a frame and a clip.
        frames: of the clip.
    """
    found: list[tuple[str, dict[str, int]]] = []
    for what in wanted:
        if what == "frame":
            found += [(what, {"memories": m, "objects": n}) for m in (1, 7) for n in objects]
        elif what == "clip":
            found += [(what, {"objects": n, "frames": frames}) for n in objects]
        else:
            found.append((what, {}))
    return found


def record(
    what: str, options: dict[str, int], model: Sam, rounds: int, chips: tuple[Chip, Chip]
) -> dict[str, Any]:
    """Measure and count one case.

    Args:
        what: "image", "encoder", "frame" or "clip".
        options: see `cases`.
        model: the model.
        rounds: measured runs; 0 only counts.
        chips: this machine, and a GPU to say the least time for.

    Returns:
        Plain values; times in seconds.
    """
    found: dict[str, Any] = {"what": what, **options}
    if rounds:
        found |= measure(make_run(what, model, options), rounds)
    if what in COUNTED:
        found |= _counts(what, options, model, chips)
    return found


def _counts(
    what: str, options: dict[str, int], model: Sam, chips: tuple[Chip, Chip]
) -> dict[str, Any]:
    here, gpu = chips
    found: dict[str, Any] = {}
    if mx.default_device().type != mx.gpu:
        bare = hollow_model(model.config, model.dtype, widen_heads=False)
        step = make_step(what, bare, options, hollow)
        bare.make_constants()
        work = count_work(step.function, step.arrays)
        found["flops"], found["bytes"] = work.flops, work.bytes
        found["roofline_s"] = work.seconds(here.flops, here.bandwidth)
        found["primitives"], found["launches"] = count_primitives(step())
    with as_on_gpu():
        bare = hollow_model(model.config, model.dtype, widen_heads=True)
        step = make_step(what, bare, options, hollow)
        bare.make_constants()
        work = count_work(step.function, step.arrays)
        primitives, launches = count_primitives(step())
    with as_on_gpu(compiled=True):
        compiled, compiled_launches = count_primitives(step())
    found["gpu"] = {
        "flops": work.flops,
        "bytes": work.bytes,
        "primitives": primitives,
        "launches": launches,
        "compiled_primitives": compiled,
        "compiled_launches": compiled_launches,
        "chip": gpu.name,
        "roofline_s": work.seconds(gpu.flops, gpu.bandwidth),
    }
    if "flops" not in found:
        found |= {key: found["gpu"][key] for key in ("flops", "bytes")}
        found |= {"primitives": compiled, "launches": compiled_launches}
        found["roofline_s"] = work.seconds(here.flops, here.bandwidth)
    return found
