"""Every stage of the network against the torch reference, all sizes and both versions."""

from __future__ import annotations

import numpy as np
import pytest

from sam2_mlx import load
from tests.parity import ours
from tests.parity.stage_inputs import make_inputs, sampled

TOLERANCE = 1e-4
"""Largest error allowed, as a part of the stage's largest magnitude."""

CASES = [
    ("tiny", 224),
    ("tiny", 256),
    ("tiny", 512),
    ("tiny", 1024),
    ("small", 256),
    ("base_plus", 256),
    ("large", 256),
    ("2.0-tiny", 256),
    ("2.0-small", 256),
    ("2.0-base_plus", 256),
    ("2.0-large", 256),
    ("nano", 256),
]


@pytest.mark.parametrize(("model", "image_size"), CASES)
def test_stages_match_the_reference(model, image_size, golden, measured, monkeypatch) -> None:
    monkeypatch.setenv("SAM2_MLX_FOLD", "0")
    expected = golden(f"stages_{model}_{image_size}")
    if model == "nano":
        built = load("nano", dtype="float32")
    else:
        built = ours.seeded_model(ours.seeded_config(model, image_size), folded=False)
    # Attention over a large grid is slow on a CPU: one case is enough there.
    cases = ("two", "seven", "reverse") if image_size < 1024 else ("seven",)
    found = ours.stages(built, make_inputs(image_size), cases)
    left_out = {"two", "reverse"} - set(cases)
    for name in [name for name in expected if left_out & set(name.split("_"))]:
        expected[name] = None
    _compare(f"stages {model} at {image_size}", found, expected, measured)


@pytest.mark.parametrize("model", ["tiny", "2.0-tiny", "nano"])
def test_stages_match_with_folded_weights(model, golden, measured) -> None:
    """As users get them: some stages are folded away, all others agree."""
    if model == "nano":
        built = load("nano", dtype="float32")
    else:
        built = ours.seeded_model(ours.seeded_config(model, 256))
    found = ours.stages(built, make_inputs(256))
    expected = golden(f"stages_{model}_256")
    expected.update(fpn0=None, fpn1=None)
    _compare(f"stages {model} at 256, folded", found, expected, measured)


def _compare(title, found, expected, measured) -> None:
    """Compare in order of computation; None stands for a stage that is not looked at."""
    scales, sizes = expected.pop("_scales"), expected.pop("_sizes")
    spreads = expected.pop("_spreads")
    errors, absolute = {}, {}
    for (name, values), scale, size in zip(expected.items(), scales, sizes, strict=True):
        if values is None:
            continue
        assert found[name].size == size, f"{name} has another shape: {found[name].shape}"
        absolute[name] = float(np.abs(sampled(name, found[name]) - values).max())
        errors[name] = absolute[name] / float(scale)
    worst = max(errors, key=lambda name: errors[name])
    measured(
        title,
        f"worst {errors[worst]:.1e} of the largest magnitude ({worst}); "
        f"embedding {absolute['embedding']:.1e} absolute (values to {_scale(expected, scales):.0f})"
        f"; masks {errors['masks']:.1e}; reference's own spread {(spreads / scales).max():.1e}",
    )
    parted = [name for name, error in errors.items() if not error <= TOLERANCE]
    assert not parted, f"first stage that parts: {parted[0]}, by {errors[parted[0]]:.1e}: {parted}"


def _scale(expected, scales) -> float:
    return float(scales[list(expected).index("embedding")])
