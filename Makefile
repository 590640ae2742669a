# Two commands are all the set-up: `make demo` and `make test`. Both need Python >= 3.11 and the package index, nothing else.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
# PyTorch's wheels. Empty: those of the package index, on Linux with 4 GB of CUDA libraries. cpu: without them; auto: those that fit
# the driver. The latter two are uv's --torch-backend, which asks PyTorch's own index (not tested against it yet), whose wheels have
# other hashes than the lock's; where it is not reached, those of the package index are installed. To choose again: make clean.
TORCH ?=
# The profile of `make report`, or its config.
PROFILE ?= demo
CONFIG ?= config/$(PROFILE).yaml
# The others are of experiments that the demo does not make: their defaults are config/clip-b32.yaml.
DEMO_NOTEBOOKS := $(filter-out notebooks/08_% notebooks/09_%,$(wildcard notebooks/*.ipynb))
# No step of the pipeline runs this one.
OWN_NOTEBOOK := $(wildcard notebooks/00_*.ipynb)
NBVAL := --nbval-lax --nbval-current-env
INSTALL := .venv/bin/uv pip install --quiet --python .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Python keeps the modules it has compiled: without them every step spends seconds on compiling a thousand of them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo clip-b32 report rehearse test nbval fuzz coverage lint notebooks bench docs env update clean help

demo: env  ## the paper's experiments on embedded images, no download
	snakemake --cores $(CORES)

clip-b32: env  ## real human judgments, real CLIP features: downloads 100 MB, then an hour on two cores
	snakemake --cores $(CORES) --configfile config/clip-b32.yaml

report: env  ## a run as pages, results/<profile>/report/index.html; PROFILE=demo, or CONFIG=a config
	snakemake --cores $(CORES) report --configfile $(CONFIG)

rehearse: env  ## every step of config/paper.yaml, on made-up images and networks with random weights: no download
	python tests/support/rehearsal.py --cores $(CORES)

# A worker of the tests is a core: with threads on all cores each, workers wait for one another.
test coverage: export OMP_NUM_THREADS = 1
test coverage: export OMP_WAIT_POLICY = passive
test: env  ## every test: units, properties, pipeline, and the notebooks that it runs
	pytest -q -n auto --dist worksteal -m "not slow"
	pytest -q -n auto -m slow --dist loadfile --no-loadscope-reorder $(NBVAL) $(OWN_NOTEBOOK) tests

nbval: export OMP_NUM_THREADS = 1
nbval: demo  ## the notebooks by themselves, on their defaults: nbval compares what they show with what is stored
	pytest -q -n auto --dist loadfile $(NBVAL) $(DEMO_NOTEBOOKS)

fuzz: env  ## 10,000 mutated files for each reader, where the tests have 300; an hour
	GLOCAL_FUZZ=10000 pytest -q -n auto tests/test_hostile_files.py

coverage: env  ## lines of glocal/ that the fast tests do not run; with the public data at hand (GLOCAL_MIRROR), at most 5 %
	pytest -q -n auto -m "not slow" --cov=glocal --cov-report=term-missing:skip-covered --cov-fail-under=95

lint: env  ## the linters, and mypy
	ruff check . && ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint

notebooks: demo  ## run the notebooks on their defaults and store them with their outputs, which the tests compare
	TQDM_DISABLE=1 jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False $(DEMO_NOTEBOOKS)

bench: env  ## speed and memory against baselines: benchmarks/results; about an hour on two cores, most of it the baselines
	snakemake --cores $(CORES) extract triplets --configfile config/clip-b32.yaml
	python benchmarks/run.py

docs: .venv/docs  ## the documentation as HTML: docs/_build/html/index.html
	python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build/html

env: .venv/installed  ## the environment alone: .venv

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet "uv==0.13.9"
	@if [ -z "$(TORCH)" ]; then $(INSTALL) --requirement requirements.lock; else \
	  $(INSTALL) --torch-backend "$(TORCH)" --no-verify-hashes --constraint requirements.lock --requirement pyproject.toml --extra pipeline --extra test || \
	  { echo "TORCH=$(TORCH): these wheels cannot be had here; installing those of the package index."; \
	    $(INSTALL) --requirement requirements.lock; }; fi
	$(INSTALL) --no-deps --editable .
	@touch $@

.venv/docs: .venv/installed pyproject.toml
	.venv/bin/uv pip install --quiet --python .venv/bin/python --editable ".[docs]"
	@touch $@

update: env  ## the newest versions that pyproject.toml allows, with hashes, in requirements.lock; then the tests
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade \
	  --extra pipeline --extra test pyproject.toml --output-file requirements.lock
	$(MAKE) test

clean:  ## results and environment; data/ and figures/ stay
	rm -rf .venv results .snakemake docs/_build

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
