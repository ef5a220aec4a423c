# The course's commands; `make help` lists them. All of them work from any folder with `make -C FOLDER`.
#
# Every target first runs tools/setup.py, which makes .venv complete, or sees within milliseconds that it is.

PYTHON ?= python3
TORCH ?=
# A Python that is named must be the one in .venv; the machine's own leaves there which one it is.
KEEP_PYTHON := $(if $(filter file,$(origin PYTHON)),--keep-python)
N ?=
NAME =
FORCE ?=
export PORT NO_BROWSER

VENV_PYTHON := .venv/bin/python
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help lab check test deep proof course notebooks lesson new benchmarks verify-results lint wheels clean
.PHONY: setup-lab setup-test check-python

# The one place for pytest's options; METAUTIL_PYTEST adds some (for example "-x"). The order of the files is conftest.py's, the
# longest first; xdist's own would begin with those of the most tests, however short.
PYTEST = $(VENV_PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --nbval --nbval-current-env \
	--nbval-cell-timeout 180 $(METAUTIL_PYTEST)

help:  ## list these commands
	@echo "Everything Is a Mapping. Commands:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile
	@echo "Options: PORT=8899  NO_BROWSER=1  TORCH=cuda  PYTHON=python3.12"

lab: setup-lab  ## install what is missing, then open JupyterLab at lesson 00 (PORT=, NO_BROWSER=1)
	@$(VENV_PYTHON) -m tools.lab

check: setup-test  ## the tests that take under a minute, without notebooks
	@$(PYTEST) -m "not slow and not deep" tests lessons benchmarks

# Of the students' notebooks tests/test_stubs.py runs what differs from the solved ones.
test: setup-test  ## run the tests, and every solved notebook against its saved outputs
	@$(PYTEST) -m "not deep" tests lessons benchmarks notebooks/solutions

deep: setup-test  ## what is wide: rounding noise, figures in another order, all sliders, the browser, mutants
	@failed=0; \
	$(PYTEST) -m deep tests lessons benchmarks || failed=1; \
	$(VENV_PYTHON) -m tools.noise || failed=1; \
	$(VENV_PYTHON) -m tools.proof --status; \
	exit $$failed

proof: setup-test  ## what takes hours; its record is stored with the commit that it covers
	@$(VENV_PYTHON) -m tools.proof

course: setup-lab  ## run all notebooks without a browser: time, memory, ok or failed
	@$(VENV_PYTHON) -m tools.course

notebooks: setup-test  ## make the notebooks whose lesson has changed (FORCE=1: all of them)
	@$(VENV_PYTHON) -m tools.build $(if $(FORCE),--force)

lesson: setup-test  ## build one lesson and preview it: make lesson N=03
	@test -n "$(N)" || { echo "Which lesson? For example: make lesson N=03"; exit 1; }
	@$(VENV_PYTHON) -m tools.build --only "$(N)" --preview

new: setup-test  ## lay the folder of a new lesson, whole and small: make new N=08 NAME=heuristics
	@$(VENV_PYTHON) -m tools.new "$(N)" "$(NAME)"

benchmarks: setup-test  ## measure again what the lessons quote (hours on a small machine)
	@$(VENV_PYTHON) -m benchmarks.run

verify-results: setup-test  ## recompute one randomly chosen seed of every stored result
	@$(VENV_PYTHON) -m benchmarks.verify

lint: setup-test  ## check the style of the code; warn of words in lessons that sound impatient
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m tools.lint_lessons

wheels: setup-test  ## build metautil and metautil-course, for hosted notebooks, in dist/
	@$(VENV_PYTHON) -m tools.wheels

clean:  ## remove what tests and builds left behind (.venv and the notebooks stay)
	@rm -rf .pytest_cache .ruff_cache .hypothesis .benchmarks build dist *.egg-info
	@find . -path ./.venv -prune -o -path ./.git -prune -o \
		\( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -exec rm -rf {} +

setup-lab: check-python
	@"$(PYTHON)" tools/setup.py --extra lab --torch "$(TORCH)" $(KEEP_PYTHON)

setup-test: check-python
	@"$(PYTHON)" tools/setup.py --extra test --torch "$(TORCH)" $(KEEP_PYTHON)

check-python:
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "There is no program $(PYTHON) here. Install Python 3.10 or newer (Debian, Ubuntu: sudo apt install" \
		"python3 python3-venv), or name the one you have: make lab PYTHON=python3.12"; exit 1; }
