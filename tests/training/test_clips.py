"""Training clips: what is said about a pixel is what is seen there; nothing of the held-out set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import sprites
from training.clips import Clip, ClipMaker, Recipe
from training.heldout import FIRST_SEED
from training.sprites import Bank, centred, drawn_sprite, held_out

SIZE = 96


@pytest.fixture(scope="module")
def bank() -> Bank:
    return sprites.build(None, drawn=12, grounds=3)


def make(bank: Bank, seed: int, **settings: float) -> Clip:
    return ClipMaker(bank, seed).make(Recipe(size=SIZE, **settings))  # type: ignore[arg-type]


def test_a_seed_makes_the_same_clip_again(bank: Bank) -> None:
    first, again = (make(bank, 4, frames=5) for _ in range(2))
    other = make(bank, 5, frames=5)
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.labels, again.labels)
    assert np.array_equal(first.targets, again.targets)
    assert not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("seed", range(6))
def test_targets_are_well_seen_on_the_first_frame(bank: Bank, seed: int) -> None:
    clip = make(bank, seed, frames=3, objects=2)
    assert clip.frames.shape == (3, SIZE, SIZE, 3) and clip.frames.dtype == np.uint8
    assert clip.labels.shape == (3, SIZE, SIZE)
    assert len(clip.targets) == 2
    for target in clip.targets:
        assert np.count_nonzero(clip.labels[0] == target) >= 90 * (SIZE / 256) ** 2


def test_labels_lie_where_the_things_are() -> None:
    """One white sprite on black: the label is where it is light."""
    white = drawn_sprite(10_000).copy()
    white[..., :3] = white[..., 3:]
    plain = Bank(
        white[None],
        np.zeros(1, np.uint8),
        [np.zeros((320, 512, 3), np.uint8)],
        [np.zeros((1, 1), np.uint16)],
    )
    checked = 0
    for seed in range(20):
        clip = make(plain, seed, frames=4, hidden=0.0, look_alike=0.0)
        light = clip.frames.max(-1).astype(int)
        if light.max() < 80:
            continue  # tinted dark
        checked += 1
        assert np.count_nonzero(light[clip.labels == 0] > 100) < 0.03 * clip.labels.size
        assert light[clip.labels > 0].mean() > 3 * light[clip.labels == 0].mean()
    assert checked > 10


def test_things_are_hidden_leave_and_come_back(bank: Bank) -> None:
    """Over some clips a target disappears wholly at times, and is seen again later."""
    maker = ClipMaker(bank, 1)
    gone = back = 0
    for _ in range(40):
        clip = maker.make(Recipe(size=SIZE, frames=12, hidden=1.0, leaves=0.5))
        for target in set(clip.targets.tolist()):
            seen = (clip.labels == target).any((1, 2))
            gone += not seen.all()
            back += bool(seen[np.flatnonzero(~seen)[0] :].any()) if not seen.all() else 0
    assert gone >= 8 and back >= 3


def test_what_is_hidden_is_a_target_and_comes_back_in_time(bank: Bank) -> None:
    """Only the last four frames of a clip are learned from; there it has to be seen again."""
    maker = ClipMaker(bank, 2)
    hidden = back = 0
    for _ in range(40):
        clip = maker.make(
            Recipe(size=SIZE, frames=12, objects=2, hidden=1.0, leaves=0.0, regions=0.0)
        )
        for target in set(clip.targets.tolist()):
            seen = (clip.labels == target).sum((1, 2)) / (clip.labels[0] == target).sum()
            if seen.min() < 0.1:
                hidden += 1
                back += bool((seen[-4:] > 0.4).any())
    assert hidden >= 20 and back >= 0.6 * hidden


def test_a_post_reaches_over_what_it_hides(bank: Bank) -> None:
    post = ClipMaker(bank, 3)._post((1.0, 1.0))
    solid = post.levels[0][..., 3] > 0
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    assert solid[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert len(rows) >= 3 * len(columns) - 1 and len(columns) == 40


def test_a_region_of_the_background_can_be_a_target(bank: Bank) -> None:
    region = np.zeros((320, 512), np.uint16)
    region[60:260, 80:420] = 1
    ground = np.full((320, 512, 3), 90, np.uint8)
    one = Bank(bank.sprites, bank.kinds, [ground], [region])
    clip = make(one, 2, frames=2, regions=1.0, objects=3)
    assert clip.targets[0] == 255
    assert (clip.labels[0] == 255).any()


def test_the_bank_comes_back_as_it_was_saved(bank: Bank, tmp_path: Path) -> None:
    bank.save(tmp_path / "bank.npz")
    again = Bank.load(tmp_path / "bank.npz")
    assert np.array_equal(again.sprites, bank.sprites) and np.array_equal(again.kinds, bank.kinds)
    assert all(np.array_equal(a, b) for a, b in zip(again.grounds, bank.grounds, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["bank.npz"]


def test_nothing_held_out_can_be_drawn() -> None:
    with pytest.raises(ValueError, match="for measuring"):
        drawn_sprite(FIRST_SEED)
    assert sprites._DRAWN_SEED + 100_000 < sprites._GROUND_SEED < FIRST_SEED - 100_000


def test_sprites_fill_the_canvas_and_keep_below_their_alpha() -> None:
    picture = np.zeros((50, 90, 4), np.uint8)
    picture[10:30, 20:80] = (200, 100, 50, 255)
    sprite = centred(picture)
    assert sprite is not None
    assert sprite.shape == (128, 128, 4)
    rows, columns = np.nonzero(sprite[..., 3] > 127)
    assert np.ptp(columns) == 111 and 34 <= np.ptp(rows) <= 38
    assert (sprite[..., :3].max(-1) <= sprite[..., 3]).all()
    assert centred(np.zeros((50, 90, 4), np.uint8)) is None


def test_emoji_and_photographs_go_into_the_bank(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[8:56, 8:56] = (255, 200, 0, 255)
    names = [f"{number:04x}" for number in range(40)]
    (tmp_path / "fluent").mkdir()
    for name in names:
        Image.fromarray(picture).save(tmp_path / "fluent" / f"{name}.png")
    photo = np.full((400, 500, 3), 60, np.uint8)
    photo[100:220, 150:320] = (220, 180, 40)
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "photo-2.png")
    assert not held_out("photo-2.png")
    bank = sprites.build(tmp_path, drawn=1, grounds=1)
    kept = sum(not held_out(name) for name in names)
    assert 25 < kept < 40
    assert np.bincount(bank.kinds).tolist() == [1, kept, 1]
    assert len(bank.grounds) == 2 and bank.regions[1].max() == 1
