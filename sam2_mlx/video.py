"""The door for `python -m sam2_mlx.video`; the command lives in `cli/video.py`."""

import sys

from sam2_mlx.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["video", *sys.argv[1:]]))
