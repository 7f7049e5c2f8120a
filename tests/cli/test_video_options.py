"""Further options of the video command: stride, formats, scores, pipe, preview, sessions."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import open_frames
from sam2_mlx.media.mask_writer import read_npz_masks
from tests.cli.fake_session import DRIFT, RADIUS, SIZE, FakeSession, disc
from tests.commands import video as main
from tests.media.media_clips import Recipe, make_clip, read_numbers


@pytest.fixture
def clip(folder: Path) -> Path:
    return make_clip(folder / "clip.mp4", Recipe(frames=30, audio="aac"))


@pytest.mark.usefixtures("fake", "clip")
class TestStride:
    def test_each_nth_frame_shown_as_long(self) -> None:
        assert main(["clip.mp4", "--point", "30,20", "--every", "4", "--save-masks", "m.npz"]) == 0
        assert read_numbers(Path("clip_masked.mp4")) == list(range(0, 30, 4))
        with open_frames("clip.mp4") as before, open_frames("clip_masked.mp4") as after:
            assert after.frame_rate == before.frame_rate / 4
            assert [after.time(i) for i in range(8)] == [before.time(4 * i) for i in range(8)]
            assert after.has_audio
        # The session sees neighbours: a memory of the last six frames spans 24 of the clip.
        (session,) = FakeSession.opened
        assert session.passes == [(0, 7, False)]
        # What is saved carries the clip's own numbers.
        assert np.load("m.npz")["frames"].tolist() == list(range(0, 30, 4))

    def test_the_prompted_frame_is_always_one_of_them(self) -> None:
        args = ["--point", "30,20", "--frame", "10", "--start", "3", "--end", "20", "--both"]
        assert main(["clip.mp4", *args, "--every", "4"]) == 0
        assert read_numbers(Path("clip_masked.mp4")) == [6, 10, 14, 18]
        assert [session.passes for session in FakeSession.opened] == [
            [(1, 2, False)],
            [(1, 1, True)],
        ]

    @pytest.mark.parametrize("bad", ["0", "-2", "x", "1.5"])
    def test_bad_strides(self, bad: str, capsys) -> None:
        with pytest.raises(SystemExit):
            main(["clip.mp4", "--point", "30,20", "--every", bad])
        assert "1 or more" in capsys.readouterr().err


@pytest.mark.usefixtures("fake", "clip")
class TestObjectsFrom:
    def _save(self, values: np.ndarray, mode: str = "P") -> None:
        image = Image.fromarray(values.astype(np.uint8), "L" if mode == "L" else "P")
        if mode == "P":
            image.putpalette([value for n in range(256) for value in (n, 255 - n, 9)])
        image.save("objects.png")

    @pytest.mark.parametrize("mode", ["P", "L"])
    @pytest.mark.filterwarnings("ignore:.mode. parameter is deprecated")
    def test_each_value_is_an_object(self, mode: str) -> None:
        self._save(3 * disc(30, 20) + 200 * disc(70, 40), mode)
        args = ["--objects-from", "objects.png", "--point", "1:10,50", "--end", "2"]
        assert main(["clip.mp4", *args]) == 0
        (session,) = FakeSession.opened
        assert list(session.prompts) == [1, 3, 200]
        assert np.array_equal(session.prompts[3].mask, disc(30, 20))
        assert np.array_equal(session.prompts[200].mask, disc(70, 40))

    @pytest.mark.filterwarnings("ignore:.mode. parameter is deprecated")
    def test_what_was_saved_can_be_given_again(self) -> None:
        args = ["--point", "30,20", "--point", "4:70,40", "--save-masks", "masks", "--end", "9"]
        assert main(["clip.mp4", *args]) == 0
        last = sorted(Path("masks").glob("*.png"))[-1]
        assert main(["clip.mp4", "--objects-from", str(last), "--frame", "9", "--end", "12"]) == 0
        assert list(FakeSession.opened[-1].prompts) == [1, 4]

    @pytest.mark.filterwarnings("ignore:.mode. parameter is deprecated")
    def test_bad_pictures(self, capsys) -> None:
        def fails(message: str, *more: str) -> None:
            assert main(["clip.mp4", "--objects-from", "objects.png", *more]) == 2
            assert message in capsys.readouterr().err

        fails("no picture objects.png")
        Path("objects.png").write_text("no")
        fails("is not a picture")
        Image.new("RGB", SIZE).save("objects.png")
        fails("palette or grey")
        Image.new("P", (9, 9)).save("objects.png")
        fails("9x9 pixels, the frames 96x64")
        Image.new("P", SIZE).save("objects.png")
        fails("all its values are 0")
        self._save(3 * disc(30, 20))
        fails("object 3 is in objects.png", "--point", "3:5,5")


@pytest.mark.usefixtures("fake", "clip")
class TestScores:
    def test_a_line_for_each_frame(self) -> None:
        args = ["--point", "30,20", "--point", "2:2000,20", "--scores", "s.jsonl"]
        args[3] = "2:90,20"  # it drifts out of the picture
        assert main(["clip.mp4", *args]) == 0
        lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
        assert [line["frame"] for line in lines] == list(range(30))
        first, second = lines[29]["objects"]
        assert first["id"] == 1 and first["iou"] == 0.9 and first["presence"] > 0.99
        mask = disc(30 + 29 * DRIFT, 20)
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert first["area"] == mask.sum() and first["box"] == box
        assert second == {
            "id": 2,
            "iou": 0.9,
            "presence": second["presence"],
            "area": 0,
            "box": None,
        }

    def test_numbers_are_those_of_the_clip(self) -> None:
        assert main(["clip.mp4", "--point", "30,20", "--every", "10", "--scores", "s.jsonl"]) == 0
        lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
        assert [line["frame"] for line in lines] == [0, 10, 20]

    def test_nothing_is_left_of_a_failure(self, capsys) -> None:
        args = ["--point", "30,20", "--scores", "s.jsonl", "--save-masks", "m.txt"]
        assert main(["clip.mp4", *args]) == 2
        assert {path.name for path in Path().iterdir()} == {"clip.mp4"}
        assert "cannot be saved as '.txt'" in capsys.readouterr().err


def rgba(path: Path, decoder: str | None = None) -> list[np.ndarray]:
    """The frames of a video with transparency."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            return [frame.to_ndarray(format="rgba") for frame in container.decode(stream)]
        # FFmpeg's own decoder of VP9 leaves the alpha channel out.
        context = av.codec.CodecContext.create(decoder, "r")
        context.extradata = stream.codec_context.extradata
        frames = [frame for packet in container.demux(stream) for frame in context.decode(packet)]
        return [frame.to_ndarray(format="rgba") for frame in frames]


@pytest.mark.usefixtures("fake", "clip")
class TestAlpha:
    def _check(self, frames: list[np.ndarray], count: int, loss: int) -> None:
        assert len(frames) == count
        mask = disc(30 + 5 * DRIFT, 20)
        alpha = frames[5][..., 3]
        assert (alpha[mask] > 255 - loss).mean() > 0.98
        assert (alpha[~disc(30 + 5 * DRIFT, 20)] < loss).mean() > 0.98
        with open_frames("clip.mp4") as source:
            original = source.read(5).astype(int)
        # The object has its own colours, and is not darker at its edge.
        assert np.abs(frames[5][..., :3].astype(int) - original)[mask].mean() < 6

    def test_prores(self, capsys) -> None:
        assert main(["clip.mp4", "--point", "30,20", "--format", "prores4444"]) == 0
        assert "wrote clip_cutout.mov with 30 frames" in capsys.readouterr().out
        self._check(rgba(Path("clip_cutout.mov")), 30, 6)
        with av.open("clip_cutout.mov") as container:
            video = container.streams.video[0]
            assert video.codec_context.name == "prores" and video.pix_fmt.startswith("yuva444p1")
            assert video.codec_context.codec_tag == "ap4h"
            assert container.streams.audio

    def test_webm(self) -> None:
        args = ["--point", "30,20", "--format", "webm-alpha", "--output", "x.webm", "--end", "9"]
        assert main(["clip.mp4", *args]) == 0
        self._check(rgba(Path("x.webm"), "libvpx-vp9"), 10, 40)

    def test_pictures(self) -> None:
        args = ["--point", "30,20", "--format", "png-sequence", "--every", "3"]
        assert main(["clip.mp4", *args]) == 0
        files = sorted(Path("clip_cutout").glob("*.png"))
        assert [file.name for file in files] == [f"{n:05d}.png" for n in range(10)]
        image = np.array(Image.open(files[2]))
        inside = disc(30 + 2 * DRIFT, 20)
        assert image.shape == (64, 96, 4)
        assert (image[..., 3][inside] == 255).all() and not image[..., 3][~inside].any()
        # Nothing of what was left out can be seen, but for a margin.
        assert not image[~disc(30 + 2 * DRIFT, 20, RADIUS + 13)].any()
        times = json.loads(Path("clip_cutout/frames.json").read_text())["seconds"]
        with open_frames("clip.mp4") as source:
            assert times == pytest.approx([float(source.time(3 * n)) for n in range(10)])
        # The folder is replaced; one with other files is not.
        assert main(["clip.mp4", *args]) == 0
        Path("mine").mkdir()
        Path("mine/letter.txt").touch()
        assert main(["clip.mp4", *args, "--output", "mine"]) == 2

    def test_names_must_fit(self, capsys) -> None:
        for form, name, known in (
            ("prores4444", "a.mp4", "ends in .mov"),
            ("webm-alpha", "a.mov", "ends in .webm"),
            ("video", "a.webm", "ends in .mp4, .mov or .mkv"),
        ):
            assert main(["clip.mp4", "--point", "3,2", "--format", form, "--output", name]) == 2
            assert known in capsys.readouterr().err


class _Closed(io.RawIOBase):
    """A pipe whose reader goes after so many bytes."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise BrokenPipeError(32, "Broken pipe")
        return len(data)


@pytest.mark.usefixtures("fake", "clip")
class TestPipe:
    def test_the_video_goes_to_standard_output(self, monkeypatch, capsys) -> None:
        pipe = io.BytesIO()
        pipe.seekable = lambda: False  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
        assert main(["clip.mp4", "--point", "30,20", "--output", "-"]) == 0
        data = pipe.getvalue()
        assert "wrote standard output with 30 frames" in capsys.readouterr().err
        Path("piped.mkv").write_bytes(data)
        assert read_numbers(Path("piped.mkv")) == list(range(30))
        assert {path.name for path in Path().iterdir()} == {"clip.mp4", "piped.mkv"}

    # The header of the container; the last frames, which are written when all are encoded.
    @pytest.mark.parametrize("limit", [0, 1500])
    def test_a_reader_that_leaves_ends_it(self, monkeypatch, capsys, limit: int) -> None:
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=_Closed(limit)))
        assert main(["clip.mp4", "--point", "30,20", "--output", "-"]) == 0
        assert capsys.readouterr().err.count("\n") <= 2  # the bar alone
        assert {path.name for path in Path().iterdir()} == {"clip.mp4"}

    @pytest.mark.parametrize("other", ["--save-masks m", "--scores s.jsonl", "--save-session s"])
    def test_other_results_are_not_lost_without_a_word(
        self, monkeypatch, capsys, other: str
    ) -> None:
        monkeypatch.setattr(
            sys, "stdout", SimpleNamespace(buffer=_Closed(1500), flush=lambda: None)
        )
        other = other.replace("session s", "session s.safetensors")
        assert main(["clip.mp4", "--point", "30,20", "--output", "-", *other.split()]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.endswith("reader of standard output went away; nothing was written")
        assert {path.name for path in Path().iterdir()} == {"clip.mp4"}


@pytest.mark.usefixtures("fake", "clip")
def test_a_preview_shows_every_frame_and_can_end_it(monkeypatch, capsys) -> None:
    import sam2_mlx.live.window as window

    shown: list[np.ndarray] = []

    class Preview:
        def __init__(self, title: str) -> None:
            self.closed = False

        def show(self, image: np.ndarray) -> bool:
            shown.append(image)
            return len(shown) < 12

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(window, "Preview", Preview)
    assert main(["clip.mp4", "--point", "30,20", "--preview"]) == 130
    assert "holds the 12 frames so far" in capsys.readouterr().err
    assert read_numbers(Path("clip_masked.mp4")) == list(range(12))
    assert shown[0].shape == (64, 96, 3)


def test_a_saved_session_goes_on_bit_for_bit(clip: Path) -> None:
    common = ["--model", "nano", "--image-size", "64"]
    prompts = ["--point", "30,20", "--point", "2:60,40"]
    assert main(["clip.mp4", *common, *prompts, "--save-masks", "all.npz"]) == 0
    first = ["--end", "11", "--save-session", "s.safetensors", "--output", "a.mp4"]
    assert main(["clip.mp4", *common, *prompts, *first]) == 0
    more = ["--resume", "s.safetensors", "--save-masks", "rest.npz", "--output", "b.mp4"]
    assert main(["clip.mp4", *common, *more]) == 0
    # The drawn frame numbers may lie under a mask.
    with open_frames("a.mp4") as before, open_frames("b.mp4") as after:
        assert (before.num_frames, after.num_frames) == (12, 18)
    with np.load("all.npz") as whole, np.load("rest.npz") as rest:
        assert rest["frames"].tolist() == list(range(12, 30))
        np.testing.assert_array_equal(rest["iou"], whole["iou"][12:])
    for frame in range(12, 30):
        (ids, masks), (_, before) = (read_npz_masks(n, frame) for n in ("rest.npz", "all.npz"))
        assert ids == (1, 2)
        np.testing.assert_array_equal(masks, before)


def test_a_new_object_can_join_a_resumed_session(clip: Path) -> None:
    common = ["--model", "nano", "--image-size", "64"]
    first = ["--point", "2:30,20", "--end", "5", "--save-session", "s.safetensors"]
    assert main(["clip.mp4", *common, *first]) == 0
    rest = ["--resume", "s.safetensors", "--point", "1:60,40", "--end", "9", "--scores", "s.jsonl"]
    assert main(["clip.mp4", *common, *rest]) == 0
    lines = [json.loads(line) for line in Path("s.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [6, 7, 8, 9]
    assert [entry["id"] for entry in lines[0]["objects"]] == [2, 1]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--resume", "s.safetensors", "--every", "2"], "leave out --every"),
        (["--resume", "s.safetensors", "--reverse"], "leave out --reverse"),
        (["--resume", "s.safetensors", "--frame", "3"], "leave out --frame"),
        (["--resume", "s.safetensors", "--memory", "rolling"], "leave out --memory"),
        (["--resume", "s.safetensors"], "no file s.safetensors"),
        (["--resume", "clip.mp4"], "not a saved session"),
        (["--point", "3,3", "--save-session", "s.pkl"], "ends in .safetensors"),
        (["--point", "3,3", "--save-session", "no/s.safetensors"], "does not exist"),
        (["--point", "3,3", "--save-session", "s.safetensors", "--reverse"], "leave out --reverse"),
    ],
)
def test_what_does_not_go_together(clip: Path, args: list[str], message: str, capsys) -> None:
    assert main(["clip.mp4", *args]) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in Path().iterdir()} == {"clip.mp4"}


@pytest.mark.usefixtures("fake", "clip")
def test_the_memory_can_be_chosen() -> None:
    args = ["--point", "3,3", "--memory", "distractor-aware", "--end", "2"]
    assert main(["clip.mp4", *args]) == 0
    assert FakeSession.opened[0].memory == "distractor-aware"


@pytest.mark.usefixtures("fake")
def test_edges_are_refined_on_every_frame_of_both_passes(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def refined(logits: np.ndarray, image: np.ndarray, overlap: bool) -> np.ndarray:
        sizes.append(image.shape[:2])
        return logits <= 0

    typed = [str(clip), "--point", "30,20", "--frame", "4", "--end", "9", "--both"]
    assert main([*typed, "--save-masks", "plain.npz"]) == 0
    monkeypatch.setattr("sam2_mlx.tracking.results.refined_masks", refined)
    assert main([*typed, "--save-masks", "refined.npz", "--edges", "refined"]) == 0
    for frame in range(10):
        masks = [read_npz_masks(f"{name}.npz", frame)[1] for name in ("plain", "refined")]
        assert (masks[0] != masks[1]).all()
    # The prompted frame is worked on twice.
    assert sizes == [(SIZE[1], SIZE[0])] * 11
