"""Faults in how masks are scored."""

from __future__ import annotations

from tests.faults.fault import Fault

FAULTS = (
    Fault(
        "evaluation/runs.py",
        "box=(x0, y0, x1 - 1, y1 - 1)",
        "box=(x0, y0, x1, y1)",
        "tests/evaluation/test_runs.py::test_a_box_ends_on_the_outermost_pixels",
    ),
    Fault(
        "evaluation/runs.py",
        "non_overlap_masks=not sequence.overlap",
        "non_overlap_masks=True",
        "tests/evaluation/test_runs.py::test_objects_overlap_where_the_layout_lets_them",
    ),
    Fault(
        "evaluation/runs.py",
        "            waiting -= set(new)\n            yield",
        "            yield",
        "tests/evaluation/test_runs.py::test_each_object_is_prompted_where_it_first_appears",
    ),
    Fault(
        "evaluation/scores.py",
        "            if truth.any() or mask.any():\n                begun.add(number)",
        "            if truth.any():\n                begun.add(number)",
        "tests/evaluation/test_public_numbers.py::test_sav",
    ),
    Fault(
        "evaluation/annotations.py",
        "return frozenset(self._order[1:-1])",
        "return frozenset(self._order[1:])",
        "tests/evaluation/test_public_numbers.py::test_davis",
    ),
    Fault(
        "ops/masks.py",
        "int(x[-1]) + 1, int(y[-1]) + 1",
        "int(x[-1]), int(y[-1])",
        "tests/ops/test_masks.py::test_the_box_of_a_mask",
    ),
)
