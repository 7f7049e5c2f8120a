"""What can be said about a kernel without running it."""

from __future__ import annotations

import re

from .capture import Launch

MAX_BUFFERS = 31
HOST_ONLY = {
    r"\bdouble\b": "double: Metal has none",
    r"\bstd::": "std::: Metal has no standard library",
    r"\[[&=]?\]\s*\(": "a lambda: not in every Metal version",
    r"\b(new|delete|throw|try|dynamic_cast|virtual|goto)\b": "C++ that Metal does not have",
    r"(?<![\w.])(\d+\.\d*|\.\d+)(e[+-]?\d+)?(?![\w.])": "a literal without f: double elsewhere",
}


def problems(launch: Launch, max_threads: int) -> list[str]:
    """Everything wrong with the text or the shape of a launch.

    Args:
        launch: what MLX would hand to Metal.
        max_threads: threads of a group that the kernel may ask for.

    Returns:
        One line a problem.
    """
    found = []
    if not launch.source.isascii():
        found.append("non-ASCII text: MLX hands it over as ASCII")
    for pattern, what in HOST_ONLY.items():
        match = re.search(pattern, launch.body)
        if match:
            found.append(f"{what} ({match.group(0)!r})")
    if "\n" in launch.body and re.search(r"\bgrid_(size|origin)\b", launch.body):
        found.append("a name that MLX takes for an attribute (grid_size, grid_origin)")
    return found + _parameters(launch) + _shape(launch, max_threads)


def _parameters(launch: Launch) -> list[str]:
    parameters = launch.parameters
    buffers = sum(p.attribute == "buffer" for p in parameters)
    found = []
    if buffers > MAX_BUFFERS:
        found.append(f"{buffers} buffers, Metal binds {MAX_BUFFERS}")
    for p in parameters:
        # MLX looks for names in the whole text, so a comment can add a parameter.
        if not re.search(rf"\b{p.name}\b", launch.body) and not p.declared.startswith("device"):
            found.append(f"parameter {p.name} is not used, or only in a comment")
    return found


def _shape(launch: Launch, max_threads: int) -> list[str]:
    found = []
    group = [min(g, n) for g, n in zip(launch.group, launch.grid, strict=True)]
    threads = group[0] * group[1] * group[2]
    if threads > max_threads:
        found.append(f"{threads} threads in a group, allowed are {max_threads}")
    if any(g > n for g, n in zip(launch.group, launch.grid, strict=True)):
        found.append(f"group {launch.group} larger than grid {launch.grid}: counted in groups?")
    if launch.collectives and group[0] % 32 and threads > 32:
        found.append(f"rows of {group[0]} threads split simdgroups of 32")
    return found
