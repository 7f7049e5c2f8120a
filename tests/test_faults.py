"""The table of faults fits the source; `make mutants` tries them."""

from __future__ import annotations

from pathlib import Path

from tests.faults import FAULTS

ROOMS = {"live", "tracking", "media", "checkpoints", "cli"}


def test_each_fault_stands_once_in_its_file(repository: Path) -> None:
    sources = {fault.file: repository / "sam2_mlx" / fault.file for fault in FAULTS}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
    gone = [fault.what for fault in FAULTS if texts[fault.file].count(fault.text) != 1]
    assert gone == []
    assert len(FAULTS) >= 40 and {fault.room for fault in FAULTS} >= ROOMS


def test_each_fault_has_a_test_outside_parity(repository: Path) -> None:
    missing = []
    for fault in FAULTS:
        file, *names = fault.test.split("::")
        assert not file.startswith("tests/parity")
        text = (repository / file).read_text(encoding="utf-8")
        missing += [fault.test for name in names if name not in text]
    assert missing == []
