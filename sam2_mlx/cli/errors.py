"""Every end of a command: an exit code and at most one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

INVALID = 2
INTERRUPTED = 130


class UsageError(ValueError):
    """Arguments that cannot be carried out; one line that says what to do."""


def guarded(work: Callable[[], int]) -> int:
    """Do a command's work and turn its errors into one line and an exit code.

    Args:
        work: does it and returns the exit code.

    Returns:
        The exit code: 2 for input that cannot be carried out, 130 for Ctrl-C. A reader of standard
        output that went away (`| head`) is no error.
    """
    try:
        code = work()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("sam2-mlx: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to go.
        if sys.stdout is sys.__stdout__:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    # Bad input: every layer below raises these with a message for the user.
    except (ValueError, OSError) as problem:
        report(problem)
        return INVALID
    except MemoryError:
        report("out of memory; use a smaller --image-size or a smaller picture")
        return INVALID


def note(text: str) -> None:
    """Print what the user should know though all went on."""
    print(f"sam2-mlx: note: {text}", file=sys.stderr)


def report(problem: object) -> None:
    """Print a problem as one line."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    print(f"sam2-mlx: error: {text}", file=sys.stderr)
