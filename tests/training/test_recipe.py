"""The file that says how the bundled model is trained: it reads, and mistakes in it are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.recipe import read_plan

NANO = Path(__file__).parents[2] / "training" / "nano.yaml"


def test_the_plan_of_the_bundled_model_reads() -> None:
    plan = read_plan(NANO)
    assert plan.model == "nano"
    assert [stage.size for stage in plan.stages][:1] == [128]
    assert plan.stages[-1].size == 256
    assert any(mix.frames >= 8 for mix in plan.stages[-1].mixes)


def test_a_run_from_a_checkpoint_leaves_out_the_start() -> None:
    plan = read_plan(NANO)
    assert plan.stages_of(scratch=True) == plan.stages
    later = plan.stages_of(scratch=False)
    assert 0 < len(later) < len(plan.stages)
    assert not any(stage.scratch or stage.balanced or stage.true_memory for stage in later)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("model: nano", "model: giant"), "'giant' is not one of"),
        (("size: 128", "size: 130"), "multiple of 32"),
        (("rate: 1.0e-3", "pace: 1.0e-3"), "has no pace; it has"),
        (("steps: 1500\n", "\n"), "steps"),
        (("frames: 1}", "frames: 1, colour: red}"), "has no colour"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    text = NANO.read_text(encoding="utf-8")
    assert change[0] in text
    path = tmp_path / "plan.yaml"
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_plan(path)
