"""The door for `python -m sam2_mlx.video`; the command lives in `cli/video.py`."""

from sam2_mlx.__main__ import run

if __name__ == "__main__":
    run("video")
