"""Convert a checkpoint: the same as `sam2-mlx convert`."""

from sam2_mlx.__main__ import run

if __name__ == "__main__":
    run("convert")
