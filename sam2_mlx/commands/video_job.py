"""One run of the video command: follow, draw, write, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskWriter
from sam2_mlx.media.overlay import draw_masks

from .arguments import ObjectPrompt
from .clip_masks import ClipMasks, Following, ShownFrame, Stretch
from .guard import INVALID, report
from .model import ModelChoice, load_model
from .outputs import plural
from .stop import StopSignals
from .video_outputs import PictureWriter, VideoOutputs

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview


class VideoJob:
    """Writes a clip with its masks drawn, and the masks themselves if asked to.

    Args:
        source: the clip.
        prompts: what to follow.
        stretch: which frames.
        outputs: what is written where.
        following: which memory, and from and to which saved session.
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
        self._ids = self._all_ids()
        self._seen = np.zeros(len(self._ids), np.int64)
        self._found = np.zeros(len(self._ids), bool)
        self._begin: Fraction | None = None

    def _all_ids(self) -> list[int]:
        """Ids in the order of the masks: those of a saved session first."""
        known: list[int] = []
        if self._following.resume is not None:
            from sam2_mlx.tracking.saved_session import saved_facts

            known = list(saved_facts(self._following.resume).object_ids)
        return known + [p.object_id for p in self._prompts if p.object_id not in known]

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
        writers: list[MaskWriter | PictureWriter] = [video]
        try:
            size = (self._source.height, self._source.width)
            masks = self._outputs.open_masks(self._ids, size)
            writers += masks
            model = load_model(choice)
            begin = time.perf_counter()
            with StopSignals() as stop:
                clip = ClipMasks(
                    model, self._source, self._prompts, self._stretch, stop, self._following
                )
                self._write_all(clip, stop, video, masks)
                for writer in writers:
                    # Without a frame there is nothing to keep.
                    writer.finish() if video.frames else writer.abort()
        except BaseException:
            # Whatever happened, Ctrl-C included: nothing half-written stays behind.
            for writer in writers:
                writer.abort()
            raise
        finally:
            if self._preview is not None:
                self._preview.close()
        self._say_what_was_written(video, time.perf_counter() - begin)
        return self._end(clip, stop, video.frames)

    def _write_all(
        self,
        clip: ClipMasks,
        stop: StopSignals,
        video: PictureWriter,
        masks: Sequence[MaskWriter],
    ) -> None:
        from tqdm import tqdm

        # Where nobody watches, a line every few seconds is enough.
        pace = 0.1 if sys.stderr.isatty() else 5.0
        with tqdm(total=self._stretch.num_tracked, unit=" frames", mininterval=pace) as bar:
            clip.progress = bar.update
            for shown in clip:
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

    def _say_what_was_written(self, video: PictureWriter, seconds: float) -> None:
        if not video.frames:
            return
        counts = zip(self._ids, self._seen, strict=True)
        objects = ", ".join(f"object {number} on {count}" for number, count in counts)
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
        for number, found in zip(self._ids, self._found, strict=True):
            if not found and number in prompted:
                _note(
                    f"nothing was found at the prompt of object {number}; "
                    "try another point or a box"
                )

    def _end(self, clip: ClipMasks, stop: StopSignals, frames: int) -> int:
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
