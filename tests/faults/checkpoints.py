"""Faults in files that become models."""

from __future__ import annotations

from tests.faults.fault import Fault

FAULTS = (
    Fault(
        "checkpoints/rename.py",
        'bool(at[1]), "ema" in at[1].lower()',
        "bool(at[1]), False",
        "tests/checkpoints/test_rename_checkpoint.py::test_whatever_stands_before_all_keys",
    ),
    Fault(
        "checkpoints/rename.py",
        "        else:\n            result.unexpected.append(key)\n",
        "",
        "tests/checkpoints/test_rename_checkpoint.py::test_what_does_not_fit_is_listed_in_one_error",
    ),
    Fault(
        "checkpoints/rename.py",
        "tuple(tensor.shape[axis] for axis in axes)",
        "tensor.shape",
        "tests/checkpoints/test_rename_checkpoint.py::test_convolutions_become_channels_last",
    ),
    Fault(
        "checkpoints/read_torch.py",
        'return "<" if order == b"little" else ">"',
        'return "<"',
        "tests/checkpoints/test_read_torch.py::test_big_endian_values",
    ),
    Fault(
        "checkpoints/read_torch.py",
        "            if self._reads_left < 0:",
        "            if False:",
        "tests/checkpoints/test_read_torch.py::test_many_views_of_one_storage_are_refused",
    ),
    Fault(
        "checkpoints/read_torch.py",
        "entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1",
        "False",
        "tests/checkpoints/test_read_torch.py::test_a_compressed_archive_is_refused",
    ),
    Fault(
        "checkpoints/load.py",
        "    report_once()\n",
        "",
        "tests/test_runtime.py::test_importing_mlx_first_is_reported_not_fatal",
    ),
    Fault(
        "checkpoints/load.py",
        "if name == BUNDLED:\n            warnings.warn",
        "if False:\n            warnings.warn",
        "tests/checkpoints/test_load_model.py::test_auto_falls_back_to_the_bundled_model",
    ),
    Fault(
        "checkpoints/hub.py",
        "    for name in names if not anew else ():",
        "    for name in ():",
        "tests/checkpoints/test_hub.py::test_a_file_in_the_hubs_own_cache_is_used",
    ),
    Fault(
        "checkpoints/infer.py",
        '"absent_embedding": "memory.absent_embedding" in shapes',
        '"absent_embedding": True',
        "tests/checkpoints/test_rename_checkpoint.py::test_sam_2_0",
    ),
    Fault(
        "checkpoints/quantized.py",
        "        if width % quantization.group_size:",
        "        if False:",
        "tests/checkpoints/test_quantized_folder.py::test_a_config_that_lies",
    ),
)
