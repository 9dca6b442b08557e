# Two commands are the whole set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
OUT    ?= runs/demo
SEED   ?= 1
BIN    := $(VENV)/bin

# Where this is set, every process that a test starts would compile the whole package again: a second each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-minimal lint docs validation licences reference clean clean-runs

help:  ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "eiplatform needs Python 3.11 or newer; set PYTHON=... (found: $$($(PYTHON) --version))"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# What only tests use; without dependencies, because these ask for torchvision and other gigabytes.
$(VENV)/installed-frameworks: $(VENV)/installed tests/frameworks.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps -r tests/frameworks.txt
	@touch $@

demo: $(VENV)/installed  ## Install, then train, record, simulate, compare, lesion, draw, report
	$(BIN)/eiplatform demo --out $(OUT) --seed $(SEED) --overwrite

# What needs one core each runs at once; the tests then take two, with one thread each.
test: $(VENV)/installed-frameworks  ## Install, lint, type-check, run every test
	@$(MAKE) --no-print-directory --jobs=2 lint test-minimal
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --most-skips 5 --durations 25

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python docs/tools/prose.py
	$(BIN)/mypy

# The wheel alone, without torch and brian2, must open and analyse recordings; the checkout is out of its sight.
$(VENV)-minimal/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-minimal
	$(VENV)-minimal/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt . pytest
	@touch $@

test-minimal: $(VENV)-minimal/installed $(VENV)/installed
	$(VENV)-minimal/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	rm -rf build/alone && mkdir -p build/alone && cp -r tests build/alone/
	cd build/alone && $(abspath $(VENV)-minimal)/bin/python -m pytest -q -c ../../pyproject.toml --rootdir . tests/minimal
	$(BIN)/python tests/minimal/notebook.py README.md build/alone/notebook.py
	cd build/alone && $(abspath $(BIN))/mypy --strict --no-incremental --python-executable $(abspath $(VENV)-minimal)/bin/python notebook.py

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/installed-docs  ## Build the site into docs/_build/html; tutorials run in it
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going docs docs/_build/html

validation: $(VENV)/installed  ## Repeat the claims of data/validation that take under a minute
	OMP_NUM_THREADS=1 $(BIN)/python docs/tools/claims.py --repeat

licences: $(VENV)/installed-docs  ## Write the licence of every installed package to build/licences.md, and an SBOM
	mkdir -p build
	$(BIN)/python -m piplicenses --format=markdown --with-urls --output-file=build/licences.md
	$(BIN)/python -m cyclonedx_py environment $(BIN)/python --output-file build/sbom.json

# An hour on one core; one case alone: make reference CASES=potjans-diesmann-2014-10
reference: $(VENV)/installed  ## Simulate the reference circuits and write data/reference again
	$(BIN)/python -m eiplatform.reference --out data/reference $(if $(CASES),--cases $(CASES))

clean:  ## Remove environments and caches; what was computed stays
	rm -rf $(VENV) $(VENV)-minimal build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

clean-runs:  ## Remove runs/, with everything that was trained, recorded and simulated there
	rm -rf runs
