"""`python -m sam2_mlx.image PICTURE --point X,Y`: mask objects in a picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sam2_mlx.cli.arguments import (
    ObjectPrompt,
    OneLineParser,
    add_model_arguments,
    add_prompt_arguments,
    join_values,
    read_prompts,
)
from sam2_mlx.cli.errors import note
from sam2_mlx.cli.everything_options import (
    add_everything_arguments,
    refuse_everything_options,
)
from sam2_mlx.cli.everything_picture import run_everything_picture
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import check_not_input, plural
from sam2_mlx.media import load_picture
from sam2_mlx.media.mask_writer import MaskRecord, open_mask_writer

if TYPE_CHECKING:
    from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor

_EXAMPLES = """\
examples:
  python -m sam2_mlx.image photo.jpg --point 300,200
  python -m sam2_mlx.image photo.jpg --box 40,60,210,300 --cutout object.png
  python -m sam2_mlx.image photo.jpg --point 300,200 --point 2:400,120 --save-masks masks.json
  python -m sam2_mlx.image photo.jpg --everything --points-per-side 16

A single point can mean the whole object or a part of it: --all-masks writes all three answers,
the most likely first. Existing files are replaced.
"""


def main(argv: list[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments after `image`.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, OSError: for arguments or input that cannot be carried out.
    """
    return _run(_parser().parse_args(join_values(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m sam2_mlx.image",
        description="Mask objects in a picture and write it with the masks drawn over it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("picture", metavar="PICTURE", help="a JPEG, PNG, WebP or TIFF file")
    add_prompt_arguments(parser, masks=False)
    parser.add_argument(
        "--everything", action="store_true", help="mask everything in the picture, without prompts"
    )
    add_everything_arguments(parser)
    add_model_arguments(parser)
    group = parser.add_argument_group("output")
    add = group.add_argument
    add("-o", "--output", metavar="FILE", help="the drawn picture; PICTURE_masked.png by default")
    add(
        "--save-masks",
        metavar="WHERE",
        help="also save the masks: a folder for a palette PNG, FILE.npz, or FILE.json (COCO)",
    )
    add("--cutout", metavar="FILE", help="also save the objects alone, the rest transparent (.png)")
    add(
        "--all-masks",
        action="store_true",
        help="write the three answers as OUTPUT_1, OUTPUT_2, OUTPUT_3, the most likely first",
    )
    return parser


def _run(args: argparse.Namespace) -> int:
    from sam2_mlx.media.cutout import check_picture_name

    path = Path(args.picture)
    picture = load_picture(path)
    if args.everything:
        return run_everything_picture(args, path, picture)
    refuse_everything_options(args)
    height, width = picture.shape[:2]
    prompts = read_prompts(args, width, height)
    output = Path(args.output) if args.output else Path(f"{path.stem}_masked.png")
    check_picture_name(output)
    names = _numbered(output) if args.all_masks else [output]
    cutout = Path(args.cutout) if args.cutout else None
    saved = Path(args.save_masks) if args.save_masks else None
    for target, option in (
        *((name, "--output") for name in names),
        (cutout, "--cutout"),
        (saved, "--save-masks"),
    ):
        if target is not None:
            check_not_input(target, path, option)
    if cutout is not None:
        check_picture_name(cutout, alpha=True)
    _check_writable([*names, cutout])
    writer = open_mask_writer(saved) if saved is not None else None
    try:
        model = load_model(ModelChoice(args.model, args.dtype, args.image_size))
        begin = time.perf_counter()
        answers = _predict(model, picture, prompts, args.all_masks)
        seconds = time.perf_counter() - begin
        written = _write(picture, answers, names, cutout)
        if writer is not None:
            writer.add(_record(path, prompts, answers))
            writer.finish()
            written.append(saved)
    except BaseException:
        # Whatever happened, Ctrl-C included: nothing half-written stays behind.
        if writer is not None:
            writer.abort()
        raise
    _say(written, prompts, answers, seconds)
    return 0


def _numbered(output: Path) -> list[Path]:
    return [output.with_name(f"{output.stem}_{rank}{output.suffix}") for rank in (1, 2, 3)]


def _check_writable(targets: list[Path | None]) -> None:
    """Find out before the model is loaded whether there is a folder to write to."""
    from sam2_mlx.files import check_target

    for target in targets:
        if target is not None:
            check_target(target)


def _predict(
    model: Any, picture: np.ndarray, prompts: list[ObjectPrompt], all_masks: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Masks and scores of each object, the most likely first.

    Returns:
        For each object bool (C, H, W) and float32 (C,).
    """
    from sam2_mlx.predictors.image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    predictor.set_image(picture)
    return [_ask(predictor, prompt, all_masks) for prompt in prompts]


def _ask(
    predictor: SAM2ImagePredictor, prompt: ObjectPrompt, all_masks: bool
) -> tuple[np.ndarray, np.ndarray]:
    # One point alone is ambiguous: of three answers the best is taken. More say what is meant.
    ambiguous = prompt.box is None and len(prompt.points) == 1
    masks, iou, _ = predictor.predict(
        point_coords=np.array(prompt.points, np.float32) if prompt.points else None,
        point_labels=np.array(prompt.labels, np.int32) if prompt.points else None,
        box=None if prompt.box is None else np.array(prompt.box, np.float32),
        multimask_output=ambiguous or all_masks,
    )
    order = np.argsort(-iou, kind="stable")
    return masks[order].astype(bool), iou[order]


def _write(
    picture: np.ndarray,
    answers: list[tuple[np.ndarray, np.ndarray]],
    names: list[Path],
    cutout: Path | None,
) -> list[Path | None]:
    from PIL import Image

    from sam2_mlx.media.cutout import cut_out, save_picture
    from sam2_mlx.media.overlay import draw_masks

    written: list[Path | None] = []
    for rank, name in enumerate(names):
        drawn = draw_masks(picture, [masks[rank] for masks, _ in answers])
        save_picture(name, Image.fromarray(drawn))
        written.append(name)
    if cutout is not None:
        union = np.any([masks[0] for masks, _ in answers], axis=0)
        save_picture(cutout, cut_out(picture, union))
        written.append(cutout)
    return written


def _record(
    path: Path, prompts: list[ObjectPrompt], answers: list[tuple[np.ndarray, np.ndarray]]
) -> MaskRecord:
    best = np.stack([masks[0] for masks, _ in answers])
    # A single picture has no presence score: what was pointed at is there, if anything is.
    presence = np.where(best.any(axis=(1, 2)), 10.0, -10.0)
    ids = [prompt.object_id for prompt in prompts]
    iou = np.array([scores[0] for _, scores in answers])
    return MaskRecord(0, path.stem, ids, best, iou, presence)


def _say(
    written: list[Path | None],
    prompts: list[ObjectPrompt],
    answers: list[tuple[np.ndarray, np.ndarray]],
    seconds: float,
) -> None:
    parts = []
    for prompt, (masks, iou) in zip(prompts, answers, strict=True):
        share = 100 * float(masks[0].mean())
        parts.append(f"object {prompt.object_id}: score {iou[0]:.2f}, {share:.1f} % of the picture")
        if not masks[0].any():
            note(
                f"nothing was found at the prompt of object {prompt.object_id}; "
                "try another point or a box"
            )
    what = ", ".join(str(name) for name in written)
    size = f"{answers[0][0].shape[2]}x{answers[0][0].shape[1]}"
    print(
        f"wrote {what} ({size}; {plural(len(prompts), 'object')}; {'; '.join(parts)}) "
        f"in {seconds:.1f} s"
    )
