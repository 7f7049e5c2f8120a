"""Projects: saved as one goes, opened again by another worker, and by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_mlx.__main__ import main
from sam2_mlx.apps.projects.project import bring_up_to_date, prompts_of
from sam2_mlx.apps.serving import conversation
from sam2_mlx.media.reader import open_frames
from sam2_mlx.tracking.session import TrackingSession
from tests.serving.app import Refused
from tests.tiny import tiny_model
from tests.workbench.conftest import FRAMES, Workbench
from tests.workbench.page import Page

CLICK = {"points": [[20, 30]], "labels": [1]}
BOX = {"box": [20, 15, 60, 50]}
SETTINGS: dict[str, Any] = {
    "objects": [
        {"object": 1, "name": "Dancer", "colour": "#009eff", "visible": True, "locked": False},
        {"object": 2, "name": "Dög", "colour": None, "visible": False, "locked": True},
    ],
    "first": 1,
    "last": 6,
    "frame": 3,
    "active": 2,
    "look": {"mode": "overlay", "opacity": 0.25, "outline": False},
}


def everything(page: Page, session: int) -> np.ndarray:
    answers = [page.call("masks", session=session, frame=frame) for frame in range(FRAMES)]
    return np.stack([page.masks(*answer) for answer in answers])


def followed(page: Page, bench: Workbench) -> int:
    session = page.call("open", path=str(bench.clip), memory="full")[0]["session"]
    page.call("prompt", session=session, object=1, prompt=CLICK, frame=0)
    page.call("prompt", session=session, object=2, prompt=BOX, frame=2)
    page.job("propagate", session=session, job=1, credit=FRAMES)
    return int(session)


def test_a_project_is_opened_where_it_was_saved(bench: Workbench) -> None:
    with Page(bench.address) as page:
        session = followed(page, bench)
        page.call("save_project", session=session, path="one", settings=SETTINGS, masks=True)
        wanted = everything(page, session)
        scores = page.call("scores", session=session)
    # As after a restart: nothing of the first conversation is left.
    with Page(bench.address) as page:
        (entry,) = page.call("projects")[0]["projects"]
        assert (entry["name"], entry["clip"], entry["frames"]) == ("one", "clip", FRAMES)
        facts, _ = page.call("open_project", path=entry["path"])
        assert facts["settings"] == SETTINGS and facts["objects"] == [1, 2]
        assert facts["masks_note"] is None and facts["frames"] == FRAMES
        assert [(one["object"], one["frame"]) for one in facts["prompts"]] == [(1, 0), (2, 2)]
        assert (everything(page, facts["session"]) == wanted).all()
        assert page.call("scores", session=facts["session"]) == scores


def test_prompts_that_came_after_the_masks_are_there_too(bench: Workbench) -> None:
    with Page(bench.address) as page:
        session = followed(page, bench)
        page.call("save_project", session=session, path="one", settings=SETTINGS, masks=True)
        # A correction, a prompt that is gone, and another object; then the worker is killed.
        more = {"points": [[20, 30], [70, 40]], "labels": [1, 0]}
        page.call("prompt", session=session, object=1, prompt=more, frame=0)
        page.call("remove", session=session, object=2)
        mask = np.zeros((64, 96), bool)
        mask[10:40, 20:60] = True
        prompt = {"mask": {"width": 96, "height": 64}}
        blob = np.packbits(mask, axis=1).tobytes()
        page.call("prompt", blob, session=session, object=3, prompt=prompt, frame=5)
        page.call("save_project", session=session, path="one", settings=SETTINGS)
        wanted = everything(page, session)
    with Page(bench.address) as page:
        facts, _ = page.call("open_project", path="one")
        assert facts["objects"] == [1, 3]
        assert facts["prompts"][0]["points"] == more["points"]
        assert facts["prompts"][1]["mask"] is True
        assert (everything(page, facts["session"]) == wanted).all()


def test_a_worker_that_is_killed_while_it_follows_loses_little(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(conversation, "_SAVE_SHARE", 1e9)
    with Page(bench.address) as page, Page(bench.address) as other:
        session = page.call("open", path=str(bench.clip), memory="full")[0]["session"]
        page.call("prompt", session=session, object=1, prompt=CLICK, frame=0)
        page.call("save_project", session=session, path="one", settings={})
        page.post("propagate", session=session, job=1, credit=4)
        events = [page.read() for _ in range(4)]
        # A request about another session comes after the frame was dealt with.
        other.call("stats")
        facts, _ = other.call("open_project", path="one")
        for event, blob in events[:3]:
            again = other.call("masks", session=facts["session"], frame=event["frame"])
            assert (other.masks(*again) == page.masks(event, blob)).all()


def test_another_model_keeps_the_prompts_and_says_so(bench: Workbench) -> None:
    with Page(bench.address) as page:
        session = followed(page, bench)
        page.call("save_project", session=session, path="one", settings=SETTINGS, masks=True)
        page.call("load_model", model="nano")
        facts, _ = page.call("open_project", path="one")
        assert "what was followed is not shown" in facts["masks_note"]
        assert [(one["object"], one["frame"]) for one in facts["prompts"]] == [(1, 0), (2, 2)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clip": "/etc/passwd"}, "forbidden"),
        ({"clip": 7}, "clip must be a text"),
        ({"frames": 9}, "8 frames of 96x64 now; the project was made with 9"),
        ({"format": 2}, "format must be an integer from 1 to 1"),
        ({"more": 1}, "unknown field more"),
        ({"settings": {"objects": [{"object": 1}]}}, r"settings.objects\[0\].name is missing"),
        ({"settings": {"objects": [{"object": 1, "name": "a", "colour": "red"}]}}, "a colour such"),
        ({"settings": {"look": {"mode": "m" * 41}}}, "a text of 1 to 40"),
    ],
)
def test_a_project_is_not_trusted(bench: Workbench, changes: dict[str, Any], said: str) -> None:
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip))[0]["session"]
        page.call("save_project", session=session, path="one", settings=SETTINGS)
        file = bench.home / "one" / "project.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        with pytest.raises(Refused, match=said):
            page.call("open_project", path="one")
        # It is not listed where it cannot be read.
        readable = changes in ({"clip": "/etc/passwd"}, {"frames": 9})
        assert len(page.call("projects")[0]["projects"]) == readable


def test_the_longest_settings_are_read_again(bench: Workbench) -> None:
    names = [{"object": number, "name": "é" * 200} for number in range(500)]
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip))[0]["session"]
        page.call("save_project", session=session, path="one", settings={"objects": names})
        facts, _ = page.call("open_project", path="one")
        assert [one["name"] for one in facts["settings"]["objects"]] == ["é" * 200] * 500


def test_what_is_no_project_is_left_alone(bench: Workbench) -> None:
    other = bench.home / "other"
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip))[0]["session"]
        with pytest.raises(Refused, match="holds other files"):
            page.call("save_project", session=session, path="other", settings={})
        for path in ("../x", "/tmp", "."):
            with pytest.raises(Refused, match="forbidden"):
                page.call("save_project", session=session, path=path, settings={})
        with pytest.raises(Refused, match="not_found: .* no project"):
            page.call("open_project", path="other")
    assert [one.name for one in other.iterdir()] == ["letter.txt"]


def test_a_session_is_brought_to_prompts_of_a_file(bench: Workbench) -> None:
    with open_frames(bench.clip) as source:
        session = TrackingSession(tiny_model(), source, memory="full")
        session.prompt(1, points=[[20, 30]], labels=[1], frame=0)
        session.prompt(1, points=[[25, 30]], labels=[1], frame=4)
        session.prompt(2, box=[20, 15, 60, 50], frame=1)
        prompts = [one for one in prompts_of(session) if one.frame != 4]
        session.prompt(3, mask=np.ones((32, 48), bool), frame=1)
        session.prompt(2, box=[20, 15, 50, 50], frame=1)
        bring_up_to_date(session, prompts)
        assert session.object_ids == (1, 2) and session.prompted_frames(1) == [0]
        again = {(one.object_id, one.frame): one.prompt for one in prompts_of(session)}
        assert all(
            np.array_equal(again[one.object_id, one.frame].points, one.prompt.points)
            for one in prompts
        )


def test_the_command_reads_a_project(
    bench: Workbench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip), memory="full")[0]["session"]
        page.call("prompt", session=session, object=4, prompt=CLICK, frame=1)
        page.call("save_project", session=session, path="one", settings=SETTINGS)
    monkeypatch.chdir(tmp_path)
    plans: list[Any] = []

    def job(*parts: Any) -> Done:
        plans.append(parts)
        return Done()

    monkeypatch.setattr("sam2_mlx.cli.video_plan.VideoJob", job)
    assert main(["video", "--project", str(bench.home / "one")]) == 0
    source, prompts, stretch = plans[0][:3]
    assert source.path == bench.clip
    assert (stretch.first, stretch.prompted, stretch.last) == (1, 1, 6)
    assert [(one.object_id, one.frame) for one in prompts] == [(4, 1)]
    # A project that came from elsewhere may name any clip; only the page's own are opened.
    (bench.home / ".clips.json").unlink()
    assert main(["video", "--project", str(bench.home / "one")]) == 2
    assert "give it, too: sam2-mlx video CLIP --project" in capsys.readouterr().err
    assert main(["video", str(bench.clip), "--project", str(bench.home / "one")]) == 0
    assert main(["video", str(bench.clip), "--project", str(tmp_path)]) == 2
    assert "no project" in capsys.readouterr().err


class Done:
    def run(self, choice: object) -> int:
        return 0
