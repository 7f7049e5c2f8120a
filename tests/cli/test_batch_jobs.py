"""Jobs of a batch as they are read, and the log of what has been done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.cli.batch.jobs import ClipJob, digest_clip, fingerprint, read_jobs
from sam2_mlx.cli.batch.manifest import DIED, DONE, FAILED, Entry, Manifest
from sam2_mlx.cli.errors import UsageError
from sam2_mlx.files import FileError
from sam2_mlx.ops import rle
from tests.cli.fake_session import SIZE, disc
from tests.commands import batch
from tests.media.media_clips import Recipe, make_clip

POINT = {"points": [[30, 20]]}


def write(*jobs: object) -> Path:
    Path("jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    return Path("jobs.jsonl")


class TestJobs:
    def test_a_list(self, folder: Path) -> None:
        (folder / "b").mkdir()
        Image.fromarray((disc(70, 40) * 255).astype(np.uint8)).save("m.png")
        write(
            {"clip": "a.mp4", "prompts": [POINT | {"object": 2, "frame": "5s"}]},
            {"clip": "/x/b.mov", "prompts": [{"mask": "m.png"}], "options": {"every": 2}},
            {"clip": "b", "name": "other", "options": {"everything": True, "find_every": 5}},
        )
        first, second, third = read_jobs(folder / "jobs.jsonl", {"every": 3, "format": "video"})
        assert first == ClipJob(
            "a", folder / "a.mp4", [POINT | {"object": 2, "frame": "5s"}],
            {"every": 3, "format": "video"},
        )  # fmt: skip
        assert (second.name, second.clip, second.options["every"]) == ("b", Path("/x/b.mov"), 2)
        assert np.array_equal(rle.decode(second.prompts[0]["mask"]), disc(70, 40))
        assert third.arguments == [
            "--every=3", "--format=video", "--everything", "--find-every=5",
        ]  # fmt: skip

    def test_a_table(self, folder: Path) -> None:
        Path("clicks.csv").write_text(
            "clip,object,frame,x,y,label\na.mp4,1,0,30,20,1\na.mp4,1,0,5,5.5,0\n"
            "a.mp4,2,3s,9,9,\nb.mp4,,,1,2,1\n"
        )
        a, b = read_jobs(folder / "clicks.csv", {})
        assert a.prompts == [
            {"object": 1, "frame": "0", "points": [[30, 20], [5, 5.5]], "labels": [1, 0]},
            {"object": 2, "frame": "3s", "points": [[9, 9]], "labels": [1]},
        ]
        assert b.prompts == [{"object": 1, "frame": "0", "points": [[1, 2]], "labels": [1]}]

    def test_tables_as_spreadsheets_write_them(self, folder: Path) -> None:
        for content in (
            "\ufeffclip,x,y\na.mp4,30,20\n",
            "clip;x;y\r\na.mp4;30;20\r\n",
            "clip\tx\ty\na.mp4\t30\t20\n",
            'clip, x, y\n"a.mp4", 30, 20\n',
        ):
            Path("a.csv").write_text(content)
            (job,) = read_jobs(Path("a.csv"), {})
            assert job.clip.name == "a.mp4" and job.prompts[0]["points"] == [[30, 20]]

    def test_a_folder(self, folder: Path) -> None:
        (folder / "shots").mkdir()
        Image.new("RGB", SIZE).save("shots/0.png")
        for name in ("a.mp4", "b.mov", "notes.txt"):
            (folder / name).touch()
        for name in ("a", "b.mov", "shots"):
            Path(f"{name}.prompts.json").write_text(json.dumps({"prompts": [POINT]}))
        found = read_jobs(folder, {})
        assert [(job.name, job.clip.name) for job in found] == [
            ("a", "a.mp4"), ("b", "b.mov"), ("shots", "shots"),
        ]  # fmt: skip
        found = read_jobs(folder, {"everything": True})
        assert [job.clip.name for job in found] == ["a.mp4", "b.mov", "shots"]
        assert not any(job.prompts for job in found)

    def test_names_do_not_depend_on_the_order(self, folder: Path) -> None:
        jobs = [{"clip": f"{place}/a.mp4", "prompts": [POINT]} for place in "xy"]
        jobs.append({"clip": "x/a.mp4", "prompts": [{"points": [[1, 1]]}]})
        one = {job.name for job in read_jobs(write(*jobs), {})}
        assert len(one) == 3 and all(name.startswith("a-") for name in one)
        assert {job.name for job in read_jobs(write(*jobs[::-1]), {})} == one

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "has no jobs"),
            ("{", "line 1 is not JSON"),
            ("[" * 99_999, "line 1 is not JSON"),
            ("[]", 'needs an object with a "clip"'),
            ('{"clip": 3}', 'needs an object with a "clip"'),
            ('{"clip": "a", "prompt": []}', "has 'prompt'; known are clip, prompts, options, name"),
            ('{"clip": "a", "prompts": {}}', "prompts are a list"),
            ('{"clip": "a", "options": {"output": "x"}}', "'output' is no option of a job"),
            ('{"clip": "a", "options": {"model": "x"}}', "'model' is no option of a job"),
            ('{"clip": "a", "name": "../a"}', "'../a' is no name for results"),
            ('{"clip": "a", "name": ".."}', "'..' is no name for results"),
            (json.dumps({"clip": "a", "name": "a\n"}), "'a\\n' is no name for results"),
            (json.dumps({"clip": "a", "name": "a" * 201}), "is no name for results"),
            (json.dumps({"clip": "a\0"}), "line 1: 'a\\x00' is no name that a file can have"),
            (json.dumps({"clip": "a\ud800"}), "is no name that a file can have"),
            (json.dumps({"clip": "a/" * 3000}), "line 1: [Errno 36]"),
            ('{"clip": "http://a/b.mp4"}', "line 1: http://a/b.mp4 is an address"),
            ('{"clip": "a", "prompts": [{"mask": "no.png"}]}', "no mask file"),
            ('{"clip": "a"}\n{"clip": "a"}', "is there twice"),
            ('{"clip": "a", "name": "x"}\n{"clip": "a", "name": "X"}', "is there twice"),
        ],
    )
    def test_mistakes_in_a_list(self, folder: Path, capsys, content: str, message: str) -> None:
        Path("jobs.jsonl").write_text(content)
        assert batch(["jobs.jsonl", "--out", "out"]) == 2
        assert message in capsys.readouterr().err and not Path("out").exists()

    def test_mistakes_in_a_table_or_a_folder(self, folder: Path) -> None:
        for content, message in (
            ("clip,x\na,1\n", "needs a first line with clip, object"),
            ("clip,x,y\na,1,b\n", r"line 2 needs .*; got \['a', '1', 'b'\]"),
            ("clip,x,y\na,1\n", "line 2 needs"),
            ("clip,x,y\na,1,2,3\n", "line 2 needs"),
            ("clip,x,y\n,1,2\n", "line 2 needs"),
            ("clip,object,x,y\na," + "9" * 5000 + ",1,2\n", "line 2 needs"),
            ("clip,x,y\n" + "a" * 200_000 + ",1,2\n", "is no CSV: field larger"),
            ('clip,x,y\n"a,1,2\n', "is no CSV: unexpected end"),
            ("clip,x,y\na\0,1,2\n", "is no name that a file can have|NUL"),
        ):
            Path("a.csv").write_text(content)
            with pytest.raises(ValueError, match=message):
                read_jobs(Path("a.csv"), {})
        Path("clips").mkdir()
        Path("clips/a.prompts.json").write_text("{}")
        with pytest.raises(UsageError, match="has no clip beside it"):
            read_jobs(Path("clips"), {})
        for name in ("a.mp4", "a.mov"):
            Path("clips", name).touch()
        with pytest.raises(UsageError, match="has 2 clips of its name"):
            read_jobs(Path("clips"), {})

    def test_what_a_result_depends_on(self, folder: Path) -> None:
        clip = make_clip(folder / "a.mp4", Recipe(frames=3))
        prints = [
            fingerprint(digest_clip(clip), [POINT], {"every": 1, "both": True}, {"weights": 1}),
            fingerprint(digest_clip(clip), [POINT], {"every": 1, "both": True}, {"weights": 2}),
            fingerprint(digest_clip(clip), [], {"every": 1, "both": True}, {"weights": 1}),
            fingerprint(digest_clip(clip), [POINT], {"every": 2, "both": True}, {"weights": 1}),
        ]
        again = fingerprint(digest_clip(clip), [POINT], {"both": True, "every": 1}, {"weights": 1})
        assert again == prints[0]
        make_clip(clip, Recipe(frames=4))
        changed = fingerprint(
            digest_clip(clip), [POINT], {"every": 1, "both": True}, {"weights": 1}
        )
        assert len({*prints, changed}) == 5

    def test_a_digest_of_parts_is_of_the_files_in_them(self, folder: Path) -> None:
        for name in ("frames/a", "masks/a", "masks/b"):
            (folder / name).mkdir(parents=True)
            (folder / name / "0.png").write_bytes(name.encode())
        parts = ("frames/a", "masks/a")
        before = digest_clip(folder, parts)
        (folder / "masks/b/0.png").write_bytes(b"changed")
        assert digest_clip(folder, parts) == before
        (folder / "masks/a/0.png").write_bytes(b"changed")
        changed = digest_clip(folder, parts)
        (folder / "masks/a/0.png").rename(folder / "masks/a/1.png")
        assert len({before, changed, digest_clip(folder, parts)}) == 3


class TestManifest:
    @pytest.fixture
    def entries(self, folder: Path) -> Iterator[list[Entry]]:
        (folder / "a_masked.mp4").write_bytes(b"video")
        yield [
            Entry("a", DONE, "1", files={"a_masked.mp4": 5}),
            Entry("b", FAILED, "2", "damaged"),
            Entry("c", DIED, "3"),
            Entry("c", DIED, "3"),
        ]

    def test_it_is_read_again(self, folder: Path, entries: list[Entry]) -> None:
        manifest = Manifest(folder)
        for entry in entries:
            manifest.add(entry)
        for known in (manifest, None):
            if known is None:
                manifest.close()
                known = manifest = Manifest(folder)
            assert known.earlier("a", "1", folder) == entries[0]
            assert known.earlier("b", "2", folder) == entries[1]
            assert known.earlier("a", "0", folder) is known.earlier("b", "0", folder) is None
            assert (known.deaths("c", "3"), known.deaths("c", "0")) == (2, 0)
        (folder / "a_masked.mp4").write_bytes(b"half")
        assert manifest.earlier("a", "1", folder) is None
        (folder / "a_masked.mp4").unlink()
        assert manifest.earlier("a", "1", folder) is None
        manifest.close()

    @pytest.mark.parametrize("cut", [1, 10, 60])
    def test_a_line_that_was_cut_off_costs_itself_alone(
        self, folder: Path, entries: list[Entry], cut: int
    ) -> None:
        manifest = Manifest(folder)
        for entry in entries[:2]:
            manifest.add(entry)
        manifest.close()
        file = folder / "manifest.jsonl"
        file.write_bytes(file.read_bytes()[:-cut])
        manifest = Manifest(folder)
        assert manifest.earlier("a", "1", folder) == entries[0]
        assert manifest.earlier("b", "2", folder) == (entries[1] if cut == 1 else None)
        manifest.add(Entry("d", FAILED, "4"))
        manifest.close()
        manifest = Manifest(folder)
        assert manifest.earlier("a", "1", folder) and manifest.earlier("d", "4", folder)
        manifest.close()

    @pytest.mark.parametrize(
        "line",
        [
            "[" * 99_999,
            "7",
            '"a clip"',
            '{"clip": [], "facts": []}',
            '{"clip": "a", "facts": 7}',
            '{"name": [], "state": "done", "fingerprint": "1"}',
            '{"name": "a", "state": "done", "fingerprint": "1", "files": 7}',
            '{"name": "a", "state": "done", "fingerprint": "1", "score": "x"}',
            '{"name": "a", "state": "done", "fingerprint": "1", "other": 1}',
            "\x00\xff",
        ],
    )
    def test_lines_of_another_kind_say_nothing(
        self, folder: Path, entries: list[Entry], line: str
    ) -> None:
        (folder / "manifest.jsonl").write_text(line + "\n")
        manifest = Manifest(folder)
        assert manifest.earlier("a", "1", folder) is None
        (folder / "a").write_bytes(b"clip")
        assert len(manifest.digest(folder / "a")) == 64
        manifest.add(entries[0])
        manifest.close()
        again = Manifest(folder)
        assert again.earlier("a", "1", folder) == entries[0]
        again.close()

    def test_one_that_is_no_file_is_refused(self, folder: Path) -> None:
        (folder / "manifest.jsonl").symlink_to("/dev/zero")
        with pytest.raises(FileError, match="is a device or a pipe"):
            Manifest(folder)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full")
    def test_a_full_disk_is_told(self, folder: Path) -> None:
        manifest = Manifest(folder)
        with open("/dev/full", "wb", buffering=0) as full:
            manifest._file, whole = full, manifest._file
            with pytest.raises(FileError, match="the disk is full: .*manifest.jsonl was not"):
                manifest.add(Entry("a", DONE, "1"))
        whole.close()

    def test_one_run_at_a_time(self, folder: Path) -> None:
        manifest = Manifest(folder)
        with pytest.raises(UsageError, match="another run works in"):
            Manifest(folder)
        manifest.close()
        Manifest(folder).close()

    def test_clips_are_read_once(self, folder: Path, monkeypatch) -> None:
        read: list[Path] = []
        monkeypatch.setattr(
            "sam2_mlx.cli.batch.manifest.digest_clip", lambda clip, parts: read.append(clip) or "d"
        )
        clip = folder / "a.mp4"
        clip.write_bytes(b"one")
        for _ in range(2):
            manifest = Manifest(folder)
            assert manifest.digest(clip) == manifest.digest(clip) == "d"
            manifest.close()
        assert len(read) == 1
        clip.write_bytes(b"other")
        manifest = Manifest(folder)
        manifest.digest(clip)
        manifest.close()
        assert len(read) == 2
