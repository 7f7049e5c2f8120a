"""What holds for any input, of whatever nesting, kind or shape: used, or refused in our words."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from sam2_mlx.apps.projects.frame_numbers import read_frame_number
from sam2_mlx.apps.projects.project import Drawing, ObjectStyle, Project, Settings
from sam2_mlx.apps.projects.prompt_files import Prompted, entry_of, parse_prompts
from sam2_mlx.checkpoints.bounds import check_values
from sam2_mlx.checkpoints.files import CheckpointError
from sam2_mlx.checkpoints.unpickle import read_pickle
from sam2_mlx.files import FileError
from sam2_mlx.prompts import Prompt
from tests.tiny import CONFIG, ToyClip

# The same examples in every run; the campaign of `make fuzz` has new ones.
examples = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

WORDS = some.sampled_from(["object", "frame", "points", "labels", "box", "mask", "size", "counts"])
PLAIN = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.sampled_from([0, 1, 2, 3, -1, 2**63, 10**400]),
    some.floats(),
    some.text(max_size=5),
)
JSON = some.recursive(
    PLAIN,
    lambda parts: some.lists(parts, max_size=4) | some.dictionaries(WORDS, parts, max_size=4),
    max_leaves=12,
)
VALUES = some.one_of(
    JSON,
    some.complex_numbers(),
    some.binary(max_size=3),
    arrays.arrays(
        arrays.scalar_dtypes(),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
    ),
)
SIZE = (64, 96)


def made(make: Callable[[], Prompt]) -> Prompt | None:
    """A prompt, complete and finite, or None if it was refused with a message."""
    try:
        prompt = make()
    except ValueError as problem:
        assert str(problem)
        return None
    assert prompt.points.dtype == np.float64 and prompt.labels.dtype == np.int32
    assert prompt.points.shape == (*prompt.labels.shape, 2)
    assert np.isfinite(prompt.points).all()
    return prompt


@examples
@given(VALUES, VALUES, VALUES, some.sampled_from([None, SIZE]))
def test_any_points(points: Any, labels: Any, box: Any, size: Any) -> None:
    made(lambda: Prompt.from_points(points, labels, box, size))
    made(lambda: Prompt.from_points(points, [1], None, size))
    made(lambda: Prompt.from_points([[20, 30]], labels, None, size))
    made(lambda: Prompt.from_points(None, None, box, size))


# In and around the picture, in quarters of a pixel.
PLACES = some.tuples(some.integers(-36, 420), some.integers(-36, 292)).map(
    lambda place: (place[0] / 4, place[1] / 4)
)
LABELS = some.sampled_from([0, 1, 1, 1, 2, 3, -1])
BOXES = some.none() | some.tuples(PLACES, PLACES)


@examples
@given(some.lists(some.tuples(PLACES, LABELS), max_size=4), BOXES)
def test_what_is_taken_is_possible_and_is_written_and_read_alike(marks: Any, box: Any) -> None:
    points, labels = [list(place) for place, _ in marks], [label for _, label in marks]
    prompt = made(lambda: Prompt.from_points(points, labels, box, SIZE))
    if prompt is None:
        return
    inside = np.isin(prompt.labels, (0, 1))
    assert ((prompt.points[inside] >= 0) & (prompt.points[inside] <= 1)).all()
    corners = prompt.points[prompt.labels == 3] - prompt.points[prompt.labels == 2]
    assert (corners > 0).all()
    clip = ToyClip()
    clip.times, clip.path = (0.0,), Path("clip")
    entry = json.loads(json.dumps(entry_of(Prompted(0, 1, prompt), clip)))
    (again,) = parse_prompts([entry], clip, Path(), "a file")
    assert again.prompt.labels.tolist() == prompt.labels.tolist()
    assert np.abs(again.prompt.points - prompt.points).max() < 1e-9


@examples
@given(VALUES)
def test_any_mask_and_any_logits(values: Any) -> None:
    prompt = made(lambda: Prompt.from_mask(values))
    if prompt is not None:
        assert prompt.mask is not None and prompt.mask.dtype == bool and prompt.mask.size
    prompt = made(lambda: Prompt().improving(values, 2))
    if prompt is not None:
        assert prompt.logits.shape[1:] == (1, 2, 2)


@examples
@given(
    some.text(max_size=12) | some.from_regex(r"-?[0-9:.smhe+_]{0,12}", fullmatch=True),
    some.lists(some.floats(0, 1e6), min_size=1, max_size=5).map(sorted),
)
def test_any_time(text: str, times: list[float]) -> None:
    try:
        number = read_frame_number("--frame", text, times)
    except ValueError as problem:
        assert "--frame" in str(problem)
    else:
        assert number in range(len(times))


@examples
@given(some.lists(JSON | some.dictionaries(WORDS, JSON, max_size=4), max_size=3))
def test_any_prompt_file(entries: list[Any]) -> None:
    clip = ToyClip()
    clip.times = tuple(number / 25 for number in range(clip.num_frames))
    try:
        prompted = parse_prompts(entries, clip, Path(), "a file")
    except FileError as problem:
        assert "a file" in str(problem)
    else:
        assert len(prompted) == len(entries)


@examples
@given(JSON, some.data())
def test_any_value_in_a_config(value: Any, data: Any) -> None:
    values = asdict(CONFIG)
    place = values
    while True:
        key = data.draw(some.sampled_from(sorted(place)))
        if not isinstance(place[key], dict) or data.draw(some.booleans()):
            break
        place = place[key]
    place[key] = value
    try:
        check_values(values, "a config")
    except CheckpointError as problem:
        assert "a config" in str(problem)


@examples
@given(JSON, some.binary(max_size=8), some.data())
def test_any_pickle(value: Any, noise: bytes, data: Any) -> None:
    pickled = pickle.dumps(value, protocol=data.draw(some.integers(0, 4)))
    place = data.draw(some.integers(0, len(pickled)))
    for stream in (pickled, pickled[:place] + noise + pickled[place:], pickled[:place] + noise):
        try:
            read_pickle(stream)
        except CheckpointError as problem:
            assert str(problem)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    style = ObjectStyle(object=1, name="a fish")
    settings = Settings([style], first=2, look=Drawing("fill"))
    project = Project(tmp_path_factory.mktemp("project"), "clip.mp4", (8, 96, 64), None, settings)
    project.write()
    assert Project.read(project.folder) == project
    return project


@examples
@given(JSON, some.data())
def test_any_value_in_a_project(project: Project, value: Any, data: Any) -> None:
    file = project.folder / "project.json"
    whole = file.read_text(encoding="utf-8")
    values = json.loads(whole)
    holders = [values, values["settings"], values["settings"]["objects"][0]]
    holder = data.draw(some.sampled_from(holders))
    holder[data.draw(some.sampled_from(sorted(holder)) | WORDS)] = value
    file.write_text(json.dumps(values), encoding="utf-8")
    try:
        assert Project.read(project.folder).folder == project.folder
    except FileError as problem:
        assert "project.json" in str(problem)
    finally:
        file.write_text(whole, encoding="utf-8")
