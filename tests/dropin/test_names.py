"""The reference's module paths: at run time, for type checkers, in a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

import sam2_mlx
from sam2_mlx.predictors.install import _MODULES

FOLDER = Path(sam2_mlx.__file__).parent / "predictors" / "as_sam2"
PROGRAM = """
import sam2_mlx.utils.misc
from sam2_mlx.build_sam import build_sam2, build_sam2_video_predictor
from sam2_mlx.sam2_image_predictor import SAM2ImagePredictor
from sam2_mlx.utils.amg import mask_to_rle_pytorch

masks, scores, logits = SAM2ImagePredictor(build_sam2("tiny", "file.pt")).predict()
number: int = build_sam2_video_predictor("tiny")
"""


def _run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, **options
    )


def _files() -> list[str]:
    return [path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.py")]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("build_sam", "build_sam2"),
        ("build_sam", "build_sam2_video_predictor"),
        ("build_sam", "build_sam2_hf"),
        ("build_sam", "build_sam2_video_predictor_hf"),
        ("build_sam", "HF_MODEL_ID_TO_FILENAMES"),
        ("sam2_image_predictor", "SAM2ImagePredictor"),
        ("sam2_video_predictor", "SAM2VideoPredictor"),
        ("sam2_video_predictor", "SAM2VideoPredictorVOS"),
        ("automatic_mask_generator", "SAM2AutomaticMaskGenerator"),
        ("modeling.sam2_base", "SAM2Base"),
        ("utils.amg", "batched_mask_to_box"),
        ("utils.misc", "load_video_frames"),
    ],
)
def test_names(module: str, name: str) -> None:
    assert getattr(import_module(f"sam2_mlx.{module}"), name)


def test_published_models_are_listed_as_in_the_reference() -> None:
    from sam2_mlx.build_sam import HF_MODEL_ID_TO_FILENAMES

    assert len(HF_MODEL_ID_TO_FILENAMES) == 8
    assert HF_MODEL_ID_TO_FILENAMES["facebook/sam2.1-hiera-base-plus"] == (
        "configs/sam2.1/sam2.1_hiera_b+.yaml",
        "sam2.1_hiera_base_plus.pt",
    )


def test_every_file_has_its_name_installed() -> None:
    modules = {name.removesuffix("/__init__").replace("/", ".") for name in _files()}
    assert modules - {"__init__", "run_as_sam2"} == set(_MODULES)


def test_a_program_that_cannot_be_edited(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    (tmp_path / "program.py").write_text(
        "import sys, sam2, beside\n"
        "from sam2.build_sam import build_sam2\n"
        "import sam2.utils.amg as amg\n"
        "from sam2.modeling.sam2_base import SAM2Base\n"
        "if __name__ == '__main__':\n"
        "    model = build_sam2(None, 'nano')\n"
        "    print(sys.argv[1], isinstance(model, SAM2Base), sam2.__name__, beside.VALUE)\n"
    )
    done = _run("-m", "sam2_mlx.run_as_sam2", "program.py", "one", cwd=tmp_path)
    assert done.stdout.split() == ["one", "True", "sam2_mlx", "7"], done.stderr
    assert _run("-m", "sam2_mlx.run_as_sam2").returncode == 2


def test_another_sam2_is_not_replaced() -> None:
    done = _run(
        "-c",
        "import sys, types, sam2_mlx\n"
        "sys.modules['sam2'] = types.ModuleType('sam2')\n"
        "sam2_mlx.install_as_sam2()",
    )
    assert "sam2 was imported already" in done.stderr
    again = _run("-c", "import sam2_mlx as s; s.install_as_sam2(); s.install_as_sam2()")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("name", ["build_sam2_camera_predictor", "build_sam2_object_camera"])
def test_a_fork_gets_a_pointer(name: str) -> None:
    with pytest.raises(ImportError, match=r"SAM2VideoPredictor.stream\(\)"):
        exec(f"from sam2_mlx.build_sam import {name}")
    with pytest.raises(ImportError, match="cannot import name 'build_sam3'"):
        exec("from sam2_mlx.build_sam import build_sam3")


def test_type_checkers_get_every_file(repository: Path) -> None:
    stubs = repository / "sam2_mlx-stubs"
    names = [path.relative_to(stubs).with_suffix("").as_posix() for path in stubs.rglob("*.pyi")]
    assert set(names) == set(_files()) - {"__init__", "run_as_sam2"}
    assert (stubs / "py.typed").read_text() == "partial\n"


@pytest.mark.slow
def test_a_built_wheel(repository: Path, tmp_path: Path) -> None:
    wheels = pytest.importorskip("hatchling.builders.wheel")
    pytest.importorskip("mypy")
    (wheel,) = wheels.WheelBuilder(str(repository)).build(directory=str(tmp_path))
    venv.create(tmp_path / "env", symlinks=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    (site / "rest.pth").write_text("\n".join(path for path in sys.path if "site-packages" in path))
    (tmp_path / "program.py").write_text(PROGRAM)
    python = str(tmp_path / "env" / "bin" / "python")
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    options = ("--python-executable", python, "--cache-dir", str(tmp_path / "cache"))
    checked = _run("-m", "mypy", *options, "program.py", cwd=tmp_path, env=clean)
    (error,) = [line for line in checked.stdout.splitlines() if "error:" in line]
    assert 'expression has type "SAM2VideoPredictor", variable has type "int"' in error
    imports = PROGRAM.partition("\n\n")[0] + "; print(sam2_mlx.__file__)"
    ran = subprocess.run(
        [python, "-c", imports], capture_output=True, text=True, env=clean, cwd=tmp_path
    )
    assert ran.stdout.startswith(str(site)), ran.stderr
