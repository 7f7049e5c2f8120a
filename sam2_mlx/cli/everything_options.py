"""What the commands ask the mask generator for, and their arguments for it."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from sam2_mlx.cli.arguments import add_options, option_of
from sam2_mlx.cli.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from sam2_mlx.model.sam import Sam

DEFAULT_MAX_OBJECTS = 16
_MAX_CROP_LAYERS = 3
# The palette of a PNG has so many colours beside the background's.
_MOST_OBJECTS = 255
# What masks need where nothing was said: predicted IoU and stability score. The bundled model
# knows less and is less sure of what it knows.
_NEEDED = (0.8, 0.95)
_NEEDED_OF = {"nano": (0.35, 0.5)}


@dataclass(frozen=True)
class EverythingOptions:
    """How everything in a picture is looked for.

    Attributes:
        points_per_side: the grid has its square of points.
        min_area: masks of fewer pixels are left out; smaller holes and specks of the others too.
        crops: layers of crops that are looked at again: 1 is 2x2, 2 is 4x4 more.
        min_iou: masks need a higher predicted IoU; None is what suits the model.
        min_stability: masks need at least this stability score; None is what suits the model.
        refine: ask again with each mask, for cleaner ones; about four times the work.
    """

    points_per_side: int = 32
    min_area: int = 0
    crops: int = 0
    min_iou: float | None = None
    min_stability: float | None = None
    refine: bool = False

    def __post_init__(self) -> None:
        for option, value, low, high in (
            ("--points-per-side", self.points_per_side, 1, 256),
            ("--min-area", self.min_area, 0, None),
            ("--crops", self.crops, 0, _MAX_CROP_LAYERS),
            ("--min-iou", self.min_iou, 0, 1),
            ("--min-stability", self.min_stability, 0, 1),
        ):
            if value is not None and (value < low or (high is not None and value > high)):
                limits = f"at least {low}" if high is None else f"between {low} and {high}"
                raise UsageError(f"{option} must be {limits}; got {value}")


@dataclass(frozen=True)
class ClipSearch:
    """How the objects of a clip are found, where nobody points at them.

    Attributes:
        options: how a frame is looked at.
        max_objects: at most so many are followed.
        every: new objects are looked for every so many frames; 0 is on the first frame only.
    """

    options: EverythingOptions = field(default_factory=EverythingOptions)
    max_objects: int = DEFAULT_MAX_OBJECTS
    every: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.max_objects <= _MOST_OBJECTS:
            raise UsageError(
                f"--max-objects must be between 1 and {_MOST_OBJECTS}; got {self.max_objects}"
            )
        if self.every < 0:
            raise UsageError(f"--find-every must be at least 0; got {self.every}")


_DEFAULTS = EverythingOptions()
_COUNTS = {
    "--points-per-side N": f"points of the grid a side ({_DEFAULTS.points_per_side}); more find "
    "smaller things",
    "--min-area PIXELS": "leave out masks, and clean away specks and holes, of fewer pixels (0)",
    "--crops LAYERS": "look again at overlapping crops: 1 is 2x2 crops, 2 is 4x4 more (0)",
}
_SHARES = {
    "--min-iou SHARE": f"predicted quality that a mask needs, 0 to 1 ({_NEEDED[0]}; with nano "
    "less)",
    "--min-stability SHARE": f"stability that a mask needs, 0 to 1 ({_NEEDED[1]}; with nano less)",
}


def add_everything_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how everything is looked for."""
    group = parser.add_argument_group("looking for everything")
    add_options(group, int, _COUNTS)
    add_options(group, float, _SHARES)
    refine = "ask again with each mask: cleaner, and slower"
    group.add_argument("--refine", action="store_true", help=refine)
    group.set_defaults(**asdict(_DEFAULTS))


def read_everything_options(args: argparse.Namespace) -> EverythingOptions:
    """The options of a command line; raises a `UsageError` if one is out of range."""
    return EverythingOptions(**{one.name: getattr(args, one.name) for one in fields(_DEFAULTS)})


def refuse_everything_options(args: argparse.Namespace) -> None:
    """Check that no option of the search is given where nothing is searched.

    Raises:
        UsageError: if one is.
    """
    for name, default in {**asdict(_DEFAULTS), "max_objects": None, "find_every": None}.items():
        if getattr(args, name, default) != default:
            option = option_of(name)
            raise UsageError(f"{option} is for --everything; add that or leave {option} out")


def find_everything(
    model: Sam, picture: np.ndarray, options: EverythingOptions
) -> list[dict[str, Any]]:
    """Everything in a picture, uint8 (H, W, 3) RGB, the largest first.

    Returns:
        Records as of `SAM2AutomaticMaskGenerator.generate`, their masks in COCO's compressed form.
    """
    from sam2_mlx.predictors.mask_generator import SAM2AutomaticMaskGenerator

    iou, stability = _NEEDED_OF.get(model.config.name, _NEEDED)
    generator = SAM2AutomaticMaskGenerator(
        model,
        points_per_side=options.points_per_side,
        pred_iou_thresh=iou if options.min_iou is None else options.min_iou,
        stability_score_thresh=(
            stability if options.min_stability is None else options.min_stability
        ),
        crop_n_layers=options.crops,
        crop_n_points_downscale_factor=2 if options.points_per_side >= 2**options.crops else 1,
        output_mode="coco_rle",
        use_m2m=options.refine,
    )
    records = generator.generate(picture)
    if options.min_area > 0:
        records = generator.postprocess_small_regions(records, options.min_area)
        records = [record for record in records if record["area"] >= options.min_area]
    return sorted(records, key=lambda record: -record["area"])
