"""Convert a checkpoint: the same as `sam2-mlx convert`."""

from __future__ import annotations

import sys

from sam2_mlx.checkpoints.convert import main

if __name__ == "__main__":
    sys.exit(main())
