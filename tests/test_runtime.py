"""The process under MLX: BLAS, compiler, lazy imports, the dispatching command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import sam2_mlx
from sam2_mlx import __main__ as dispatcher
from sam2_mlx.cli import info
from sam2_mlx.ops import runtime as _runtime
from sam2_mlx.ops.cpu import blas as _blas
from sam2_mlx.ops.cpu import compiler as _compiler
from sam2_mlx.ops.device import on_gpu

on_a_cpu = pytest.mark.skipif(on_gpu(), reason="MLX's CUDA build has a BLAS and a compiler")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the BLAS is a Linux matter")

MEASURE = """
import sam2_mlx, json
from sam2_mlx.ops import runtime as _runtime
blas = _runtime.prepare().blas
speed = max(_runtime.measure_gflops(0.1, 512) for _ in range(3))
print(json.dumps([blas.origin, blas.problem, speed]))
"""


def python(code: str, *, cwd: Path | None = None, **variables: str | None) -> str:
    """Run code in a fresh interpreter, with environment variables set or (None) removed."""
    environment = {**os.environ, **{k: v for k, v in variables.items() if v is not None}}
    for name in [name for name, value in variables.items() if value is None]:
        environment.pop(name, None)
    root = str(Path(sam2_mlx.__file__).parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=cwd, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


# --- BLAS -----------------------------------------------------------------------------------


@linux_only
@on_a_cpu
def test_a_fast_blas_is_put_under_mlx() -> None:
    origin, problem, fast = json.loads(python(MEASURE, SAM2_MLX_BLAS=None))
    assert (origin in ("system", "opencv-python")) and problem is None
    _, _, slow = json.loads(python(MEASURE, SAM2_MLX_BLAS="off"))
    # Thirty times as fast on an idle machine; the rest is room for a busy one.
    assert fast > 3 * slow


@linux_only
def test_numpy_and_opencv_still_work_with_it() -> None:
    code = """
import sam2_mlx, mlx.core as mx, numpy as np, cv2
a = np.random.default_rng(0).normal(size=(96, 96))
assert np.abs(a @ np.linalg.inv(a) - np.eye(96)).max() < 1e-9
assert np.abs(np.asarray(mx.array(a.astype(np.float32)) @ mx.eye(96)) - a).max() < 1e-5
assert abs(cv2.invert(a)[1] @ a - np.eye(96)).max() < 1e-6
print("fine")
"""
    assert python(code).strip() == "fine"


@linux_only
def test_the_environment_is_left_as_it_was() -> None:
    code = "import os; a = dict(os.environ); import sam2_mlx; print(dict(os.environ) == a)"
    if shutil.which("g++") is None:
        pytest.skip("without a compiler MLX_DISABLE_COMPILE is added")
    assert python(code, SAM2_MLX_BLAS=None).strip() == "True"


@linux_only
@on_a_cpu
def test_a_folder_named_mlx_does_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "mlx").mkdir()
    code = "import sam2_mlx; print(sam2_mlx.ops.runtime.prepare().blas.origin)"
    assert python(code, cwd=tmp_path, SAM2_MLX_BLAS=None).strip() in ("system", "opencv-python")


@linux_only
def test_an_unusable_blas_is_named_once() -> None:
    code = "import sam2_mlx.ops.runtime as r; r.report_once(); r.report_once()"
    said = python(code, SAM2_MLX_BLAS="/nowhere/libblas.so")
    assert said.count("\n") == 1
    assert "SAM2_MLX_BLAS=/nowhere/libblas.so cannot be used" in said


@linux_only
@on_a_cpu
def test_importing_mlx_first_is_reported_not_fatal() -> None:
    code = "import mlx.core, sam2_mlx; sam2_mlx.load('nano'); sam2_mlx.load('nano')"
    assert python(code, SAM2_MLX_BLAS=None).count("put `import sam2_mlx` before") == 1


@linux_only
def test_without_any_blas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAM2_MLX_BLAS", raising=False)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.delitem(sys.modules, "mlx.core", raising=False)
    monkeypatch.setattr(_blas, "load_global", lambda name: "not here")
    blas = _blas.choose_blas(_runtime._mlx_site())
    assert blas.origin == "mlx"
    assert blas.problem is not None and "apt install libopenblas0-pthread" in blas.problem


def test_nothing_is_said_on_import() -> None:
    assert python("import sam2_mlx", SAM2_MLX_BLAS="/nowhere/libblas.so") == ""


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None)]
)
def test_a_containers_quota_limits_the_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: int | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert _blas.usable_cores(str(quota)) == (cores or 64)


def test_two_builds_of_mlx_are_noticed(tmp_path: Path) -> None:
    for name in ("mlx_cpu-1.dist-info", "mlx_cuda_13-1.dist-info", "mlx/lib"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mlx" / "lib" / "libmlx.so").write_bytes(b"small")
    problem = _runtime._mlx_conflict(tmp_path)
    assert problem is not None and "--no-deps mlx-cuda-13" in problem
    shutil.rmtree(tmp_path / "mlx_cpu-1.dist-info")
    assert _runtime._mlx_conflict(tmp_path) is None


# --- mx.compile without a compiler -----------------------------------------------------------

GELU = """
import sam2_mlx, sys
import mlx.core as mx, mlx.nn as nn
x = mx.array([[1.0, -1.0]])
y = nn.gelu(x)  # compiled
mx.eval(y)
print(round(y[0, 0].item(), 3), sam2_mlx.ops.runtime.prepare().compile_problem)
"""


@linux_only
@on_a_cpu
def test_it_works_without_a_compiler(tmp_path: Path) -> None:
    said = python(GELU, PATH=str(tmp_path), TMPDIR=str(tmp_path), MLX_DISABLE_COMPILE=None)
    assert said.strip() == "0.841 no g++ in PATH"


needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or on_gpu() or shutil.which("g++") is None,
    reason="needs Linux, g++ and MLX for a CPU",
)


@needs_compiler
def test_without_a_folder_that_can_be_private_nothing_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    cache = str(tmp_path / "open" / "cache")
    said = python(GELU, XDG_CACHE_HOME=cache, TMPDIR=cache, MLX_DISABLE_COMPILE=None)
    assert said.startswith("0.841 ") and f"{tmp_path / 'open'} belongs to or can be" in said


@needs_compiler
@pytest.mark.slow
def test_programs_are_in_a_private_folder_that_lasts(tmp_path: Path) -> None:
    shared, code = tmp_path / "tmp", GELU + "import tempfile; print(tempfile.gettempdir())"
    shared.mkdir()
    variables = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(shared)}
    said = python(code, MLX_DISABLE_COMPILE=None, **variables)
    assert said == f"0.841 None\n{shared}\n"
    programs = list((tmp_path / "cache" / "sam2_mlx" / "compiled").rglob("*.so"))
    assert programs and not list(shared.rglob("*.so"))
    assert (tmp_path / "cache" / "sam2_mlx" / "compiled").stat().st_mode & 0o777 == 0o700
    # What was cut short is made anew.
    for program in programs:
        program.write_bytes(program.read_bytes()[:5000])
        os.utime(program, (0, 0))
    assert python(code, MLX_DISABLE_COMPILE=None, **variables) == said


@needs_compiler
def test_a_folder_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "compiled"
    assert _compiler._make_private(folder) is None
    folder.chmod(0o777)
    assert _compiler._make_private(folder) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(folder)
    assert "not a folder of this user" in str(_compiler._make_private(tmp_path / "link"))
    monkeypatch.setattr(_compiler.os, "geteuid", lambda: 12345)
    assert "not a folder of this user" in str(_compiler._make_private(folder))


def test_what_an_nvidia_gpu_needs_compiled_is_private_or_kept_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no g++
    monkeypatch.delenv("MLX_DISABLE_COMPILE", raising=False)
    monkeypatch.delenv("MLX_PTX_CACHE_DIR", raising=False)
    monkeypatch.setattr(_compiler.ctypes, "CDLL", lambda _: mock.Mock())
    monkeypatch.setattr(_compiler, "_lasting", lambda: tmp_path / "compiled")
    cut_short = tmp_path / "compiled" / "mlx" / "1" / "ptx" / "a.ptx"
    whole = cut_short.with_name("b.ptx")
    cut_short.parent.mkdir(parents=True)
    for path in (cut_short, whole, whole.with_suffix(".cu")):
        path.touch()
        os.utime(path, (0, 0))
    assert _compiler.prepare_compiler(cuda=True) is None
    assert "MLX_PTX_CACHE_DIR" not in os.environ and "MLX_DISABLE_COMPILE" not in os.environ
    assert whole.exists() and not cut_short.exists()
    monkeypatch.setattr(_compiler, "_make_private", lambda folder: "belongs to others")
    assert _compiler.prepare_compiler(cuda=True) is None
    assert os.environ.pop("MLX_PTX_CACHE_DIR") == ""


# --- importing ------------------------------------------------------------------------------


def test_importing_is_quick_and_light() -> None:
    code = """
import sys, time
start = time.perf_counter()
import sam2_mlx
seconds = time.perf_counter() - start
heavy = {"mlx.core", "mlx.nn", "cv2", "av", "PIL", "numpy", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
print(seconds)
"""
    assert min(float(python(code)) for _ in range(2)) < 1.0


def test_public_names_arrive_when_used() -> None:
    assert set(sam2_mlx.__all__) <= set(dir(sam2_mlx))
    for name in sam2_mlx.__all__:
        assert getattr(sam2_mlx, name) is not None
    assert callable(sam2_mlx.load) and callable(sam2_mlx.build_sam2)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sam2_mlx.nonsense


# --- the command ----------------------------------------------------------------------------


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatcher.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in dispatcher.COMMANDS)
    assert dispatcher.main([]) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatcher.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sam2-mlx {sam2_mlx.__version__}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("vidoe", "did you mean `video`?"), ("xyz", "expected one of"), ("--fast", "unknown option")],
)
def test_an_unknown_command_is_one_line(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    assert dispatcher.main([word]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and hint in said.err


def test_ctrl_c_is_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "main", interrupted)
    assert dispatcher.main(["info"]) == 130
    assert capsys.readouterr().err == "sam2-mlx: interrupted; nothing was written\n"


def test_a_closed_pipe_is_not_a_traceback() -> None:
    root = str(Path(sam2_mlx.__file__).parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-m", "sam2_mlx", "info"],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0 and said == b""


def test_info_says_what_is_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["version"] == sam2_mlx.__version__
    assert found["gflops"] > 0
    assert found["device"] in ("cpu", "gpu")
    assert found["default_dtype"] == ("float16" if found["device"] == "gpu" else "float32")
    assert "nano" in found["models"]
    text = info.render(found)
    for word in ("device", "dtype", "BLAS", "GFLOP/s", "compile", "kernels", "nano"):
        assert word in text


def test_info_names_the_problems() -> None:
    found = {
        "version": "1",
        "python": "3",
        "platform": "p",
        "packages": {},
        "models": {},
        "profiles": ["nano at 256: tuned elsewhere"],
        "device": "cpu",
        "device_name": "",
        "memory_bytes": 0,
        "float32": "short",
        "default_dtype": "float32",
        "gflops": 3.0,
        "kernels": "off",
        "mlx_conflict": "two builds",
        "blas": {"origin": "mlx", "path": None, "problem": "slow one"},
        "compile": {"on": False, "problem": "no g++ in PATH"},
    }
    text = info.render(found)
    assert "problem   slow one" in text and "problem   two builds" in text
    assert "off (no g++ in PATH)" in text and "nano at 256: tuned elsewhere" in text
