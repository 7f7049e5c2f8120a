"""Convert a checkpoint: the same as `sam2-mlx convert`."""

# ruff: noqa: E402
import signal

# Ctrl-C while the rest is imported is no traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from sam2_mlx.__main__ import run

if __name__ == "__main__":
    run("convert")
