# `make demo` shows what it does. Three loops check it: `make quick` while you write, `make test` before you send, `make prove` for what
# takes longer; .ci/run runs all three. Each makes the environments it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE  # else every run of the tests compiles all of them again

.PHONY: demo quick test prove lint types unit mutants some-mutants seconds house coverage advice bench results exhibits docs screens production logs log-coverage live parity agreement frontier formats same clean

demo: $(VENV)/demo.stamp  ## install, run the main job on SIMULATED data at paper scale, print the leaderboard
	$(BIN)/llmrouterbench demo --out demo

quick:  ## the quick tests on every CPython from 3.11 to 3.14 that is here
	$(PYTHON) -m benchmarks.quick $(VERSIONS)

test: lint types unit  ## static checks, and every test but those of `make prove`

prove: $(VENV)/dev.stamp some-mutants  ## what takes longer: coverage worlds, attacks, fuzzing, kills, whole files, mutants
	$(BIN)/pytest -n 2 --dist worksteal -m prove
	HYPOTHESIS_PROFILE=prove $(BIN)/pytest -n 2 --dist worksteal tests/test_metamorphic.py

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

unit: $(VENV)/dev.stamp
	$(BIN)/pytest -n 2 --dist worksteal -m "not prove"

mutants: $(VENV)/dev.stamp  ## every single mutation of the core files, an hour or two; `MUTANTS='*.stats.*'` for some
	$(BIN)/python -m benchmarks.mutants $(MUTANTS)

some-mutants: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.mutants '*__mutmut_*3'

seconds: $(VENV)/dev.stamp  ## measure every test, which decides the loop that runs it (tests/seconds.csv)
	$(BIN)/pytest -n 2 --dist worksteal --keep-seconds

house: $(VENV)/dev.stamp  ## count the house again, into docs/architecture.md; `HELPERS=--helpers` lists short helpers called once
	$(BIN)/python -m benchmarks.house $(HELPERS)

coverage: $(VENV)/dev.stamp  ## how often intervals, verdicts and promises are right, into docs/protocol.md, about an hour; `WORLDS=40` for a sketch in minutes
	$(BIN)/python -m benchmarks.coverage $(WORLDS)

advice: $(VENV)/dev.stamp  ## what `advise` says in 20 worlds of known truth, into docs/protocol.md, a minute or two
	$(BIN)/python -m benchmarks.advice

bench: $(VENV)/dev.stamp  ## timings as ratios, into docs/benchmarks.md
	$(BIN)/python -m benchmarks

results: $(VENV)/dev.stamp  ## the real data sets of ../shared/data, into docs/results.md
	$(BIN)/python -m benchmarks.results

production: $(VENV)/dev.stamp  ## from a log to a router on real data, into docs/production.md
	$(BIN)/python -m benchmarks.production

logs: $(VENV)/dev.stamp  ## real matrices replayed as logs, into docs/logs.md; `REPLAYS=N` a line
	$(BIN)/python -m benchmarks.logs $(REPLAYS)

log-coverage: $(VENV)/dev.stamp  ## how often intervals of values from a log hold the truth, into docs/logs.md; goes on to `WORLDS=N` a line
	$(BIN)/python -m benchmarks.log_coverage $(WORLDS)

live: $(VENV)/dev.stamp  ## how often comparisons of live traffic are right, into docs/logs.md
	$(BIN)/python -m benchmarks.live

parity: $(VENV)/dev.stamp  ## our routers beside the official rules, into docs/parity.md
	PYTHONPATH=tests $(BIN)/python -m benchmarks.parity

formats: $(VENV)/dev.stamp  ## import files of many tools, into docs/importing.md
	$(BIN)/python -m benchmarks.formats

agreement: $(VENV)/dev.stamp  ## our scorers against labels that others recorded, into docs/scoring.md
	$(BIN)/python -m benchmarks.agreement

frontier: $(VENV)/dev.stamp  ## what reading cheap replies buys within a bill, twenty seeds, into docs/routers.md
	$(BIN)/python -m benchmarks.frontier

same: $(VENV)/dev.stamp  ## BASE=REV: the decisions and numbers of two commits, on real and simulated data
	$(BIN)/python -m benchmarks.same_numbers $(BASE)

docs: $(VENV)/dev.stamp  ## the site of the docs, with the notebooks run, into build/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/site

screens: $(VENV)/dev.stamp  ## the picture of a report at the top of the README
	$(BIN)/python -m benchmarks.screens

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
	rm -rf $(VENV) .venvs mutants demo runs
