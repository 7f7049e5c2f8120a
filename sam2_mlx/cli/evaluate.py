"""`sam2-mlx eval DATASET`: how good the masks of annotated videos are."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_mlx.cli.arguments import (
    CommandParser,
    add_model_arguments,
    add_options,
    file_path,
    read_count,
)
from sam2_mlx.cli.errors import INVALID, UsageError, report, say
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import check_outputs, plural
from sam2_mlx.cli.process import Interrupted
from sam2_mlx.cli.progress import progress_bar
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.files import StagedFolder, printable, real_path, write_json
from sam2_mlx.tracking.policies import POLICIES

if TYPE_CHECKING:
    from sam2_mlx.evaluation.annotations import AnnotatedSequence
    from sam2_mlx.evaluation.datasets import Dataset
    from sam2_mlx.evaluation.runs import FrameResult, GivenPrompt, MaskSource
    from sam2_mlx.evaluation.scores import SequenceScore

_EXAMPLES = """\
layouts
  DAVIS   JPEGImages/[480p/]SEQUENCE/00000.jpg, Annotations/[480p/]SEQUENCE/00000.png (palette)
  SA-V    JPEGImages_24fps/VIDEO/00000.jpg, Annotations_6fps/VIDEO/OBJECT/00000.png (binary)

examples
  sam2-mlx eval DAVIS --set val --model tiny
  sam2-mlx eval DAVIS --prompt clicks=3 --sequences blackswan,camel --json scores.json
  sam2-mlx eval sav_val --set sav_val --memory distractor-aware --save-masks found
  sam2-mlx eval DAVIS --masks found               (score masks that are there already)

J is the overlap of the masks, F that of their boundaries, J&F the mean of both, in percent: over an
object's frames without the first and the last annotated one, then over all objects. "first J" is
the overlap on the frame that is prompted.
"""


_OUTPUTS = {
    "--json FILE": "also write all numbers as JSON",
    "--save-masks FOLDER": "also save the masks, in the dataset's layout",
}


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 2 for a sequence that could not be scored, else 0."""
    return _run(_parser().parse_args(argv))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "eval", "Follow every object of annotated videos and score the masks.", _EXAMPLES
    )
    parser.add_argument(
        "dataset", metavar="DATASET", type=file_path, help="a folder in the layout of DAVIS or SA-V"
    )
    group = parser.add_argument_group("what to score")
    add_options(group, str, {"--set NAME": "a list of sequences that the dataset brings"})
    add_options(group, str, {"--sequences A,B": "only these sequences"})
    add_options(group, read_count, {"--max-frames N": "only the first N frames of each sequence"})
    add_options(
        group, file_path, {"--masks FOLDER": "score the masks in this folder; no model is run"}
    )
    group = parser.add_argument_group("how objects are followed")
    group.add_argument(
        "--prompt",
        metavar="KIND",
        default="mask",
        help="what is shown of each object, on the first frame that has it: mask (the default), "
        "box, click, or clicks=N (each after the first in the middle of the largest error)",
    )
    group.add_argument(
        "--memory",
        choices=list(POLICIES),
        default="rolling",
        help="which frames are remembered; rolling is the default",
    )
    holes = "fill holes of at most so many low-resolution pixels (8); 0 leaves them"
    add_options(group, float, {"--fill-holes AREA": holes}, default=8.0)
    add_model_arguments(parser)
    add_options(parser.add_argument_group("output"), file_path, _OUTPUTS)
    return parser


def _run(args: argparse.Namespace) -> int:
    from sam2_mlx.evaluation.datasets import open_dataset
    from sam2_mlx.evaluation.report import as_json, table
    from sam2_mlx.evaluation.runs import GivenPrompt

    prompt = GivenPrompt.parse(args.prompt)
    dataset = open_dataset(args.dataset, args.set)
    _check(args, dataset)
    if args.sequences:
        dataset = dataset.chosen([name for name in args.sequences.split(",") if name])
    source, settings = _source(args, prompt)
    begin = time.perf_counter()
    stop = StopSignals()
    scores, failed = _score_all(dataset, source, args, stop)
    settings["seconds"] = round(time.perf_counter() - begin, 1)
    settings |= {"dataset": real_path(dataset.root).name, "layout": dataset.layout, "set": args.set}
    if args.json:
        write_json(args.json, as_json(scores, failed, settings), indent=1)
    say(table(scores, dataset.layout, failed))
    if stop.received:
        scored = f"{len(scores)} of {plural(len(dataset.names), 'sequence')}"
        print(f"sam2-mlx: interrupted; {scored} were scored", file=sys.stderr)
        return 128 + stop.received
    return INVALID if failed else 0


def _check(args: argparse.Namespace, dataset: Dataset) -> None:
    if args.masks and args.save_masks:
        raise UsageError("--masks scores masks that are saved already; leave out --save-masks")
    if args.json and not real_path(args.json).parent.is_dir():
        raise UsageError(f"--json {args.json}: there is no such folder; make it first")
    if args.json and args.json.is_dir():
        raise UsageError(f"--json {args.json} is a folder; name a file")
    if args.fill_holes < 0:
        raise UsageError(f"--fill-holes is an area of 0 or more; got {args.fill_holes:g}")
    outputs = [("--json", args.json), ("--save-masks", args.save_masks)]
    check_outputs(outputs, [dataset.root, *dataset.root.iterdir()])
    for option, target in outputs:
        # The next run would take it for frames or true masks.
        if target is not None and real_path(dataset.root) in real_path(target).parents:
            raise UsageError(f"{target} is in the dataset; give {option} another name")
    if args.save_masks and args.save_masks.is_file():
        raise UsageError(f"{args.save_masks} is a file; give --save-masks the name of a folder")


def _source(args: argparse.Namespace, prompt: GivenPrompt) -> tuple[MaskSource, dict[str, Any]]:
    """Where the masks come from, and how to say so."""
    from sam2_mlx.evaluation.runs import ModelMasks, SavedMasks

    if args.masks:
        return SavedMasks(args.masks), {"masks": args.masks.name}
    from sam2_mlx.ops.dtypes import dtype_name

    model = load_model(ModelChoice(args.model, args.dtype, args.image_size, follow=True))
    settings = {
        "model": model.config.name,
        "dtype": dtype_name(model.dtype),
        "image_size": model.config.image_size,
        "prompt": str(prompt),
        "memory": args.memory,
        "fill_holes": args.fill_holes,
        "max_frames": args.max_frames,
    }
    return ModelMasks(model, prompt, args.memory, args.fill_holes), settings


def _score_all(
    dataset: Dataset, source: MaskSource, args: argparse.Namespace, stop: StopSignals
) -> tuple[list[SequenceScore], dict[str, str]]:
    """Score each sequence; one that cannot be scored is reported, and the others go on."""
    from sam2_mlx.evaluation.scores import score_sequence

    scores: list[SequenceScore] = []
    failed: dict[str, str] = {}
    with stop, progress_bar("frames", leave=False) as bar:
        for name in dataset.names:
            bar.set_description_str(printable(name), refresh=False)
            try:
                sequence = dataset.open(name, args.max_frames)
                with _staged(sequence, args.save_masks) as folder:
                    on_frame = _on_frame(sequence, folder, bar, stop)
                    scores.append(score_sequence(sequence, source, on_frame))
            except Interrupted:
                break
            # Damaged files; the messages of these are for the user.
            except (ValueError, OSError) as problem:
                failed[name] = " ".join(str(problem).split())
                bar.clear()
                report(f"{name}: {failed[name]}")
    return scores, failed


def _on_frame(
    sequence: AnnotatedSequence, folder: Path | None, bar: Any, stop: StopSignals
) -> Callable[[FrameResult], None]:
    def on_frame(result: FrameResult) -> None:
        bar.update()
        if folder is not None:
            sequence.save(folder, result.frame, result.masks)
        if stop.received:
            raise Interrupted(stop.received)

    return on_frame


@contextmanager
def _staged(sequence: AnnotatedSequence, folder: Path | None) -> Iterator[Path | None]:
    """Where the masks of a sequence go until it is done."""
    if not folder:
        yield None
        return
    frames = range(sequence.frames.num_frames)
    names = {sequence.file_name(frame) for frame in frames} | {*sequence.objects.values()}

    def written(earlier: Path) -> list[str]:
        """What an earlier run wrote: masks of frames, and folders that hold no others."""
        return [
            entry.name
            for entry in earlier.iterdir()
            if entry.name in names
            and (entry.is_file() or all(file.name in names for file in entry.iterdir()))
        ]

    folder.mkdir(parents=True, exist_ok=True)
    staged = StagedFolder(folder / sequence.name, written)
    try:
        yield staged.path
    except BaseException:
        # Not by `with`: a frame that cannot be read is no problem of the folder.
        staged.discard()
        raise
    staged.commit()
