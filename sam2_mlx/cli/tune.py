"""`sam2-mlx tune`: which of the forms with equal results is fastest here, kept for every load."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sam2_mlx.cli.arguments import CommandParser, add_options, read_count
from sam2_mlx.cli.progress import PATIENCE_SECONDS, said_if_slow

if TYPE_CHECKING:
    import mlx.core as mx

    from sam2_mlx.cli.stop import StopSignals
    from sam2_mlx.model.sam import Sam
    from sam2_mlx.ops.profile import Profile

_EXAMPLES = """\
what is tried
  on a CPU, the number of lanes, and of the BLAS's threads beside them
  how many scores of attention are held at once
  whether whole steps are compiled
  on a Mac, the forms of the attention to the memory

What gives other numbers than the plain form, beyond rounding, is not taken. The outcome lies beside
the weights, and `sam2-mlx info` shows it; SAM2_MLX_PROFILE=0 ignores it. Ctrl-C ends it early, with
what was taken until then.

examples
  sam2-mlx tune
  sam2-mlx tune small --objects 4
"""

# Another form has to be this much faster than the one that it would replace, in the median round.
_WORTH = 0.97
# How often a frame is measured that takes up to so many milliseconds.
_ROUNDS = ((1000.0, 9), (3000.0, 5), (float("inf"), 3))
_MEMORIES = 7
# What the memory of a frame may grow by: as a factor, and bytes that nobody misses.
_MORE_MEMORY, _FEW_BYTES = 1.1, 64 * 2**20
# Of what a frame gives, relative to its largest value; memory tokens are bfloat16.
_LIMITS = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 2e-2}


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0, or 128 and the number of the signal that ended it."""
    options = _parser().parse_args(argv)
    from sam2_mlx.checkpoints.load import load, load_auto, profile_place
    from sam2_mlx.checkpoints.profiles import profile_key
    from sam2_mlx.cli.stop import StopSignals
    from sam2_mlx.files import check_target
    from sam2_mlx.ops.cpu.allocator import keep_freed_memory
    from sam2_mlx.ops.cpu.rehearsal import compile_at_once
    from sam2_mlx.ops.metal.verdicts import keep
    from sam2_mlx.ops.profile import active

    keep_freed_memory()
    compile_at_once()
    name = options.model
    with said_if_slow(f"loading {name}"):
        if name == "auto":
            name, model, note = load_auto(image_size=options.image_size)
            print(note, file=sys.stderr)
        else:
            model = load(name, image_size=options.image_size)
    place = profile_place(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    check_target(place)  # before it takes minutes
    with StopSignals() as stop:
        outcome = tune(model, options.objects, stop)
        if stop.received and not outcome["choices"]:
            print("nothing was taken so far, and nothing is written")
            return 128 + stop.received
        keep(place, profile_key(model), outcome)
    tuned, default = outcome["tuned_ms"], outcome["default_ms"]
    print(f"{tuned:.1f} ms a frame, {default:.1f} with the defaults: {active()}")
    print(f"wrote {place}")
    return 128 + stop.received if stop.received else 0


def tune(model: Sam, objects: int, stop: StopSignals) -> dict[str, Any]:
    """Find the fastest choices for a model, and print each that is tried.

    Args:
        model: the model.
        objects: followed at once.
        stop: may end it early, with what was taken until then.

    Returns:
        `choices` by name; `default_ms` and `tuned_ms` of a frame, measured in turn; `objects`; what
        was `tried`, each with its time as a `share` of that of the form it would replace, or its
        `fault`, and whether it was `taken`; and on a Mac the verdicts on `attention`.
    """
    from sam2_mlx.ops.profile import Profile, use

    default = best = Profile()
    with said_if_slow("following a frame in the plain form"):
        frame = _TimedFrame(model, objects, stop)
    attention = _race_attention()
    with said_if_slow("following a frame with the defaults"):
        frame.fault(default)
        print(f"  the defaults                    {frame.time(default):.1f} ms a frame", flush=True)
    tried: list[dict[str, Any]] = []
    for ladder in _alternatives():
        for choices in ladder:
            trial = _try(frame, best, choices)
            if stop.received:
                break
            tried.append(trial)
            if not trial["taken"]:
                break
            best = replace(best, **choices)
        if stop.received:
            break
    rounds = frame.measure(default, best) if best != default else []
    if rounds and not stop.received and not _is_faster(rounds):
        best = default
    use(best)
    usual = [before for before, _ in rounds] or frame.times[default]
    tuned = [after for _, after in rounds] or frame.times[best]
    return {
        "choices": best.chosen(),
        "objects": objects,
        "default_ms": round(statistics.median(usual), 2),
        "tuned_ms": round(statistics.median(usual if best == default else tuned), 2),
        "tried": tried,
        "attention": attention,
    }


def _try(frame: _TimedFrame, best: Profile, choices: dict[str, Any]) -> dict[str, Any]:
    """Whether choices make the best form so far faster; printed as it comes out."""
    print(f"  {type(best)(**choices)!s:32}", end="", flush=True)
    other = replace(best, **choices)
    fault = frame.fault(other)
    rounds = [] if fault else frame.measure(best, other)
    share, taken = round(_share(rounds), 3) if rounds else None, _is_faster(rounds)
    print(fault or ("not measured" if share is None else f"{share:.2f} of the time"), end="")
    print(" - taken" if taken else "", flush=True)
    return {"choices": choices, "share": share, "fault": fault, "taken": taken}


def _share(rounds: list[tuple[float, float]]) -> float:
    """The second of two forms' time as a share of the first's, in the median round."""
    return statistics.median(after / before for before, after in rounds)


def _is_faster(rounds: list[tuple[float, float]]) -> bool:
    """Whether the second form is faster beyond what others on the machine may have done."""
    return bool(rounds) and _share(rounds) < _WORTH and _may_be_faster(rounds, len(rounds))


def _may_be_faster(rounds: list[tuple[float, float]], wanted: int) -> bool:
    """Whether the second form can still be the faster one in nearly all of so many rounds."""
    return sum(after >= before for before, after in rounds) <= wanted // 7


def _alternatives() -> Iterator[list[dict[str, Any]]]:
    """Choices beside the defaults, one kind after the other.

    Those of a list go ever further: where one is not taken, the next need not be tried.
    """
    from sam2_mlx.ops import flash
    from sam2_mlx.ops.cpu import attention, lanes
    from sam2_mlx.ops.cpu.blas import threads_are_given, usable_cores
    from sam2_mlx.ops.device import on_cpu
    from sam2_mlx.ops.traces import compile_wanted

    cores = usable_cores()
    fixed = threads_are_given() or "SAM2_MLX_LANES" in os.environ
    if on_cpu() and sys.platform == "linux" and not fixed:
        for count in sorted({1, -(-cores // 2), cores} - {lanes.lane_count()}):
            yield [{"lanes": count, "blas_threads": max(cores // count, 1)}]
    usual = attention.SCORES if on_cpu() else flash.SCORES
    for factors in ((0.5, 0.25), (2, 4)):
        yield [{"scores": int(usual * factor)} for factor in factors]
    if not {"SAM2_MLX_COMPILE", "MLX_DISABLE_COMPILE"} & os.environ.keys():
        yield [{"compile": not compile_wanted()}]


def _race_attention() -> dict[str, str]:
    """Race anew for what the plain form asked for, before anything is traced; the verdicts."""
    from sam2_mlx.ops.flash import RACE

    attention = {str(track): RACE.run(track) for track in RACE.tracks()}
    for verdict in attention.values():
        print(f"  attention to the memory         {verdict}", flush=True)
    return attention


class _TimedFrame:
    """A tracked frame of a model, or a picture where it has no memory, in any of its forms.

    Args:
        model: the model.
        objects: followed at once.
        stop: may end the measuring after a round.

    Attributes:
        times: milliseconds that were measured, by form.
    """

    _run: Callable[..., list[mx.array]]

    def __init__(self, model: Sam, objects: int, stop: StopSignals) -> None:
        from sam2_mlx.cli.bench.timing import TrackedFrame, noise
        from sam2_mlx.ops.profile import Profile
        from sam2_mlx.ops.random_state import random_numbers_kept

        self.times: dict[Profile, list[float]] = {}
        self._stop = stop
        memory, side = model.config.memory, model.config.image_size
        with random_numbers_kept():
            if memory is None:
                self._run = lambda pixels: model.encode_image(pixels).arrays()
                self._arrays = [noise((1, side, side, 3), model.dtype)]
            else:
                frame = TrackedFrame(model, min(_MEMORIES, memory.num_frames), objects)
                self._run, self._arrays = frame.follow, frame.arrays
        self._plain = self._results(Profile(lanes=1, compile=False))
        self._usual_peak = 0

    def _results(self, profile: Profile) -> list[mx.array]:
        import mlx.core as mx

        from sam2_mlx.ops.profile import use

        use(profile)
        results = self._run(*self._arrays)
        mx.eval(results)
        return results

    def fault(self, profile: Profile) -> str:
        """What speaks against a form, other results than the plain one's or too much memory."""
        import mlx.core as mx

        from sam2_mlx.ops.dtypes import dtype_name
        from sam2_mlx.ops.metal.kernel import relative_error

        mx.clear_cache()
        mx.reset_peak_memory()
        results, peak = self._results(profile), mx.get_peak_memory()
        self._usual_peak = self._usual_peak or peak
        if peak > _MORE_MEMORY * self._usual_peak + _FEW_BYTES:
            return f"takes {peak / 1e6:.0f} MB instead of {self._usual_peak / 1e6:.0f}"
        for result, plain in zip(results, self._plain, strict=True):
            error, limit = relative_error(result, plain), _LIMITS[dtype_name(plain.dtype)]
            if not error <= limit:  # not a number is wrong too
                return f"gives other masks: off by {error:.1e}, allowed is {limit:.0e}"
        return ""

    def measure(self, before: Profile, after: Profile) -> list[tuple[float, float]]:
        """Milliseconds of a frame in each of two forms that ran before, measured in turn.

        It ends once the second cannot turn out to be the faster one.
        """
        rounds: list[tuple[float, float]] = []
        wanted = 1
        while len(rounds) < wanted and _may_be_faster(rounds, wanted) and not self._stop.received:
            rounds.append((self.time(before), self.time(after)))
            wanted = next(count for limit, count in _ROUNDS if min(rounds[0]) <= limit)
        return rounds

    def time(self, profile: Profile) -> float:
        """Milliseconds of a frame in a form that ran before; slow ones leave a dot."""
        took = self._milliseconds(profile)
        if took > 1000 * PATIENCE_SECONDS:
            print(".", end="", file=sys.stderr, flush=True)
        self.times.setdefault(profile, []).append(took)
        return took

    def _milliseconds(self, profile: Profile) -> float:
        start = time.perf_counter()
        self._results(profile)
        return 1000 * (time.perf_counter() - start)


def _parser() -> CommandParser:
    parser = CommandParser(
        "tune", "Find the fastest of the forms with equal masks on this machine.", _EXAMPLES
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default="auto",
        help="a name, a Hugging Face id, a folder or a file (default: auto, as everywhere)",
    )
    add_options(parser, int, {"--image-size N": "side of the model's input in pixels"})
    objects = {"--objects N": "how many are followed at once (default 1)"}
    add_options(parser, read_count, objects, default=1)
    return parser
