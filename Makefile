# make check: everything a change must pass. It makes .venv first where there is none.

VENV = .venv
BIN = $(VENV)/bin

.PHONY: check format test test-full screens

check: $(BIN)/ruff
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

format: $(BIN)/ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(BIN)/ruff
	$(BIN)/pytest

test-full: $(BIN)/ruff
	OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -m full tests/reliability

# The screens and pictures of the pages, as the commands now print them. Takes some minutes of a free machine.
screens: $(BIN)/ruff
	$(BIN)/python tests/screens.py
	$(BIN)/python .github/images/make.py

$(BIN)/ruff: setup.py
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
