"""Faults in which form of an operation runs, and what is measured of it."""

from __future__ import annotations

from tests.faults.fault import Fault

RACE = "tests/metal/test_kernel_race.py"
PROFILE = "tests/checkpoints/test_profiles.py"
TUNE = "tests/cli/test_tune.py"

FAULTS = (
    Fault(
        "ops/metal/race.py",
        "            if fault:\n",
        "            if False:\n",
        f"{RACE}::test_what_is_wrong_does_not_take_part",
    ),
    Fault("ops/metal/race.py", "{min(times,", "{max(times,", f"{RACE}::test_the_fastest_is_used"),
    Fault(
        "ops/metal/race.py",
        "if name not in self._forms():",
        "if not name:",
        f"{RACE}::test_a_file_that_says_nonsense_costs_a_race",
    ),
    Fault(
        "ops/metal/race.py",
        "        verdicts.remember(self._key(track), verdict)\n",
        "",
        f"{RACE}::test_later_processes_do_not_measure_again",
    ),
    Fault(
        "ops/flash.py",
        "objects = 1 if k.shape[0] == 1 else SEVERAL",
        "objects = 1",
        f"{RACE}::test_one_object_several_and_each_size_have_a_race_of_their_own",
    ),
    Fault(
        "ops/flash.py",
        "    q = mx.broadcast_to(q, (k.shape[0], *q.shape[1:]))\n",
        "",
        f"{RACE}::test_the_fused_form_computes_the_same",
    ),
    Fault(
        "ops/traces.py",
        "(key, active())",
        "key",
        "tests/model/test_traces.py::test_another_profile_is_traced_anew",
    ),
    Fault(
        "ops/profile.py",
        "type(value) is not int or not low",
        "not low",
        f"{PROFILE}::test_what_cannot_be_is_not_believed",
    ),
    Fault(
        "ops/cpu/lanes.py",
        "parts // lanes * lanes or parts",
        "min(lanes, parts)",
        "tests/ops/test_lanes.py::test_spread_is_the_function",
    ),
    Fault(
        "ops/cpu/lanes.py",
        "_GROUP_VALUES = 2**16",
        "_GROUP_VALUES = 2**20",
        "tests/ops/test_lanes.py::test_a_lane_takes_one_object_at_a_time",
    ),
    Fault(
        "ops/cpu/lanes.py",
        "return profile.lanes or min(usable_cores(), _MOST), profile.blas_threads",
        "return min(usable_cores(), _MOST), profile.blas_threads",
        f"{PROFILE}::test_it_holds_for_its_size_alone",
    ),
    Fault(
        "checkpoints/profiles.py",
        "{dtype_name(model.dtype)} at {model.config.image_size} ",
        "",
        f"{PROFILE}::test_it_holds_for_its_size_alone",
    ),
    Fault(
        "checkpoints/profiles.py",
        "    use(profile or Profile())\n",
        "    if profile:\n        use(profile)\n",
        f"{PROFILE}::test_it_holds_for_its_size_alone",
    ),
    Fault(
        "checkpoints/convert.py",
        "CONFIG_NAME, WEIGHTS_NAME, PROFILE_NAME\n",
        "CONFIG_NAME, WEIGHTS_NAME\n",
        f"{PROFILE}::test_where_it_lies",
    ),
    Fault(
        "cli/tune.py",
        "            if not error <= limit:",
        "            if False:",
        f"{TUNE}::test_what_gives_other_masks_is_not_taken",
    ),
    Fault(
        "cli/tune.py",
        "        if peak > _MORE_MEMORY * self._usual_peak + _FEW_BYTES:",
        "        if False:",
        f"{TUNE}::test_what_takes_more_memory_is_not_taken",
    ),
    Fault(
        "cli/tune.py",
        "and not _is_faster(rounds):",
        "and False:",
        f"{TUNE}::test_what_only_seemed_faster_is_not_kept",
    ),
    Fault(
        "cli/tune.py",
        "<= wanted // 7",
        "<= wanted",
        f"{TUNE}::test_faster_in_most_rounds_is_not_enough",
    ),
    Fault(
        "cli/report.py",
        "    without_paths: dict[str, Any] = _without_paths(report)\n",
        "    without_paths = report\n",
        "tests/cli/test_report.py::test_nothing_personal",
    ),
)
