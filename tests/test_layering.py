"""The shape of the source: imports point down, files stay small, names say something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "sam2_mlx"
MAX_LINES = 400
VAGUE_NAMES = {"utils", "util", "misc", "common", "helpers"}
# Words that say nothing of what a value is: logits, tokens, boxes, records, paths.
VAGUE_LOCALS = {"found", "kept", "known", "shown", "seen", "given"}

# The first name after the package decides. A file imports from its own layer or from one below.
LAYERS = {
    # data and arithmetic; no weights
    "config": 0,
    "prompts": 0,
    "transforms": 0,
    "files": 0,
    "media": 0,
    "ops": 0,
    # the network
    "model": 1,
    # the state of a video
    "tracking": 2,
    # what people call
    "checkpoints": 3,
    "predictors": 3,
    "evaluation": 3,
    "live": 3,
    # doors for other programs
    "apps": 4,
    # commands
    "cli": 5,
    "__main__": 5,
    "video": 6,
    "image": 6,
}
# Within the doors, the same rule.
DOORS = {"fields": 0, "projects": 1, "exporting": 1, "serving": 2, "workbench": 3}
# Files to model: beside the predictors, but it knows nothing of tracking or of them.
NARROWER = {"checkpoints": {"ops", "files", "config", "model", "checkpoints"}}


def violations(root: Path) -> list[str]:
    """Every import that points up.

    Args:
        root: the folder that holds the package.

    Returns:
        One line an offence, `file:line: what`.
    """
    found = []
    for path in sorted((root / PACKAGE).rglob("*.py")):
        module = module_name(path, root)
        if module == PACKAGE:
            continue  # the public names; imported by nobody below
        home = module.split(".")[1]
        if home not in LAYERS:
            found.append(f"{path.name}: {home!r} has no layer; add it to LAYERS")
            continue
        for line, target in imports(path, root):
            place = f"{path.relative_to(root)}:{line}"
            if home == "apps" and target.startswith(f"{PACKAGE}.apps."):
                door, below = module.split(".")[2], target.split(".")[2]
                if DOORS[below] > DOORS[door]:
                    found.append(f"{place}: {door} must not import {below}, which is above it")
                continue
            target = target.split(".")[1]
            if target not in LAYERS:
                found.append(f"{place}: {target!r} has no layer")
            elif LAYERS[target] > LAYERS[home]:
                found.append(f"{place}: {home} must not import {target}, which is above it")
            elif home in NARROWER and target not in NARROWER[home]:
                found.append(f"{place}: {home} must not import {target}")
    return found


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """The modules of the package that a file imports, wherever in the file.

    Args:
        path: the file.
        root: the folder that holds the package.

    Yields:
        The line, and the dotted name; an attribute of a module counts as that module.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, path, root)
            for name in (f"{base}.{alias.name}" for alias in node.names):
                # `from sam2_mlx import x` names modules, or attributes of the package itself.
                names.append(name if base == PACKAGE or is_module(name, root) else base)
        for name in names:
            if name.startswith(f"{PACKAGE}.") and name != f"{PACKAGE}.__version__":
                yield getattr(node, "lineno", 0), name


def is_module(name: str, root: Path) -> bool:
    """Whether a dotted name is a file or a folder of the package."""
    path = root.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def cycles(root: Path) -> set[tuple[str, ...]]:
    """Files that reach themselves by imports.

    Args:
        root: the folder that holds the package.

    Returns:
        Names of the modules of each knot, in order of the alphabet, without the package's name.
    """
    paths = (root / PACKAGE).rglob("*.py")
    graph = {module_name(path, root): {name for _, name in imports(path, root)} for path in paths}
    reached = {name: _reachable(name, graph) for name in graph}
    knots = set()
    for name, below in reached.items():
        if name in below:
            knot = sorted(other for other in below if name in reached.get(other, ()))
            knots.add(tuple(each.removeprefix(f"{PACKAGE}.") for each in knot))
    return knots


def _reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += graph.get(name, ())
    return reached


def absolute(node: ast.ImportFrom, path: Path, root: Path) -> str:
    """The module that a `from` import names, without leading dots."""
    if not node.level:
        return node.module or ""
    package = list(path.relative_to(root).parent.parts)
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def module_name(path: Path, root: Path) -> str:
    """The dotted name of a source file."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_point_down(repository: Path) -> None:
    assert violations(repository) == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("ops/rope.py", "from sam2_mlx.model.sam import Sam", "ops must not import model"),
        ("model/sam.py", "from ..tracking import session", "model must not import tracking"),
        ("config.py", "from . import cli", "config must not import cli"),
        ("ops/rope.py", "def f():\n    import sam2_mlx.video", "ops must not import video"),
        ("checkpoints/load.py", "from ..tracking import session", "must not import tracking"),
        ("checkpoints/load.py", "from ..predictors import build_sam", "must not import predictors"),
        (
            "apps/projects/project.py",
            "from ..serving import worker",
            "projects must not import serving",
        ),
        ("novelty.py", "import os", "'novelty' has no layer"),
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, path: str, source: str, expected: str) -> None:
    file = tmp_path / PACKAGE / path
    file.parent.mkdir(parents=True)
    file.write_text(source)
    (found,) = violations(tmp_path)
    assert expected in found


@pytest.mark.parametrize(
    "source",
    [
        "from .ops.rope import axial_rope",
        "from . import __version__, config",
        "import mlx.core as mx",
        "from sam2_mlx import predictors",
    ],
)
def test_a_right_import_is_not(tmp_path: Path, source: str) -> None:
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "video.py").write_text(source)
    assert violations(tmp_path) == []


def test_no_circles(repository: Path) -> None:
    assert cycles(repository) == set()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("from sam2_mlx.b import f", "def g():\n    from sam2_mlx.a import f"),
        ("import sam2_mlx.b", "from . import a"),
        ("from .b import f", "from sam2_mlx.c import f"),
    ],
)
def test_a_circle_is_found(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / PACKAGE).mkdir()
    for name, source in {"a": first, "b": second, "c": "import sam2_mlx.a", "d": first}.items():
        (tmp_path / PACKAGE / f"{name}.py").write_text(source)
    (knot,) = cycles(tmp_path)
    assert knot == (("a", "b", "c") if "c" in second else ("a", "b"))


def sources(repository: Path) -> list[Path]:
    """Every Python file of the checkout."""
    folders = (PACKAGE, "tests", "benchmarks", "training", "demos")
    return [path for folder in folders for path in sorted((repository / folder).rglob("*.py"))]


def test_files_stay_small(repository: Path) -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources(repository)
    }
    assert {str(path): count for path, count in lengths.items() if count > MAX_LINES} == {}


def test_names_say_something(repository: Path) -> None:
    # The names of the reference are the reference's.
    own = [path for path in sources(repository) if "as_sam2" not in path.parts]
    assert [str(path) for path in own if path.stem in VAGUE_NAMES] == []


def test_a_class_has_a_name_of_its_own(repository: Path) -> None:
    homes: dict[str, list[str]] = {}
    for path in sorted((repository / PACKAGE).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(repository)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def test_locals_say_what_they_are(repository: Path) -> None:
    vague = []
    for path in sources(repository):
        if path.is_relative_to(repository / "tests"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        places = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in VAGUE_LOCALS]
        vague += [
            f"{path.relative_to(repository)}:{n.lineno} {n.id}"
            for n in places
            if isinstance(n.ctx, ast.Store)
        ]
    assert vague == []


def test_the_version_is_in_one_place(repository: Path) -> None:
    from sam2_mlx import __version__

    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert f"## [{__version__}]" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert not re.search(r'^version\s*=\s*"', project, re.MULTILINE)
    literal = re.compile(rf'"{re.escape(__version__)}"')
    files = (repository / PACKAGE).rglob("*.py")
    homes = [path.name for path in files if literal.search(path.read_text(encoding="utf-8"))]
    assert homes == ["__init__.py"]


def test_every_source_explains_itself(repository: Path) -> None:
    silent = []
    for path in (repository / PACKAGE).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            silent.append(str(path))
    assert silent == []
