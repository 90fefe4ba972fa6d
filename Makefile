# `make demo` runs the main job, `make test` the tests; each sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check table ablation words clean

demo: .venv/.installed
	$(BIN)/carvid demo --out demo

test: .venv/.installed-dev
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The table of the README.
table: .venv/.installed
	$(BIN)/carvid demo --out demo-table --clips 30 --frames 11 --table

# The table of docs/benchmarks.md; it goes on where it stopped.
ablation: .venv/.installed
	$(BIN)/python scripts/draw_images.py drawn --images 128
	$(BIN)/carvid ablate shapes drawn --out ablation --first 128
	$(BIN)/python scripts/ablation_spread.py shapes drawn ablation

# The tables of choices in docs/words.md.
words: .venv/.installed
	$(BIN)/python scripts/measure_words.py
	$(BIN)/python scripts/measure_words_run.py

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert (3, 10) <= sys.version_info < (3, 14), "carvid needs Python 3.10 to 3.13: make PYTHON=python3.12"'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) torch==2.13.0
	$(INSTALL) --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) --editable '.[dev]'
	# Without its dependencies: it asks for opencv-python, which would take the place of the headless one.
	$(INSTALL) --no-deps trackeval
	touch $@

clean:
	rm -rf .venv demo demo-table drawn ablation
