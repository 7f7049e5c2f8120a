"""What is to be done: clips with their prompts and options, from a list or a folder."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sam2_mlx.cli.errors import UsageError
from sam2_mlx.files import FileError, expanded, open_regular, quoted, read_json, real_path, sha256
from sam2_mlx.media.pictures import PICTURE_SUFFIXES, picture_size
from sam2_mlx.media.reader import CLIP_SUFFIXES, is_pattern

PROMPTS_SUFFIX = ".prompts.json"
# Options of the video command that a job may have; those of the model are for all jobs.
OPTIONS = frozenset(
    "both reverse start end frame-rate every memory edges format encoder everything max-objects "
    "find-every points-per-side min-area crops min-iou min-stability refine".split()
)
_MAX_LIST_BYTES = 2**30
# A file's name may have 255 bytes on most disks.
_LONGEST_NAME = 200
_COLUMNS = ("clip", "object", "frame", "x", "y", "label")


@dataclass(frozen=True)
class ClipJob:
    """One clip, and what to do with it.

    Attributes:
        name: of its results; no two jobs share one.
        clip: the video, folder of pictures or pattern.
        prompts: as in a prompts file; none where everything is looked for.
        options: of the video command, by name.
    """

    name: str
    clip: Path
    prompts: list[Any] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The arguments of the video command, without clip, prompts, model and outputs."""
        words = []
        for name, value in self.options.items():
            if value is True:
                words.append(f"--{name}")
            elif value not in (None, False):
                words.append(f"--{name}={value}")
        return words


def read_jobs(place: Path, options: Mapping[str, Any]) -> list[ClipJob]:
    """The jobs of a list (.jsonl, .csv) or of a folder.

    Args:
        place: the list, or the folder of clips with prompts beside them.
        options: for all jobs; a job's own go before them.

    Raises:
        UsageError: if a job is malformed, or there is none.
        FileError, FileNotFoundError: if the list cannot be read.
    """
    if not place.exists():
        raise FileNotFoundError(f"no file or folder {place}; check the path")
    if place.is_dir():
        jobs = list(_in_folder(place, bool(options.get("everything"))))
    elif place.suffix.lower() == ".csv":
        jobs = _in_csv(place)
    else:
        jobs = [_in_line(place, number, line) for number, line in _lines(place)]
    if not jobs:
        raise UsageError(f"{place} has no jobs; docs/scaling.md shows what it may hold")
    return _named([replace(job, options={**options, **job.options}) for job in jobs])


def fingerprint(*facts: Any) -> str:
    """What a result depends on, as one number: where it is equal, so is the result.

    Args:
        facts: all that it depends on, as JSON has it: the digest of the clip, prompts, options, and
            of all jobs weights, data type, version, kinds of results.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def digest_clip(clip: Path, parts: Sequence[str] = ()) -> str:
    """The digest of a clip's content: of the file, or of all pictures with their names.

    Args:
        clip: the clip.
        parts: folders in it which have the pictures, if it is not the clip itself.

    Raises:
        FileNotFoundError: if there is no such clip.
    """
    if clip.is_file():
        return sha256(clip)
    digest = hashlib.sha256()
    for part in parts or ("",):
        for file in clip_files(clip / part):
            # A name that is not text has its bytes as halves of pairs.
            line = f"{Path(part, file.name)} {sha256(file)}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def clip_files(clip: Path) -> list[Path]:
    """The files that a clip consists of.

    Raises:
        FileNotFoundError: if there is no such clip.
    """
    if clip.is_file():
        return [clip]
    folder = clip if clip.is_dir() else clip.parent
    if not folder.is_dir() or (folder != clip and not is_pattern(clip)):
        raise FileNotFoundError(f"no file or folder {clip}; check the path")
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)


def _named(jobs: list[ClipJob]) -> list[ClipJob]:
    """Jobs with names of their own, which do not depend on the order of the jobs."""
    counts = Counter(job.name.lower() for job in jobs)
    named = []
    for job in jobs:
        if counts[job.name.lower()] > 1:
            facts = json.dumps([str(job.clip), job.prompts, job.options], sort_keys=True)
            job = replace(job, name=f"{job.name}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}")
        named.append(job)
    # Some disks take two names that differ in their case alone for the same.
    counts = Counter(job.name.lower() for job in named)
    twice = [job.name for job in named if counts[job.name.lower()] > 1]
    if twice:
        raise UsageError(f"the job {twice[0]} is there twice, with the same prompts; leave one out")
    return named


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with open_regular(file) as opened:
        if opened.seek(0, 2) > _MAX_LIST_BYTES:
            raise UsageError(f"{file} is longer than a gigabyte; split it")
        opened.seek(0)
        for number, line in enumerate(opened, 1):
            text = line.decode("utf-8", "surrogateescape").removeprefix("\ufeff").strip()
            if text:
                yield number, text


def _in_line(file: Path, number: int, line: str) -> ClipJob:
    place = f"{file}, line {number}"
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{place} is not JSON: {problem}") from problem
    if not isinstance(entry, dict) or not isinstance(entry.get("clip"), str):
        raise UsageError(f'{place} needs an object with a "clip"')
    unknown = entry.keys() - {"clip", "prompts", "options", "name"}
    if unknown:
        raise UsageError(f"{place} has {min(unknown)!r}; known are clip, prompts, options, name")
    prompts, options = entry.get("prompts", []), entry.get("options", {})
    if not isinstance(prompts, list) or not isinstance(options, dict):
        raise UsageError(f"{place}: prompts are a list, and options an object")
    options = {name.replace("_", "-"): value for name, value in options.items()}
    strange = options.keys() - OPTIONS
    if strange:
        raise UsageError(f"{place}: {min(strange)!r} is no option of a job; {_known_options()}")
    try:
        clip = _clip(file, entry["clip"])
        name = entry.get("name", _stem(clip))
    except (FileError, OSError) as problem:
        raise UsageError(f"{place}: {problem}") from problem
    if "name" in entry and not _is_name(name):
        raise UsageError(f"{place}: {quoted(name)} is no name for results")
    return ClipJob(name, clip, _with_masks(prompts, file.parent, place), options)


def _clip(file: Path, name: str) -> Path:
    """The clip that a list names.

    Raises:
        FileError: if no file can have that name, or it is an address.
    """
    try:
        if "\0" not in name:
            os.fsencode(name)
            return file.parent / expanded(name)
    except UnicodeEncodeError:
        pass
    raise FileError(f"{quoted(name)} is no name that a file can have")


def _is_name(name: object) -> bool:
    """Whether files can be named so: in one folder, with room for an ending, and to be read."""
    if not isinstance(name, str) or not name.isprintable():
        return False
    return Path(name).name == name != ".." and len(name.encode()) <= _LONGEST_NAME


def _known_options() -> str:
    return f"known are {', '.join(sorted(OPTIONS))}"


def _in_csv(file: Path) -> list[ClipJob]:
    """Points, one a line, gathered by clip."""
    prompts: dict[str, dict[tuple[int, str], dict[str, Any]]] = {}
    lines = [line for _, line in _lines(file)]
    # Spreadsheets write what their country has between values.
    between = max(",;\t", key=lines[0].count) if lines else ","
    rows = csv.DictReader(lines, delimiter=between, skipinitialspace=True, strict=True)
    try:
        if not {"clip", "x", "y"} <= set(rows.fieldnames or ()) <= set(_COLUMNS):
            raise UsageError(f"{file} needs a first line with {', '.join(_COLUMNS)}")
        for row in rows:
            _add_point(prompts, row, f"{file}, line {rows.line_num}")
    except csv.Error as problem:
        raise UsageError(f"{file}, line {rows.line_num} is no CSV: {problem}") from problem
    clips = {clip: _clip(file, clip) for clip in prompts}
    return [
        ClipJob(_stem(clips[clip]), clips[clip], list(prompts[clip].values())) for clip in prompts
    ]


def _add_point(
    prompts: dict[str, dict[tuple[int, str], dict[str, Any]]], row: dict[str, Any], place: str
) -> None:
    """Add the point of a row to the prompts of its clip, by object and frame."""
    try:
        if not row["clip"] or None in row:
            raise ValueError
        point = [float(row["x"]), float(row["y"])]
        label = int(row.get("label") or 1)
        who, frame = int(row.get("object") or 1), row.get("frame") or "0"
    except (ValueError, TypeError):
        values = quoted([value for value in row.values() if value is not None])
        raise UsageError(
            f"{place} needs a clip, numbers for x and y, and no more than its columns; got {values}"
        ) from None
    entry: dict[str, Any] = {"object": who, "frame": frame, "points": [], "labels": []}
    entry = prompts.setdefault(row["clip"], {}).setdefault((who, frame), entry)
    entry["points"].append(point)
    entry["labels"].append(label)


def _in_folder(folder: Path, everything: bool) -> Iterator[ClipJob]:
    """Clips with a prompts file beside each, or all clips where everything is looked for."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    if everything:
        for entry in entries:
            pictures = entry.is_dir() and any(
                file.suffix.lower() in PICTURE_SUFFIXES for file in entry.iterdir()
            )
            if pictures or (entry.is_file() and entry.suffix.lower() in CLIP_SUFFIXES):
                yield ClipJob(_stem(entry), entry)
        return
    for file in entries:
        if not file.name.endswith(PROMPTS_SUFFIX):
            continue
        name = file.name.removesuffix(PROMPTS_SUFFIX)
        clips = [entry for entry in entries if name in (entry.name, entry.stem) and entry != file]
        if len(clips) != 1:
            what = "no clip beside it" if not clips else f"{len(clips)} clips of its name"
            raise UsageError(f"{file} has {what}; name it CLIP{PROMPTS_SUFFIX}")
        content = read_json(file)
        prompts = content.get("prompts") if isinstance(content, dict) else None
        if not isinstance(prompts, list):
            raise UsageError(f'{file} needs a list of "prompts"')
        yield ClipJob(_stem(clips[0]), clips[0], _with_masks(prompts, folder, str(file)))


def _with_masks(prompts: list[Any], folder: Path, place: str) -> list[Any]:
    """The same with the masks themselves in place of the names of pictures."""
    from sam2_mlx.media.mask_picture import read_mask
    from sam2_mlx.ops import rle

    carried = []
    for prompt in prompts:
        mask = prompt.get("mask") if isinstance(prompt, dict) else None
        if isinstance(mask, str):
            file = folder / expanded(mask)
            try:
                if not file.is_file():
                    raise FileNotFoundError(f"no mask file {file}; check the path")
                pixels = read_mask(file, prompt.get("object", 1), *picture_size(file))
            except (FileError, OSError) as problem:
                raise FileError(f"{place}: {problem}") from problem
            prompt = prompt | {"mask": rle.encode(pixels)}
        carried.append(prompt)
    return carried


def _stem(clip: Path) -> str:
    """What results are named after: the file, the folder, or the folder of a pattern."""
    if clip.is_dir():
        return real_path(clip).name
    return real_path(clip).parent.name if is_pattern(clip) and not clip.exists() else clip.stem
