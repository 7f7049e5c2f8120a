"""Ends commands in every way that a machine has, and counts what is left: `make faults`.

    python -m tests.cli.campaign [KIND ...] [--share 0.2] [--seconds 300] [--seed N]

Prints a table. Fails if an output is broken, outputs are of different runs, a session is lost, a
traceback is shown, something hangs, or a partial file outlives the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from sam2_mlx.media import open_frames
from sam2_mlx.tracking.saved_session import saved_facts
from tests.cli.machine_faults import LAST, VIDEO, Fault, faults, hear_signals, limiting, machine

ROOT = Path(__file__).resolve().parents[2]
_PYTHON = {"PYTHONWARNINGS": "default", "PYTHONUNBUFFERED": ""}
PATIENCE = 60
"""Seconds after which a command hangs."""
SIGNALS = {"kill": 60, "int": 30, "term": 30, "hup": 15}
KINDS = (*SIGNALS, "resume", "lacking", "camera")


@dataclass
class Row:
    """What came of one kind of fault.

    Attributes:
        kind: of fault.
        runs: how many there were.
        ends: how they ended, in words.
        problems: what was wrong, each with the run that showed it.
    """

    kind: str
    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """A process that is over; `code` is None where it had to be killed for hanging."""

    code: int | None
    out: str
    err: str

    @property
    def problems(self) -> list[str]:
        """What no process may show."""
        if self.code is None:
            return ["hangs"]
        words = ("Traceback", "Exception ignored", "terminate called", "Segmentation", "Warning")
        found = [f"{word}: {self.err[-600:]}" for word in words if word in self.err]
        # Before the first line of this project Python itself answers a signal.
        ours = "sam2_mlx" in self.err or "site-packages" in self.err
        return found if ours or "KeyboardInterrupt" not in self.err else []


def start(command: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    """Start `sam2-mlx` with arguments, or a module where they begin with `-m`."""
    words = command.split()
    words = words if words[0] == "-m" else ["-m", "sam2_mlx", *words]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **_PYTHON},
        text=True,
        **{"preexec_fn": hear_signals, **options},
    )


def end(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a process."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Ended(None, "", "")
    return Ended(process.returncode, out or "", err or "")


def broken(folder: Path) -> list[str]:
    """What is wrong with the outputs that have their names."""
    frames: dict[str, int] = {}
    try:
        if (folder / "out.mp4").exists():
            with open_frames(folder / "out.mp4") as video:
                frames["video"] = sum(1 for _ in video)
                assert video.note is None, video.note
        if (folder / "masks").exists():
            entries = json.loads((folder / "masks" / "masks.json").read_text())["frames"]
            names = {path.name for path in (folder / "masks").iterdir()}
            assert names == {"masks.json", *(entry["file"] for entry in entries)}, "masks"
            for name in names - {"masks.json"}:
                with Image.open(folder / "masks" / name) as image:
                    image.load()
            frames["masks"] = len(entries)
        if (folder / "scores.jsonl").exists():
            lines = (folder / "scores.jsonl").read_text().splitlines()
            frames["scores"] = len([json.loads(line)["objects"][1]["id"] for line in lines])
        if (folder / "session.safetensors").exists():
            frame = saved_facts(folder / "session.safetensors").frame
            # A session that has gone on beyond the frames that were written loses them.
            assert frame is not None and frame < frames.get("video", 0), "the session is ahead"
        # One run wrote them all.
        assert len(set(frames.values())) <= 1, "outputs of different runs"
    except (AssertionError, ValueError, OSError, KeyError, IndexError) as problem:
        return [f"broken: {problem!r} with {frames}"]
    return []


def hidden(folder: Path) -> list[str]:
    """Partial files."""
    return [path.name for path in folder.rglob("*") if path.name.startswith(".")]


class Campaign:
    """All kinds of faults, one after the other.

    Args:
        folder: for everything that is written.
        random: chooses the moments.
        share: of the full number of runs.
        seconds: no run of a kind starts later after its first.
    """

    def __init__(
        self, folder: Path, random: random.Random, share: float, seconds: float = 3600
    ) -> None:
        self.folder = folder
        self.random = random
        self.share = share
        self.limit = seconds
        begin = time.monotonic()
        whole = end(start(VIDEO.format(end=LAST), folder))
        assert whole.code == 0, whole.err
        self.seconds = time.monotonic() - begin
        assert not [*broken(folder), *hidden(folder)], [*broken(folder), *hidden(folder)]
        # What is there before each run: outputs of a shorter one.
        self.earlier = folder / "earlier"
        self.earlier.mkdir()
        assert end(start(VIDEO.format(end=4), self.earlier)).code == 0

    def runs(self, full: int) -> Iterator[int]:
        """Numbers of the runs of a kind that has so many in full."""
        end = time.monotonic() + self.limit
        for number in range(max(1, round(full * self.share))):
            if time.monotonic() < end:
                yield number

    def rows(self, kinds: Sequence[str] = KINDS) -> Iterator[Row]:
        """Every kind, one after the other."""
        for kind in kinds:
            match kind:
                case "resume":
                    yield self.resumed(15)
                case "lacking":
                    yield self.lacking()
                case "camera":
                    yield self.camera(60)
                case _:
                    yield self.signals(signal.Signals[f"SIG{kind.upper()}"], SIGNALS[kind])

    def signals(self, number: signal.Signals, full: int) -> Row:
        """Signals at random moments of a run that replaces earlier outputs."""
        row = Row(number.name)
        for _ in self.runs(full):
            place = self.folder / "run"
            shutil.copytree(self.earlier, place)
            process = start(VIDEO.format(end=LAST), place)
            moment = self._wait(process, place)
            process.send_signal(number)
            ended = end(process)
            problems = [*ended.problems, *broken(place)]
            if number != signal.SIGKILL and hidden(place):
                problems.append(f"left behind: {hidden(place)}")
            self._take(row, ended, problems, moment)
            following = end(start(VIDEO.format(end=0), place))
            rest = [*hidden(place), *broken(place), *following.problems]
            if following.code != 0 or rest:
                row.problems.append(f"next run after {moment}: {following.err[-200:]} {rest}")
            shutil.rmtree(place)
        return row

    def resumed(self, full: int) -> Row:
        """A session that goes on in its own place is killed, and goes on again."""
        row = Row("SIGKILL of --resume")
        more = (
            "video demo --model nano --image-size 64 --resume s.safetensors "
            "--save-session s.safetensors --output {name}.mp4 --end {end}"
        )
        first = VIDEO.format(end=9).replace("session.safetensors", "s.safetensors")
        for _ in self.runs(full):
            place = self.folder / "run"
            place.mkdir()
            assert end(start(first, place)).code == 0
            process = start(more.format(name="b", end=LAST), place)
            moment = self.random.uniform(0.5, 1.05) * self.seconds
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                process.kill()
            ended = end(process)
            frame = saved_facts(place / "s.safetensors").frame
            problems = [] if frame in (9, LAST) else [f"the session is at frame {frame}"]
            if frame == LAST and not (place / "b.mp4").exists():
                problems.append("the session has moved on and the video is lost")
            last = end(start(more.format(name="c", end=LAST + 3), place))
            if last.code != 0 or hidden(place):
                problems.append(f"cannot go on: {last.err[-200:]} {hidden(place)}")
            self._take(row, ended, problems, f"after {moment:.2f} s")
            shutil.rmtree(place)
        return row

    def lacking(self) -> Row:
        """Closed streams, readers that leave, a full disk, too few handles, too little memory."""
        row = Row("streams, disk, handles")
        known = list(faults())
        self.random.shuffle(known)
        for number in self.runs(len(known)):
            fault = known[number]
            place = self.folder / "run"
            shutil.copytree(self.earlier, place)
            with machine(fault, place) as options:
                ended = end(start(fault.command, place, **options))
            problems = [*ended.problems, *broken(place)]
            if ended.code not in fault.codes:
                problems.append(f"code {ended.code}, not {fault.codes}: {ended.err[-300:]}")
            if hidden(place):
                problems.append(f"left behind: {hidden(place)}")
            self._take(row, ended, problems, fault.name)
            shutil.rmtree(place)
        return row

    def camera(self, full: int) -> Row:
        """The webcam demo and the preview: camera gone, window closed, Ctrl-C, a full disk."""
        row = Row("webcam and preview")
        for number in self.runs(full):
            kind = ("gone", "stuck", "empty", "grey", "larger", "ever", "disk full", "Ctrl-C",
                    "preview", "preview, disk full")[number % 10]  # fmt: skip
            keys = "." * self.random.randint(0, 9) + "r" + "." * self.random.randint(30, 150)
            frames, model = self.random.randint(2, 120), "--model nano --image-size 64"
            if kind.startswith("preview"):
                words = f"demo --point 9,9 --end {LAST} {model} --output p.mp4"
                command = f"preview {frames % 9 + 1} {words}"
            else:
                camera = "ever" if kind in ("disk full", "Ctrl-C") else kind
                keys += "." * 100_000 * (kind == "Ctrl-C")
                command = f"{camera} {frames} {keys} {model}"
            size = self.random.randint(0, 100_000)
            full_disk = Fault("", "", limits={resource.RLIMIT_FSIZE: size})
            limit = limiting(full_disk) if "disk full" in kind else hear_signals
            place = self.folder / "run"
            place.mkdir()
            process = start(f"-m tests.cli.fake_camera {command}", place, preexec_fn=limit)
            if kind == "Ctrl-C":
                time.sleep(self.random.uniform(0, 3 * self.seconds))
                process.send_signal(signal.SIGINT)
            ended = end(process)
            problems = [*ended.problems, *(f"left behind: {name}" for name in hidden(place))]
            videos = list(place.glob("[!.]*.mp4"))
            for file in videos:
                with open_frames(file) as video:
                    if not sum(1 for _ in video):
                        problems.append(f"{file.name} is empty")
            # Larger pictures may come before the first of a recording.
            if ended.code == 0 and not videos and kind not in ("larger", "disk full"):
                problems.append(f"nothing was recorded: {ended.err[-200:]}")
            self._take(row, ended, problems, f"{kind} {number}")
            shutil.rmtree(place)
        return row

    def _wait(self, process: subprocess.Popen[str], place: Path) -> str:
        """Wait for a moment in a run: any, or one at which frames are written; says which."""
        longest, since = 1.05 * self.seconds, "the start"
        if self.random.random() < 0.6:
            longest, since = 0.5 * self.seconds, "the first frame"
            while process.poll() is None and not list(place.glob(".*.mp4")):
                time.sleep(0.01)
        moment = self.random.uniform(0, longest)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        return f"{moment:.2f} s after {since}"

    def _take(self, row: Row, ended: Ended, problems: list[str], run: str) -> None:
        row.runs += 1
        code = ended.code
        if code is None or code < 0:
            row.ends["ended at once"] += 1
        elif code > 128:
            row.ends["frames kept" if "hold" in ended.err else "stopped"] += 1
        else:
            row.ends["done" if code == 0 else "refused in one line"] += 1
        row.problems += [f"{run}: {problem}" for problem in problems]


def main(argv: list[str] | None = None) -> int:
    """Run the campaign; 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all")
    parser.add_argument("--share", type=float, default=1, help="of the runs, for a short one")
    parser.add_argument("--seconds", type=float, default=3600, help="for each kind, about")
    parser.add_argument("--seed", type=int, help="of the moments and of what is left out")
    args = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(2**32) if args.seed is None else args.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), random.Random(seed), args.share, args.seconds)
        rows = []
        for row in campaign.rows(args.kinds or KINDS):
            print(render(row), flush=True)
            rows.append(row)
    problems = [problem for row in rows for problem in row.problems]
    print("\n".join(problems))
    return 1 if problems else 0


def render(row: Row) -> str:
    """A row of the table."""
    ends = ", ".join(f"{count} {words}" for words, count in row.ends.most_common())
    return f"| {row.kind} | {row.runs} | {ends} | {len(row.problems)} |"


if __name__ == "__main__":
    sys.exit(main())
