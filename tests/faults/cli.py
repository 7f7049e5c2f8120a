"""Faults in the commands."""

from __future__ import annotations

from tests.faults.fault import Fault

FAULTS = (
    Fault(
        "media/sinks.py",
        "            self._writer.start_sound_at(self._source.origin + now)\n",
        "",
        "tests/cli/test_sinks.py",
    ),
    Fault(
        "media/sinks.py",
        "self._writer.finish() if self._writer.frames else self._writer.abort()",
        "self._writer.finish()",
        "tests/cli/test_sinks.py",
    ),
    Fault(
        "cli/sinks.py",
        "        if not self._window.show(frame.drawn):",
        "        if self._window.show(frame.drawn) and False:",
        "tests/cli/test_video_options.py::test_a_preview_shows_every_frame_and_can_end_it",
    ),
    Fault(
        "cli/sinks.py",
        "(frame.index, number) in self._prompted and not visible",
        "(frame.index, number) in self._prompted",
        "tests/cli/test_sinks.py",
    ),
    Fault(
        "cli/follow.py",
        "                if self.stopped:\n                    return\n",
        "",
        "tests/cli/test_video_command.py::TestStopping::test_a_signal_keeps_the_frames_so_far",
    ),
    Fault(
        "cli/arguments.py",
        're.match(r"-[\\d.]", text)',
        "None",
        "tests/cli/test_arguments.py",
    ),
    Fault(
        "cli/arguments.py",
        "    if not 0 < rate <= 1000:",
        "    if not 0 <= rate <= 1000:",
        "tests/cli/test_arguments.py",
    ),
    Fault(
        "cli/errors.py",
        "return code or 0\n    # Bad input",
        "return code or 2\n    # Bad input",
        "tests/cli/test_video_options.py::TestPipe::test_a_reader_that_leaves_ends_it",
    ),
    Fault(
        "cli/typed_prompts.py",
        "for number in np.unique(values) if number > 0",
        "for number in np.unique(values)",
        "tests/cli/test_video_options.py::TestObjectsFrom::test_each_value_is_an_object",
    ),
    Fault(
        "__main__.py",
        "    if name not in COMMANDS:",
        "    if False:",
        "tests/test_runtime.py::test_an_unknown_command_is_one_line",
    ),
    Fault(
        "cli/batch/pieces.py",
        "            if sha256(file) != digest:",
        "            if False:",
        "tests/cli/test_batch_pieces.py::test_results_arrive_whole_or_not_at_all",
    ),
    Fault(
        "cli/batch/pieces.py",
        'name in ("", ".", "..") or',
        "name in () or",
        "tests/cli/test_batch_pieces.py::test_a_name_that_leads_elsewhere_is_refused",
    ),
    Fault(
        "cli/batch/cluster.py",
        "        except (FileError, OSError) as problem:\n            answer |=",
        "        except (ValueError, OSError) as problem:\n            answer |=",
        "tests/cli/test_batch_cluster.py"
        "::test_a_scheduler_that_is_gone_while_results_come_fails_no_clip",
    ),
    Fault(
        "cli/batch/cluster.py",
        "allow_other_workers=not only,",
        "allow_other_workers=True,",
        "tests/cli/test_batch_cluster.py"
        "::test_what_failed_is_tried_on_other_workers_alone_and_anywhere_once_they_are_lost",
    ),
    Fault(
        "cli/batch/jobs.py",
        '            line = f"{Path(part, file.name)} {sha256(file)}\\n"\n',
        '            line = f"{Path(part, file.name)}\\n"\n',
        "tests/cli/test_batch_jobs.py::TestJobs::test_a_digest_of_parts_is_of_the_files_in_them",
    ),
    Fault(
        "cli/batch/pool.py",
        "if deaths >= DEADLY:",
        "if True:",
        "tests/everything/test_everything_command.py"
        "::test_several_processes_write_the_same_and_outlive_a_picture_that_kills",
    ),
)
