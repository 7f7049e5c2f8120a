"""Single masks at the picture's size, and of each only the part where it can be.

Most masks cover little of a picture. Enlarging is linear with weights that are never negative
and sum to one, so where no low-resolution pixel around is above a threshold, none of the
enlarged ones is: those parts are never made.
"""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from sam2_mlx.ops.precision import exact_matmul


@dataclass(frozen=True)
class Window:
    """A part of the picture, and the part of the low-resolution mask that it is made from.

    Attributes:
        rows: of the picture, first and after the last.
        columns: likewise.
        low_rows: of the low-resolution mask, first and after the last.
        low_columns: likewise.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    low_rows: tuple[int, int]
    low_columns: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of pixels of the picture's part."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


class Enlarger:
    """Enlarges masks by two matrices.

    Args:
        rows: float32 (H, h), how each row of the picture is mixed from those of a mask.
        columns: float32 (W, w), likewise for columns.
    """

    def __init__(self, rows: mx.array, columns: mx.array) -> None:
        self._rows, self._columns = rows, columns
        self._row_taps, self._column_taps = _taps(rows), _taps(columns)

    def window(self, box: np.ndarray) -> Window:
        """The part of the picture that some low-resolution pixels reach.

        Args:
            box: (x0, y0, x1, y1) around those pixels, the last row and column included.
        """
        x0, y0, x1, y1 = (int(value) for value in box)
        rows, low_rows = _reach(self._row_taps, y0, y1)
        columns, low_columns = _reach(self._column_taps, x0, x1)
        return Window(rows, columns, low_rows, low_columns)

    def enlarge(self, logits: mx.array, window: Window) -> mx.array:
        """The window's part of a mask (h, w) at the picture's size, float32."""
        (y0, y1), (x0, x1) = window.low_rows, window.low_columns
        rows = self._rows[slice(*window.rows), y0:y1]
        columns = self._columns[slice(*window.columns), x0:x1]
        return exact_matmul(exact_matmul(rows, logits[y0:y1, x0:x1]), columns.T)


def _taps(matrix: mx.array) -> tuple[np.ndarray, np.ndarray]:
    """First and last place in each row that is not zero."""
    filled = np.array(matrix) != 0
    return filled.argmax(axis=1), filled.shape[1] - 1 - filled[:, ::-1].argmax(axis=1)


def _reach(
    taps: tuple[np.ndarray, np.ndarray], first: int, last: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Outputs that read any of some inputs, and all inputs that these read."""
    low, high = taps
    reached = np.flatnonzero((high >= first) & (low <= last))
    if not len(reached):  # a reduction can leave an input out
        return (0, 0), (0, 0)
    start, stop = int(reached[0]), int(reached[-1]) + 1
    return (start, stop), (int(low[start]), int(high[stop - 1]) + 1)
