# Two commands do everything: `make demo` and `make test`. Each makes the virtual environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test check lint types unit bench results exhibits production parity agreement same clean

demo: $(VENV)/demo.stamp  ## install, run the main job on SIMULATED data at paper scale, print the leaderboard
	$(BIN)/llmrouterbench demo --out demo

test: lint types unit  ## all checks

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

unit: $(VENV)/dev.stamp
	$(BIN)/pytest -n 2 --dist worksteal

bench: $(VENV)/dev.stamp  ## timings as ratios, into docs/benchmarks.md
	$(BIN)/python -m benchmarks

results: $(VENV)/dev.stamp  ## the real data sets of ../shared/data, into docs/results.md
	$(BIN)/python -m benchmarks.results

production: $(VENV)/dev.stamp  ## from a log to a router on real data, into docs/production.md
	$(BIN)/python -m benchmarks.production

parity: $(VENV)/dev.stamp  ## our routers beside the official rules, into docs/parity.md
	PYTHONPATH=tests $(BIN)/python -m benchmarks.parity

agreement: $(VENV)/dev.stamp  ## our scorers against labels that others recorded, into docs/scoring.md
	$(BIN)/python -m benchmarks.agreement

same: $(VENV)/dev.stamp  ## BASE=REV: the decisions and numbers of two commits, on real and simulated data
	$(BIN)/python -m benchmarks.same_numbers $(BASE)

exhibits: $(VENV)/dev.stamp  ## tables and figures of the real data sets, into docs/real-data.md and docs/figures
	$(BIN)/python -m benchmarks.exhibits

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/demo.stamp: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[report]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) demo runs
