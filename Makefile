# `make app` opens the app; `make test` runs every check. Both install what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app test lint types unit browser bench clean

app: $(VENV)/.app
	$(BIN)/streamlit run app/main.py

test: lint types unit browser

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

unit: $(VENV)/.test
	$(BIN)/pytest lolora_core app tests/core tests/app
	# The common checks once more, with every shape in every signature checked at each call.
	$(BIN)/pytest --jaxtyping-packages=lolora_core,beartype.beartype tests/core/families/test_families.py -k test_common

browser: $(VENV)/.browser
	$(BIN)/pytest tests/browser

bench: $(VENV)/.browser
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.test: $(VENV)/.app
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable '.[test]'
	touch $@

$(VENV)/.browser: $(VENV)/.test
	$(BIN)/python tests/browser/install_chromium.py
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
