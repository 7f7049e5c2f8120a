"""Faults in what is remembered, and for how long."""

from __future__ import annotations

from tests.faults.fault import Fault

FAULTS = (
    Fault(
        "tracking/memory_schedule.py",
        "return 1 + max(schedule.memories - 2, 0) * schedule.stride",
        "return 1",
        "tests/tracking/test_memory_schedule.py::test_lookback_covers_every_plan",
    ),
    Fault(
        "tracking/memory_schedule.py",
        "t = frame - sign * distance",
        "t = frame - distance",
        "tests/tracking/test_memory_schedule.py::test_backwards",
    ),
    Fault(
        "tracking/memory_schedule.py",
        "others[: limit - len(chosen)]",
        "others[:limit]",
        "tests/tracking/test_memory_schedule.py::test_closest_prompted_frames",
    ),
    Fault(
        "tracking/memory_schedule.py",
        "set(recent) | (set(prompted) - set(chosen))",
        "set(recent)",
        "tests/tracking/test_memory_schedule.py::test_an_unchosen_prompt_counts_as_recent",
    ),
    Fault(
        "tracking/memory_schedule.py",
        "return abs(frame - t) <= pointer_lookback(schedule)",
        "return abs(frame - t) < pointer_lookback(schedule)",
        "tests/tracking/test_session.py::test_a_correction_looks_back_as_far_as_its_frame_did",
    ),
    Fault(
        "tracking/memory_bank.py",
        "            self.recent.pop(frame, None)\n",
        "",
        "tests/tracking/test_memory_bank.py",
    ),
    Fault(
        "tracking/memory_bank.py",
        "                memory = replace(memory, tokens=None)\n",
        "                pass\n",
        "tests/tracking/test_memory_bank.py",
    ),
    Fault(
        "tracking/memory_policy.py",
        "reach = self.schedule.memories * self.schedule.stride",
        "reach = 1",
        "tests/tracking/test_session.py::test_prompts_forget_the_frames_around",
    ),
    Fault(
        "tracking/distractor_memory.py",
        "        self._unchoose(lambda t: t == frame)\n",
        "",
        "tests/tracking/test_distractor_memory.py::test_a_frame_that_is_seen_anew_is_chosen_anew",
    ),
    Fault(
        "tracking/distractor_memory.py",
        "<= rules.area_tolerance * usual",
        "<= usual",
        "tests/tracking/test_distractor_memory.py::test_other_frames_make_no_anchor",
    ),
    Fault(
        "tracking/distractor_memory.py",
        "labels == 1 + int(np.argmax(areas[1:]))",
        "labels > 0",
        "tests/tracking/test_distractor_memory.py::test_box_share",
    ),
    Fault(
        "tracking/valid_memory.py",
        "        self.invalid.discard(frame)\n",
        "",
        "tests/tracking/test_valid_memory.py::test_a_corrected_frame_counts",
    ),
    Fault(
        "tracking/track_frame.py",
        "            groups.setdefault(plan.shape, []).append(object_id)",
        "            groups.setdefault(object_id, []).append(object_id)",
        "tests/tracking/test_streams.py::test_objects_of_different_ages_share_a_batch",
    ),
    Fault(
        "tracking/session.py",
        "self._policy.one_way and self._reverse not in (None, reverse)",
        "False",
        "tests/tracking/test_session.py::test_rolling_memory_does_not_turn_round",
    ),
    Fault(
        "tracking/session.py",
        "                        problem = caught  # this frame is still good",
        "                        raise",
        "tests/tracking/test_pipeline.py::test_damage_ends_after_the_last_good_frame",
    ),
    Fault(
        "tracking/session.py",
        "            tracked.bank.schedule = self._schedule\n",
        "            pass\n",
        "tests/tracking/test_session.py::test_options_hold_for_objects_that_are_followed",
    ),
    Fault(
        "tracking/frames.py",
        "        with self._reading:\n            image",
        "        if True:\n            image",
        "tests/tracking/test_pipeline.py::test_a_frame_out_of_turn_waits_for_the_worker",
    ),
    Fault(
        "tracking/saved_session.py",
        'memory=description["memory"],',
        "",
        "tests/tracking/test_saved_session.py::test_a_stream_goes_on_bit_for_bit",
    ),
    Fault(
        "tracking/frame_masks.py",
        "    if max_area <= 0 or not rows:\n        return masks\n",
        "    return masks\n",
        "tests/tracking/test_session.py::test_holes_are_filled_in_what_is_shown_only",
    ),
)
