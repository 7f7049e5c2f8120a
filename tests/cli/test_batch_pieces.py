"""Files in pieces, as they travel between machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from sam2_mlx.cli.batch import pieces
from sam2_mlx.cli.batch.pieces import check_name, fetch_result, list_result, read_piece, write_piece
from sam2_mlx.files import FileError


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 4)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/a", "..\\a", "a\0b", 7, None])
def test_a_name_that_leads_elsewhere_is_refused(name: object) -> None:
    with pytest.raises(FileError, match="no plain name"):
        check_name(name)


def test_clips_arrive_as_they_were(folder: Path) -> None:
    (folder / "there").mkdir()
    contents = {"a b.png": b"", "b.png": b"1234", "c.png": b"123456789"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = [folder / name for name in contents]
    for name, offset, content in pieces.pieces(files):
        assert len(content) <= 4
        write_piece(folder / "there" / check_name(name), offset, content)
    assert {file.name: file.read_bytes() for file in Path("there").iterdir()} == contents


def test_a_piece_without_those_before_it_is_refused(folder: Path) -> None:
    write_piece(folder / "a", 0, b"1234")
    with pytest.raises(FileError, match="has 4 bytes, and a piece for 8 came"):
        write_piece(folder / "a", 8, b"5678")


@pytest.mark.parametrize(
    "contents",
    [
        {"": b"123456789"},
        {"": b""},
        {"1.png": b"12345", "m": b"", "a/1.png": b"1", "a/2.png": b"2"},
    ],
)
def test_results_arrive_whole_or_not_at_all(folder: Path, contents: dict[str, bytes]) -> None:
    there, here = folder / "there", folder / "here"
    if "" not in contents:
        there.mkdir()
    for name, content in contents.items():
        place = there / name if name else there
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
    files = list_result(there)

    def read(name: str, offset: int) -> bytes:
        return read_piece(there / name if name else there, offset)

    fetch_result(here, files, read)
    assert list_result(here) == files
    fetch_result(here, files, read)  # files of the same names are replaced
    if here.is_dir():
        (here / "a").mkdir(exist_ok=True)
        (here / "a" / "letter.txt").touch()
        with pytest.raises(FileError, match="holds other files"):
            fetch_result(here, files, read)
    for damaged in (lambda name, offset: b"", lambda name, offset: b"0" + read(name, offset)[1:]):
        if any(contents.values()):
            with pytest.raises(FileError, match="whole"):
                fetch_result(folder / "other", files, damaged)
    assert sorted(path.name for path in folder.iterdir()) == ["here", "there"]


def test_a_result_with_a_name_that_leads_elsewhere_is_refused(folder: Path) -> None:
    (folder / "out").mkdir()
    with pytest.raises(FileError, match="no plain name"):
        fetch_result(folder / "out" / "masks", {"../../x": (1, "0")}, lambda name, offset: b"1")
    assert not list((folder / "out").iterdir()) and sorted(folder.iterdir()) == [folder / "out"]
