"""Ctrl-C while a command is still importing: one line, no traceback. Imported before all else."""

# The module `signal` itself is a tenth of the time that there is to be interrupted in.
import _signal  # type: ignore[import-not-found]
import os

_LINE = b"sam2-mlx: interrupted; nothing was written\n"


def leave(number: int, frame: object) -> None:
    """End the process at once; nothing was begun that would have to be undone."""
    try:
        os.write(2, _LINE)
    except OSError:
        pass  # nobody listens
    os._exit(128 + number)


_signal.signal(_signal.SIGINT, leave)
