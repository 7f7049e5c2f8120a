"""What is spoiled, and what a user then does with it."""

from __future__ import annotations

import json
import os
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from mlx.utils import tree_flatten
from PIL import Image

from sam2_mlx.__main__ import main
from sam2_mlx.apps.projects.prompt_files import read_prompt_file
from sam2_mlx.checkpoints.convert import convert_checkpoint
from sam2_mlx.checkpoints.files import open_tensors
from sam2_mlx.checkpoints.load import load
from sam2_mlx.model.sam import Sam
from sam2_mlx.ops import rle
from sam2_mlx.tracking.saved_session import load_session, save_session, saved_facts
from sam2_mlx.tracking.session import TrackingSession
from tests.checkpoints.torch_files import write_model
from tests.evaluation.drawn_datasets import draw_davis
from tests.fuzz.bombs import spoil_with_a_bomb
from tests.fuzz.media import spoil_picture, spoil_video, use_clip
from tests.fuzz.mutate import spoil_bytes, spoil_json, spoil_pickle
from tests.tiny import CONFIG, ToyClip, tiny_model


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        spoil: writes a spoiled file (and what belongs beside it) into an empty folder, and returns
            what a user would open.
        use: what a user does with it. It may raise ValueError or OSError with one line.
    """

    spoil: Callable[[random.Random, Path], Path]
    use: Callable[[Path], object]


@lru_cache(maxsize=1)
def _model() -> Sam:
    return tiny_model()


@lru_cache(maxsize=1)
def _whole() -> dict[str, bytes]:
    """One good file of each kind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {k: np.array(v) for k, v in dict(tree_flatten(_model().parameters())).items()}
        write_model(folder / "a.pt", arrays, epoch=3, args={"lr": 0.1})
        (folder / "config.json").write_text(json.dumps(CONFIG.to_dict()))
        convert_checkpoint(folder / "a.pt", folder / "plain")
        convert_checkpoint(folder / "a.pt", folder / "packed", bits=8)
        session = TrackingSession(_model())
        for index in range(4):
            session.step(ToyClip().read(index))
            if index == 0:
                session.prompt(4, points=[[20, 30]], labels=[1])
                session.prompt(5, mask=np.eye(64, 96))
        save_session(session, folder / "session.safetensors")
        torch_file = Path(__file__).parents[1] / "checkpoints" / "data" / "from_torch.pt"
        return {
            "model.pt": (folder / "a.pt").read_bytes(),
            "torch.pt": torch_file.read_bytes(),
            "session": (folder / "session.safetensors").read_bytes(),
            **{
                f"{kind}/{file}": (folder / kind / file).read_bytes()
                for kind in ("plain", "packed")
                for file in ("model.safetensors", "config.json")
            },
        }


def _spoil_torch(rng: random.Random, folder: Path) -> Path:
    data = _whole()[rng.choice(("model.pt", "torch.pt"))]
    path = folder / "a.pt"
    (folder / "config.json").write_bytes(_whole()["plain/config.json"])
    if rng.random() < 0.3:
        path.write_bytes(spoil_bytes(rng, data))
        return path
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            if name.endswith("data.pkl"):
                content = spoil_pickle(rng, content)
            elif rng.random() < 0.01:
                content = spoil_bytes(rng, content)
            archive.writestr(name, content)
    return path


def _use_torch(path: Path) -> None:
    with open_tensors(path) as tensors:
        for tensor in tensors.values():
            tensor.read()
    load(path)


def _spoil_safetensors(rng: random.Random, folder: Path) -> Path:
    kind = rng.choice(("plain", "plain", "packed"))
    for file in ("model.safetensors", "config.json"):
        (folder / file).write_bytes(_whole()[f"{kind}/{file}"])
    path = folder / "model.safetensors"
    path.write_bytes(_spoil_header(rng, path.read_bytes()))
    return folder


def _spoil_header(rng: random.Random, data: bytes) -> bytes:
    """Spoil the bytes of a safetensors file or its header."""
    if rng.random() < 0.3:
        return spoil_bytes(rng, data)
    (length,) = struct.unpack("<Q", data[:8])
    header = spoil_json(rng, json.loads(data[8 : 8 + length]))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _spoil_config(rng: random.Random, folder: Path) -> Path:
    kind = rng.choice(("plain", "packed"))
    (folder / "model.safetensors").write_bytes(_whole()[f"{kind}/model.safetensors"])
    text = _whole()[f"{kind}/config.json"]
    if rng.random() < 0.1:
        text = spoil_bytes(rng, text)
    else:
        text = json.dumps(spoil_json(rng, json.loads(text))).encode()
    (folder / "config.json").write_bytes(text)
    return folder


def _spoil_session(rng: random.Random, folder: Path) -> Path:
    data = _whole()["session"]
    path = folder / "a.safetensors"
    if rng.random() < 0.3:
        path.write_bytes(_spoil_header(rng, data))
        return path
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    key = next(iter(header["__metadata__"]))
    description = json.loads(header["__metadata__"][key])
    # Any change in the model's part is another model.
    model = {"model": description.pop("model")} if rng.random() < 0.8 else {}
    description = spoil_json(rng, description)
    header["__metadata__"][key] = json.dumps({**description, **model})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return path


def _use_session(path: Path) -> None:
    saved_facts(path)
    session = load_session(path, _model())
    if not all(map(session.prompted_frames, session.object_ids)):
        return  # it cannot go on, and says so
    for index in (4, 5):
        session.step(ToyClip().read(index))
    save_session(session, path)


@lru_cache(maxsize=1)
def _dataset() -> dict[str, bytes]:
    """A small annotated clip in the layout of DAVIS, and masks to score: path -> content."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        draw_davis(root / "data", root / "masks", frames=(3,))
        paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
        return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def _spoil_dataset(rng: random.Random, folder: Path) -> Path:
    spoiled = rng.choice(sorted(_dataset()))
    for name, data in _dataset().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != spoiled:
            path.write_bytes(data)
        elif (what := rng.randrange(10)) == 0:
            os.mkfifo(path)
        elif what == 1:
            path.symlink_to("/dev/zero")
        elif what == 2:
            path.mkdir()
        elif what == 3:
            path.symlink_to(path.name)
        elif what > 4:
            path.write_bytes(spoil_bytes(rng, data))
    return folder


def _use_dataset(path: Path) -> None:
    command = ["eval", str(path / "data"), "--masks", str(path / "masks"), "--set", "val"]
    if main(command):
        raise ValueError("the command said what is wrong, and ended in 2")


@lru_cache(maxsize=1)
def _prompts() -> dict[str, Any]:
    """What a prompt file may hold, for `ToyClip`: masks in every form, points and a box."""
    mask = np.zeros((64, 96), bool)
    mask[20:40, 30:50] = True
    forms = ("mask.png", rle.encode(mask), rle.encode(mask, compress=False))
    entries = [
        {"object": 9, "frame": "50ms", "points": [[32, 18], [9, 9.5]], "labels": [1, 0]},
        {"object": 2, "frame": 1, "box": [4, 6, 21, 30], "points": [[10, 10]]},
        *({"object": number, "frame": 0, "mask": form} for number, form in enumerate(forms, 3)),
    ]
    return {"prompts": entries}


def _spoil_prompts(rng: random.Random, folder: Path) -> Path:
    Image.fromarray(np.eye(64, 96, dtype=np.uint8) * 255).save(folder / "mask.png")
    prompts = spoil_json(rng, _prompts())
    if rng.random() < 0.3:
        masks = [dict(entry["mask"]) for entry in _prompts()["prompts"][3:]]
        text = masks[0]["counts"] * rng.choice((1, 100, 10_000))
        masks[0]["counts"] = spoil_bytes(rng, text.encode()).decode("latin-1")
        masks[1]["counts"] = [rng.choice((0, 1, -1, 2**62, 2**63, 6144)) for _ in range(4)]
        prompts = {"prompts": [{"mask": rng.choice(masks)}]}
    path = folder / "prompts.json"
    text = json.dumps(prompts).encode()
    path.write_bytes(spoil_bytes(rng, text) if rng.random() < 0.1 else text)
    return path


def _use_prompts(path: Path) -> None:
    clip: Any = ToyClip()
    clip.times = [number / 25 for number in range(clip.num_frames)]
    read_prompt_file(path, clip)


KINDS: dict[str, Kind] = {
    "pt": Kind(_spoil_torch, _use_torch),
    "bombs": Kind(spoil_with_a_bomb, _use_torch),
    "safetensors": Kind(_spoil_safetensors, load),
    "config": Kind(_spoil_config, load),
    "session": Kind(_spoil_session, _use_session),
    "prompts": Kind(_spoil_prompts, _use_prompts),
    "dataset": Kind(_spoil_dataset, _use_dataset),
    "videos": Kind(spoil_video, use_clip),
    "pictures": Kind(spoil_picture, use_clip),
}
"""By name; a kind that is added here is in the campaign and in the tests."""
