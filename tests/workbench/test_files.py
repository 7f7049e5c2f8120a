"""What a page is offered, what it sends, and what it gets back as a file."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from sam2_mlx.apps.serving import file_methods
from sam2_mlx.media import demo_clip
from tests.serving.app import Refused
from tests.workbench.conftest import FRAMES, Workbench
from tests.workbench.page import Page
from tests.workbench.test_safety import get


def test_folders_are_browsed_as_far_as_they_are_allowed(bench: Workbench) -> None:
    clip = bench.clip
    (bench.allowed / "note.txt").touch()
    (bench.allowed / ".hidden").mkdir()
    (bench.allowed / "out.mp4").symlink_to("/etc/passwd")
    with Page(bench.address) as page:
        roots, _ = page.call("browse")
        assert roots["folders"] == [{"name": "allowed", "path": str(bench.allowed)}]
        inside, _ = page.call("browse", path=roots["folders"][0]["path"])
        assert inside["parent"] is None and inside["files"] == []
        assert inside["folders"] == [{"name": "clip", "path": str(clip)}]
        frames, _ = page.call("browse", path=str(clip))
        assert frames["parent"] == str(bench.allowed) and len(frames["files"]) == FRAMES
        for path in ("/", str(bench.allowed.parent)):
            with pytest.raises(Refused, match="forbidden"):
                page.call("browse", path=path)


def test_a_clip_is_sent_in_parts_and_opened(bench: Workbench) -> None:
    data = demo_clip().read_bytes()
    with Page(bench.address) as page:
        fields = {"name": "../my:clip.mp4", "size": len(data)}
        half = len(data) // 2
        answer, _ = page.call("upload", data[:half], offset=0, **fields)
        assert answer == {"received": half, "path": None}
        with pytest.raises(Refused, match="parts of a file come in order"):
            page.call("upload", data[:half], offset=0 + half + 1, **fields)
        path = page.call("upload", data[half:], offset=half, **fields)[0]["path"]
        assert Path(path) == bench.home / "uploads" / "_my_clip.mp4"
        assert page.call("open", path=path)[0]["frames"] == 120
        again = page.call("upload", data, offset=0, **fields)[0]["path"]
        assert Path(again).name == "_my_clip_1.mp4"
        frame = {"name": "1.png", "folder": "..", "size": 3}
        path = page.call("upload", b"abc", offset=0, **frame)[0]["path"]
        assert Path(path) == bench.home / "uploads" / "file" / "1.png"


def test_what_is_not_sent_whole_is_not_kept(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Page(bench.address) as page:
        page.call("upload", b"abc", name="a.mp4", size=9, offset=0)
        for fields, said in (
            ({"name": "a.sh", "size": 3}, "neither a clip nor a picture"),
            ({"name": "a.mp4", "size": 2}, "parts of a file"),
            ({"name": "a.mp4", "size": 2**38}, "size must be an integer"),
        ):
            with pytest.raises(Refused, match=said):
                page.call("upload", b"abc", offset=0, **fields)
        monkeypatch.setattr(file_methods, "_SPARE_BYTES", 2**60)
        with pytest.raises(Refused, match="disk is too full"):
            page.call("upload", b"abc", name="a.mp4", size=3, offset=0)
    with Page(bench.address) as page:
        page.call("stats")
    assert os.listdir(bench.home / "uploads") == []


def test_an_export_goes_into_its_project_and_can_be_had(bench: Workbench) -> None:
    with Page(bench.address) as page:
        session = page.call("open", path=str(bench.clip), memory="full")[0]["session"]
        click = {"points": [[20, 30]], "labels": [1]}
        page.call("prompt", session=session, object=1, prompt=click, frame=0)
        page.call("save_project", session=session, path="one", settings={})
        names = []
        for _ in range(2):
            _, result = page.job("export", session=session, job=2, format="coco", last=0)
            names.append(result["path"])
        folder = bench.home / "one" / "exports"
        assert names == [str(folder / "clip_masks.json"), str(folder / "clip_1_masks.json")]
        with pytest.raises(Refused, match="forbidden"):
            page.job("export", session=session, job=2, format="coco", path="/tmp/x.json")
    address = bench.address.replace("/?", f"/download?path={quote(names[0])}&")
    answer = get(address)
    assert answer.content == Path(names[0]).read_bytes()
    assert "attachment" in answer.headers["content-disposition"]
    assert get(address.split("&")[0]).status_code == 403
    for path in ("/etc/passwd", str(bench.clip / "000.png"), "one", "", "../allowed/clip/000.png"):
        assert get(bench.address.replace("/?", f"/download?path={quote(path)}&")).status_code == 404
