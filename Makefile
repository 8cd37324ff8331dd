# `make` lists the targets. A target's meaning is the text after its ## sign.
# GNU make 4.3 or newer, any sh. Another Python: make install PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
KEEP ?=
DATA ?=
N ?= 3
ROWS ?=
QUICK ?=
ONLY ?=
NAME ?=
MINUTES ?= 60
SEEDS ?= 1000
FIRST ?= 0
PLANT ?=
HARSH ?=
REPORT ?=
TRACE ?=
FAST := tests/pure tests/contracts

.DEFAULT_GOAL := help
.PHONY: help install demo test check conformance simulate faults bench suite bench-peers soak docs pictures clean lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## .venv with everything, so that .venv/bin/novix is the command; says what it downloads; quick when nothing changed
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "install: Novix needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
		echo "install: name another one: make install PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) .ci/install.py

demo: install ## the whole system on this machine: text, images and sound in, real models answer (see demo-output/), the worker is killed once, the bill agrees; KEEP=1 leaves it up
	@$(BIN)/novix demo $(if $(KEEP),--keep)

test: install ## proves everything that can be proved here, on a real Apache Kafka; says each rung's share of the time
	@$(BIN)/python .ci/rungs.py

faults: install ## the fault matrix on real processes: N=3 runs of each row with N seeds, ROWS=1,2,16 some of them; writes docs/proof/faults.md
	@PYTHONPATH=tests/support:. $(BIN)/python -m matrix --times $(N) $(if $(ROWS),--rows $(ROWS))

simulate: install ## SEEDS=1000 schedules of faults from FIRST=0 on in virtual time: whole processes on a simulated Kafka; PLANT=name: with a planted bug; HARSH=1: another generator's; REPORT=file; TRACE=1
	@PYTHONPATH=tests/support:. $(BIN)/python -m simulation --seeds $(SEEDS) --first $(FIRST) $(if $(PLANT),--plant $(PLANT)) $(if $(HARSH),--harsh) $(if $(REPORT),--report $(REPORT)) $(if $(TRACE),--trace)

check: install ## before every commit: format, lint, types, imports, sizes, generated files, tests/pure and tests/contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python .ci/tree.py
	$(BIN)/python docs/generate.py --check
	$(BIN)/pytest $(FAST) -q -n auto --maxprocesses 4 --dist loadfile

conformance: install ## replays what real servers said (DATA=folder: other recordings) and prints what differs, with reasons
	@PYTHONPATH=tests/support:. $(BIN)/python -m conformance $(DATA)

bench: install ## measures this machine, a quarter of an hour: Novix beside a plain aiokafka + aiohttp loop, the explorer with a million spans, the audit; ONLY="explorer audit": some; QUICK=1; asserts nothing
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(ONLY)

suite: install ## NAME=discovery, perf, multimodal or governance: its tests and its figures in one go; writes build/proof/suite-NAME.md; QUICK=1
	@$(BIN)/python .ci/suites.py $(NAME) $(if $(QUICK),--quick)

bench-peers: install ## Novix beside FastStream, a plain aiokafka loop and Confluent's Parallel Consumer, half an hour; writes docs/proof/peers.md; QUICK=1: some minutes, writes to build/proof
	@$(BIN)/python -m bench peers $(if $(QUICK),--quick)

soak: install ## MINUTES=60 of mixed load under random faults; writes docs/proof/soak.md with its picture (under 30 minutes: to build/proof)
	@$(BIN)/python -m bench soak --minutes $(MINUTES)

docs: install ## writes what is generated: docs/schemas and the AsyncAPI document
	$(BIN)/python docs/generate.py

pictures: install ## draws docs/images anew, in a headless Chromium
	@$(BIN)/python docs/pictures.py

clean: ## removes .venv and the caches of this folder; stops nothing; downloads in ~/.cache/novix stay
	@if [ -x $(BIN)/novix ] && $(BIN)/novix status >/dev/null 2>&1; then \
		echo "clean: Novix is up; first: $(BIN)/novix down" >&2; exit 1; fi
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: install ## writes requirements.lock anew: the newest versions that pyproject.toml allows, by hash
	$(BIN)/pip install --quiet --disable-pip-version-check 'uv>=0.13'
	$(BIN)/python .ci/lock.py
