"""Faults in the live window."""

from __future__ import annotations

from tests.faults.fault import Fault

VIEWER = "tests/live/test_viewer.py"
CAPTURE = "tests/live/test_capture.py"
CONTROLS = "tests/live/test_controls.py"

FAULTS = (
    Fault(
        "live/viewer.py",
        "if self.controls.frozen:\n            time.sleep",
        "if False:\n            time.sleep",
        f"{VIEWER}::test_a_frozen_picture_stands_still_and_takes_prompts",
    ),
    Fault(
        "live/viewer.py",
        "            self._capture.freeze(self.controls.frozen)\n",
        "",
        f"{VIEWER}::test_a_frozen_clip_is_not_read_on",
    ),
    Fault(
        "live/viewer.py",
        "                self._capture.restart()\n",
        "",
        f"{VIEWER}::test_a_clip_that_is_over_can_be_played_again",
    ),
    Fault(
        "live/viewer.py",
        "self._trouble = str(problem)",
        'self._trouble = ""',
        f"{VIEWER}::test_a_frame_that_is_no_picture_is_reported_and_left_out",
    ),
    Fault(
        "live/viewer.py",
        "        self.controls.new_frame()\n",
        "",
        f"{VIEWER}::test_what_is_pointed_at_belongs_to_its_frame",
    ),
    Fault(
        "live/viewer.py",
        "                self._finish_recording()\n",
        "                pass\n",
        f"{VIEWER}::test_closing_the_window_finishes_the_recording",
    ),
    Fault(
        "live/capture.py",
        "self.dropped += self._newest.number - self._taken - 1",
        "self.dropped += 0",
        f"{CAPTURE}::test_only_the_newest_frame_is_given",
    ),
    Fault(
        "live/capture.py",
        "self._taken = max(self._taken, self._newest.number)",
        "pass",
        f"{CAPTURE}::test_frames_of_a_frozen_picture_do_not_count_as_dropped",
    ),
    Fault(
        "live/capture.py",
        "self.ended = not self._feed.retries",
        "self.ended = True",
        f"{CAPTURE}::test_a_camera_that_is_gone_is_tried_again",
    ),
    Fault(
        "live/feeds.py",
        "self._start += seconds",
        "pass",
        f"{CAPTURE}::test_a_clip_plays_at_its_own_speed",
    ),
    Fault(
        "live/controls.py",
        "if object_id in self._session.object_ids:\n                return object_id",
        "if object_id is not None:\n                return object_id",
        f"{CONTROLS}::test_an_object_that_is_gone_takes_no_negative_points",
    ),
    Fault(
        "live/controls.py",
        "box is not None and not self._press_negative",
        "box is not None",
        f"{CONTROLS}::test_a_drag_with_shift_takes_away_where_it_ends",
    ),
    Fault(
        "live/objects.py",
        "view.just_found = self.shown_found",
        "view.just_found = 0",
        f"{VIEWER}::test_a_lost_object_is_shown_as_lost_and_found_again",
    ),
    Fault(
        "live/saving.py",
        "            if now <= self._waiting[1]:\n                return\n",
        "",
        "tests/live/test_saving.py::test_a_recording_keeps_times",
    ),
)
