"""The commands and their options: what there is, that it is explained, and that help is quick."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from sam2_mlx.__main__ import COMMANDS, main

# The contract: an option that goes is missed here.
OPTIONS = {
    "video": "point negative-point box mask objects-from prompts everything max-objects find-every "
    "points-per-side min-area crops min-iou min-stability refine frame both reverse start end "
    "frame-rate every model dtype image-size memory edges save-session resume project output "
    "format save-masks scores save-prompts preview",
    "image": "point negative-point box everything points-per-side min-area crops min-iou "
    "min-stability refine model dtype image-size output save-masks cutout all-masks",
    "batch": "out workers retry-failed everything max-objects find-every points-per-side min-area "
    "crops min-iou min-stability refine both reverse start end frame-rate every memory edges "
    "format model dtype image-size save-masks scores",
    "everything": "points-per-side min-area crops min-iou min-stability refine model dtype "
    "image-size output",
    "convert": "dtype image-size quantize overwrite",
    "info": "json",
    "bench": "model what dtype image-size objects rounds frames json",
    "eval": "set sequences max-frames masks prompt memory fill-holes model dtype image-size json "
    "save-masks",
    "export": "dtype image-size",
    "app": "port no-open allow projects model dtype image-size",
    "serve": "stdio socket",
    "tune": "image-size objects",
    "report": "output model quick",
    "selftest": "dtype quick official table bundle",
}
HEAVY = {"numpy", "mlx.core", "PIL", "cv2", "av", "tqdm", "huggingface_hub", "safetensors"}


def test_no_command_is_lost() -> None:
    assert OPTIONS.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_option(name: str, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: sam2-mlx {name} ")
    entries = [entry.split("\n\n")[0] for entry in re.split(r"^  (?=-)", said, flags=re.M)[1:]]
    texts = {}
    for entry in entries:
        invocation, _, text = re.sub(r"\n\s*", "  ", entry).partition("  ")
        texts[invocation.partition("--")[2].split()[0]] = text.split()
    assert texts.keys() >= {"help", "device", *OPTIONS.get(name, "").split()}
    assert [option for option, words in texts.items() if len(words) < 2] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_nothing_heavy(name: str, repository) -> None:
    program = (
        "import sys\n"
        "from sam2_mlx.__main__ import main\n"
        "try:\n"
        f"    main([{name!r}, '--help'])\n"
        "finally:\n"
        "    print(sorted(sys.modules), file=sys.stderr)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("usage: ")
    loaded = set(eval(done.stderr))
    assert "sam2_mlx" in loaded and not loaded & HEAVY
