"""Outputs appear whole, what killed runs left behind goes, and only files are opened."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from sam2_mlx import files
from sam2_mlx.cli.errors import guarded
from sam2_mlx.files import (
    FileError,
    StagedFile,
    StagedFolder,
    cache_dir,
    check_target,
    open_regular,
    quoted,
    read_json,
    sha256,
    together,
)


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_swept", set())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with StagedFile(target) as path:
        path.write_text("one")
        assert path.suffix == ".txt" and not target.exists()
    assert target.read_text() == "one"
    with pytest.raises(ZeroDivisionError), StagedFile(target) as path:
        path.write_text("two")
        raise ZeroDivisionError
    with pytest.raises(FileError, match="the disk is full"), StagedFile(target) as path:
        path.write_text("three")
        raise OSError(28, "No space left on device")
    assert target.read_text() == "one" and names(tmp_path) == ["a.txt"]


def test_several_files_appear_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    replace = os.replace
    monkeypatch.setattr(
        os, "replace", lambda source, to: (order.append(Path(to).name), replace(source, to))
    )
    for text in ("one", "two"):
        with suppress(ZeroDivisionError), together():
            for name in ("b.txt", "a.txt"):
                with StagedFile(tmp_path / name) as path:
                    path.write_text(text)
                assert (tmp_path / name).exists() == (text == "two")
            if text == "two":
                raise ZeroDivisionError
    assert order == names(tmp_path)[::-1] == ["b.txt", "a.txt"]
    assert [(tmp_path / name).read_text() for name in order] == ["one", "one"]
    with StagedFile(tmp_path / "c.txt") as path:
        path.write_text("three")
    assert (tmp_path / "c.txt").exists()


def test_nothing_is_removed_between_the_renames_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    replace, remove = os.replace, files._remove

    def rename(source: Path, to: Path) -> None:
        events.append("rename")
        replace(source, to)

    def note(path: Path) -> None:
        events.append("remove")
        remove(path)

    for _ in range(2):
        monkeypatch.setattr(os, "replace", rename)
        monkeypatch.setattr(files, "_remove", note)
        events.clear()
        with together():
            with StagedFolder(tmp_path / "masks", lambda _: ("a",)) as folder:
                (folder / "a").write_text("a")
            with StagedFile(tmp_path / "video") as path:
                path.write_text("video")
    assert events == ["rename"] * 4 + ["remove"] * 2 and names(tmp_path) == ["masks", "video"]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 251 + ".png")
    with StagedFile(target) as path:
        path.write_text("one")
    folder = tmp_path / ("f" * 255)
    with StagedFolder(folder, lambda _: ()) as path:
        (path / "a").write_text("one")
    assert names(tmp_path) == sorted([target.name, folder.name])


def test_a_folder_is_replaced_only_where_all_of_it_is_ours(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for text in ("one", "two"):
        with StagedFolder(target, lambda _: ("a",)) as path:
            (path / "a").write_text(text)
    assert (target / "a").read_text() == "two" and names(tmp_path) == ["out"]
    (target / "mine").write_text("mine")
    with pytest.raises(FileError, match="holds other files and will not be replaced .'mine'"):
        StagedFolder(target, lambda _: ("a",))
    assert names(target) == ["a", "mine"]
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(FileError, match="a file or a link"):
        StagedFolder(tmp_path / "link", lambda _: ("a", "mine"))


def test_what_is_put_into_a_folder_while_a_run_goes_on_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for text in ("one", "two"):
        with StagedFolder(target, lambda _: ("a", "b")) as path:
            (path / "a").write_text(text)
            if text == "two":
                (target / "mine").mkdir()
                (target / "mine" / "notes").write_text("mine")
                (target / "b").write_text("ours, not in the new one")
    assert names(target) == ["a", "mine"] and (target / "a").read_text() == "two"
    assert (target / "mine" / "notes").read_text() == "mine" and names(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_renamed_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace = tmp_path / "out", os.replace
    with StagedFolder(target, lambda _: ("a",)) as path:
        (path / "a").write_text("one")

    def refuse(source: Path, to: Path) -> None:
        if to == target and source.name.endswith("partial"):
            raise PermissionError(13, "Permission denied")
        replace(source, to)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(FileError, match="no permission"):
        with StagedFolder(target, lambda _: ("a",)) as path:
            (path / "a").write_text("two")
    assert (target / "a").read_text() == "one" and names(tmp_path) == ["out"]


def test_what_a_killed_run_left_goes_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from sam2_mlx.files import StagedFile, StagedFolder\n"
        "StagedFile(Path('a.txt')).path.write_text('half')\n"
        "(StagedFolder(Path('b'), lambda _: ()).path / 'c').write_text('half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=False)
    assert len(names(tmp_path)) == 2
    alive = StagedFile(tmp_path / "alive.txt").path.name.replace(f".{os.getpid()}.", ".1.")
    elsewhere = ".sam2-mlx.00000000.999999999.0.partial.txt"
    others = [alive, elsewhere, ".sam2-mlx.partial", "mine.partial.txt"]
    for name in others:
        (tmp_path / name).write_text("not ours")
    files._swept.clear()
    own = StagedFile(tmp_path / "own.txt")
    own.path.write_text("being written")
    files._swept.clear()
    check_target(tmp_path / "d.txt")
    with StagedFile(tmp_path / "d.txt") as path:
        path.write_text("whole")
    assert names(tmp_path) == sorted([*others, own.path.name, "d.txt"])


def test_where_a_file_cannot_be(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "such", "does not exist"),
        (tmp_path / "pipe", "a device or a pipe"),
        (Path("/dev/null"), "a device or a pipe|no permission"),
    ):
        with pytest.raises(FileError, match=words):
            check_target(target)


def test_only_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(FileError, match=r"a device or a pipe|a folder"):
            open_regular(path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_json_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2.5, null]}')
    assert read_json(path) == {"a": [1, 2.5, None]}
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Notepad on Windows writes it
    assert read_json(path) == {"a": [1, 2.5, None]}
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 10**6)
    for text, words in (
        ("[" * 500_000, "nested too deeply"),
        ("{", "not JSON"),
        ("1" * 5000, "not JSON"),
        (" " * 1_000_001, "longer than"),
    ):
        path.write_text(text)
        with pytest.raises(FileError, match=words):
            read_json(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(FileError, match="not JSON"):
        read_json(path)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAM2_MLX_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("SAM2_MLX_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_dir() == Path("/home/somebody/.cache/sam2_mlx")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_dir() == Path("/caches/sam2_mlx")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == Path("/home/somebody/Library/Caches/sam2_mlx")


@pytest.mark.filterwarnings("default")
def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    def warn_and_fail() -> int:
        warnings.warn("odd\x07", stacklevel=1)
        raise ValueError("\x1b[2Jtwo\nlines \u202e")

    assert guarded(warn_and_fail) == 2
    assert capsys.readouterr().err == (
        "sam2-mlx: note: odd\\x07\nsam2-mlx: error: \\x1b[2Jtwo lines \\u202e\n"
    )
    assert quoted(["\x1b"] * 99).isprintable() and len(quoted("x" * 999)) < 120
