"""One run of the video command: follow, draw, write, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sam2_mlx.apps.projects.prompt_files import Prompted
from sam2_mlx.cli.errors import INVALID, note, report, say, tell
from sam2_mlx.cli.everything_clip import follow_everything
from sam2_mlx.cli.follow import (
    DamagedClip,
    Following,
    Stretch,
    Watch,
    follow,
    open_session,
)
from sam2_mlx.cli.model import ModelChoice, load_model
from sam2_mlx.cli.outputs import plural
from sam2_mlx.cli.progress import progress_bar
from sam2_mlx.cli.sinks import PreviewSink, SessionSink, Tally
from sam2_mlx.cli.stop import StopSignals
from sam2_mlx.cli.video_outputs import VideoOutputs
from sam2_mlx.files import together
from sam2_mlx.media.frame_source import FrameSource
from sam2_mlx.media.sinks import ShownFrame, Sink, VideoSink, all_or_nothing
from sam2_mlx.media.write_behind import WriteBehind

if TYPE_CHECKING:
    from sam2_mlx.live.window import Preview
    from sam2_mlx.model.sam import Sam

# Frames that wait to be written while the model works on the next.
_BEHIND = 2


@dataclass(frozen=True)
class Host:
    """Who a job is done for: a person at a terminal, if nothing else is said.

    Attributes:
        load: gives the model that was asked for.
        bar: makes a bar that is told of each frame; see `progress_bar`.
        stop: makes what notices that the job is to end early.
    """

    load: Callable[[ModelChoice], Sam] = lambda choice: load_model(choice)
    bar: Callable[[str, int], Any] = progress_bar
    stop: Callable[[], StopSignals] = StopSignals


@dataclass(frozen=True)
class VideoJob:
    """Writes a clip with its masks drawn, and the masks themselves if asked to.

    Attributes:
        source: the clip.
        prompts: what to follow.
        stretch: which frames.
        outputs: what is written where.
        following: which memory, from which saved session, and whether objects are found without
            prompts.
        preview: a window that shows what is written, or None.
        host: who it is done for.
    """

    source: FrameSource
    prompts: Sequence[Prompted]
    stretch: Stretch
    outputs: VideoOutputs
    following: Following
    preview: Preview | None = None
    host: Host = Host()

    def run(self, choice: ModelChoice) -> int:
        """Do it all with the model that was chosen.

        Returns:
            The exit code: 0; 2 where the clip is damaged; 128 and the signal where one came.
            In the last two cases the frames so far are kept.

        Raises:
            ValueError, OSError: if nothing could be written; nothing is left behind then.
        """
        try:
            return self._run(choice)
        except BrokenPipeError:
            # That alone is no error: players are closed.
            if self.outputs.pictures is not None or not self.outputs.others:
                raise
            report("the reader of standard output went away; nothing was written")
            return INVALID

    def _run(self, choice: ModelChoice) -> int:
        stop = self.host.stop()
        tally = Tally(self.prompts, self.following.search is not None)
        with all_or_nothing() as sinks:
            if self.preview is not None:
                sinks.append(PreviewSink(self.preview, stop))
            windows = len(sinks)
            # Whether all can be written is found out before the model is loaded.
            video = self.outputs.open_pictures(self.source, self.stretch.first)
            sinks.append(video)
            for writer in self.outputs.open_masks():
                sinks.append(writer)
            sinks.append(tally)
            session = open_session(self.host.load(choice), self.source, self.following)
            if self.outputs.session is not None:
                # The last one: what it says is done has its name by then.
                sinks.append(SessionSink(session, self.outputs.session))
            begin = time.perf_counter()
            with stop:
                # Closed at once where a sink fails: the bar ends before the error is printed.
                with closing(self._frames(session, stop)) as frames:
                    damage = self._hand_out(frames, sinks[:windows], sinks[windows:])
                with together():
                    for sink in sinks:
                        sink.finish()
                self._say_what_was_written(video, tally, time.perf_counter() - begin)
            return self._end(damage, stop, tally.frames)

    def _hand_out(
        self, frames: Iterator[ShownFrame], windows: Sequence[Sink], others: Sequence[Sink]
    ) -> DamagedClip | None:
        """Give each frame to all sinks; returns what ended the clip early, if anything did."""

        def write(frame: ShownFrame) -> None:
            for sink in others:
                sink.add(frame)

        # A pipe is written to at once: Ctrl-C must end the wait for a reader that does not read.
        depth = 0 if self.outputs.pictures is None else _BEHIND
        with WriteBehind(write, depth) as behind:
            try:
                for frame in frames:
                    # Windows belong to the main thread.
                    for window in windows:
                        window.add(frame)
                    behind.put(frame)
            except DamagedClip as problem:
                return problem
        return None

    def _frames(self, session: Any, stop: StopSignals) -> Generator[ShownFrame]:
        with self.host.bar("frames", self.stretch.num_tracked) as bar:
            watch, search = Watch(bar, stop), self.following.search
            edges = self.following.edges
            if search is not None:
                yield from follow_everything(session, search, self.stretch, watch, edges)
            else:
                yield from follow(session, self.prompts, self.stretch, watch, edges)

    def _say_what_was_written(self, video: VideoSink, tally: Tally, seconds: float) -> None:
        if not tally.frames:
            return
        say(
            f"wrote {self.outputs} with {plural(tally.frames, 'frame')} "
            f"({self.source.width}x{self.source.height}; {tally}) "
            f"in {seconds:.1f} s, {tally.frames / seconds:.2f} frames/s",
            # On standard output there may be the video itself.
            sys.stdout if self.outputs.pictures is not None else sys.stderr,
        )
        if video.sound_problem:
            note(f"the sound is not complete: {video.sound_problem}")
        for number in tally.missed:
            note(f"nothing was found at the prompt of object {number}; try another point or a box")

    def _end(self, damage: DamagedClip | None, stop: StopSignals, frames: int) -> int:
        """The exit code, and why it is not zero."""
        verb = "hold" if self.outputs.masks or self.outputs.scores else "holds"
        rest = f"{self.outputs} {verb} the {plural(frames, 'frame')} so far"
        rest = rest if frames else "nothing was written"
        if damage is not None:
            report(f"{damage}; {rest}")
            return INVALID
        if stop.received:
            tell(f"interrupted; {rest}")
            return 128 + stop.received
        return 0
