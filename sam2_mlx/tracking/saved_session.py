"""Sessions in files: one safetensors file, arrays beside a JSON description. Nothing is pickled."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from sam2_mlx.files import FileError, StagedFile, open_regular, parse_json
from sam2_mlx.media.frame_source import Frames
from sam2_mlx.model.memory import FrameMemory, ObjectMask
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops.dtypes import FLOATS, dtype_name
from sam2_mlx.ops.tensor_file import StoredTensor, read_safetensors, write_safetensors
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.memory_bank import FrameRecord
from sam2_mlx.tracking.options import TrackingOptions
from sam2_mlx.tracking.session import TrackingSession
from sam2_mlx.tracking.session_layout import check_description, text, whole
from sam2_mlx.tracking.tracked_object import SessionState, TrackedObject

_KEY = "sam2_mlx_session"
_VERSION = 2
_MASK_PARTS = ("logits", "iou", "pointer", "presence")


def save_session(session: TrackingSession, path: str | Path) -> None:
    """Save what a session knows, so that `load_session` can go on from the next frame.

    Prompts given so far are committed. Frames are not saved.

    Args:
        session: a stream or a clip.
        path: the file, which must end in .safetensors; an existing one is replaced.

    Raises:
        ValueError: if the name has another ending or the file cannot be written.
    """
    target = Path(path)
    if target.suffix != ".safetensors":
        raise ValueError(f"a session is saved as .safetensors; got {target}")
    state, arrays = session.state(), _Arrays()
    config, kind = _model_facts(session.model)
    description = {
        "version": _VERSION,
        "model": config,
        "dtype": kind,
        "memory": session.memory,
        "num_frames": session.num_frames,
        "options": asdict(session.options),
        "frame": state.frame,
        "reverse": state.reverse,
        "objects": [
            {"id": object_id, **_describe(tracked, arrays)}
            for object_id, tracked in state.objects.items()
        ],
    }
    with StagedFile(target) as staged:
        write_safetensors(staged, arrays.by_name(), {_KEY: json.dumps(description)})


def load_session(path: str | Path, model: Sam, source: Frames | None = None) -> TrackingSession:
    """Go on with a saved session.

    Args:
        path: what `save_session` wrote.
        model: the model it was saved with, in the same dtype and at the same image size.
        source: the clip to go on with, or None for a stream, whose next frame comes by `step`.

    Returns:
        A session that knows what the saved one knew; `session.frame` is the last frame it saw.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no saved session, or one of another model.
    """
    with _opened(Path(path)) as (stored, description):
        try:
            _check_model(description, model)
            if source is None and description["reverse"]:
                raise ValueError("it was followed backward, and a stream only goes forward")
            session = TrackingSession(
                model,
                source,
                memory=description["memory"],
                num_frames=description["num_frames"],
                options=TrackingOptions(**description["options"]),
            )
            arrays = _StoredArrays(stored, model)
            objects = {}
            for entry in description["objects"]:
                if description["version"] == 1:
                    entry = _from_version_1(entry)
                objects[entry["id"]] = tracked = session.new_object()
                _fill(tracked, entry, arrays)
        except _OtherModelError:
            raise
        except (KeyError, TypeError, ValueError) as problem:
            raise _damaged(path, problem) from problem
    session.restore(SessionState(description["frame"], description["reverse"], objects))
    return session


@dataclass(frozen=True)
class SavedFacts:
    """What a saved session says of itself.

    Attributes:
        frame: last frame it saw, or None.
        reverse: whether it went backwards, or None before the first frame.
        object_ids: its objects.
    """

    frame: int | None
    reverse: bool | None
    object_ids: tuple[int, ...]


def saved_facts(path: str | Path) -> SavedFacts:
    """Look into a saved session without a model.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no saved session.
    """
    with _opened(Path(path)) as (_, description):
        ids = tuple(entry["id"] for entry in description["objects"])
        return SavedFacts(description["frame"], description["reverse"], ids)


class _OtherModelError(ValueError):
    """The session is whole, but was saved with another model."""


def _damaged(path: str | Path, problem: Exception) -> ValueError:
    reason = f"no {problem}" if isinstance(problem, KeyError) else str(problem)
    return ValueError(
        f"{path} is a saved session with parts missing or changed ({reason}); save it again"
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, StoredTensor], dict[str, Any]]]:
    """The arrays of a saved session, still unread, and its description, checked."""
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; check the path of the saved session")
    with open_regular(path) as file:
        try:
            stored, metadata = read_safetensors(file)
            description = parse_json(metadata[_KEY])
        except (FileError, KeyError) as problem:
            raise ValueError(
                f"{path} is not a saved session; give a file of save_session"
            ) from problem
        try:
            check_description(description)
        except ValueError as problem:
            raise _damaged(path, problem) from problem
        assert isinstance(description, dict)
        yield stored, description


def _model_facts(model: Sam) -> tuple[dict[str, Any], str]:
    """The model's dimensions as JSON has them, and its dtype."""
    config = json.loads(json.dumps(model.config.to_dict()))
    return config, dtype_name(model.dtype)


def _check_model(description: dict[str, Any], model: Sam) -> None:
    config, kind = _model_facts(model)
    saved = description["model"]
    text(saved["name"], "model.name")
    whole(1, 2**31)(saved["image_size"], "model.image_size")
    for what, before, now in (
        ("model", saved["name"], config["name"]),
        ("image size", saved["image_size"], config["image_size"]),
        ("dtype", description["dtype"], kind),
        ("dimensions", saved, config),
    ):
        if before != now:
            values = "" if what == "dimensions" else f" {before}; this one has {now}"
            raise _OtherModelError(
                f"the session was saved with another {what}{values}; load the model it belongs to"
            )


class _Arrays:
    """Arrays with names; one that is used twice is stored once."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._arrays: dict[str, mx.array] = {}

    def name(self, array: mx.array) -> str:
        """The name under which an array is stored."""
        if id(array) not in self._names:
            self._names[id(array)] = name = f"a{len(self._names)}"
            self._arrays[name] = array
        return self._names[id(array)]

    def by_name(self) -> dict[str, mx.array]:
        """All of them; a file needs at least one."""
        return self._arrays or {"none": mx.zeros((1,))}


def _describe(tracked: TrackedObject, arrays: _Arrays) -> dict[str, Any]:
    bank = tracked.bank
    return {
        "tracked": list(tracked.tracked.items()),
        "policy": bank.save_notes(),
        "prompts": [
            [frame, _describe_prompt(prompt, arrays)] for frame, prompt in tracked.prompts.items()
        ],
        "shelves": {
            name: [[t, _describe_record(record, arrays)] for t, record in shelf.items()]
            for name, shelf in (("prompted", bank.prompted), ("recent", bank.recent))
        },
    }


def _describe_record(record: FrameRecord, arrays: _Arrays) -> dict[str, Any]:
    memory, mask = record.memory, record.mask
    return {
        "pointer": arrays.name(memory.pointer),
        "tokens": None if memory.tokens is None else arrays.name(memory.tokens),
        "mask": None if mask is None else [arrays.name(part) for part in mask.arrays()],
    }


def _describe_prompt(prompt: Prompt, arrays: _Arrays) -> dict[str, Any]:
    mask = None if prompt.mask is None else arrays.name(mx.array(prompt.mask))
    return {"points": prompt.points[0].tolist(), "labels": prompt.labels[0].tolist(), "mask": mask}


class _StoredArrays:
    """The arrays of a file, each looked at before it is read; one is read once."""

    def __init__(self, stored: dict[str, StoredTensor], model: Sam) -> None:
        config = model.config
        assert config.memory is not None
        side = config.mask_size
        self._shapes = {
            "tokens": (1, config.memory_tokens, config.memory.dim),
            "pointer": (1, config.hidden_dim),
            "logits": (1, 1, side, side),
            "iou": (1, 1),
            "presence": (1, 1),
        }
        self._stored = stored
        self._read: dict[str, mx.array] = {}

    def pick(self, name: str, part: str) -> mx.array:
        """An array that is this part of a record.

        Raises:
            KeyError, TypeError: if there is none of the name, or one of another shape or type.
        """
        stored, shape = self._stored[name], self._shapes[part]
        if stored.shape != shape or stored.dtype not in FLOATS:
            raise TypeError(f"{part} is {stored.dtype} {stored.shape} instead of {shape}")
        return self._once(name)

    def mask(self, name: str) -> np.ndarray:
        """A mask that was a prompt, bool (H, W)."""
        stored = self._stored[name]
        if len(stored.shape) != 2 or stored.dtype != "bool" or not math.prod(stored.shape):
            raise TypeError(f"a prompt's mask is {stored.dtype} {stored.shape}")
        return np.array(self._once(name))

    def _once(self, name: str) -> mx.array:
        if name not in self._read:
            self._read[name] = self._stored[name].read()
        return self._read[name]


def _fill(tracked: TrackedObject, entry: dict[str, Any], arrays: _StoredArrays) -> None:
    """Make a new object the one that was saved."""
    bank = tracked.bank
    for name, shelf in (("prompted", bank.prompted), ("recent", bank.recent)):
        for frame, record in entry["shelves"][name]:
            shelf[frame] = _rebuild_record(record, arrays)
    bank.load_notes(entry["policy"])
    tracked.prompts = {frame: _rebuild_prompt(prompt, arrays) for frame, prompt in entry["prompts"]}
    tracked.tracked = dict(entry["tracked"])


def _from_version_1(entry: dict[str, Any]) -> dict[str, Any]:
    """An object as the first version described it: a policy's frames were shelves of their own."""
    shelves = entry["shelves"]
    recent = dict(shelves["recent"])
    notes = {"areas": entry["areas"]}
    for name in set(shelves) - {"prompted", "recent"}:
        notes[name] = [frame for frame, _ in shelves[name]]
        for frame, record in shelves[name]:
            if frame not in recent or recent[frame]["tokens"] is None:
                recent[frame] = record
    shelves = {"prompted": shelves["prompted"], "recent": list(recent.items())}
    return {**entry, "policy": notes, "shelves": shelves}


def _rebuild_record(entry: dict[str, Any], arrays: _StoredArrays) -> FrameRecord:
    tokens = mask = None
    if entry["tokens"] is not None:
        tokens = arrays.pick(entry["tokens"], "tokens")
    if entry["mask"] is not None:
        names = zip(entry["mask"], _MASK_PARTS, strict=True)
        mask = ObjectMask(*(arrays.pick(name, part) for name, part in names))
    return FrameRecord(FrameMemory(tokens, arrays.pick(entry["pointer"], "pointer")), mask)


def _rebuild_prompt(entry: dict[str, Any], arrays: _StoredArrays) -> Prompt:
    mask = None if entry["mask"] is None else arrays.mask(entry["mask"])
    points = np.asarray(entry["points"], np.float64).reshape(1, -1, 2)
    return Prompt(points, np.asarray([entry["labels"]], np.int32), mask)
