# neuronspec: `make demo` runs the main job on real text, `make test` the tests but the slow ones, `make test-all` all.
# They set up .venv first; a second call does not reinstall.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed
RUN ?= runs/demo
# Which versions are installed (lowest.txt: the lowest that pyproject.toml allows), and which tests run (all).
CONSTRAINTS ?= constraints.txt
TESTS ?=
EXTRAS := all test dev docs
# The demo's text: catalogs of these packages. Nothing of them is executed, so they need none of their dependencies.
CATALOGS := wagtail django-oscar django-cms horizon
empty :=
comma := ,

.PHONY: demo install test test-all check format docs notebooks bench dist clean

demo: $(VENV)/.catalogs
	$(BIN)/neuronspec run recipes/demo.yaml --out $(RUN)

install: $(STAMP)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile $(TESTS)

test-all: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile -m ""

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python tools/docs/generate_reference.py
	$(BIN)/python tools/docs/generate_results.py
	$(BIN)/python tools/docs/generate_findings.py
	$(BIN)/python tools/docs/generate_memory.py
	$(BIN)/zensical build --clean --strict

notebooks: $(STAMP)
	$(BIN)/python tools/docs/run_notebooks.py

bench: $(STAMP)
	for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

dist: $(STAMP)
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .cache dist site lowest.txt

lowest.txt: pyproject.toml
	uv pip compile --quiet --resolution lowest-direct --python-version 3.11 --no-header --no-annotate \
		$(addprefix --extra ,$(EXTRAS)) --output-file $@ $<

$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "neuronspec needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c $(CONSTRAINTS) -e '.[$(subst $(empty) ,$(comma),$(EXTRAS))]'
	touch $@

$(VENV)/.catalogs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c $(CONSTRAINTS) $(CATALOGS)
	touch $@
