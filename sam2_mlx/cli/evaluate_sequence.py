"""One annotated sequence: followed, its masks saved, and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sam2_mlx.evaluation.annotations import AnnotatedSequence
from sam2_mlx.evaluation.datasets import open_dataset
from sam2_mlx.evaluation.runs import FrameResult, GivenPrompt, MaskSource, ModelMasks, SavedMasks
from sam2_mlx.evaluation.scores import score_sequence
from sam2_mlx.files import StagedFolder


def score_task(
    task: dict[str, Any], model: Any, tell: Callable[[int, int], None]
) -> dict[str, Any]:
    """Score one sequence.

    Args:
        task: `input`, the dataset; `sequence` and `max_frames`; `masks`, the folder with those that
            are scored, or else `prompt`, `memory` and `fill_holes` for the model; `outputs` may
            have `masks`, where to save them.
        model: follows the objects; None where masks are there.
        tell: called after each frame with frames done and frames in all.

    Returns:
        The fields of the `SequenceScore`.

    Raises:
        DatasetError, MediaError, FileError, FileNotFoundError: if something is missing or damaged.
    """
    source: MaskSource
    if "masks" in task:
        source = SavedMasks(Path(task["masks"]))
    else:
        prompt = GivenPrompt.parse(task["prompt"])
        source = ModelMasks(model, prompt, task["memory"], task["fill_holes"])
    sequence = open_dataset(Path(task["input"])).open(task["sequence"], task["max_frames"])
    frames = 0
    with _staged(sequence, task["outputs"].get("masks")) as folder:

        def on_frame(result: FrameResult) -> None:
            nonlocal frames
            frames += 1
            if folder is not None:
                sequence.save(folder, result.frame, result.masks)
            tell(frames, sequence.frames.num_frames)

        return asdict(score_sequence(sequence, source, on_frame))


@contextmanager
def _staged(sequence: AnnotatedSequence, target: str | None) -> Iterator[Path | None]:
    """Where the masks of a sequence go until it is done."""
    if target is None:
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

    staged = StagedFolder(Path(target), written)
    try:
        yield staged.path
    except BaseException:
        # Not by `with`: a frame that cannot be read is no problem of the folder.
        staged.discard()
        raise
    staged.commit()
