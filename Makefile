# Every job of this repository. `make help` lists them; CI calls the same targets.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
FEEDBACK ?=
ARGS ?=
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo up test check bench bench-clrs bench-acla e2e compose lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything pinned in requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0])'
	@echo "installing into $(VENV) (once; about a minute)"
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r requirements.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(RUN) -W error -c "from meta_learning.clrs.models.text_model import warm_up; warm_up()"
	@touch $@

demo: install ## start everything and feed it: make demo [FEEDBACK=file.csv|tsv|jsonl] [ARGS="--scale 1-5"]
	@$(RUN) -m services --demo $(if $(FEEDBACK),--feedback "$(FEEDBACK)") $(ARGS)

up: install ## start the embedded broker and the four services, without a feed
	@$(RUN) -m services

test: install ## every test that needs no browser
	@$(RUN) -m pytest

e2e: install ## the live page in a real browser (needs Debian's chromium)
	@$(RUN) -m pytest tests/e2e/test_page.py --override-ini addopts="--import-mode=importlib -q"

compose: install ## build the images and run docker-compose.yml, on an engine started for it (minutes; needs root and Debian's docker.io)
	@$(RUN) -m pytest tests/e2e/test_compose.py --override-ini addopts="--import-mode=importlib -q"

check: install ## style, types, the direction of imports, sizes
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@PYTHONPATH=.:shared $(VENV)/bin/lint-imports --no-cache
	@$(RUN) -m pytest tests/test_house_rules.py

BENCH_FOLDERS = acla clrs models monitor services studies
bench: install ## every benchmark at its own sizes, all of them, also after one failed (hours); results go to benchmarks/LOG.md by hand
	@failed=; for file in $$(grep -l '^if __name__' $(BENCH_FOLDERS:%=benchmarks/%/*.py)); do \
		name=$$(echo "$${file%.py}" | tr / .); echo "== $$name"; $(RUN) -m $$name || failed="$$failed $$name"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# One line a question of the protocol: the module, its sizes if SIZE=small, if SIZE=full, and what its numbers stand between.
CLRS_PROTOCOL = \
	"clrs.learning|1|5|floor: majority; ceiling: a batch model refitted four times; with two raters, their agreement" \
	"clrs.speed|6000 2||floor: River; the limit is Vowpal Wabbit on the same features" \
	"monitor.drift_errors|60 ours dummy ADWIN HDDM_A|600|floor: a dummy that alarms every 5,000 events; ceiling: seen at once, no false alarm" \
	"monitor.drift_text|200 50|600 600|floor: a dummy with AUC .5; ceiling: 1" \
	"monitor.null_drift|100 6 12|500 15 240|floor: the promise of 1 %; ceiling: no window above the threshold" \
	"monitor.cost|10 1 10 100|20 1 10 100 1000|floor: Evidently on three columns; the limit is 0.3 ms an event, flat over loops" \
	"monitor.alignment_coverage|60 30|500 60|at most 5 % of streams may miss the truth; ceiling: none" \
	"monitor.patterns_null|20 3 4|200 20 20|floor: a dummy that names a pattern in every fiftieth cycle; ceiling: no alarm, all found" \
	"clrs.gates|1 1|20 1|floor: a coin misses and blocks half; promoting all misses 100 %, holding all blocks 100 %" \
	"clrs.poisoning|4000 1|16000 3|floor: the bare learner; ceiling: the world without malicious users" \
	"clrs.loop|--events 6000 --seeds 1 --worlds steady reversal asked-20||floors: a constant, a dummy that alarms every 5,000 events; ceiling: the learner that is told the truth"

SIZE ?= small
bench-clrs: install ## the closed loop's protocol, all rows, also after one failed: make bench-clrs [SIZE=full] (small: 10 min, full: hours)
	@test -d "$${META_LEARNING_DATA_SETS:-../shared/data}" || { echo "the evaluation sets are missing: set META_LEARNING_DATA_SETS"; exit 1; }
	@case "$(SIZE)" in small|full) ;; *) echo "SIZE is small or full"; exit 1;; esac
	@failed=; for line in $(CLRS_PROTOCOL); do \
		module="$${line%%|*}"; rest="$${line#*|}"; small="$${rest%%|*}"; rest="$${rest#*|}"; full="$${rest%%|*}"; stands="$${rest#*|}"; \
		test "$(SIZE)" = small && job="$$module $$small" || job="$$module $$full"; \
		echo; echo "== $$job ($$stands)"; began=$$(date +%s); \
		OMP_NUM_THREADS=1 $(RUN) -m benchmarks.$$job || { failed="$$failed $$module"; echo "== $$module FAILED"; }; \
		echo "== $$module took $$(( $$(date +%s) - began )) s"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-acla: install ## the prompt optimizer against gepa, MIPROv2 and CAPO on a local model (hours; what is done is kept in ./data)
	@test -d "$${META_LEARNING_DATA_SETS:-../shared/data}" || { echo "the evaluation sets are missing: set META_LEARNING_DATA_SETS"; exit 1; }
	@OMP_NUM_THREADS=1 PYTHONPATH=.:shared $(RUN) -m benchmarks.acla_peers $(ARGS)

lock: ## pin the whole closure again, with hashes and without addresses (needs uv)
	@uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-annotate --no-header --quiet --upgrade -o requirements.lock
	@$(PYTHON) -c 'import re, pathlib; p = pathlib.Path("requirements.lock"); b = re.split(r"\n(?=\S)", p.read_text()); p.write_text("\n".join(x.rstrip("\n") for x in b if "'"'never'"'" not in x.split("\n")[0]) + "\n")'

clean: ## remove what was built, never what was learnt (./data stays)
	@rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
