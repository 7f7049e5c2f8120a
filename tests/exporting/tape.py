"""What an app with a bundle does for each frame, as a list of calls: session logic without arrays.

A program that plays a tape needs no logic of its own, only places for memories and answers.
"""

from __future__ import annotations

from sam2_mlx.tracking.memory_schedule import MemoryPlan, MemorySchedule, plan_memory


class Tape:
    """Writes down the calls; the words are those that player.cpp reads.

    Args:
        schedule: which memories a frame looks at.
        reverse: whether the clip is followed backwards.
    """

    def __init__(self, schedule: MemorySchedule, reverse: bool = False) -> None:
        self.lines: list[str] = []
        self._schedule, self._reverse = schedule, reverse
        self._prompted: dict[int, list[int]] = {}
        self._recent: dict[int, set[int]] = {}
        self._drafts: dict[int, bool] = {}
        self._frame, self._answers = -1, 0

    def frame(self, number: int) -> None:
        """Go to a frame, and follow all objects there that are known."""
        for name, prompted in self._drafts.items():
            self.lines.append(f"remember {name} {self._frame}")
            (self._prompted[name].append if prompted else self._recent[name].add)(self._frame)
        self._drafts.clear()
        self.lines.append(f"frame {number}")
        self._frame = number
        for name in self._prompted:
            self.lines.append(f"track {name} {number} {self._plan(name)}")
            self._recent[name].add(number)
            self._expect(name)

    def click(self, name: int, points: list[tuple[float, float, int]]) -> None:
        """Points in pixels of the model's input, with labels."""
        listed = " ".join(f"{x} {y} {label}" for x, y, label in points)
        correction = self._passed(name)
        again = correction or name in self._drafts
        plan = self._plan(name) if correction else "0 0"
        self.lines.append(f"click {name} {int(again)} {len(points)} {listed} {plan}")
        self._draft(name)

    def mask(self, name: int, index: int) -> None:
        """One of the masks that lie beside the tape."""
        self.lines.append(f"mask {name} {index}")
        self._draft(name)

    def _passed(self, name: int) -> bool:
        """Whether the object was followed to this frame, so that a prompt is a correction."""
        return bool(self._prompted.get(name)) and self._frame in self._recent[name]

    def _draft(self, name: int) -> None:
        self._drafts[name] = not self._passed(name)
        self._prompted.setdefault(name, [])
        self._recent.setdefault(name, set())
        self._expect(name)

    def _expect(self, name: int) -> None:
        self.lines.append(f"expect {name} {self._answers}")
        self._answers += 1

    def _plan(self, name: int) -> str:
        recent = self._recent[name] - {self._frame}
        plan = plan_memory(self._frame, self._prompted[name], recent, self._schedule, self._reverse)
        return words(plan)


def words(plan: MemoryPlan) -> str:
    """A plan as numbers: how many, then each frame and slot; how many, then frame and distance."""
    parts = [len(plan.spatial), *(n for pair in plan.spatial for n in pair)]
    parts += [len(plan.pointers), *(n for pair in plan.pointers for n in pair)]
    return " ".join(map(str, parts))
