"""One run of the video command: follow, draw, write, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.mask_writer import MaskWriter, open_mask_writer
from sam2_mlx.media.overlay import draw_masks
from sam2_mlx.media.video_writer import VideoWriter, write_like

from .arguments import ObjectPrompt
from .clip_masks import ClipMasks, ShownFrame, Stretch
from .guard import INVALID, report
from .model import ModelChoice, load_model
from .outputs import plural
from .stop import StopSignals


class VideoJob:
    """Writes a clip with its masks drawn, and the masks themselves if asked to.

    Args:
        source: the clip.
        prompts: what to follow.
        stretch: which frames.
        output: the video to write.
        masks: where the masks go, or None.
    """

    def __init__(
        self,
        source: FrameSource,
        prompts: Sequence[ObjectPrompt],
        stretch: Stretch,
        output: Path,
        masks: Path | None,
    ) -> None:
        self._source = source
        self._prompts = prompts
        self._stretch = stretch
        self._output = output
        self._masks = masks
        self._ids = [prompt.object_id for prompt in prompts]
        self._seen = np.zeros(len(prompts), np.int64)
        self._found = np.zeros(len(prompts), bool)
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
        video = write_like(self._output, self._source, self._stretch.first)
        writers: list[MaskWriter | VideoWriter] = [video]
        try:
            masks = None
            if self._masks is not None:
                size = (self._source.height, self._source.width)
                masks = open_mask_writer(self._masks, self._ids, size)
                writers.append(masks)
            model = load_model(choice)
            begin = time.perf_counter()
            with StopSignals() as stop:
                clip = ClipMasks(model, self._source, self._prompts, self._stretch, stop)
                self._write_all(clip, video, masks)
                for writer in writers:
                    # Without a frame there is nothing to keep.
                    writer.finish() if video.frames else writer.abort()
        except BaseException:
            # Whatever happened, Ctrl-C included: nothing half-written stays behind.
            for writer in writers:
                writer.abort()
            raise
        self._say_what_was_written(video, time.perf_counter() - begin)
        return self._end(clip, stop, video.frames)

    def _write_all(self, clip: ClipMasks, video: VideoWriter, masks: MaskWriter | None) -> None:
        from tqdm import tqdm

        # Where nobody watches, a line every few seconds is enough.
        pace = 0.1 if sys.stderr.isatty() else 5.0
        with tqdm(total=self._stretch.num_tracked, unit=" frames", mininterval=pace) as bar:
            clip.progress = bar.update
            for shown in clip:
                self._write(shown, video)
                if masks is not None:
                    masks.add(shown.record)

    def _write(self, shown: ShownFrame, video: VideoWriter) -> None:
        record = shown.record
        now, after = (self._source.time(record.frame + step) for step in (0, 1))
        if self._begin is None:
            self._begin = now
            # Where the backward pass was cut short, the sound starts later too.
            video.start_sound_at(self._source.origin + now)
        video.write(draw_masks(shown.image, record.masks), now - self._begin, after - now)
        visible = np.any(record.masks, axis=(1, 2))
        self._seen += visible
        if record.frame == self._stretch.prompted:
            self._found = visible

    def _say_what_was_written(self, video: VideoWriter, seconds: float) -> None:
        if not video.frames:
            return
        counts = zip(self._ids, self._seen, strict=True)
        objects = ", ".join(f"object {number} on {count}" for number, count in counts)
        print(
            f"wrote {self._where()} with {plural(video.frames, 'frame')} "
            f"({self._source.width}x{self._source.height}; {objects}) "
            f"in {seconds:.1f} s, {video.frames / seconds:.2f} frames/s"
        )
        if video.sound_problem:
            _note(f"the sound is not complete: {video.sound_problem}")
        for number, found in zip(self._ids, self._found, strict=True):
            if not found:
                _note(
                    f"nothing was found at the prompt of object {number}; "
                    "try another point or a box"
                )

    def _end(self, clip: ClipMasks, stop: StopSignals, frames: int) -> int:
        """The exit code, and why it is not zero."""
        verb = "hold" if self._masks else "holds"
        kept = f"{self._where()} {verb} the {plural(frames, 'frame')} so far"
        kept = kept if frames else "nothing was written"
        if clip.problem is not None:
            report(f"{clip.problem}; {kept}")
            return INVALID
        if stop.received:
            print(f"sam2-mlx: interrupted; {kept}", file=sys.stderr)
            return 128 + stop.received
        return 0

    def _where(self) -> str:
        return f"{self._output}" + (f" and {self._masks}" if self._masks else "")


def _note(text: str) -> None:
    print(f"sam2-mlx: note: {text}", file=sys.stderr)
