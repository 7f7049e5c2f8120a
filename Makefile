# Two commands for a fresh machine with Python (3.10 or newer) and make: `make demo`, `make test`.
# Each sets up .venv when it is missing. To use an environment of your own: make test PYTHON=python

SYSTEM_PYTHON ?= python3
VENV := .venv
PYTHON ?= $(VENV)/bin/python
EXTRAS ?= dev
OUTPUT ?= demo_masked.mp4
PYTEST_ARGS ?=
# Processes that run the tests side by side.
PROCESSES ?= 2
# A Python with torch and the reference; tests/parity/oracle.py says which.
ORACLE ?= python

.DEFAULT_GOAL := help
.PHONY: help install demo test coverage bare fuzz mutants faults swift browser lint format parity golden bench clip build clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | \
	  while IFS='|' read -r name what; do printf '  make %-9s %s\n' "$$name" "$$what"; done

# Reinstalled when pyproject.toml changes; nothing to do when PYTHON is another interpreter.
$(VENV)/.installed: pyproject.toml
	@$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed; try: make install SYSTEM_PYTHON=python3.12"; exit 2; }
	@$(SYSTEM_PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv"; exit 2; }
	$(SYSTEM_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --retries 10 -e '.[$(EXTRAS)]'
	@touch $@

ifeq ($(PYTHON),$(VENV)/bin/python)
READY := $(VENV)/.installed
endif

install: $(READY)  ## set up .venv with everything for development

demo: $(READY)  ## mask three objects in the bundled clip with the bundled weights, offline
	$(PYTHON) -m sam2_mlx.video demo --model nano \
	  --point 1:105,118 --point 2:520,196 --point 3:250,276 --output $(OUTPUT)

test: $(READY)  ## run the tests
	$(PYTHON) -m pytest -n $(PROCESSES) --dist worksteal $(PYTEST_ARGS)

coverage: $(READY)  ## which lines the tests run; at least 92 %
	$(PYTHON) -m pytest -n $(PROCESSES) --dist worksteal --cov --cov-report=term $(PYTEST_ARGS)

bare:  ## both README commands on a minimal Debian, made on the spot (root and debootstrap)
	tests/bare_machine.sh $(PYTEST_ARGS)

fuzz: $(READY)  ## spoiled checkpoints, configs, sessions and media for ten minutes
	$(PYTHON) -m tests.fuzz

faults: $(READY)  ## kill, interrupt and starve commands, and count what is left (SEED=number)
	$(PYTHON) -m tests.cli.campaign $(if $(SEED),--seed $(SEED))

mutants: $(READY)  ## break the package in small ways; a test must catch each
	$(PYTHON) -m tests.mutants

# The scratch folder stays out of the tree: it has thousands of files.
SWIFT_SCRATCH ?= $(or $(TMPDIR),/tmp)/sam2-mlx-swift

swift: $(READY)  ## build and test the Swift package, where there is Swift 6
	@if swift --version 2>/dev/null | grep -qE 'Swift version ([6-9]|[1-9][0-9])\.'; then \
	  SAM2_PYTHON=$(abspath $(PYTHON)) MLX_ROOT=$$($(PYTHON) -c 'import mlx.core as m, os; print(os.path.dirname(m.__file__))') \
	  swift test --scratch-path $(SWIFT_SCRATCH) && \
	  { [ "$$(uname)" = Darwin ] || swift/Tests/AppleStubs/check.sh $(SWIFT_SCRATCH); }; \
	else echo "swift: skipped, there is no Swift 6 on the PATH"; fi

browser:  ## what the tests of the page need: Chromium and tsc (root, on Debian)
	@command -v chromium >/dev/null && command -v tsc >/dev/null || \
	  { apt-get update -q && apt-get install -yq --no-install-recommends chromium node-typescript; }

lint: $(READY)  ## ruff and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(READY)  ## let ruff put the code in order
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

parity: $(READY)  ## run the live reference beside this code (ORACLE=python with torch)
	$(PYTHON) -m tests.parity.compare --oracle-python $(ORACLE)

golden:  ## make the goldens anew with the reference (ORACLE=python with torch)
	$(ORACLE) -m tests.parity.make_goldens

bench: $(READY)  ## one tracked frame of SAM 2.1 tiny at 1024, timed
	$(PYTHON) -m benchmarks.tracked_frame

clip: $(READY)  ## draw the bundled clip and its true masks anew
	$(PYTHON) demos/make_clip.py

build: $(READY)  ## build the wheel and check its size
	rm -rf dist
	$(PYTHON) -m build --wheel --outdir dist .
	@size=$$(cat dist/*.whl | wc -c); echo "wheel: $$size bytes"; \
	  test $$size -lt 20000000 || { echo "the wheel must stay under 20 MB"; exit 1; }

clean:  ## remove what the other targets made
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .mypy_cache $(OUTPUT)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
