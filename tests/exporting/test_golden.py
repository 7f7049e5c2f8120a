"""The vectors that the Swift package is tested with are those of today's Python."""

from __future__ import annotations

import base64
import json

import numpy as np

from tests.exporting.golden import PATH, golden


def test_golden_vectors_are_up_to_date() -> None:
    written, now = json.loads(PATH.read_text()), json.loads(json.dumps(golden()))
    assert list(written) == list(now)
    for name, cases in now.items():
        assert len(written[name]) == len(cases)
        for one, other in zip(written[name], cases, strict=True):
            for key, value in other.items():
                # Floats may differ in the last bit from one machine to another.
                if key in ("picture", "logits", "filled"):
                    assert np.allclose(floats(one[key]), floats(value), atol=1e-5), (name, key)
                else:
                    assert one[key] == value, (name, key)


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")
