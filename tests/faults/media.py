"""Faults in what is read and written."""

from __future__ import annotations

from tests.faults.fault import Fault

FAULTS = (
    Fault(
        "media/overlay.py",
        "rank if ranks is None else ranks[rank]",
        "rank",
        "tests/live/test_viewer.py::test_colours_stay_with_their_objects",
    ),
    Fault(
        "media/overlay.py",
        "x0, y0 = max(0, x - width), max(0, y - width)",
        "x0, y0 = x, y",
        "tests/media/test_masks_and_overlay.py::test_masks_are_filled_and_outlined_in_their_colours",
    ),
    Fault(
        "media/palette.py",
        "        if (height, width) != size:",
        "        if False:",
        "tests/media/test_palette.py::test_a_bomb_is_not_decoded",
    ),
    Fault(
        "media/palette.py",
        "values.max(initial=0) > MAX_VALUE",
        "False",
        "tests/media/test_palette.py::test_noise_is_not_a_mask_for_each_value",
    ),
    Fault(
        "media/mask_writer.py",
        "np.packbits(record.masks != 0, axis=2)",
        'np.packbits(record.masks != 0, axis=2, bitorder="little")',
        "tests/media/test_masks_and_overlay.py::test_the_archive_reads_back",
    ),
    Fault(
        "media/mask_writer.py",
        "direct = all(",
        "direct = any(",
        "tests/media/test_masks_and_overlay.py::test_large_ids_are_numbered_by_their_place",
    ),
    Fault(
        "media/pictures.py",
        '(0, int(part), "") if part.isdigit() and part.isascii()',
        "(1, 0, part) if part.isdigit() and part.isascii()",
        "tests/media/test_reader.py::test_a_folder_is_sorted_by_number",
    ),
    Fault(
        "media/strided.py",
        "frame_rate=source.frame_rate / step",
        "frame_rate=source.frame_rate",
        "tests/media/test_strided.py",
    ),
    Fault(
        "media/video_writer.py",
        "            self._audio.start = origin",
        "            pass",
        "tests/cli/test_video_command.py::TestStopping::test_a_signal_on_the_way_back_keeps_what_was_followed",
    ),
    Fault(
        "media/video_writer.py",
        "stream.height = format.height + self._missing(format.height)",
        "stream.height = format.height",
        "tests/media/test_video_writer.py::test_odd_sizes_repeat_the_last_row_and_column",
    ),
    Fault(
        "media/write_behind.py",
        "                self._hand_over(None)\n                self._worker.join()",
        "                pass",
        "tests/media/test_write_behind.py::test_items_are_done_in_order_by_one_other_thread",
    ),
    Fault(
        "media/read_ahead.py",
        "            if self._stop.is_set():\n                return\n            item",
        "            item",
        "tests/tracking/test_pipeline.py::test_a_loop_left_early_leaves_no_thread",
    ),
    Fault(
        "media/video_scan.py",
        "len(stream.index_entries)",
        "stream.frames",
        "tests/media/test_video_kinds.py::test_what_an_edit_hides_is_not_missing",
    ),
    Fault(
        "media/containers.py",
        "av.formats_available - _OTHERS - _TEXT",
        "av.formats_available",
        "tests/media/test_reader.py::test_no_file_opens_another_one",
    ),
    Fault(
        "media/video_reader.py",
        "for one_by_one in dict.fromkeys((self._one_by_one, True)):",
        "for one_by_one in (self._one_by_one,):",
        "tests/media/test_reader.py::test_a_cut_packet_takes_no_other_frame_with_it",
    ),
    Fault(
        "prompts.py",
        "!= 2 * corner.sum()",
        "< 0",
        "tests/test_prompts.py::test_impossible_prompts_are_refused",
    ),
)
