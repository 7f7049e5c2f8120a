"""Bundles: what is in them, and what is refused."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.apps.exporting.bundle import (
    CHECK,
    FACTS,
    MODEL,
    TIERS,
    check_bundle,
    export_bundle,
    read_bundle,
)
from sam2_mlx.apps.exporting.functions import Functions
from sam2_mlx.apps.exporting.tracing import plain_operations, write_functions
from sam2_mlx.cli.bench.models import seeded_model
from sam2_mlx.config import MODELS
from sam2_mlx.files import FileError
from sam2_mlx.model.sam import Sam
from tests.tiny import tiny_model


def padded(array: mx.array, count: int, axis: int) -> mx.array:
    width = [(0, 0)] * array.ndim
    width[axis] = (0, count - array.shape[axis])
    # What lies behind the end must not matter.
    return mx.pad(array, width, constant_values=7)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("used", [(1, 0), (1, 1), (2, 2), (3, 5), (7, 16), (14, 23), (38, 47)])
def test_a_padded_memory_is_seen_as_one_without_padding(
    tier: tuple[int, int], used: tuple[int, int]
) -> None:
    if used[0] > tier[0] or used[1] > tier[1]:
        pytest.skip("it does not fit")
    model, random = tiny_model(), np.random.default_rng(1)
    memory, config = model.memory, model.config
    assert memory is not None and config.memory is not None

    def some(*shape: int) -> mx.array:
        return mx.array(random.standard_normal(shape).astype(np.float32))

    coarse = some(1, config.grid, config.grid, config.hidden_dim)
    tokens = some(1, used[0], config.memory_tokens, config.memory.dim).astype(memory.storage_dtype)
    pointers = some(1, used[1], config.hidden_dim)
    slots = [int(slot) for slot in random.integers(0, 7, used[0])]
    distances = [float(one) for one in random.integers(-15, 16, used[1])]
    seen = memory.gather(
        [(tokens[:, i], slot) for i, slot in enumerate(slots)],
        [(pointers[:, i], distance) for i, distance in enumerate(distances)],
        15,
    )
    with plain_operations():
        (found,) = Functions(model)(
            coarse=coarse,
            spatial=padded(tokens, tier[0], 1),
            slots=padded(mx.array(slots), tier[0], 0) % 7,
            pointers=padded(pointers, tier[1], 1),
            distances=padded(mx.array(distances).reshape(1, -1) / 15, tier[1], 1),
            used=mx.array(used),
        )
    wanted = memory.attend(coarse, seen)
    error = mx.abs(found - wanted).max() / mx.abs(wanted).max()
    assert float(np.array(error)) < 2e-5


def test_it_gives_what_the_model_gives(nano_bundle: Path, capsys: Any) -> None:
    assert set(check_bundle(read_bundle(nano_bundle), nano_bundle)) >= {"clicked", "tracked"}
    assert main(["selftest", "--bundle", str(nano_bundle)]) == 0
    assert "the bundle gives what its model gives" in capsys.readouterr().out
    facts = json.loads((nano_bundle / FACTS).read_text())
    assert facts["image_size"] == 256 and facts["device"] in ("cpu", "gpu")
    check = mx.load(str(nano_bundle / CHECK))
    # Something was clicked, and it is followed.
    assert 0.02 < float(np.mean(np.array(check["expect.clicked"]) > 0)) < 0.5
    assert 0.02 < float(np.mean(np.array(check["expect.tracked"]) > 0)) < 0.5


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_halves(dtype: mx.Dtype, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    export_bundle(tiny_model(dtype), folder, tiers=((2, 2),), points=1)
    check_bundle(read_bundle(folder), folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "small", "base_plus", "large", "edgetam"])
def test_published_shapes(name: str, tmp_path: Path) -> None:
    model = seeded_model(MODELS[name].with_image_size(256 if name == "edgetam" else 64), mx.float32)
    export_bundle(model, tmp_path / name, tiers=((2, 2),), points=1)
    check_bundle(read_bundle(tmp_path / name), tmp_path / name)


def test_a_constant_that_is_a_view_is_refused(tmp_path: Path) -> None:
    turned = mx.arange(6, dtype=mx.float32).reshape(2, 3).T
    mx.eval(turned)

    def function(x: mx.array) -> tuple[mx.array, ...]:
        return (x @ turned,)

    with pytest.raises(ValueError, match=r"shape \(3, 2\) in the function of x is a view"):
        write_functions(tmp_path / "x.mlxfn", function, [{"x": mx.eye(3)}])


def test_a_full_disk_is_said_and_nothing_stays(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(
                FileError, match="could not be written: MLX says .*is the disk full"
            ):
                export_bundle(tiny_model(), tmp_path / "bundle", tiers=((1, 0),))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_compiling_and_kernels_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MLX_KERNELS", "check")
    import os

    with plain_operations():
        assert os.environ["SAM2_MLX_KERNELS"] == "0"
    assert os.environ["SAM2_MLX_KERNELS"] == "check"
    monkeypatch.delenv("SAM2_MLX_KERNELS")
    with plain_operations():
        pass
    assert "SAM2_MLX_KERNELS" not in os.environ


def test_a_model_without_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no memory"):
        export_bundle(tiny_model(memory=None), tmp_path / "toy")
    assert not (tmp_path / "toy").exists()


def test_a_folder_of_others_is_not_replaced(nano: Sam, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds other files"):
        export_bundle(nano, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def facts(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / FACTS).read_text())
        values.update(changes)
        (folder / FACTS).write_text(json.dumps(values))

    return change


def flip(name: str, place: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[place] ^= 255
        (folder / name).write_bytes(data)

    return change


def shorten(folder: Path) -> None:
    data = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip(MODEL, 5_000_000), "is damaged"),
        (flip(MODEL, 0), "is damaged"),
        (flip(CHECK, -1), "is damaged"),
        (shorten, "is damaged"),
        (lambda folder: (folder / MODEL).unlink(), "missing"),
        (lambda folder: (folder / FACTS).unlink(), "no bundle"),
        (lambda folder: (folder / FACTS).write_text("{"), "not JSON"),
        (lambda folder: (folder / FACTS).write_text("[]"), "does not describe"),
        (facts(mlx="0.31.2"), "written by MLX 0.31.2"),
        (facts(mlx=None), "written by MLX None"),
        (facts(device="tpu"), "is for a tpu"),
        (facts(format=2), "has format 2"),
        (facts(sha256=[]), "has format 1"),
        (facts(colour="red"), "does not describe"),
        (facts(tolerance=1e-12), "is off by"),
    ],
)
def test_a_damaged_bundle_is_refused(
    nano_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    message: str,
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(nano_bundle, folder)
    damage(folder)
    assert main(["selftest", "--bundle", str(folder)]) == 2
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
