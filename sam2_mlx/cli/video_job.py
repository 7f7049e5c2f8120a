"""One run of the video command: follow, draw, write, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from sam2_mlx.cli.arguments import ObjectPrompt
from sam2_mlx.cli.clip_masks import ClipMasks, Following, ShownFrame, Stretch
from sam2_mlx.cli.errors import INVALID, report
from sam2_mlx.cli.everything_clip import EverythingClip
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import plural
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.cli.video_outputs import PictureWriter, VideoOutputs
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskWriter
from sam2_mlx.media.overlay import draw_masks

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview
    from sam2_mlx.model.sam import Sam


class VideoJob:
    """Writes a clip with its masks drawn, and the masks themselves if asked to.

    Args:
        source: the clip.
        prompts: what to follow.
        stretch: which frames.
        outputs: what is written where.
        following: which memory, from and to which saved session, and whether objects are found
            without prompts.
        preview: a window that shows what is written, or None.
    """

    def __init__(
        self,
        source: FrameSource,
        prompts: Sequence[ObjectPrompt],
        stretch: Stretch,
        outputs: VideoOutputs,
        following: Following | None = None,
        preview: Preview | None = None,
    ) -> None:
        self._source = source
        self._prompts = prompts
        self._stretch = stretch
        self._outputs = outputs
        self._following = following or Following()
        self._preview = preview
        self._writers: list[PictureWriter | MaskWriter] = []
        self._seen = np.zeros(0, np.int64)
        self._found = np.zeros(0, bool)
        self._begin: Fraction | None = None

    def run(self, choice: ModelChoice) -> int:
        """Do it all.

        Args:
            choice: which model.

        Returns:
            The exit code: 0; 2 where the clip is damaged; 128 and the signal where one came.
            In the last two cases the frames so far are kept.

        Raises:
            ValueError, OSError: if nothing could be written; nothing is left behind then.
        """
        video = self._outputs.open_pictures(self._source, self._stretch.first)
        self._writers = [video]
        try:
            # Found out before the model is loaded; which ids there are can come later.
            for draft in self._open_masks([p.object_id for p in self._prompts] or [1]):
                draft.abort()
            model = load_model(choice)
            begin = time.perf_counter()
            with StopSignals() as stop:
                clip = self._clip(model, stop)
                self._write_all(clip, stop, video)
                for writer in self._writers:
                    # Without a frame there is nothing to keep.
                    writer.finish() if video.frames else writer.abort()
        except BaseException:
            # Whatever happened, Ctrl-C included: nothing half-written stays behind.
            for writer in self._writers:
                writer.abort()
            raise
        finally:
            if self._preview is not None:
                self._preview.close()
        self._say_what_was_written(clip, video, time.perf_counter() - begin)
        return self._end(clip, stop, video.frames)

    def _clip(self, model: Sam, stop: StopSignals) -> ClipMasks | EverythingClip:
        if self._following.search is not None:
            return EverythingClip(model, self._source, self._stretch, stop, self._following)
        return ClipMasks(model, self._source, self._prompts, self._stretch, stop, self._following)

    def _open_masks(self, ids: Sequence[int]) -> list[MaskWriter]:
        return self._outputs.open_masks(ids, (self._source.height, self._source.width))

    def _write_all(
        self, clip: ClipMasks | EverythingClip, stop: StopSignals, video: PictureWriter
    ) -> None:
        from tqdm import tqdm

        masks: list[MaskWriter] = []

        # Where nobody watches, a line every few seconds is enough.
        pace = 0.1 if sys.stderr.isatty() else 5.0
        with tqdm(total=self._stretch.num_tracked, unit=" frames", mininterval=pace) as bar:
            clip.progress = bar.update
            for shown in clip:
                if not video.frames:
                    masks = self._open_masks(clip.object_ids)
                    self._writers += masks
                    self._seen = np.zeros(len(clip.object_ids), np.int64)
                    self._found = np.zeros(len(clip.object_ids), bool)
                self._write(shown, video)
                for writer in masks:
                    number = self._source.number(shown.record.frame)
                    writer.add(replace(shown.record, frame=number))
                if self._preview is not None:
                    drawn = draw_masks(shown.image, shown.record.masks)
                    if not self._preview.show(drawn):
                        stop.ask()

    def _write(self, shown: ShownFrame, video: PictureWriter) -> None:
        record = shown.record
        now, after = (self._source.time(record.frame + step) for step in (0, 1))
        if self._begin is None:
            self._begin = now
            # Where the backward pass was cut short, the sound starts later too.
            video.start_sound_at(self._source.origin + now)
        picture = self._outputs.draw(shown.image, record.masks)
        video.write(picture, now - self._begin, after - now)
        visible = np.any(record.masks, axis=(1, 2))
        self._seen += visible
        if record.frame == self._stretch.prompted:
            self._found = visible

    def _say_what_was_written(
        self, clip: ClipMasks | EverythingClip, video: PictureWriter, seconds: float
    ) -> None:
        if not video.frames:
            return
        counts = zip(clip.object_ids[: clip.num_objects], self._seen, strict=False)
        objects = ", ".join(f"object {number} on {count}" for number, count in counts)
        objects = objects or "no object"
        print(
            f"wrote {self._outputs} with {plural(video.frames, 'frame')} "
            f"({self._source.width}x{self._source.height}; {objects}) "
            f"in {seconds:.1f} s, {video.frames / seconds:.2f} frames/s",
            # On standard output there may be the video itself.
            file=sys.stdout if self._outputs.pictures is not None else sys.stderr,
        )
        if video.sound_problem:
            _note(f"the sound is not complete: {video.sound_problem}")
        prompted = {prompt.object_id for prompt in self._prompts}
        for number, found in zip(clip.object_ids, self._found, strict=True):
            if not found and number in prompted:
                _note(
                    f"nothing was found at the prompt of object {number}; "
                    "try another point or a box"
                )

    def _end(self, clip: ClipMasks | EverythingClip, stop: StopSignals, frames: int) -> int:
        """The exit code, and why it is not zero."""
        verb = "hold" if self._outputs.masks or self._outputs.scores else "holds"
        kept = f"{self._outputs} {verb} the {plural(frames, 'frame')} so far"
        kept = kept if frames else "nothing was written"
        if clip.problem is not None:
            report(f"{clip.problem}; {kept}")
            return INVALID
        if stop.received:
            print(f"sam2-mlx: interrupted; {kept}", file=sys.stderr)
            return 128 + stop.received
        return 0


def _note(text: str) -> None:
    print(f"sam2-mlx: note: {text}", file=sys.stderr)
