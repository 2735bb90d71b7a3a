# neuronspec: `make demo` runs the main job on real text, `make test` the tests but the slow ones, `make test-all` all,
# `make test-lowest` those of models with the lowest transformers that pyproject.toml allows.
# They set up .venv first; a second call does not reinstall.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STAMP := $(VENV)/.installed
RUN ?= runs/demo
# Which versions are installed (lowest.txt: the lowest that pyproject.toml allows), and which tests run (all).
CONSTRAINTS ?= constraints.txt
TESTS ?=
# Files are dealt out to as many processes as there are cores, in their order: sorted by the number of tests, as they would be
# without the last option, the longest, which run commands, would come last, with one process.
AT_ONCE := -n auto --dist loadfile --no-loadscope-reorder
# The lowest transformers that pyproject.toml allows, and the newest huggingface_hub that it allows itself. They lie in a
# folder of their own, which goes before the packages of .venv.
LOWEST := $(abspath $(VENV))/lowest
LOWEST_TRANSFORMERS := $(shell sed -n 's/.*"transformers>=\([0-9.]*\).*/\1/p' pyproject.toml)
LOWEST_HUB := 1.33.0
# Tests that reach for names and signatures of transformers: of each family of models, and of all that is done with one.
LOWEST_TESTS ?= $(addprefix tests/,$(addsuffix .py, \
	$(addprefix models/test_,dispatch fast_attention load lowest mixtures resize sites text_format tied tokenizer) \
	neurons/test_recording \
	$(addprefix specialization/test_,checkpointing generate peft save) \
	$(addprefix training/test_,step trainer waits) \
	$(addprefix translation/test_,beam other_families)))
EXTRAS := all test dev docs
# The demo's text: catalogs of these packages. Nothing of them is executed, so they need none of their dependencies.
CATALOGS := wagtail django-oscar django-cms horizon
empty :=
comma := ,

.PHONY: demo install test test-all test-lowest check format docs notebooks bench dist clean

demo: $(VENV)/.catalogs
	$(BIN)/neuronspec run recipes/demo.yaml --out $(RUN)

install: $(STAMP)

test: $(STAMP)
	$(BIN)/python -m pytest $(AT_ONCE) $(TESTS)

test-all: $(STAMP)
	$(BIN)/python -m pytest $(AT_ONCE) -m ""

test-lowest: $(LOWEST)/.installed
	PYTHONPATH=$(LOWEST) LOWEST_TRANSFORMERS=$(LOWEST_TRANSFORMERS) \
		$(BIN)/python -m pytest $(AT_ONCE) $(LOWEST_TESTS)

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
	$(BIN)/python tools/docs/generate_costs.py
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

$(LOWEST)/.installed: $(STAMP) Makefile
	rm -rf $(LOWEST)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(LOWEST) \
		transformers==$(LOWEST_TRANSFORMERS) huggingface_hub==$(LOWEST_HUB)
	touch $@

$(VENV)/.catalogs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c $(CONSTRAINTS) $(CATALOGS)
	touch $@
