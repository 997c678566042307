# make check: everything a change must pass. It makes .venv first where there is none.

VENV = .venv
BIN = $(VENV)/bin

.PHONY: check format test test-full

check: $(BIN)/charnn
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

format: $(BIN)/charnn
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(BIN)/charnn
	$(BIN)/pytest

test-full: $(BIN)/charnn
	$(BIN)/pytest -m full

$(BIN)/charnn: setup.py
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@
