"""The process of a command: streams that are closed, signals at every moment, memory."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sam2_mlx.cli.errors import check_process, guarded
from sam2_mlx.cli.process import Handling, Interrupted, interrupt
from sam2_mlx.cli.stop import StopSignals
from tests.cli.machine_faults import hear_signals

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _signals_are_heard() -> Iterator[None]:
    # Behind a shell's `&` or nohup they are ignored, and that is inherited.
    before = {number: signal.getsignal(number) for number in ENDING}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    hear_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(words: str, paths: list[Path], **options: Any) -> subprocess.Popen[str]:
    """A Python process with so many places to import from."""
    return subprocess.Popen(
        [sys.executable, *words.split()],
        # Unbuffered, a reader that is gone shows where Python hides it.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONUNBUFFERED": ""},
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": hear_signals}
        | options,
    )


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_one_line_and_its_own_code(number: signal.Signals, capsys) -> None:
    before = [signal.getsignal(each) for each in ENDING]
    assert guarded(lambda: signal.raise_signal(number)) == 128 + number  # type: ignore[arg-type]
    assert capsys.readouterr().err == "sam2-mlx: interrupted; nothing was written\n"
    assert [signal.getsignal(each) for each in ENDING] == before


def test_a_signal_after_the_work_changes_nothing(monkeypatch, capsys) -> None:
    class Late:
        def flush(self) -> None:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sys, "stdout", Late())
    code = guarded(lambda: 7)
    monkeypatch.undo()
    assert code == 7 and capsys.readouterr().err == ""


def test_nohup_stays_in_force() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.received == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_second_signal_interrupts_whichever_it_is() -> None:
    with StopSignals() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.received == signal.SIGHUP
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGTERM)
    assert caught.value.number == signal.SIGTERM


def test_handlers_are_left_alone_in_other_threads() -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            with Handling(interrupt):
                pass
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert problems == []


@pytest.mark.parametrize("module", ["sam2_mlx", "sam2_mlx.video"])
def test_ctrl_c_while_a_command_imports(repository: Path, tmp_path: Path, module: str) -> None:
    # What the package imports first says so, and takes its time.
    slow = "import sys, time\nprint('importing', flush=True)\ntime.sleep(20)\n"
    (tmp_path / "shutil.py").write_text(slow)
    process = start(f"-m {module} info", [tmp_path, repository])
    assert process.stdout is not None and process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert said == "sam2-mlx: interrupted; nothing was written\n"
    assert process.returncode == 130


def test_a_program_that_imports_the_package_keeps_its_own_ctrl_c(repository: Path) -> None:
    code = "import signal, sam2_mlx; print(signal.getsignal(2) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        preexec_fn=hear_signals,
    )
    assert done.stdout == "True\n", done.stderr


def test_an_interrupt_within_a_callback_is_not_lost(repository: Path) -> None:
    program = (
        "import signal, time, weakref\n"
        "from sam2_mlx.cli.errors import guarded\n"
        "from sam2_mlx.cli.process import be_command\n"
        "class Thing: pass\n"
        "def work():\n"
        "    thing = Thing()\n"
        # What a callback of a weak reference raises is only printed.
        "    ref = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))\n"
        "    del thing\n"
        "    time.sleep(9)\n"
        "    return 0\n"
        "be_command(lambda: guarded(work))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert done.stderr == "sam2-mlx: interrupted; nothing was written\n"


@pytest.mark.parametrize(
    ("closed", "code"), [((1,), 0), ((2,), 0), ((0, 1, 2), 0)], ids=["stdout", "stderr", "all"]
)
def test_closed_streams(repository: Path, closed: tuple[int, ...], code: int) -> None:
    process = start(
        "-m sam2_mlx info", [repository], preexec_fn=lambda: [os.close(n) for n in closed]
    )
    out, said = process.communicate()
    assert (process.returncode, said) == (code, "")
    assert ("packages" in out) == (1 not in closed)


@pytest.mark.parametrize("words", ["info", "--version", "--help", "video --help"])
def test_a_reader_that_is_gone(repository: Path, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(f"-m sam2_mlx {words}", [repository], stdout=writer)
    os.close(writer)
    _, said = process.communicate()
    assert (process.returncode, said) == (0, "")


def test_a_reader_that_is_gone_hides_no_failure(repository: Path, tmp_path: Path) -> None:
    program = (
        "from sam2_mlx.cli.errors import guarded\n"
        "from sam2_mlx.cli.process import be_command\n"
        "be_command(lambda: guarded(lambda: print('said') or 2))\n"
    )
    (tmp_path / "fails.py").write_text(program)
    reader, writer = os.pipe()
    os.close(reader)
    process = start(f"{tmp_path / 'fails.py'}", [repository], stdout=writer)
    os.close(writer)
    assert (process.communicate()[1], process.returncode) == ("", 2)


def test_a_full_disk_under_stdout(repository: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start("-m sam2_mlx info", [repository], stdout=full)
        _, said = process.communicate()
    assert process.returncode == 2
    assert said == "sam2-mlx: error: [Errno 28] No space left on device\n"


def test_messages_that_nobody_hears_do_not_stop_the_work(repository: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start("-m sam2_mlx nonsense", [repository], stderr=writer)
    os.close(writer)
    assert process.communicate()[0] == "" and process.returncode == 2


def test_too_little_address_space_is_said_before_libraries_fail(repository, monkeypatch) -> None:
    limit = 10**9
    process = start(
        "-m sam2_mlx video demo --point 9,9",
        [repository],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    _, said = process.communicate()
    assert process.returncode == 2
    assert said.startswith("sam2-mlx: error: this process may have 1.0 GB of address space")
    monkeypatch.setattr("resource.getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    check_process()


def test_a_current_folder_that_is_gone_is_said(repository, tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    command = "rmdir $PWD; exec $PYTHON -m sam2_mlx video demo --point 9,9"
    environment = {**os.environ, "PYTHONPATH": str(repository), "PYTHON": sys.executable}
    done = subprocess.run(
        command, shell=True, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "sam2-mlx: error: the current folder is gone or closed to you; change to another\n"
    )


def test_a_library_that_cannot_be_loaded_is_one_line(capsys) -> None:
    def work() -> int:
        raise ImportError("libx.so: failed to map segment from shared object")

    assert guarded(work) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("sam2-mlx: error: a library cannot be loaded (libx.so: failed to map")


def test_pillow_s_warnings_are_not_shown(recwarn) -> None:
    def work() -> int:
        code = "import warnings\nwarnings.warn('Corrupt EXIF data')\n"
        exec(compile(code, "TiffImagePlugin.py", "exec"), {"__name__": "PIL.TiffImagePlugin"})
        return 0

    assert guarded(work) == 0 and not recwarn.list
