"""Bundles: a folder with the functions of a model, what they are, and what they must give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlx.core as mx

from sam2_mlx.apps.exporting.check import compare, make_check
from sam2_mlx.apps.exporting.facts import Arguments, Facts, memory_example
from sam2_mlx.apps.exporting.functions import Functions
from sam2_mlx.apps.exporting.tracing import write_functions
from sam2_mlx.files import FileError, StagedFolder, read_json, sha256
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.device import device_kind
from sam2_mlx.ops.dtypes import dtype_name
from sam2_mlx.ops.tensor_file import write_safetensors

FORMAT = 1
FACTS, MODEL, CHECK = "bundle.json", "model.mlxfn", "check.safetensors"

TIERS = ((2, 2), (4, 8), (7, 16), (14, 24), (38, 48))
"""Spatial memories and pointers that there is room for: the last but one is what a stream can ask
for, the last a clip with 32 prompted frames."""

MAX_POINTS = 10
"""Points of a prompt, the two corners of a box included."""

Tiers = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read.

    Attributes:
        facts: what it says of itself.
        call: its functions, by the names of their arguments.
        check: example inputs, and what they must give.
    """

    facts: Facts
    call: Any
    check: dict[str, mx.array]


def export_bundle(model: Sam, out: Path, tiers: Tiers = TIERS, points: int = MAX_POINTS) -> Facts:
    """Write a model as a bundle for the device that MLX runs on here; returns its `bundle.json`.

    Args:
        model: one with a memory.
        out: the folder; an earlier bundle is replaced.
        tiers: (spatial memories, pointers) to make room for, ascending.
        points: points of a prompt at most.

    Raises:
        ValueError: if the model has no memory, cannot be exported, or the folder not be written.
    """
    if model.config.memory is None:
        raise ValueError(
            f"{model.config.name} has no memory; a bundle follows objects: export a SAM 2 model"
        )
    functions = Functions(model)
    with StagedFolder(out, _written) as folder:
        write_functions(folder / MODEL, functions, _calls(functions, model, tiers, points))
        facts = _facts(model, tiers, points)
        check = make_check(functions, facts)
        write_safetensors(folder / CHECK, check)
        digests = {name: sha256(folder / name) for name in (MODEL, CHECK)}
        facts = Facts(**{**asdict(facts), "sha256": digests})
        (folder / FACTS).write_text(json.dumps(asdict(facts), indent=1) + "\n")
    return facts


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle that `export_bundle` wrote.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, or of another version of MLX or another device.
    """
    if not (folder / FACTS).is_file():
        raise FileNotFoundError(f"no bundle in {folder}; make one with sam2-mlx export")
    facts = _parse(folder / FACTS)
    _check_reader(facts, folder)
    for name in (MODEL, CHECK):
        if not (folder / name).is_file() or sha256(folder / name) != facts.sha256.get(name):
            raise FileError(f"{folder / name} is damaged or missing; export the bundle again")
    try:
        check: Any = mx.load(str(folder / CHECK), format="safetensors")
        return Bundle(facts, mx.import_function(str(folder / MODEL)), check)
    except (RuntimeError, MemoryError) as problem:
        raise FileError(f"{folder} cannot be read ({problem}); export it again") from problem


def check_bundle(bundle: Bundle, folder: Path) -> dict[str, float]:
    """Run a bundle's functions and compare with what its model gave; see `check.compare`."""
    return compare(bundle.call, bundle.facts, bundle.check, folder)


def _written(folder: Path) -> list[str]:
    """The files of a bundle that is there."""
    return [FACTS, MODEL, CHECK] if (folder / FACTS).is_file() else []


def _parse(path: Path) -> Facts:
    values = read_json(path)
    names = {field.name for field in fields(Facts)}
    if not isinstance(values, dict) or set(values) != names:
        raise FileError(f"{path} does not describe a bundle; export it again")
    facts = Facts(**values)
    if facts.format != FORMAT or not isinstance(facts.sha256, dict):
        raise FileError(
            f"{path} has format {facts.format!r:.20}, this version reads {FORMAT}; export it again"
        )
    return facts


def _check_reader(facts: Facts, folder: Path) -> None:
    """The functions have no promise of stability, so they are only read by what wrote them."""
    here = version("mlx")
    if str(facts.mlx).split(".")[:2] != here.split(".")[:2]:
        raise FileError(
            f"{folder} was written by MLX {facts.mlx!s:.20}, here is {here}; export it again"
        )
    if facts.device != device_kind():
        raise FileError(
            f"{folder} is for a {facts.device!s:.20}, MLX runs on a {device_kind()} here; export "
            "it on the machine that it is for"
        )


def _facts(model: Sam, tiers: Tiers, points: int) -> Facts:
    config, memory = model.config, model.config.require_memory()
    assert model.memory is not None
    return Facts(
        format=FORMAT,
        mlx=version("mlx"),
        device=device_kind(),
        model=config.name,
        dtype=dtype_name(model.dtype),
        storage_dtype=dtype_name(model.memory.storage_dtype),
        image_size=config.image_size,
        mask_size=config.mask_size,
        grid=config.grid,
        hidden_dim=config.hidden_dim,
        memory_dim=memory.dim,
        memory_tokens=config.memory_tokens,
        memories=memory.num_frames,
        max_pointers=memory.max_pointers,
        tiers=[list(tier) for tier in tiers],
        points=points,
        tolerance=1e-3 if model.dtype == mx.float32 else 3e-2,
        sha256={},
    )


def _calls(functions: Functions, model: Sam, tiers: Tiers, points: int) -> list[Arguments]:
    """An example of each call that an app may make."""
    facts = _facts(model, tiers, points)
    side, low = facts.image_size, facts.mask_size
    frame = mx.zeros((1, side, side, 3), mx.uint8)
    coarse, fine, middle, bare = encoded = functions(image=frame)
    mx.eval(encoded)
    masks: Mapping[str, mx.array] = {"conditioned": bare, "fine": fine, "middle": middle}
    logits, presence = mx.zeros((1, 1, low, low)), mx.zeros((1, 1))
    calls: list[Arguments] = [
        {"image": frame},
        {"image": frame.astype(mx.float32)},
        dict(masks),
        {"coarse": coarse, "fine": fine, "middle": middle, "mask": mx.zeros((1, 1, side, side))},
        {"coarse": coarse, "shown": logits, "presence": presence},
        {"coarse": coarse, "predicted": logits, "presence": presence},
    ]
    for count in range(1, points + 1):
        prompt = {"coords": mx.zeros((1, count, 2)), "labels": mx.zeros((1, count), mx.int32)}
        calls += [{**masks, **prompt}, {**masks, **prompt, "previous": logits}]
    calls += [memory_example(facts, coarse, tier) for tier in tiers]
    return calls
