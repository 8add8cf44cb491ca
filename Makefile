# `make app` opens the app; `make test` runs every check; `make quick` those of the inner loop.
# Each installs what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two workers: each has a server and a browser of its own, and one thread of torch.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal
# What says which packages to install.
ASKED := requirements.txt pyproject.toml setup.py
# Where it is set, every process would compile again what pip left.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: app test quick lint types core unit browser bench screenshots audit clean

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
	$(BIN)/mypy --num-workers $(WORKERS)

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

$(VENV)/.app: $(ASKED) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable .
	touch $@

# Not by way of .app: one call of pip sets out what two would. Nor is all of it compiled, as Python
# keeps the bytecode of what it imports.
$(VENV)/.test: $(ASKED) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.txt --editable '.[test]'
	touch $(VENV)/.app $@

$(VENV)/.browser: $(VENV)/.test
	$(BIN)/python tests/browser/install_chromium.py
	touch $@

# What is known to be vulnerable of what a container installs. It asks pypi.org, and fails where
# that cannot be asked.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement deploy/requirements.lock --requirement requirements.txt

clean:
	rm -rf $(VENV) build dist .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
