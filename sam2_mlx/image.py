"""The door for `python -m sam2_mlx.image`; the command lives in `cli/image.py`."""

import sys

from sam2_mlx.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["image", *sys.argv[1:]]))
