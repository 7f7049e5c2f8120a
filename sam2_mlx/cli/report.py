"""`sam2-mlx report`: what this machine is and does, in one file to send.

Nothing in it is personal: no paths, no names of people or computers.
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sam2_mlx.cli.arguments import CommandParser, file_path
from sam2_mlx.cli.errors import UsageError

FORMAT_VERSION = 1
_KEPT = ("version", "python", "packages", "device", "device_name", "default_dtype", "float32")
# Those of docs/settings.md, and what others read; their values are words and numbers, or paths.
SETTINGS = (
    *(
        f"SAM2_MLX_{name}"
        for name in ("CACHE", "KERNELS", "COMPILE", "PROFILE", "FOLD", "LANES", "BLAS")
    ),
    *("MLX_DISABLE_COMPILE", "MLX_ENABLE_TF32", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"),
)
_WORD = re.compile(r"auto|check|off|[0-9]{1,4}")
# A path, in whatever Metal or a file of verdicts says.
_PATH = re.compile(r"(?:~|\b[A-Za-z]:)?[/\\][^\s'\"]*")


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0 if the selftest agrees, else 1."""
    options = _parser().parse_args(argv)
    from sam2_mlx.checkpoints.names import model_name
    from sam2_mlx.config import MODELS
    from sam2_mlx.files import check_target, write_json

    check_target(options.output)
    if model_name(options.model) is None:
        # A file's name, or what is in it, could be personal.
        raise UsageError(f"--model is one of {', '.join(MODELS)}; got {options.model}")
    report = collect(options.model, options.quick)
    write_json(options.output, report, indent=1)
    failed = report["selftest"]["failed"]
    print(
        f"wrote {options.output}; nothing in it is personal. Look at it, and send it with an "
        "issue: it becomes a row of docs/machines.md"
    )
    if failed:
        print(f"{len(failed)} comparisons of kernels failed here", file=sys.stderr)
    return 1 if failed else 0


def collect(model: str, quick: bool) -> dict[str, Any]:
    """Everything that a report says.

    Args:
        model: name of the model whose speed is measured.
        quick: at small sizes and in one round.

    Returns:
        Plain values: the machine, versions, what is in force, verdicts on kernels and forms, what
        `tune` found, the selftest, the last `selftest --official` of each model, and times in
        seconds.
    """
    from sam2_mlx.checkpoints.load import profile_place
    from sam2_mlx.cli import info
    from sam2_mlx.cli.official import results_file
    from sam2_mlx.files import FileError, read_json
    from sam2_mlx.ops.cpu.blas import usable_cores
    from sam2_mlx.ops.metal.verdicts import all_of, verdict_file

    facts = info.collect()
    try:
        verdicts = read_json(verdict_file())
    except (OSError, FileError):
        verdicts = {}
    report: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        **{key: facts[key] for key in _KEPT},
        # The system's build its owner may have named.
        "system": info.system_name(with_build=False),
        "cores": usable_cores(),
        "memory_bytes": facts["memory_bytes"] or _memory_bytes(),
        "gflops": facts["gflops"],
        "blas": facts["blas"]["origin"],
        "compile": facts["compile"]["on"],
        "kernels": facts["kernels"],
        "settings": _settings(),
        "verdicts": verdicts,
        "profile": all_of(profile_place(model)),
        "selftest": _selftest(quick),
        "official": all_of(results_file()),
        "bench": _bench(model, quick, facts["gflops"]),
    }
    without_paths: dict[str, Any] = _without_paths(report)
    return without_paths


def _without_paths(value: Any) -> Any:
    """The same with three dots for everything in its texts that looks like a path."""
    if isinstance(value, dict):
        return {_without_paths(key): _without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    return _PATH.sub("...", value) if isinstance(value, str) else value


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _settings() -> dict[str, str]:
    """The settings that are made; three dots for a value that is no word or number."""
    values = {key: os.environ[key].lower() for key in SETTINGS if os.environ.get(key)}
    return {key: value if _WORD.fullmatch(value) else "..." for key, value in values.items()}


def _selftest(quick: bool) -> dict[str, Any]:
    from sam2_mlx.cli.arguments import DTYPES
    from sam2_mlx.cli.kernel_cases import compare

    said = io.StringIO()
    with redirect_stdout(said):
        failed = compare(DTYPES, quick)
    # The first line names the system's build, which its owner may have named.
    return {"failed": failed, "lines": said.getvalue().splitlines()[1:]}


def _bench(name: str, quick: bool, gflops: float) -> list[dict[str, Any]]:
    """Times; of a tracked frame also its floor: its arithmetic at the speed of products here."""
    from sam2_mlx.cli.bench.command import case_name, cases
    from sam2_mlx.cli.bench.models import find_model
    from sam2_mlx.cli.bench.timing import TrackedFrame, make_run, measure
    from sam2_mlx.cli.bench.work import count_flops
    from sam2_mlx.cli.progress import progress_bar
    from sam2_mlx.ops.cpu.allocator import keep_freed_memory
    from sam2_mlx.ops.cpu.rehearsal import compile_at_once
    from sam2_mlx.ops.dtypes import dtype_name

    keep_freed_memory()
    compile_at_once()
    model, weights = find_model(name, "auto", 64 if quick else None)
    planned = list(cases(["image", "frame"], [1] if quick else [1, 8], 0))
    planned += cases(["clip"], [1], 2 if quick else 12)
    if model.memory is None:
        planned = planned[:1]
    rows = []
    with progress_bar("measurements", len(planned)) as bar:
        for what, case in planned:
            times = measure(make_run(what, model, case), 1 if quick else 3)
            rows.append({"what": case_name(what, case), **case, **times})
            if what == "frame":
                frame = TrackedFrame(model, case["memories"], case["objects"])
                flops = count_flops(frame.follow, frame.arrays)
                rows[-1] |= {"flops": flops, "floor_s": flops / (1e9 * gflops)}
            bar.update()
    about = {
        "model": model.config.name,
        "weights": weights,
        "dtype": dtype_name(model.dtype),
        "image_size": model.config.image_size,
    }
    return [{**about, **row} for row in rows]


def _parser() -> CommandParser:
    parser = CommandParser(
        "report", "Write what this machine is and does into a file to send; nothing personal."
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=file_path,
        default=Path("sam2-mlx-report.json"),
        help="the file (default: sam2-mlx-report.json)",
    )
    parser.add_argument(
        "--model", default="nano", help="the model that is measured: a published name (nano)"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; the times mean little")
    return parser
