"""The door for `python -m sam2_mlx.image`; the command lives in `cli/image.py`."""

from sam2_mlx.__main__ import run

if __name__ == "__main__":
    run("image")
