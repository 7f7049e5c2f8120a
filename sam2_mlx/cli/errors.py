"""Every end of a command: an exit code and at most one line."""

from __future__ import annotations

import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, TextIO

from sam2_mlx.cli.process import Handling, interrupt, silence_stdout
from sam2_mlx.files import printable

INVALID = 2
PREFIX = "sam2-mlx: "
NOTE, ERROR = PREFIX + "note: ", PREFIX + "error: "
# Shared libraries alone take 1 GB of it, the bundled model another half.
_LEAST_ADDRESS_SPACE = 2 * 10**9


class UsageError(ValueError):
    """Arguments that cannot be carried out; one line that says what to do."""


def guarded(work: Callable[[], int]) -> int:
    """Do a command's work and turn its errors and signals into one line and an exit code.

    Returns:
        The exit code: 2 for input that cannot be carried out, 128 and its number for a signal
        (130 for Ctrl-C). A reader of standard output that went away (`| head`) is no error.
    """
    code = None
    try:
        with Handling(interrupt), warnings.catch_warnings():
            # What Pillow has to say about a file is in our own line, or of no use.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            warnings.showwarning = _warn
            code = work()
            if sys.stdout is not None:
                sys.stdout.flush()
    except KeyboardInterrupt as problem:
        # A signal that came when all was done changes nothing.
        if code is None:
            tell("interrupted; nothing was written")
            code = 128 + getattr(problem, "number", signal.SIGINT)
    except BrokenPipeError:
        silence_stdout()
        return code or 0
    # Bad input: every layer below raises these with a message for the user.
    except (ValueError, OSError) as problem:
        report(problem)
        return INVALID
    except ImportError as problem:
        report(f"a library cannot be loaded ({problem}); is there memory enough, and is it whole?")
        return INVALID
    except MemoryError:
        report("out of memory; use a smaller --image-size or a smaller picture")
        return INVALID
    return code


def check_process() -> None:
    """Check that the process has a folder to be in and the memory that the libraries need.

    Where memory runs out they end the process in ways that cannot be caught.

    Raises:
        UsageError: if it has not.
    """
    try:
        os.getcwd()
    except OSError:
        raise UsageError("the current folder is gone or closed to you; change to another") from None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise UsageError(
            f"this process may have {limit / 1e9:.1f} GB of address space (ulimit -v) and needs "
            f"{_LEAST_ADDRESS_SPACE / 1e9:.0f} GB or more; raise the limit"
        )


def say(text: str, stream: TextIO | None = None) -> None:
    """Print what a command has to say, names of files in it, and nothing that a terminal obeys.

    Args:
        text: one line or several.
        stream: standard output if None.
    """
    print(*map(printable, text.split("\n")), sep="\n", file=stream)


def tell(text: str, prefix: str = PREFIX) -> None:
    """Print a line about the command itself, on standard error."""
    print(f"{prefix}{printable(text)}", file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Print what the user should know though all went on."""
    tell(text, NOTE)


def report(problem: object) -> None:
    """Print a problem as one line."""
    tell(" ".join(str(problem).split()) or type(problem).__name__, ERROR)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    note(str(message))
