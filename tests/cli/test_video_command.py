"""The video command: what it writes, how it stops, what it says about bad input."""

from __future__ import annotations

import errno
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import demo_clip, open_frames
from sam2_mlx.media.mask_writer import read_npz_masks
from sam2_mlx.media.video_writer import VideoWriter
from sam2_mlx.ops import rle
from tests.cli.fake_session import DRIFT, SIZE, FakeSession, disc
from tests.commands import video as main
from tests.media.media_clips import (
    Recipe,
    make_clip,
    numbered_frame,
    pitch_at,
    read_numbers,
    read_sound,
)


@pytest.fixture
def clip(folder: Path) -> Path:
    return make_clip(folder / "clip.mp4", Recipe(frames=30, audio="aac"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.usefixtures("fake")
class TestWhatIsWritten:
    def test_every_frame_with_its_mask_under_the_clip_s_name(self, clip: Path, capsys) -> None:
        assert main(["clip.mp4", "--point", "30,20"]) == 0
        assert names(clip.parent) == {"clip.mp4", "clip_masked.mp4"}
        said = capsys.readouterr()
        assert said.out.startswith(
            "wrote clip_masked.mp4 with 30 frames (96x64; object 1 on 30) in "
        )
        assert said.out.rstrip().endswith("frames/s") and said.out.count("\n") == 1
        assert "30/30" in said.err
        assert read_numbers(Path("clip_masked.mp4")) == list(range(30))
        with open_frames(clip) as before, open_frames("clip_masked.mp4") as after:
            assert after.frame_rate == before.frame_rate
            assert after.has_audio
            changed = np.abs(after.read(10).astype(int) - before.read(10)).sum(axis=2) > 60
        inside = disc(30 + 10 * DRIFT, 20)
        assert changed[inside].mean() > 0.9
        assert changed[~disc(30 + 10 * DRIFT, 20)].mean() < 0.1

    def test_prompts_reach_the_session(self, clip: Path) -> None:
        mask = Image.fromarray((disc(70, 40) * 255).astype(np.uint8))
        mask.save("mask.png")
        args = ["--point", "30,20", "--point", "31.5,22", "--negative-point", "5,5"]
        args += ["--box", "2:10,10,40,30", "--point", "2:20,20", "--mask", "7:mask.png"]
        assert main([str(clip), *args, "--frame", "4", "--end", "6"]) == 0
        (session,) = FakeSession.opened
        assert session.memory == "rolling"
        first, second, third = session.prompts.values()
        assert list(session.prompts) == [1, 2, 7]
        assert set(session.prompted.values()) == {4}
        assert first.labels.tolist() == [[1, 1, 0]] and second.labels.tolist() == [[2, 3, 1]]
        np.testing.assert_allclose(first.points[0] * SIZE, [[30, 20], [31.5, 22], [5, 5]])
        np.testing.assert_allclose(second.points[0] * SIZE, [[10, 10], [40, 30], [20, 20]])
        assert np.array_equal(third.mask, disc(70, 40))
        assert session.passes == [(4, 2, False)]
        assert read_numbers(Path("clip_masked.mp4")) == [4, 5, 6]

    def test_a_palette_mask_gives_each_object_its_own_pixels(self, clip: Path) -> None:
        index = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        index[disc(20, 20)], index[disc(70, 40)] = 1, 2
        image = Image.fromarray(index)
        image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        image.save("ids.png")
        assert main([str(clip), "--mask", "ids.png", "--mask", "2:ids.png", "--end", "1"]) == 0
        (session,) = FakeSession.opened
        assert np.array_equal(session.prompts[1].mask, disc(20, 20))
        assert np.array_equal(session.prompts[2].mask, disc(70, 40))

    def test_reverse_is_written_forward(self, clip: Path) -> None:
        args = ["--point", "60,20", "--frame", "12", "--reverse", "--start", "5"]
        assert main([str(clip), *args, "--save-masks", "m.npz"]) == 0
        (session,) = FakeSession.opened
        assert session.passes == [(12, 7, True)]
        assert read_numbers(Path("clip_masked.mp4")) == list(range(5, 13))
        for frame in (5, 12):
            _, masks = read_npz_masks("m.npz", frame)
            assert np.array_equal(masks[0], disc(60 + DRIFT * (frame - 12), 20))

    def test_both_directions_are_two_passes_and_one_video(self, clip: Path) -> None:
        args = ["--point", "48,20", "--frame", "12", "--both", "--save-masks", "m.npz"]
        assert main([str(clip), *args]) == 0
        forward, backward = FakeSession.opened
        assert backward.passes == [(12, 12, True)]
        assert forward.passes == [(12, 17, False)]
        assert read_numbers(Path("clip_masked.mp4")) == list(range(30))
        with np.load("m.npz") as data:
            assert data["frames"].tolist() == list(range(30))
        for frame in (0, 11, 12, 13, 29):
            _, masks = read_npz_masks("m.npz", frame)
            assert np.array_equal(masks[0], disc(48 + DRIFT * (frame - 12), 20)), frame
        _, end = read_sound(Path("clip_masked.mp4"))
        assert end == pytest.approx(30 / 25, abs=0.06)

    @pytest.mark.parametrize("frame", [0, 29])
    def test_both_from_an_end_of_the_clip_is_one_pass(self, clip: Path, frame: int) -> None:
        assert main([str(clip), "--point", "48,20", "--frame", str(frame), "--both"]) == 0
        assert len(FakeSession.opened) == 1
        assert read_numbers(Path("clip_masked.mp4")) == list(range(30))

    def test_a_single_frame_backward(self, clip: Path) -> None:
        assert main([str(clip), "--point", "48,20", "--frame", "0", "--reverse"]) == 0
        assert read_numbers(Path("clip_masked.mp4")) == [0]

    def test_start_and_end_in_seconds_cut_the_sound_too(self, clip: Path) -> None:
        args = ["--point", "48,20", "--start", "0.4s", "--end", "1s"]
        assert main([str(clip), *args, "-o", "cut.mov"]) == 0
        assert read_numbers(Path("cut.mov")) == list(range(10, 26))
        _, end = read_sound(Path("cut.mov"))
        assert end == pytest.approx(16 / 25, abs=0.06)

    def test_folders_patterns_and_pictures(self, folder: Path) -> None:
        (folder / "shots").mkdir()
        for number in (1, 2, 10):
            Image.fromarray(numbered_frame(number)).save(folder / "shots" / f"{number}.png")
        args = ["--point", "30,20", "--save-masks"]
        assert main(["shots", *args, "masks", "--frame-rate", "12.5"]) == 0
        assert names(folder / "masks") == {"1.png", "2.png", "10.png", "masks.json"}
        with open_frames("shots_masked.mp4") as written:
            assert written.frame_rate == 12.5
        assert main(["shots/%d.png", *args, "masks"]) == 0
        assert read_numbers(Path("shots_masked.mp4")) == [1, 2, 10]
        assert main(["shots/2.png", *args, "m.json"]) == 0
        assert read_numbers(Path("2_masked.mp4")) == [2]

    def test_masks_in_every_form_hold_the_same(self, clip: Path) -> None:
        args = [str(clip), "--point", "30,20", "--point", "2:70,40", "--end", "8", "--save-masks"]
        for where in ("m", "m.npz", "m.json"):
            assert main([*args, where]) == 0
        data = json.loads(Path("m.json").read_text())
        for frame in range(9):
            _, masks = read_npz_masks("m.npz", frame)
            with Image.open(f"m/{frame:05d}.png") as image:
                index = np.asarray(image)
            for place, object_id in enumerate((1, 2)):
                (note,) = [
                    note
                    for note in data["annotations"]
                    if (note["frame"], note["object_id"]) == (frame, object_id)
                ]
                assert np.array_equal(rle.decode(note["segmentation"]), masks[place])
                assert (masks[place] | (index != object_id)).all()

    def test_an_object_that_is_not_found_is_told(self, clip: Path, monkeypatch, capsys) -> None:
        monkeypatch.setattr("tests.cli.fake_session.RADIUS", 0)
        assert main([str(clip), "--point", "30,20"]) == 0
        said = capsys.readouterr()
        assert "object 1 on 0" in said.out
        assert "nothing was found at the prompt of object 1" in said.err

    def test_the_word_demo_is_the_bundled_clip(self, folder: Path) -> None:
        assert demo_clip().is_file()
        assert main(["demo", "--point", "105,118", "--end", "3"]) == 0
        with open_frames("demo_masked.mp4") as written:
            assert (written.width, written.height, written.num_frames) == (640, 360, 4)


@pytest.mark.usefixtures("fake")
class TestStopping:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_keeps_the_frames_so_far(
        self, clip: Path, capsys, number: signal.Signals, code: int
    ) -> None:
        before = signal.getsignal(number)

        def on_frame(frame: int) -> None:
            if frame == 7:
                signal.raise_signal(number)

        FakeSession.on_frame = staticmethod(on_frame)
        assert main([str(clip), "--point", "30,20", "--save-masks", "m.npz"]) == code
        assert read_numbers(Path("clip_masked.mp4")) == list(range(8))
        with np.load("m.npz") as data:
            assert data["frames"].tolist() == list(range(8))
        assert names(clip.parent) == {"clip.mp4", "clip_masked.mp4", "m.npz"}
        said = capsys.readouterr().err
        assert "interrupted; clip_masked.mp4 and m.npz hold the 8 frames so far" in said
        assert signal.getsignal(number) == before

    def test_a_signal_on_the_way_back_keeps_what_was_followed(self, clip: Path) -> None:
        def on_frame(frame: int) -> None:
            if frame == 9:
                signal.raise_signal(signal.SIGINT)

        FakeSession.on_frame = staticmethod(on_frame)
        args = ["--point", "48,20", "--frame", "14", "--both"]
        assert main([str(clip), *args]) == 130
        assert read_numbers(Path("clip_masked.mp4")) == list(range(9, 15))
        sound, end = read_sound(Path("clip_masked.mp4"))
        assert end == pytest.approx(6 / 25, abs=0.06)
        # The tone says which moment of the clip it is from.
        assert pitch_at(sound, 0.12) == pytest.approx(300 + 200 * (9 / 25 + 0.12), abs=8)

    def test_a_second_signal_drops_everything(self, clip: Path, capsys) -> None:
        def on_frame(frame: int) -> None:
            if frame == 7:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        FakeSession.on_frame = staticmethod(on_frame)
        assert main([str(clip), "--point", "30,20", "--save-masks", "m"]) == 130
        assert names(clip.parent) == {"clip.mp4"}
        assert "nothing was written" in capsys.readouterr().err

    def test_ctrl_c_while_the_weights_load(self, clip: Path, monkeypatch, capsys) -> None:
        def load(choice: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("sam2_mlx.cli.video_job.load_model", load)
        assert main([str(clip), "--point", "30,20", "--save-masks", "m.json"]) == 130
        assert names(clip.parent) == {"clip.mp4"}
        assert capsys.readouterr().err == "sam2-mlx: interrupted; nothing was written\n"

    def test_damage_in_the_middle_keeps_the_frames_before_it(self, folder: Path, capsys) -> None:
        (folder / "shots").mkdir()
        for number in range(10):
            Image.fromarray(numbered_frame(number)).save(folder / "shots" / f"{number}.png")
        (folder / "shots" / "6.png").write_bytes(b"broken")
        assert main(["shots", "--point", "30,20"]) == 2
        assert read_numbers(Path("shots_masked.mp4")) == list(range(6))
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("sam2-mlx: error: ") and "6.png" in said
        assert said.endswith("shots_masked.mp4 holds the 6 frames so far")

    def test_a_full_disk(self, clip: Path, monkeypatch, capsys) -> None:
        count = 0
        mux = VideoWriter._mux

        def full(self: VideoWriter, packets: list) -> None:
            nonlocal count
            count += 1
            if count == 12:
                raise OSError(errno.ENOSPC, "No space left on device")
            mux(self, packets)

        monkeypatch.setattr(VideoWriter, "_mux", full)
        Path("clip_masked.mp4").write_bytes(b"the one before")
        assert main([str(clip), "--point", "30,20", "--save-masks", "m"]) == 2
        assert names(clip.parent) == {"clip.mp4", "clip_masked.mp4"}
        assert Path("clip_masked.mp4").read_bytes() == b"the one before"
        bar, error = capsys.readouterr().err.splitlines()[-2:]
        assert "error: the disk is full" in error
        assert re.search(r" [1-9]\d?/30 ", bar)


BAD = {
    "missing.mp4 --point 1,1": "no file or folder missing.mp4",
    "text.mp4 --point 1,1": "text.mp4 is not a video that can be read",
    "empty --point 1,1": "empty holds no pictures",
    "clip.mp4": "nothing to segment; give --point",
    "clip.mp4 --point 96,10": "outside the picture; it has 96x64 pixels",
    "clip.mp4 --point -5,10": "--point -5,10 is outside the picture",
    "clip.mp4 --point 2:5,64": "outside the picture",
    "clip.mp4 --point 5": "--point needs X,Y in pixels",
    "clip.mp4 --point a,b": "--point needs X,Y in pixels",
    "clip.mp4 --point nan,1": "--point needs X,Y in pixels",
    "clip.mp4 --point 0:5,5": "objects are numbered from 1",
    "clip.mp4 --point": "argument --point: expected one argument",
    "clip.mp4 --negative-point 5,5": "has only negative points",
    "clip.mp4 --box 5,5,5,9": "has no area",
    "clip.mp4 --box 9,5,5,9": "has no area",
    "clip.mp4 --box 1,2,3": "--box needs X0,Y0,X1,Y1",
    "clip.mp4 --box 1,2,3,400": "outside the picture",
    "clip.mp4 --box 1,2,30,40 --box 1,2,30,41": "has a box already",
    "clip.mp4 --mask none.png": "no mask file none.png",
    "clip.mp4 --mask small.png": "has 10x10 pixels, the picture 96x64",
    "clip.mp4 --mask black.png": "black.png is empty",
    "clip.mp4 --mask text.mp4": "not a picture that can be read",
    "clip.mp4 --mask white.png --point 1,1": "takes one mask, or points",
    "clip.mp4 --point 1,1 --frame 30": "--frame 30 is outside the clip; it has frames 0 to 29",
    "clip.mp4 --point 1,1 --frame -1": "--frame -1 is outside the clip",
    "clip.mp4 --point 1,1 --start 9s": "--start 9s is outside the clip",
    "clip.mp4 --point 1,1 --end infs": "--end infs is outside the clip",
    "clip.mp4 --point 1,1 --end nans": "--end nans is outside the clip",
    "clip.mp4 --point 1,1 --end x": "number (120) or a time (5s, 500ms, 0:00:05); got x",
    "clip.mp4 --point 1,1 --start 9 --end 8": "--end 8 is before --start 9",
    "clip.mp4 --point 1,1 --frame 2 --start 9": "must be 9 to 29",
    "clip.mp4 --point 1,1 --both --reverse": "not allowed with",
    "clip.mp4 --point 1,1 --dtype int8": "invalid choice",
    "clip.mp4 --point 1,1 --model no-such-model": "unknown model 'no-such-model'",
    "clip.mp4 --point 1,1 --model ./none.pt": "no file or folder ./none.pt",
    "clip.mp4 --point 1,1 --model text.mp4": "text.mp4",
    "clip.mp4 --point 1,1 --model nano --image-size 100": "image_size",
    "clip.mp4 --point 1,1 --output clip.mp4": "clip.mp4 is the input; give --output another name",
    "clip.mp4 --point 1,1 --output out.avi": "ends in .mp4, .mov or .mkv",
    "clip.mp4 --point 1,1 --output none/out.mp4": "the folder none does not exist",
    "clip.mp4 --point 1,1 --output folder.mp4": "folder.mp4 is a folder",
    "clip.mp4 --point 1,1 --save-masks m.zip": "or a name that ends in .npz, .json or .yolo",
    "clip.mp4 --point 1,1 --save-masks none/m": "the folder none does not exist",
    "clip.mp4 --point 1,1 --save-masks photos": "holds other files",
    "photos --point 1,1 --save-masks photos": "photos is the input",
    "photos/*.png --point 1,1 --save-masks photos": "photos is the input",
    "clip.mp4 --point 1,1 --frame-rate 0": "need frames a second",
    "clip.mp4 --point 1,1 --bogus": "unrecognized arguments: --bogus",
    "": "the following arguments are required: CLIP",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_ends_in_one_line(clip: Path, capsys, line: str) -> None:
    folder = clip.parent
    (folder / "text.mp4").write_text("hello\n" * 100)
    (folder / "empty").mkdir()
    (folder / "folder.mp4").mkdir()
    (folder / "photos").mkdir()
    Image.new("RGB", SIZE).save(folder / "photos" / "0.png")
    Image.new("L", (10, 10), 255).save(folder / "small.png")
    Image.new("L", SIZE, 0).save(folder / "black.png")
    Image.new("L", SIZE, 255).save(folder / "white.png")
    before = sorted(path.name for path in folder.rglob("*"))
    try:
        code = main(line.split())
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    said = capsys.readouterr()
    assert said.out == ""
    (error,) = [text for text in said.err.splitlines() if text.startswith("sam2-mlx: error: ")]
    assert BAD[line] in error
    assert "Traceback" not in said.err
    assert sorted(path.name for path in folder.rglob("*")) == before
