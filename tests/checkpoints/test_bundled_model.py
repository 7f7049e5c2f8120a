"""What comes with the package: small weights, and a card that says what they are."""

from __future__ import annotations

import re

from sam2_mlx.checkpoints.load import BUNDLED_FOLDER


def test_the_bundled_weights_stay_small() -> None:
    assert (BUNDLED_FOLDER / "model.safetensors").stat().st_size < 12e6


def test_the_card_has_the_numbers_of_the_quality_page() -> None:
    card = (BUNDLED_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    page = BUNDLED_FOLDER.parents[2] / "docs" / "quality.md"
    for prompt in ("one click", "5 clicks", "box", "true mask"):
        numbers = re.search(rf"^\| {prompt} \| (.+?) \| (.+?) \| (.+?) \|$", card, re.MULTILINE)
        assert numbers is not None
        both, first, tracked = numbers.groups()
        row = re.search(
            rf"^\| {prompt} \| {both} \| (.+?) \|", page.read_text("utf-8"), re.MULTILINE
        )
        assert row is not None and row.group(1) == tracked, prompt
        line = row.string[row.start() : row.string.index("\n", row.start())]
        assert line.endswith(f"| {first} |")
