"""Convert a checkpoint: the same as `sam2-mlx convert`."""

import sys

from sam2_mlx.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
