"""Masks in every encoding, read back."""

from __future__ import annotations

import struct

import cv2
import mlx.core as mx
import numpy as np
import pytest

from sam2_mlx.apps.serving.masks import MASK_ENCODINGS, encode_masks, encode_planes
from sam2_mlx.ops import rle
from sam2_mlx.tracking.results import FrameMasks

HEIGHT, WIDTH = 45, 61


def blob(seed: int) -> np.ndarray:
    """A mask with a hole, a speck and a border that bends."""
    noise = np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH)).astype(np.float32)
    mask = cv2.GaussianBlur(noise, (0, 0), 4) > 0.02
    mask[3, 3] = True
    return mask


PLANES = np.stack([blob(1), blob(2), np.zeros((HEIGHT, WIDTH), bool)])


def decode(data: bytes, encoding: str) -> np.ndarray:
    if encoding == "bits":
        rows = np.frombuffer(data, np.uint8).reshape(HEIGHT, -1)
        return np.unpackbits(rows, axis=1)[:, :WIDTH].astype(bool)
    if encoding == "gray8":
        gray = np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH)
        assert set(np.unique(gray)) <= {0, 255}
        return gray == 255
    if encoding == "rle":
        return rle.counts_to_mask(np.frombuffer(data, "<u4"), (HEIGHT, WIDTH))
    (count,) = struct.unpack_from("<I", data)
    lengths = struct.unpack_from(f"<{count}I", data, 4)
    points = np.frombuffer(data, "<f4", offset=4 + 4 * count).reshape(-1, 2)
    assert len(points) == sum(lengths)
    rings = np.split(points, np.cumsum(lengths)[:-1]) if count else []
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(canvas, [(ring - 0.5).round().astype(int) for ring in rings], 1)
    return canvas.astype(bool)


@pytest.mark.parametrize("encoding", ["bits", "gray8", "rle", "polygons"])
def test_what_is_encoded_is_what_is_read(encoding: str) -> None:
    extents, data = encode_planes(PLANES, encoding)
    for plane, extent in zip(PLANES, extents, strict=True):
        found = decode(data[extent["offset"] : extent["offset"] + extent["bytes"]], encoding)
        if encoding == "polygons":
            # OpenCV fills the border of holes too.
            assert (found & plane).sum() == plane.sum()
            assert (found & ~plane).sum() <= 0.1 * plane.sum()
        else:
            assert (found == plane).all()
        x, y, width, height = rle.bounding_box(plane)
        assert extent["area"] == plane.sum() and extent["box"] == [x, y, x + width, y + height]
    assert sum(extent["bytes"] for extent in extents) == len(data)


def test_low8_has_an_eighth_of_a_logit() -> None:
    logits = np.linspace(-20, 20, 2 * 8 * 8, dtype=np.float32).reshape(2, 1, 8, 8)
    masks = FrameMasks(
        3, (7, 9), mx.array(logits), mx.array([0.5, 0.25]), mx.array([2.0, -1.0]), (90, 160)
    )
    facts, data = encode_masks(masks, "low8")
    assert (facts["frame"], facts["width"], facts["height"]) == (3, 8, 8)
    back = (np.frombuffer(data, np.uint8).reshape(2, 8, 8).astype(np.float32) - 128) / 8
    assert np.abs(back - np.clip(logits[:, 0], -16, 127 / 8)).max() <= 1 / 16 + 1e-6
    (first, second) = facts["objects"]
    assert first["object"] == 7 and first["iou"] == 0.5 and second["presence"] == -1.0
    assert (first["area"], second["area"]) == (0, 64)


@pytest.mark.parametrize("encoding", MASK_ENCODINGS)
def test_a_frame_without_objects(encoding: str) -> None:
    none = mx.zeros((0,))
    masks = FrameMasks(0, (), mx.zeros((0, 1, 0, 0)), none, none, (90, 160))
    facts, data = encode_masks(masks, encoding)
    assert facts["objects"] == [] and data == b"" and facts["width"] == 160
