"""One object of a video: its prompts, what is remembered of it, drafts; and all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sam2_mlx.model.memory import ObjectMask
from sam2_mlx.prompts import Prompt
from sam2_mlx.tracking.memory_policy import ObjectMemory


@dataclass(frozen=True)
class Draft:
    """The answer to a prompt, shown at once and remembered when tracking goes on.

    Attributes:
        mask: the mask that was shown.
        prompted: whether it becomes a prompted frame, or a corrected one among the recent.
    """

    mask: ObjectMask
    prompted: bool


@dataclass
class TrackedObject:
    """All state of one object.

    Attributes:
        bank: what is remembered.
        prompts: prompts by frame.
        drafts: answers by frame that are not in the bank yet.
        tracked: frames that tracking has passed, and whether backwards.
    """

    bank: ObjectMemory
    prompts: dict[int, Prompt] = field(default_factory=dict)
    drafts: dict[int, Draft] = field(default_factory=dict)
    tracked: dict[int, bool] = field(default_factory=dict)

    def copy(self) -> TrackedObject:
        """An object that goes its own way from here; both share prompts, masks and memories."""
        return TrackedObject(
            self.bank.copy(), dict(self.prompts), dict(self.drafts), dict(self.tracked)
        )

    def mask_on(self, frame: int) -> ObjectMask | None:
        """The mask last shown on a frame, or None."""
        if frame in self.drafts:
            return self.drafts[frame].mask
        record = self.bank.get(frame)
        return record.mask if record else None

    def clear(self, frame: int) -> None:
        """Forget the prompts of a frame; its mask stays as one that was tracked."""
        self.prompts.pop(frame, None)
        self.drafts.pop(frame, None)
        if self.bank.demote(frame):
            self.tracked.pop(frame, None)

    def passed(self, frame: int, stream: bool) -> None:
        """Drop what only frames before this one needed; for memories that go one way.

        Args:
            frame: the frame just tracked.
            stream: earlier frames cannot be prompted again.
        """
        self.tracked = {frame: self.tracked[frame]}
        lasting = {frame} if stream else {frame, *self.bank.prompted, *self.drafts}
        self.prompts = {t: prompt for t, prompt in self.prompts.items() if t in lasting}


@dataclass
class SessionState:
    """What a session knows.

    Attributes:
        frame: index of the frame shown last, or None.
        reverse: direction of a memory that goes one way, or None before the first frame.
        objects: all objects by id.
    """

    frame: int | None
    reverse: bool | None
    objects: dict[int, TrackedObject]

    def copy(self) -> SessionState:
        """The same, whatever is done to these objects later."""
        return replace(self, objects={i: one.copy() for i, one in self.objects.items()})
