# Commands of Halfface. `make` lists them. Needs python3 (3.11 or newer) with venv, and nothing else.
#
#   TORCH_INDEX   pip index of PyTorch's CPU builds, as "Get started" on PyTorch's site gives it: without it, pip takes
#                 the ordinary torch, which on Linux brings several GB of CUDA libraries
#   PYTHON        the python3 to make the environment with
#   STUDY         settings of the trainings of `make study`; as given here, near those of the released versions, which were
#                 made in more steps than a study has (docs/experiments.md, 25 to 33)

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
TESTS ?= tests
DATA ?= data/fer2013.zip
STUDY ?= --epochs 60 --width 0.75 --small-stem --grow-from 40 --mixed-sizes --batch-size 64 --learning-rate 0.001 \
	--weight-decay 0.3 --mirror-average --size-average --class-weights --mixup 0.2 --shift 0.1 --contrast 0.2 \
	--erase 0.1 --validation-share 0.06 --select loss

# An environment whose Python was upgraded or taken away cannot run what it holds, and is made anew.
BROKEN := $(if $(wildcard $(VENV)/.stack),$(shell $(BIN)/python -c 'import pydantic' 2>/dev/null || echo broken))

.DEFAULT_GOAL := help
.PHONY: help up test test-long check bench study study-report study-verify format clean install broken

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/.stack ## run the whole stack here, without Docker; Ctrl-C stops it
	@$(BIN)/python -m scripts.up

# a process of the tests that dies is not replaced: by files, xdist then gives out work that is done, and waits for ever
test: $(VENV)/.dev ## pass the tests, files side by side; one file: make test TESTS=tests/that/file.py
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --max-worker-restart 0 --dist loadfile --no-loadscope-reorder $(TESTS)

test-long: $(VENV)/.dev ## pass the tests that take minutes each: a night with kills, a study through the queue
	@$(BIN)/python -m pytest -m long $(TESTS)

check: $(VENV)/.dev ## format, lint, types, import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.stack ## measure how fast networks answer, train, and are taken up
	@PYTHONPATH=. $(BIN)/python benchmarks/network_speed.py
	@PYTHONPATH=. $(BIN)/python benchmarks/training_speed.py
	@PYTHONPATH=. $(BIN)/python benchmarks/promotion.py

study: $(VENV)/.stack ## train the six models of the study and report on them: make study DATA=data/fer2013.zip
	@$(BIN)/python -m trainer study --data "$(DATA)" $(STUDY)

study-report: $(VENV)/.stack ## measure the active models and write models/study.json: make study-report DATA=...
	@$(BIN)/python -m trainer study-report --data "$(DATA)"

study-verify: $(VENV)/.stack ## compute every cell of models/study.json again: make study-verify DATA=...
	@$(BIN)/python -m trainer study-verify --data "$(DATA)"

format: $(VENV)/.dev ## put the code into its one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

install: $(VENV)/.dev ## make the environment, and nothing else

clean: ## remove the environment and every cache; data, models and runs stay
	rm -rf "$(VENV)" build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment for everything: the stack's parts first, so that `make up` needs none of the developers' tools.
$(VENV)/.stack: pyproject.toml constraints.txt $(BROKEN)
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON); install Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11; install a newer one and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install $(notdir $(PYTHON))-venv" >&2; exit 1; }
	@echo "Making the environment in $(VENV); the first time takes some minutes."
	@$(PYTHON) -m venv $(if $(BROKEN),--clear) $(VENV)
	@$(PIP) -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -e '.[gateway,inference,frontend,trainer,stack]'
	@touch $@

$(VENV)/.dev: $(VENV)/.stack
	@$(PIP) -q -e '.[dev]'
	@touch $@
