"""A short campaign: spoiled files end in a model or in one line, never in anything else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from tests.fuzz.__main__ import Worker
from tests.fuzz.kinds import KINDS, Kind
from tests.fuzz.worker import do_case

CASES = 25
FEWER = {"bombs": 5}  # each takes seconds


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    process = Worker()
    yield process
    process.close()


@pytest.mark.parametrize("name", KINDS)
def test_spoiled_files(worker: Worker, name: str) -> None:
    outcomes = [worker.do(name, case) for case in range(FEWER.get(name, CASES))]
    assert [o for o in outcomes if o[0] not in ("loaded", "refused")] == []
    assert "refused" in {outcome for outcome, _ in outcomes}


@pytest.mark.parametrize(
    ("use", "outcome"),
    [
        ("raise ValueError('two\\nlines')", "traceback"),
        ("raise ValueError('\\x1b[2J')", "traceback"),
        ("raise ValueError('one line')", "refused"),
        ("[][0]", "traceback"),
        ("bytearray(600 * 2**20)", "grew"),
        ("open('executed', 'w').close()", "executed"),
        ("None", "loaded"),
    ],
)
def test_the_campaign_notices(fresh: Pool, tmp_path: Path, use: str, outcome: str) -> None:
    assert fresh.apply(_outcome_of, (use, tmp_path)) == outcome


@pytest.fixture(scope="module")
def fresh() -> Iterator[Pool]:
    # Among other tests the memory that they gave back is taken again, and nothing grows.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


def _outcome_of(use: str, folder: Path) -> str:
    kind = Kind(lambda rng, made: made, lambda path: exec(use))
    return do_case(kind, 0, folder)[0]
