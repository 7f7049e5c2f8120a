"""Masks drawn and saved: right pixels, streamed, atomic."""

from __future__ import annotations

import errno
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_mlx.media import MediaError
from sam2_mlx.media.cutout import check_picture_name, cut_out, save_picture
from sam2_mlx.media.mask_writer import (
    MaskRecord,
    MaskWriter,
    open_mask_writer,
    read_npz_masks,
)
from sam2_mlx.media.overlay import PALETTE, draw_masks, object_color
from sam2_mlx.ops import rle

SIZE = (30, 45)


def record(frame: int, ids: tuple[int, ...] = (1, 7)) -> MaskRecord:
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 5:15, 5 + frame : 20 + frame] = True
    masks[1, 10:25, 15:40] = frame != 2
    scores = np.array([0.9, 0.8], np.float32) - frame / 100
    presence = np.array([4.0, -3.0], np.float32)
    return MaskRecord(frame, f"{frame:05d}", ids, masks, scores, presence)


def save(target: Path, ids: tuple[int, ...] = (1, 7), frames: int = 4) -> MaskWriter:
    writer = open_mask_writer(target)
    for frame in range(frames):
        writer.add(record(frame, ids))
    writer.finish()
    return writer


def test_palette_pictures_hold_the_ids(tmp_path: Path) -> None:
    save(tmp_path / "masks")
    names = sorted(path.name for path in (tmp_path / "masks").iterdir())
    assert names == [*(f"{frame:05d}.png" for frame in range(4)), "masks.json"]
    with Image.open(tmp_path / "masks" / "00001.png") as image:
        assert image.mode == "P"
        assert tuple(image.getpalette()[21:24]) == object_color(1)
        index = np.asarray(image)
    expected = np.zeros(SIZE, int)
    expected[record(1).masks[0]] = 1
    expected[record(1).masks[1]] = 7
    assert np.array_equal(index, expected)
    notes = json.loads((tmp_path / "masks" / "masks.json").read_text())
    assert notes["objects"] == [{"id": 1, "value": 1}, {"id": 7, "value": 7}]
    assert notes["frames"][2]["iou"] == [0.88, 0.78]


def test_large_ids_are_numbered_by_their_place(tmp_path: Path) -> None:
    save(tmp_path / "masks", ids=(1000, 2000))
    with Image.open(tmp_path / "masks" / "00000.png") as image:
        assert set(np.unique(np.asarray(image))) == {0, 1, 2}
    # One that does not fit is enough.
    save(tmp_path / "mixed", ids=(3, 1000))
    with Image.open(tmp_path / "mixed" / "00000.png") as image:
        assert set(np.unique(np.asarray(image))) == {0, 1, 2}


def test_the_archive_reads_back(tmp_path: Path) -> None:
    save(tmp_path / "masks.npz")
    for frame in range(4):
        ids, masks = read_npz_masks(tmp_path / "masks.npz", frame)
        assert ids == (1, 7)
        assert np.array_equal(masks, record(frame).masks)
    with np.load(tmp_path / "masks.npz") as data:
        assert data["frames"].tolist() == [0, 1, 2, 3]
        assert data["size"].tolist() == list(SIZE)
        assert data["iou"].shape == data["presence"].shape == (4, 2)
        # As the docstring says, without this package.
        packed = data["frame_000002"]
        masks = np.unpackbits(packed, axis=2, count=data["size"][1]).astype(bool)
    assert np.array_equal(masks, record(2).masks)


def test_the_archive_is_written_frame_by_frame(tmp_path: Path) -> None:
    writer = open_mask_writer(tmp_path / "masks.npz")
    sizes = []
    for frame in range(3):
        writer.add(record(frame))
        writer._file.fp.flush()
        sizes.append(writer._staged.path.stat().st_size)
    assert sizes == sorted(set(sizes)) and sizes[0] > 100
    writer.abort()


def test_coco_records(tmp_path: Path) -> None:
    save(tmp_path / "masks.json")
    data = json.loads((tmp_path / "masks.json").read_text())
    assert [image["id"] for image in data["images"]] == [0, 1, 2, 3]
    assert len(data["annotations"]) == 8
    assert len({note["id"] for note in data["annotations"]}) == 8
    for note in data["annotations"]:
        mask = record(note["frame"]).masks[(1, 7).index(note["object_id"])]
        assert np.array_equal(rle.decode(note["segmentation"]), mask)
        assert note["area"] == mask.sum()
        assert tuple(note["bbox"]) == rle.bounding_box(mask)
    assert data["annotations"][0]["score"] == 0.9
    assert data["annotations"][0]["presence"] == pytest.approx(0.982, abs=1e-3)
    assert data["info"]["object_ids"] == [1, 7]


@pytest.mark.parametrize("name", ["masks", "masks.npz", "masks.json"])
def test_the_name_appears_only_at_the_end(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    save(target, frames=1)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    writer = open_mask_writer(target)
    writer.add(record(0))
    writer.add(record(3))
    if target.is_dir():
        assert not (target / "00003.png").exists()
    writer.abort()
    writer.abort()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    save(target, frames=4)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["masks", "masks.npz", "masks.json"])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = open_mask_writer(tmp_path / name)
    writer.add(record(0))
    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    monkeypatch.setattr(rle, "encode", full)
    with pytest.raises(MediaError, match="the disk is full"):
        writer.add(record(1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_never_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "00000.png").write_bytes(b"mine")
    with pytest.raises(MediaError, match="holds other files and will not be replaced"):
        open_mask_writer(precious)
    assert (precious / "00000.png").read_bytes() == b"mine"


def test_unknown_forms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"a folder, or a name that ends in \.npz, \.json or"):
        open_mask_writer(tmp_path / "masks.zip")
    writer = open_mask_writer(tmp_path / "masks.npz")
    writer.add(record(0))
    small = replace(record(1), masks=np.zeros((2, 3, 4), bool))
    for other in (record(1, (1, 8)), small):
        with pytest.raises(ValueError, match=r"need shape \(2, 30, 45\) and the objects \(1, 7\)"):
            writer.add(other)
    writer.abort()


@pytest.mark.parametrize("name", ["masks", "masks.npz", "masks.json"])
def test_without_a_record_nothing_is_written(tmp_path: Path, name: str) -> None:
    open_mask_writer(tmp_path / name).finish()
    assert list(tmp_path.iterdir()) == []


def test_masks_are_filled_and_outlined_in_their_colours() -> None:
    frame = np.full((200, 300, 3), 100, np.uint8)
    masks = np.zeros((2, 200, 300), bool)
    masks[0, 40:120, 30:150] = True
    masks[1, 100:180, 120:280] = True
    drawn = draw_masks(frame, masks)
    assert (frame == 100).all()
    for rank, place in ((0, (60, 60)), (1, (150, 200)), (1, (110, 135))):
        expected = [round((100 + value) / 2) for value in object_color(rank)]
        below = 100 if place != (110, 135) else None
        if below is not None:
            assert np.abs(drawn[place].astype(int) - expected).max() <= 1
    assert tuple(drawn[40, 60]) == object_color(0)
    assert tuple(drawn[179, 200]) == object_color(1)
    assert (drawn[20, 200] == 100).all()
    assert len(set(PALETTE)) == len(PALETTE)


def test_drawing_an_empty_or_a_full_mask() -> None:
    frame = np.full((20, 30, 3), 100, np.uint8)
    assert np.array_equal(draw_masks(frame, np.zeros((1, 20, 30), bool)), frame)
    assert np.array_equal(draw_masks(frame, np.zeros((0, 20, 30), bool)), frame)
    full = draw_masks(frame, np.ones((1, 20, 30), bool))
    # No outline along the picture's own border.
    assert (full == full[10, 10]).all()
    with pytest.raises(ValueError, match="mask 0 has shape"):
        draw_masks(frame, np.ones((1, 10, 30), bool))


def test_cut_outs(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:10, 5:20] = True
    save_picture(tmp_path / "cut.png", cut_out(picture, mask))
    with Image.open(tmp_path / "cut.png") as image:
        layers = np.asarray(image)
    assert np.array_equal(layers[..., 3] == 255, mask)
    assert np.array_equal(layers[mask][:, :3], picture[mask])
    assert (layers[~mask] == 0).all()
    assert [path.name for path in tmp_path.iterdir()] == ["cut.png"]
    with pytest.raises(MediaError, match=r"\.png or \.webp"):
        check_picture_name(Path("cut.jpg"), alpha=True)
