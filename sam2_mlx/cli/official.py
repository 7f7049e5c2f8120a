"""`sam2-mlx selftest --official`: official weights against numbers that others published."""

from __future__ import annotations

import os
from pathlib import Path


def check_official(name: str, table: Path | None) -> int:
    """Compare a model with its published numbers and print all; returns 0 if all agree, else 1.

    Args:
        name: one of the table's models.
        table: a JSON file in place of the package's.

    Raises:
        OSError, ValueError: if there are no such numbers, or something cannot be fetched or read.
    """
    # Read once by MLX: products of float32 in full precision.
    os.environ.setdefault("MLX_ENABLE_TF32", "0")
    from sam2_mlx.checkpoints.load import load
    from sam2_mlx.cli.progress import said_if_slow
    from sam2_mlx.evaluation.published import OFFICIAL, published_numbers

    numbers = published_numbers(name, table or OFFICIAL)
    with said_if_slow(f"loading {numbers.repository}"):
        model = load(numbers.repository, dtype="float32", image_size=numbers.image_size)
    print(f"{numbers.repository} in float32, against {numbers.source}")
    failed = total = 0
    for row in numbers.compare(model):
        total += 1
        failed += not row.agrees
        print(row.what)
        for title, values in (("expected", row.expected), ("got", row.got)):
            print(f"  {title:8} {' '.join(f'{value:.4f}' for value in values.flat)}")
        verdict = "" if row.agrees else "  FAILED"
        print(f"  off by {row.error:.1e}, limit {row.limit:g}{verdict}", flush=True)
    print(f"{failed} of {total} are off" if failed else f"all {total} agree")
    return 1 if failed else 0
