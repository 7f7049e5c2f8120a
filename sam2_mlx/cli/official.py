"""`sam2-mlx selftest --official`: official weights against numbers that others published."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sam2_mlx.files import FileError, cache_dir


def check_official(name: str, table: Path | None) -> int:
    """Compare a model with its published numbers and print all; returns 0 if all agree, else 1.

    What came out is kept for `sam2-mlx report`, unless the numbers are somebody's own.

    Args:
        name: one of the table's models.
        table: a JSON file in place of the package's.

    Raises:
        OSError, ValueError: if there are no such numbers, or something cannot be fetched or read.
    """
    # Read once by MLX: products of float32 in full precision.
    os.environ.setdefault("MLX_ENABLE_TF32", "0")
    from sam2_mlx.checkpoints.load import load
    from sam2_mlx.checkpoints.profiles import profile_key
    from sam2_mlx.cli.progress import said_if_slow
    from sam2_mlx.evaluation.published import OFFICIAL, published_numbers
    from sam2_mlx.ops.metal.verdicts import keep

    numbers = published_numbers(name, table or OFFICIAL)
    with said_if_slow(f"loading {numbers.repository}"):
        model = load(numbers.repository, dtype="float32", image_size=numbers.image_size)
    print(f"{numbers.repository} in float32, against {numbers.source}")
    off: list[str] = []
    total, worst = 0, 0.0
    for row in numbers.compare(model):
        total += 1
        worst = max(worst, row.error / row.limit)
        if not row.agrees:
            off.append(row.what)
        print(row.what)
        for title, values in (("expected", row.expected), ("got", row.got)):
            print(f"  {title:8} {' '.join(f'{value:.4f}' for value in values.flat)}")
        verdict = "" if row.agrees else "  FAILED"
        print(f"  off by {row.error:.1e}, limit {row.limit:g}{verdict}", flush=True)
    print(f"{len(off)} of {total} are off" if off else f"all {total} agree")
    if table is None:
        entry = {"total": total, "off": off, "worst_of_limit": round(worst, 3)}
        with suppress(OSError, FileError):
            keep(results_file(), f"{name}, {profile_key(model)}", entry)
    return 1 if off else 0


def results_file() -> Path:
    """Where the last outcome for each model is kept, by version and machine."""
    return cache_dir() / "official.json"
