"""Machines that lack something: an open stream, a reader, disk, handles, memory."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

VIDEO = (
    "video demo --point 105,118 --point 2:520,196 --model nano --image-size 64 --end {end} "
    "--output out.mp4 --save-masks masks --scores scores.jsonl --save-session session.safetensors"
)
IMAGE = "image photos/0.png --point 9,9 --model nano --image-size 64 --save-masks p.json"
EVERYTHING = "everything photos --model nano --image-size 64 --points-per-side 4 --output found"
EVAL = "eval data --model nano --image-size 64 --json eval.json --save-masks saved"
CONVERT = "convert nano converted"
EXPORT = "export nano bundle --image-size 64"
BATCH = "batch jobs.jsonl --model nano --image-size 64 --out results --workers 1 --save-masks png"
LAST = 30
"""The last frame of a whole run of `VIDEO`."""

MEGABYTE = 2**20


@dataclass(frozen=True)
class Fault:
    """A command on a machine that lacks something.

    Attributes:
        name: what it lacks, for people.
        command: the arguments of sam2-mlx.
        codes: exit codes that are right; 3 is a clip that failed.
        closed: streams that are closed.
        streams: what the process gets as a stream in place of a pipe: a file, or "unread".
        limits: resources that it may have.
        disk: bytes that are free where it writes; None is enough.
    """

    name: str
    command: str
    codes: tuple[int, ...] = (0, 2)
    closed: tuple[int, ...] = ()
    streams: dict[str, str] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    disk: int | None = None


def faults() -> Iterator[Fault]:
    """Each way in which a machine refuses something, for each command."""
    video = VIDEO.format(end=LAST)
    for command in (video, IMAGE, EVERYTHING, EVAL, CONVERT, EXPORT, BATCH):
        name = command.split()[0]
        yield Fault(f"{name}, stdout closed", command, (0,), closed=(1,))
        yield Fault(f"{name}, stderr closed", command, (0,), closed=(2,))
        yield Fault(f"{name}, no stream open", command, (0,), closed=(0, 1, 2))
        yield Fault(f"{name}, nobody reads", command, (0,), streams={"stdout": "unread"})
        yield Fault(f"{name}, nobody listens", command, (0,), streams={"stderr": "unread"})
        yield Fault(f"{name}, stdout is full", command, (2,), streams={"stdout": "/dev/full"})
        yield Fault(f"{name}, stderr is full", command, (0,), streams={"stderr": "/dev/full"})
        for size in (0, 30_000, 150_000):
            yield Fault(f"{name}, {size} bytes of disk", command, (0, 2, 3), disk=size)
            yield Fault(f"{name}, files of {size} bytes", command, (0, 2, 3),
                        limits={resource.RLIMIT_FSIZE: size})  # fmt: skip
        for count in (8, 16, 32):
            yield Fault(f"{name}, {count} handles", command, (0, 2, 3),
                        limits={resource.RLIMIT_NOFILE: count})  # fmt: skip
        for size in (600, 1200):
            yield Fault(f"{name}, {size} MB of addresses", command, (2,),
                        limits={resource.RLIMIT_AS: size * MEGABYTE})  # fmt: skip
    pipe = video.replace("out.mp4", "-")
    yield Fault("pipe that nobody reads", pipe, (2,), streams={"stdout": "unread"})
    yield Fault("pipe that is closed", pipe, (2,), closed=(1,))
    yield Fault("pipe into a full disk", pipe, (2,), streams={"stdout": "/dev/full"})


@contextmanager
def machine(fault: Fault, folder: Path) -> Iterator[dict[str, Any]]:
    """A machine with a fault: what `subprocess.Popen` needs to run there.

    Args:
        fault: what it lacks.
        folder: where the command will run; it gets its inputs.
    """
    with ExitStack() as stack:
        options: dict[str, Any] = {"preexec_fn": limiting(fault)}
        for stream, target in fault.streams.items():
            if target == "unread":
                reader, writer = os.pipe()
                os.close(reader)
                options[stream] = stack.enter_context(os.fdopen(writer, "wb"))
            else:
                options[stream] = stack.enter_context(open(target, "wb"))
        draw_inputs(folder)
        if fault.disk is not None:
            stack.enter_context(_small_disk(folder, fault.disk))
        yield options


def draw_inputs(folder: Path) -> None:
    """The pictures and the dataset that the commands read."""
    picture = np.full((64, 96, 3), 90, np.uint8)
    picture[20:40, 30:50] = 220
    label = (picture[..., 0] > 100).astype(np.uint8)
    (folder / "photos").mkdir()
    job = {"clip": "photos", "prompts": [{"points": [[40, 30]]}]}
    (folder / "jobs.jsonl").write_text(json.dumps(job))
    for name in ("JPEGImages", "Annotations"):
        (folder / "data" / name / "a").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(picture).save(folder / "photos" / f"{number}.png")
        Image.fromarray(picture).save(folder / f"data/JPEGImages/a/{number:05d}.jpg")
        Image.fromarray(label).save(folder / f"data/Annotations/a/{number:05d}.png")


def hear_signals() -> None:
    """A shell that starts this in the background has Ctrl-C ignored, and that is inherited."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def can_mount() -> bool:
    """Whether a small disk can be made."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def _small_disk(folder: Path, free: int) -> Iterator[None]:
    """Put the content of a folder on a disk of its own with so many bytes free."""
    if not can_mount():
        yield
        return
    content = folder.with_name("content")
    folder.rename(content)
    folder.mkdir()
    used = sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in content.rglob("*"))
    size = used + free + 16 * 4096
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{content}/.", folder], check=True)
        rest = os.statvfs(folder)
        spare = rest.f_bavail * rest.f_bsize - free
        if spare > 0:
            (folder / "filler").write_bytes(bytes(spare))
        yield
        (folder / "filler").unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", content], check=True)
        subprocess.run(["cp", "-a", f"{folder}/.", content], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        content.rename(folder)


def limiting(fault: Fault) -> Callable[[], None]:
    """What a process does before it begins, to lack what a fault says."""

    def limit() -> None:
        hear_signals()
        for stream in fault.closed:
            os.close(stream)
        for kind, value in fault.limits.items():
            resource.setrlimit(kind, (value, value))

    return limit
