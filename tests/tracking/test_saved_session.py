"""A session that was saved goes on as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.saved_session import load_session, save_session
from sam2_mlx.tracking.session import TrackingSession
from tests.tiny import ToyClip, tiny_model

CLIP = ToyClip(30)


@pytest.mark.parametrize("memory", ["rolling", "full", "distractor-aware", "valid"])
def test_a_stream_goes_on_bit_for_bit(model, tmp_path: Path, memory: str) -> None:
    options = TrackingOptions(corrections_become_prompts=True, memory_stride=2)
    session = TrackingSession(model, memory=memory, options=options)
    session.step(CLIP.read(0))
    session.prompt(4, points=[[20, 30]], labels=[1])
    for index in range(1, 12):
        session.step(CLIP.read(index))
    # A prompt on the last frame is saved as well.
    session.prompt(9, mask=np.eye(64, 96))
    save_session(session, tmp_path / "s.safetensors")
    other = load_session(tmp_path / "s.safetensors", model)
    assert other.object_ids == (4, 9)
    assert other.frame == session.frame == 11
    assert other.nbytes == session.nbytes
    assert other.options == options
    for index in range(12, 20):
        a, b = session.step(CLIP.read(index)), other.step(CLIP.read(index))
        assert a.frame == b.frame
        np.testing.assert_array_equal(np.array(a.logits), np.array(b.logits))
        np.testing.assert_array_equal(np.array(a.iou), np.array(b.iou))


def test_a_session_of_the_first_version_goes_on(model, tmp_path: Path) -> None:
    # Written at commit d8d73bd: the toy model and clip, frames 0 to 24, a point for object 4 on
    # frame 0, a mask on frame 9, a box for object 9 on frame 12; rules with an interval of 4.
    old = Path(__file__).parent / "files" / "session_version_1.safetensors"
    session = load_session(old, model)
    assert session.frame == 24 and session.nbytes == 17936
    pointers = [(24 - d, d + 1) for d in range(15)]
    for object_id, first in ((4, 0), (9, 12)):
        bank = session.state().objects[object_id].bank
        # What the old code was about to look at.
        plan = bank.plan(25, reverse=False)
        chosen = ((first, 6), (16, 6), (20, 6), (24, 6), (17, 2), (21, 1), (24, 0))
        assert plan.spatial == chosen
        assert plan.pointers == ((first, 25 - first), *(p for p in pointers if p[0] > first))
    save_session(session, tmp_path / "s.safetensors")
    other = load_session(tmp_path / "s.safetensors", model)
    for index in range(25, 30):
        a, b = session.step(CLIP.read(index)), other.step(CLIP.read(index))
        np.testing.assert_array_equal(np.array(a.logits), np.array(b.logits))


def test_a_clip_goes_on_where_it_was(model, tmp_path: Path) -> None:
    session = TrackingSession(model, CLIP)
    session.prompt(1, frame=2, points=[[20, 30]], labels=[1])
    for masks in session.propagate():
        if masks.frame == 10:
            break
    save_session(session, tmp_path / "s.safetensors")
    rest = list(session.propagate(start=11, length=5))
    other = load_session(tmp_path / "s.safetensors", model, CLIP)
    again = list(other.propagate(start=other.frame + 1, length=5))
    assert [masks.frame for masks in again] == list(range(11, 17))
    for a, b in zip(rest, again, strict=True):
        np.testing.assert_array_equal(np.array(a.logits), np.array(b.logits))
    with pytest.raises(RuntimeError, match="one direction"):
        list(other.propagate(start=5, reverse=True))


def test_integers_of_numpy(model, tmp_path: Path) -> None:
    session = TrackingSession(model, CLIP)
    session.prompt(np.int64(3), frame=np.int32(0), points=[[20, 30]], labels=[1])
    session.prompt(np.uint8(7), frame=np.int64(0), mask=np.eye(64, 96))
    save_session(session, tmp_path / "s.safetensors")
    assert load_session(tmp_path / "s.safetensors", model, CLIP).object_ids == (3, 7)
    with pytest.raises(TypeError):
        session.prompt("left hand", points=[[20, 30]], labels=[1])  # type: ignore[arg-type]


def test_an_empty_session(model, tmp_path: Path) -> None:
    save_session(TrackingSession(model), tmp_path / "s.safetensors")
    session = load_session(tmp_path / "s.safetensors", model)
    assert session.frame is None and session.object_ids == ()
    session.step(CLIP.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])


def test_what_does_not_fit_is_refused(model, tmp_path: Path) -> None:
    target = tmp_path / "s.safetensors"
    save_session(TrackingSession(model), target)
    for other, what in (
        (tiny_model(image_size=128), "image size 64; this one has 128"),
        (tiny_model(mx.float16), "dtype float32; this one has float16"),
        (tiny_model(name="other"), "model toy; this one has other"),
    ):
        with pytest.raises(ValueError, match=what):
            load_session(target, other)
    with pytest.raises(FileNotFoundError, match="check the path"):
        load_session(tmp_path / "nothing.safetensors", model)
    with pytest.raises(ValueError, match=r"\.safetensors"):
        save_session(TrackingSession(model), tmp_path / "s.pkl")
    (tmp_path / "text.safetensors").write_text("no")
    mx.save_safetensors(str(tmp_path / "plain.safetensors"), {"a": mx.zeros((2,))})
    for name in ("text", "plain"):
        with pytest.raises(ValueError, match="not a saved session"):
            load_session(tmp_path / f"{name}.safetensors", model)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "plain.safetensors",
        "s.safetensors",
        "text.safetensors",
    ]


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda d: d.pop("objects"), "objects is missing"),
        (lambda d: d["objects"][0].pop("shelves"), r"objects\[0\].shelves is missing"),
        (lambda d: d["objects"][0].update(shelves=[]), r"shelves is an object; got \[\]"),
        (lambda d: d["options"].update(unknown=1), "options has an unknown key 'unknown'"),
        (lambda d: d["options"].update(read_ahead=10**9), "options.read_ahead"),
        (lambda d: d.update(model="x"), "string indices"),
        (lambda d: d["model"].update(name="\x1b[2J"), "model.name is a short text"),
        (lambda d: d["model"].update(image_size=[]), "model.image_size"),
        (lambda d: d.update(frame="2"), "frame is a whole number.*got '2'"),
        (lambda d: d.update(frame=True), "frame is a whole number"),
        (lambda d: d.update(reverse=1), "reverse is true or false"),
        (lambda d: d.update(reverse=True), "followed backward"),
        (lambda d: d.update(memory=["full"]), "memory is one of rolling, full"),
        (lambda d: d["objects"][0].update(id=[]), r"objects\[0\].id"),
        (lambda d: d["objects"][0]["prompts"][0].__setitem__(0, "0"), r"prompts\[0\]\[0\]"),
        (lambda d: d["objects"][0]["prompts"][0][1].update(labels=[]), "points without labels"),
        (lambda d: d["objects"][0]["prompts"][0][1].update(points=[[1]]), r"points\[0\]"),
        (lambda d: d["objects"][0]["prompts"][0][1].update(mask="a1"), "a prompt's mask is"),
        (lambda d: d["objects"][0]["shelves"]["prompted"][0][1].update(pointer="a1"), "instead of"),
        (lambda d: d["objects"][0]["shelves"]["prompted"][0][1].update(pointer="x"), "no 'x'"),
        (lambda d: d["objects"][0]["shelves"]["prompted"][0][1].update(tokens=None), "remembers"),
        (lambda d: d["objects"][0].update(tracked=[[1, 2, 3]]), r"tracked\[0\] is a list of 2"),
        (lambda d: d["objects"][0]["policy"].update(areas=[[0, "x"]]), "policy.areas"),
        (lambda d: d["objects"][0]["policy"].update(anchors=[7]), "no tokens"),
    ],
)
def test_a_damaged_session_is_refused_in_one_line(model, tmp_path: Path, harm, what: str) -> None:
    target = tmp_path / "s.safetensors"
    session = TrackingSession(model, memory="distractor-aware")
    session.step(CLIP.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    save_session(session, target)
    arrays, metadata = mx.load(str(target), return_metadata=True)
    description = json.loads(metadata["sam2_mlx_session"])
    order = description["objects"][0]["shelves"]["prompted"][0][1]
    assert order["pointer"] != "a1"
    harm(description)
    mx.save_safetensors(str(target), arrays, {"sam2_mlx_session": json.dumps(description)})
    with pytest.raises(ValueError, match=what) as error:
        load_session(target, model)
    assert "\n" not in str(error.value) and "save it again" in str(error.value)


def test_a_cut_file_is_refused(model, tmp_path: Path) -> None:
    target = tmp_path / "s.safetensors"
    session = TrackingSession(model)
    session.step(CLIP.read(0))
    session.prompt(1, points=[[20, 30]], labels=[1])
    save_session(session, target)
    target.write_bytes(target.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a saved session"):
        load_session(target, model)
