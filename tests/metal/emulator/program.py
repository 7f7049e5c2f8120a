"""A program for this machine's CPU that runs one captured kernel."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import mlx.core as mx

from .capture import Launch, capture_obstacle

SHIM = Path(__file__).parent / "shim"
MLX_HEADERS = Path(mx.__file__).parent / "include"
FLAGS = ["-std=c++17", "-O1", "-g0", "-U_FORTIFY_SOURCE", f"-I{SHIM}", f"-I{MLX_HEADERS}"]
KERNEL_FLAGS = [
    *("-ffp-contract=off", "-Wno-attributes", "-Wuninitialized", "-Werror=uninitialized"),
    *("-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
]
_PLACES = {
    "thread_position_in_grid": "uint3(rt::group_place.x * rt::group.x + t.x, "
    "rt::group_place.y * rt::group.y + t.y, rt::group_place.z * rt::group.z + t.z)",
    "thread_position_in_threadgroup": "uint3(t.x, t.y, t.z)",
    "thread_index_in_threadgroup": "linear(t)",
    "thread_index_in_simdgroup": "(linear(t) % 32u)",
    "simdgroup_index_in_threadgroup": "(linear(t) / 32u)",
    "threads_per_simdgroup": "32u",
    "simdgroups_per_threadgroup": "((rt::volume(rt::group_size) + 31u) / 32u)",
    "threadgroup_position_in_grid": "from(rt::group_place)",
    "threads_per_grid": "from(rt::grid)",
    "threads_per_threadgroup": "from(rt::group_size)",
}
_PROGRAM = """\
#include <cmath>
#include <limits>
#include <type_traits>
#include "runtime.h"
namespace emulated {{
#include "metal_shim.h"
#include "mlx/backend/metal/kernels/utils.h"
#line 1 "{name}"
{kernel}
#line 1 "driver"
inline uint linear(rt::Index3 t) {{
  return t.x + rt::group_size.x * (t.y + rt::group_size.y * t.z);
}}
inline uint3 from(rt::Index3 n) {{ return uint3(n.x, n.y, n.z); }}
static void run_thread(rt::Index3 t) {{ {call}({arguments}); }}
}}
int main(int, char** arguments) {{
  rt::body = emulated::run_thread;
  return rt::drive(arguments, {collectives});
}}
"""


class EmulationError(Exception):
    """A kernel that does something a kernel must not do."""


@lru_cache(maxsize=1)
def compiler_obstacle() -> str | None:
    """Why kernels cannot be emulated here, or None if they can."""
    if sys.platform != "linux":
        return "the kernel emulator runs on Linux"
    if shutil.which(_compiler()[0]) is None:
        return "the kernel emulator needs g++"
    if not (MLX_HEADERS / "mlx/backend/metal/kernels/utils.h").exists():
        return "this build of MLX brings no Metal headers"
    if capture_obstacle():
        return capture_obstacle()
    probe = "#include <cmath>\nint main(int n, char**) { return int(_Float16(n) - 1); }"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.cpp"
        path.write_text(probe)
        done = subprocess.run(
            [*_compiler(), *FLAGS, *KERNEL_FLAGS, str(path), "-o", f"{folder}/probe"],
            capture_output=True,
        )
    return None if done.returncode == 0 else "g++ has no _Float16 or no UBSan (12 or newer has)"


def build(launch: Launch, folder: Path) -> Path:
    """The program of a launch, compiled once per text.

    Args:
        launch: what MLX would hand to Metal.
        folder: where programs are kept.

    Raises:
        EmulationError: if it does not compile.
    """
    text = _text(launch)
    digest = hashlib.sha256(text.encode() + _shim()).hexdigest()[:16]
    program = folder / f"kernel_{digest}"
    if not program.exists():
        source = program.with_suffix(".cpp")
        source.write_text(text)
        _compile([*KERNEL_FLAGS, str(source), str(_driver(folder))], program)
    return program


def _driver(folder: Path) -> Path:
    """The part that is the same for all kernels, compiled once."""
    driver = folder / f"driver_{hashlib.sha256(_shim()).hexdigest()[:16]}.o"
    if not driver.exists():
        _compile(["-c", str(SHIM / "driver.cpp")], driver)
    return driver


def _compile(arguments: list[str], result: Path) -> None:
    draft = result.with_suffix(".draft")
    command = [*_compiler(), *FLAGS, *arguments, "-o", str(draft)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise EmulationError("does not compile:\n" + "\n".join(errors[:8]))
    draft.rename(result)


@lru_cache(maxsize=1)
def _shim() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(SHIM.iterdir()) if path.is_file())


def _compiler() -> list[str]:
    return os.environ.get("CXX", "g++").split()


def _text(launch: Launch) -> str:
    instance = re.search(r"decltype\((\w+<.*?>)\) \w+<", launch.source)
    # The explicit instantiation becomes a call.
    kernel = re.sub(r"\ntemplate \[\[host_name.*\n", "\n", launch.source)
    arguments = []
    for p in launch.parameters:
        if p.attribute != "buffer":
            arguments.append(_PLACES[p.attribute])
        else:
            kind = "reference" if p.declared.endswith("&") else "pointer"
            arguments.append(f"rt::{kind}({p.index})")
    return _PROGRAM.format(
        name=launch.name,
        kernel=_with_shared_memory(kernel),
        call=instance.group(1) if instance else launch.name,
        arguments=", ".join(arguments),
        collectives="true" if launch.collectives else "false",
    )


def _with_shared_memory(kernel: str) -> str:
    """Threadgroup variables become one storage for all threads, poisoned for each group."""
    name = r"([\w:<>]+(?:\s*,\s*\d+>)?)\s+(\w+)((?:\[[^\]]+\])*);"
    declaration = r"(?:^|(?<=[;{}]))(\s*)threadgroup\s+" + name
    shared = re.sub(
        declaration, r"\1static \2 \3\4; rt::share(&\3, sizeof \3);", kernel, flags=re.MULTILINE
    )
    left = re.search(r"\bthreadgroup\s+[^*&();]*;", shared)
    if left:
        raise EmulationError(f"a threadgroup variable of unknown form: {left.group(0)}")
    return shared
