# make demo, make test, make lint: each creates the virtual environment in .venv first.
# With another interpreter: make PYTHON=python3.12 demo

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# The first one that runs and has a supported version.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(SUPPORTED)' >/dev/null 2>&1 && echo "$$python" && break; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= auto

.PHONY: help demo test chaos notebooks docs bench lint types format clean

help:
	@echo "make demo       train on MovieLens-100k, track the effective rank, export, score"
	@echo "make test       run the tests"
	@echo "make chaos      kill, fill up, change and damage what a training needs, for ten minutes"
	@echo "make notebooks  run the notebooks"
	@echo "make docs       build the documentation, with the notebooks' output, in build/site"
	@echo "make bench      run the short benchmarks; docs/performance.md describes the full ones"
	@echo "make lint       check style and formatting"
	@echo "make format     fix style and formatting"
	@echo "make types      check types"
	@echo "make clean      delete everything that make has created"

$(VENV)/installed: setup.cfg
	@if ! "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null; then \
		echo "rankup_keras needs CPython 3.11, 3.12 or 3.13, as TensorFlow 2.21 does." >&2; \
		echo "Found: $$("$(or $(PYTHON),python3)" --version 2>&1 | head -n 1)." \
			"Choose another one: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi
	@echo "== Creating the virtual environment $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "Python's venv module failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "== Installing the package and TensorFlow (about 600 MB; takes some minutes the first time)"
	@$(PIP) install --quiet --editable '.[serving]'
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "== Installing the test tools"
	@$(PIP) install --quiet --editable '.[test]'
	@touch $@

demo: $(VENV)/installed
	$(BIN)/python -m rankup_keras.demo

test: $(VENV)/installed-test
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxprocesses=8 --dist=loadfile \
		--no-loadscope-reorder

chaos: $(VENV)/installed-test
	$(BIN)/python -m tests.chaos

$(VENV)/installed-notebooks: $(VENV)/installed
	@echo "== Installing what the notebooks need"
	@$(PIP) install --quiet --editable '.[notebooks]'
	@touch $@

# One thread each: three share two cores, as none is busy all the time.
notebooks: $(VENV)/installed-notebooks
	@printf '%s\n' notebooks/*.ipynb | TF_NUM_INTRAOP_THREADS=1 xargs -P 3 -I NOTEBOOK bash -c \
		'echo "== NOTEBOOK" && $(BIN)/jupyter execute --timeout=600 NOTEBOOK'

$(VENV)/installed-docs: $(VENV)/installed-notebooks
	@echo "== Installing what the documentation is built with"
	@$(PIP) install --quiet --editable '.[docs]'
	@touch $@

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in build/site; to read it: python3 -m http.server -d build/site"

$(VENV)/installed-bench: $(VENV)/installed
	@echo "== Installing the libraries that the benchmarks compare with"
	@$(PIP) install --quiet --editable '.[bench,tfrs]'
	@touch $@

bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks.dense_stack --short
	$(BIN)/python -m benchmarks.rankup_parquet --short
	$(BIN)/python -m benchmarks.served_graph --short
	$(BIN)/python -m benchmarks.dlrm --short
	$(BIN)/python -m benchmarks.dlrm --short --model dcnv2
	$(BIN)/python -m benchmarks.mixers --short
	$(BIN)/python -m benchmarks.scale --short
	$(BIN)/python -m benchmarks.growth --short
	$(BIN)/python -m benchmarks.effective_rank speed
	$(BIN)/python -m benchmarks.embeddings_step --short
	$(BIN)/python -m benchmarks.embeddings_throughput --short
	folder=$$(mktemp -d) && trap "rm -r $$folder" EXIT && \
		$(BIN)/python benchmarks/data_files.py --rows 300000 --folder "$$folder"
	$(BIN)/python benchmarks/serving.py --seconds 3

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .cache *.egg-info runs .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf notebooks/saved_models
	find saved_models -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
