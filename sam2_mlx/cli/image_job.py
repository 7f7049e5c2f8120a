"""One run of the image command: ask, draw, write, report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sam2_mlx.cli.errors import note, say
from sam2_mlx.cli.everything_options import refuse_everything_options
from sam2_mlx.cli.everything_picture import run_everything_picture
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import check_outputs, plural
from sam2_mlx.cli.progress import said_if_slow
from sam2_mlx.cli.typed_prompts import read_prompts
from sam2_mlx.files import check_target, together
from sam2_mlx.media import load_picture
from sam2_mlx.media.cutout import check_picture_name, cut_out, save_picture
from sam2_mlx.media.mask_writer import MaskRecord, open_mask_writer
from sam2_mlx.media.overlay import draw_masks
from sam2_mlx.media.sinks import all_or_nothing
from sam2_mlx.prompts import Prompt

if TYPE_CHECKING:
    from sam2_mlx.model.sam import Sam


@dataclass(frozen=True)
class ObjectAnswer:
    """What the model answers for one object, the most likely mask first.

    Attributes:
        masks: bool (M, H, W).
        iou: float32 (M,) predicted IoU.
    """

    masks: np.ndarray
    iou: np.ndarray


def run(args: argparse.Namespace) -> int:
    """Do what the image command was asked for; returns the exit code.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    path = args.picture
    picture = load_picture(path)
    choice = ModelChoice(args.model, args.dtype, args.image_size)
    if args.everything:
        return run_everything_picture(args, path, picture)
    refuse_everything_options(args)
    height, width = picture.shape[:2]
    prompts = read_prompts(args, width, height)
    names, cutout, saved = _outputs(args, path, choice)
    with all_or_nothing() as sinks:
        if saved is not None:
            sinks.append(writer := open_mask_writer(saved))
        model = load_model(choice)
        begin = time.perf_counter()
        answers = _ask(model, picture, prompts, args.all_masks)
        seconds = time.perf_counter() - begin
        with together():
            for rank, name in enumerate(names):
                drawn = draw_masks(picture, [answer.masks[rank] for answer in answers.values()])
                save_picture(name, Image.fromarray(drawn))
            if cutout is not None:
                union = np.any([answer.masks[0] for answer in answers.values()], axis=0)
                save_picture(cutout, cut_out(picture, union))
            if saved is not None:
                writer.add(_record(path, answers))
                writer.finish()
    written = [*names, *(target for target in (cutout, saved) if target is not None)]
    _say(written, answers, f"{width}x{height}", seconds)
    return 0


def _outputs(
    args: argparse.Namespace, path: Path, choice: ModelChoice
) -> tuple[list[Path], Path | None, Path | None]:
    """Where the drawn pictures, the cut-out and the masks go, checked."""
    output = args.output or Path(f"{path.stem}_masked.png")
    check_picture_name(output)
    names = [output]
    if args.all_masks:
        names = [output.with_name(f"{output.stem}_{rank}{output.suffix}") for rank in (1, 2, 3)]
    cutout, saved = args.cutout, args.save_masks
    outputs = [*(("--output", name) for name in names), ("--cutout", cutout)]
    check_outputs([*outputs, ("--save-masks", saved)], [path, *choice.files])
    if cutout is not None:
        check_picture_name(cutout, alpha=True)
    # Before the model is loaded.
    for _, target in outputs:
        if target is not None:
            check_target(target)
    return names, cutout, saved


@said_if_slow("looking at the picture")
def _ask(
    model: Sam, picture: np.ndarray, prompts: Mapping[int, Prompt], all_masks: bool
) -> dict[int, ObjectAnswer]:
    from sam2_mlx.predictors.look import Look, encode_pictures

    look = Look(model, picture.shape[:2], encode_pictures(model, [picture]))
    answers = {}
    for number, prompt in prompts.items():
        # One point alone is ambiguous: of three answers the best is taken. More say what is meant.
        ambiguous = prompt.labels.size == 1
        answer = look.answer(prompt, multimask=ambiguous or all_masks)
        masks, iou = np.array(look.enlarge(answer.logits[0]) > 0), np.array(answer.iou[0])
        order = np.argsort(-iou, kind="stable")
        answers[number] = ObjectAnswer(masks[order], iou[order])
    return answers


def _record(path: Path, answers: Mapping[int, ObjectAnswer]) -> MaskRecord:
    masks = np.stack([answer.masks[0] for answer in answers.values()])
    # A single picture has no presence score: what was pointed at is there, if anything is.
    presence = np.where(masks.any(axis=(1, 2)), 10.0, -10.0)
    iou = np.array([answer.iou[0] for answer in answers.values()])
    return MaskRecord(0, path.stem, list(answers), masks, iou, presence)


def _say(
    written: Sequence[Path], answers: Mapping[int, ObjectAnswer], size: str, seconds: float
) -> None:
    parts = []
    for number, answer in answers.items():
        share = 100 * float(answer.masks[0].mean())
        parts.append(f"object {number}: score {answer.iou[0]:.2f}, {share:.1f} % of the picture")
        if not share:
            note(f"nothing was found at the prompt of object {number}; try another point or a box")
    say(
        f"wrote {', '.join(map(str, written))} ({size}; {plural(len(parts), 'object')}; "
        f"{'; '.join(parts)}) in {seconds:.1f} s"
    )
