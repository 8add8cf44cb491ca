# `make app` opens the app; `make test` runs every check; `make quick` those of the inner loop.
# Each installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two workers: each has a server and a browser of its own, and one thread of torch.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

.PHONY: app test quick lint types core unit browser bench screenshots clean

# For whoever sits at this machine: it may name paths here, and nobody else can reach the app.
app: $(VENV)/.app
	LOLORA_ALLOW_PATHS=1 $(BIN)/streamlit run app/main.py --server.address localhost

test: lint types unit browser

quick: lint types core

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.test
	$(BIN)/mypy

core: $(VENV)/.test
	$(PYTEST) lolora_core tests/core tests/benchmarks tests/test_project.py

unit: $(VENV)/.test
	$(PYTEST) lolora_core app tests --ignore tests/browser
	# The common checks once more, with every shape in every signature checked at each call.
	$(PYTEST) --jaxtyping-packages=lolora_core,beartype.beartype tests/core/families/test_families.py -k test_common

browser: $(VENV)/.browser
	$(PYTEST) tests/browser

bench: $(VENV)/.browser
	$(BIN)/python -m benchmarks

# The pictures of README.md and docs/.
screenshots: $(VENV)/.browser
	$(BIN)/python -m docs.screenshots

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements.txt pyproject.toml setup.py | $(VENV)/bin/python
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
	rm -rf $(VENV) build dist .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
