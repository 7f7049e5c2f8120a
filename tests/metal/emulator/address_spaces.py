"""Checks with clang that pointers keep to Metal's address spaces; g++ knows none.

The shim for this is thin: it declares what kernels call, and nothing is run.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from .capture import Launch, capture_obstacle

_DECLARATIONS = """\
typedef unsigned char uint8_t; typedef int int32_t; typedef unsigned uint32_t;
typedef long int64_t; typedef unsigned uint; typedef unsigned short ushort;
typedef unsigned long ulong;
typedef _Float16 half; typedef half float16_t; typedef __bf16 bfloat; typedef bfloat bfloat16_t;
#define device __attribute__((address_space(1)))
#define constant __attribute__((address_space(2)))
#define threadgroup __attribute__((address_space(3)))
#define thread
template <typename T, int N> using vec = T __attribute__((ext_vector_type(N)));
typedef vec<uint, 2> uint2; typedef vec<ulong, 2> ulong2;
typedef vec<uint, 3> uint3; typedef vec<float, 4> float4;
struct complex64_t { float real, imag; };
namespace metal {
float exp(float); float rsqrt(float); float abs(float);
namespace precise { using metal::exp; using metal::rsqrt; }
template <typename T> T simd_sum(T); template <typename T> T simd_max(T);
enum class mem_flags { mem_none, mem_device, mem_threadgroup };
void threadgroup_barrier(mem_flags);
float exp2(float); template <typename T> T max(T, T);
template <typename T> T simd_shuffle_xor(T, ushort);
template <typename T, int R, int C> struct simdgroup_matrix { T* thread_elements(); };
template <typename T> void simdgroup_load(
    simdgroup_matrix<T, 8, 8>&, const threadgroup T*, ulong = 8, ulong2 = 0, bool = false);
template <typename D, typename A, typename B, typename C> void simdgroup_multiply_accumulate(
    simdgroup_matrix<D, 8, 8>&, simdgroup_matrix<A, 8, 8>, simdgroup_matrix<B, 8, 8>,
    simdgroup_matrix<C, 8, 8>);
}
using namespace metal;
"""


def clang_obstacle() -> str | None:
    """Why address spaces cannot be checked here, or None if they can."""
    if sys.platform != "linux":
        return "address spaces are checked on Linux"
    return capture_obstacle() or (None if clang() else "needs clang, such as PyPI's ziglang")


@lru_cache(maxsize=1)
def clang() -> list[str] | None:
    """The command of a clang: SAM2_MLX_CLANG, ziglang from PyPI, one in PATH, or Swift's."""
    chosen = os.environ.get("SAM2_MLX_CLANG")
    if chosen:
        return chosen.split()
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "clang"]
    # A Swift toolchain brings one, and may not be in PATH itself.
    places = [os.environ.get("PATH", ""), "/opt/swift/usr/bin", "/usr/share/swift/usr/bin"]
    command = shutil.which("clang", path=os.pathsep.join(places))
    return [command] if command else None


def address_errors(launch: Launch, folder: Path) -> list[str]:
    """What clang says about a kernel whose pointers have address spaces.

    Args:
        launch: what MLX would hand to Metal.
        folder: for the file that clang reads.

    Returns:
        clang's errors, one a line.
    """
    command = clang()
    assert command, "needs clang"
    kernel = re.sub(r"\ntemplate \[\[host_name.*\n", "\n", launch.source)
    kernel = re.sub(r"^#include.*\n", "", kernel, flags=re.MULTILINE)
    # Only static variables may carry an address space in C++.
    kernel = re.sub(r"(?:^|(?<=[;{}]))(\s*)threadgroup ", r"\1static threadgroup ", kernel)
    instance = re.search(r"decltype\((\w+<.*?>)\) \w+<", launch.source)
    used = instance.group(1) if instance else launch.name
    path = folder / "address_spaces.cpp"
    path.write_text(f"{_DECLARATIONS}{kernel}\nauto* used = &{used};\n")
    done = subprocess.run(
        [*command, "-std=c++17", "-w", "-fsyntax-only", str(path)], capture_output=True, text=True
    )
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    return errors or ([done.stderr] if done.returncode else [])
