# `make demo` and `make test` do all the set-up they need on a machine with Python 3.10+, git, make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-all test-versions test-extras lint audit bench format clean
.DEFAULT_GOAL := test

# Python compiles modules when they are imported; all that is installed would take two minutes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)  ## embed the sample collection and write demo/index.html
	$(BIN)/openbind demo

test: $(READY)  ## the fast tests, some three minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-all: $(READY)  ## all tests: also kills, clusters, browsers, trainings, the built wheel
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --all

test-versions: $(READY)  ## the built wheel under each supported Python of this machine
	.ci/versions

test-extras:  ## tests that need torchvision, torchaudio, timm or OpenVINO, in an environment of its own
	.ci/extras

lint: $(READY)  ## style, types, and what Bandit looks for (ruff's rules S)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks examples
	set -e; for recipe in recipes/* recipes/starter/generator; do \
	  MYPYPATH=$$recipe:src:recipes/starter:recipes/samples \
	  $(BIN)/mypy --exclude "$$recipe/generator/" $$recipe; done

audit: $(READY)  ## known vulnerabilities of the constrained versions; asks a service on the network
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --disable-pip --no-deps --requirement constraints.txt

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/peers: constraints.txt
	$(BIN)/python -m pip install --no-compile --no-deps --upgrade --constraint constraints.txt \
	  --target $@ openvino openvino-telemetry usearch numkong
	touch $@

bench: $(READY) .venv/peers  ## measure everything and write docs/performance.md (half an hour)
	PYTHONPATH=$(CURDIR)/.venv/peers $(BIN)/python benchmarks/report.py

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache
