"""Write single pictures: drawn masks, palette masks, and cut-outs with alpha."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sam2_mlx.files import StagedFile
from sam2_mlx.media.errors import MediaError

# Colours are kept so far around the objects of a clip: a player that blends pixels at their edge
# must not meet the black of what is left out.
_MARGIN_PIXELS = 8
_DRAWN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def check_picture_name(target: Path, alpha: bool = False) -> None:
    """Check that a name tells a picture that can be written.

    Args:
        target: name of the picture to write.
        alpha: whether it must keep transparency.

    Raises:
        MediaError: if its extension is not known, or cannot keep transparency.
    """
    suffixes = (".png", ".webp") if alpha else _DRAWN_SUFFIXES
    if target.suffix.lower() not in suffixes:
        kind = f"'{target.suffix}'" if target.suffix else "no extension"
        raise MediaError(f"{target} has {kind}; give a name that ends in {' or '.join(suffixes)}")


def save_picture(target: Path, image: Image.Image) -> None:
    """Write a picture beside its target and rename it.

    Args:
        target: the file; its extension tells the format, an existing one is replaced.
        image: what to write.

    Raises:
        MediaError: if it cannot be written; nothing is left behind then.
    """
    check_picture_name(target, alpha=image.mode == "RGBA")
    options = {"lossless": True} if target.suffix.lower() == ".webp" else {"quality": 95}
    if target.suffix.lower() == ".png":
        options = {"compress_level": 4}
    with StagedFile(target) as path:
        image.save(path, **options)


def cut_out(picture: np.ndarray, mask: np.ndarray) -> Image.Image:
    """The object alone, the rest transparent.

    Args:
        picture: uint8 (H, W, 3) RGB.
        mask: bool (H, W).

    Returns:
        A picture of mode RGBA and the same size: alpha is 255 on the object and 0 elsewhere,
        where the colour is black so that nothing hidden is passed on.
    """
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    visible = np.where(mask[..., None], picture, 0).astype(np.uint8)
    return Image.fromarray(np.dstack([visible, alpha]))


def cut_out_frame(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The objects, bool (O, H, W), of a frame, uint8 (H, W, 3), alone: uint8 (H, W, 4) RGBA."""
    import cv2

    cover = np.any(masks, axis=0).astype(np.uint8)
    near = cv2.dilate(cover, np.ones((2 * _MARGIN_PIXELS + 1,) * 2, np.uint8))
    return np.dstack([image * near[..., None], cover * 255])
