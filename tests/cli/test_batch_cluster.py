"""Many clips on a real Dask cluster: a scheduler and workers as processes on this machine."""

from __future__ import annotations

import itertools
import queue
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.cli.batch.cluster import Cluster, _Submitted
from sam2_mlx.cli.batch.pool import Task
from sam2_mlx.cli.batch.remote import Run
from sam2_mlx.cli.errors import UsageError
from tests.cli.cluster_campaign import (
    ALONE,
    MODEL,
    PATIENCE,
    Campaign,
    Machines,
    draw_jobs,
    start_batch,
)
from tests.commands import batch
from tests.evaluation.drawn_datasets import draw_sav

pytest.importorskip("distributed")

OLD = "import sam2_mlx\nsam2_mlx.__version__ = '0.0.1'\n"
BARE = (
    "import pathlib, sam2_mlx.checkpoints.load as load\n"
    "load.BUNDLED_FOLDER = pathlib.Path('nowhere')\n"
)
FULL = ALONE + (
    "def full(*_):\n    raise OSError(28, 'No space left on device')\nremote.write_piece = full\n"
)
NO_ENCODER = (
    "from sam2_mlx.media.encodings import H264\nobject.__setattr__(H264, 'codec', 'none')\n"
)
DYING = "import sam2_mlx.cli.batch.pool as pool\npool.WORKER = 'tests.cli.dying_worker'\n"


@pytest.fixture
def machines(folder: Path) -> Iterator[Machines]:
    machines = Machines(folder)
    yield machines
    machines.close()


@pytest.mark.slow
def test_every_result_once_and_equal_whatever_is_killed(folder: Path) -> None:
    campaign = Campaign(folder, clips=10, seed=4, pause=(2.0, 4.0), limit=4)
    campaign.run()
    assert sum(campaign.kills.values()) > 1


@pytest.mark.slow
def test_workers_that_will_not_do_say_why_and_others_do_their_work(
    machines: Machines, folder: Path
) -> None:
    jobs = draw_jobs(folder, [3, 3, 3, 3])
    Path("2.mp4").rename("dies.mp4")
    jobs.write_text(jobs.read_text().replace("2.mp4", "dies.mp4"))
    for code in (OLD, BARE, FULL, DYING + ALONE):
        machines.start_worker(code)
    machines.wait_for_workers(4)
    more = ["--save-masks", "png", "--dask", machines.address]
    out, said = start_batch(jobs, folder / "out", *more).communicate(timeout=PATIENCE)
    lines = [line for line in said.splitlines() if "is left out" in line]
    assert len(lines) == 3, said
    assert "it has version 0.0.1" in said
    assert "no file or folder nowhere" in said
    assert "the disk is full" in said
    assert "done     3\nfailed   1" in out
    assert "dies: its worker was ended by SIGKILL, 3 times" in out
    more = ["--save-masks", "png", "--workers", "1"]
    assert batch([str(jobs), "--out", "whole", *MODEL, *more]) == 0
    for name in "013":
        for file in Path("whole").glob(f"{name}_mask*/*"):
            assert (folder / "out" / file.relative_to("whole")).read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_a_worker_without_an_encoder_is_left_out(machines: Machines, folder: Path) -> None:
    jobs = draw_jobs(folder, [2, 2])
    machines.start_worker(NO_ENCODER)
    machines.start_worker()
    machines.wait_for_workers(2)
    more = ["--dask", machines.address]
    out, said = start_batch(jobs, folder / "out", *more).communicate(timeout=PATIENCE)
    assert out.startswith("done     2\n2 clips in "), out + said
    assert "is left out: " in said and "PyAV has no encoder none here" in said


def test_what_failed_is_tried_on_other_workers_alone_and_anywhere_once_they_are_lost(
    folder: Path,
) -> None:
    submitted: list[dict[str, Any]] = []

    class Client:
        def submit(self, *_: object, **options: Any) -> Future[dict[str, Any]]:
            submitted.append(options)
            future: Future[dict[str, Any]] = Future()
            future.key = options["key"]
            return future

    cluster = Cluster.__new__(Cluster)
    cluster._client, cluster._run = Client(), Run("r", {}, folder)
    cluster._tasks, cluster._failures, cluster._sent = {}, {}, Counter()
    cluster._events, cluster._numbers = queue.SimpleQueue(), itertools.count()
    cluster._fit = ["a", "b"]
    cluster._submit(Task("clip", "video", folder / "clip.mp4", "0", {}, {}, folder))
    future = cluster._tasks["r-0"].future
    future.set_result({"worker": "a", "code": 2, "error": "no codec"})
    assert cluster._outcome(future) is None
    cluster._move_from_lost({"a", "b"})
    cluster._move_from_lost({"a", "c"})
    options = [(one["workers"], one["allow_other_workers"]) for one in submitted]
    assert options == [(["a", "b"], True), (["b"], False), (["a", "b"], True)]
    assert list(cluster._tasks) == ["r-2"]


@pytest.mark.slow
def test_a_dataset_is_sent_and_its_masks_come_back(
    machines: Machines, folder: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SAM2_MLX_LANES", "1")
    draw_sav(folder / "sav", folder / "found", frames=(5, 9))
    command = ["eval", str(folder / "sav"), *MODEL, "--save-masks"]
    assert main([*command, "alone"]) == 0
    alone = capsys.readouterr().out
    machines.start_worker(ALONE)
    machines.wait_for_workers(1)
    assert main([*command, "sent", "--out", "work", "--dask", machines.address]) == 0
    assert capsys.readouterr().out == alone
    files = [
        {file.relative_to(place): file.read_bytes() for file in Path(place).rglob("*.png")}
        for place in ("alone", "sent")
    ]
    assert files[0] == files[1] and len(files[0]) == 3 * (5 + 9)


def test_no_scheduler_and_no_dask(folder: Path, monkeypatch, capsys) -> None:
    jobs = draw_jobs(folder, [2])
    monkeypatch.setattr("sam2_mlx.cli.batch.cluster._PATIENCE", 0.5)
    assert batch([str(jobs), "--out", "out", "--dask", "tcp://127.0.0.1:1", *MODEL]) == 2
    assert "no Dask scheduler at tcp://127.0.0.1:1" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert batch([str(jobs), "--out", "out", "--dask", "local", *MODEL]) == 2
    assert 'pip install "sam2_mlx[cluster]"' in capsys.readouterr().err


def test_a_scheduler_that_is_gone_while_results_come_fails_no_clip(folder: Path) -> None:
    class Gone:
        def run(self, *_: object, **__: object) -> None:
            raise OSError("its connection is closed")

    task = Task("a", "video", folder / "a.mp4", "0", {}, {"--output": "a_masked.mp4"}, folder)
    files = {"a_masked.mp4": {"": (1, "0")}}
    future: Future[dict[str, Any]] = Future()
    future.key = "1"
    future.set_result({"worker": "w", "code": 0, "place": "0", "files": files})
    cluster = Cluster.__new__(Cluster)
    cluster._client, cluster._run = Gone(), Run("r", {}, folder)
    cluster._tasks = {"1": _Submitted(task, future, ())}
    with pytest.raises(UsageError, match="the Dask scheduler is gone"):
        cluster._outcome(future)
