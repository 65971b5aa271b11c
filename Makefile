# Makes an environment and calls it; all of this can be done with plain `snakemake …` and `pytest`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What `make setup` installs. TORCH=cpu: PyTorch without CUDA, from PyTorch's own index and without
# hashes. LOCK= (empty): by the pins of pyproject.toml, where the locked files do not fit a machine.
EXTRAS ?= test
TORCH ?= cuda
LOCK ?= requirements
LOCKED = $(BIN)/pip install --quiet --no-deps --require-hashes
TORCH_PINS = $(shell sed -n 's/^ *"\(torch\(vision\)\{0,1\}==[^"]*\)",$$/\1/p' pyproject.toml)

# Snakemake wants a folder of one's own and a name; users in containers often have neither.
ifneq ($(shell test -d "$$HOME" && test -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/$(VENV)/home
endif
ifeq ($(shell id -un 2> /dev/null),)
export USER ?= nobody
endif

.PHONY: table1 help test test-quick test-demo test-chaos test-fuzz test-slurm lint bench docs setup lock clean

table1: setup ## the demo's table 1, from rendered video files
	$(BIN)/snakemake --cores all results/table1.tex
	@echo "Table 1: results/table1.md to read, .tex for LaTeX, .parquet with the origin of each number."

help: ## these lines
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

test: setup ## all tests
	$(BIN)/pytest -n logical

test-quick: setup ## the tests that take seconds, not minutes
	$(BIN)/pytest -n logical -m "not slow"

test-demo: setup ## the whole demo, and what its numbers must show
	TEST_WHOLE_DEMO=1 $(BIN)/pytest tests/demo/test_whole_demo.py

test-chaos: setup ## 60 kills, a full disk and power cuts among them, and the same bytes in the end
	$(BIN)/python tests/chaos.py --kills 60

test-fuzz: setup ## 200 harmed files of each of 30 kinds: a right result or a clear error
	$(BIN)/python tests/fuzz.py --cases 200

test-slurm: setup ## the Slurm profile on a real Slurm of one node, which root installs and starts
	tests/slurm/cluster.sh install
	$(BIN)/pytest tests/slurm/test_slurm.py

lint: setup ## format, style and layout of Python and Snakemake files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/pytest -q tests/test_architecture.py

bench: setup ## what docs/benchmarks.md says, measured here; PEER=a checkout of DFER-CLIP: beside it
	for program in $(filter-out %/measuring.py,$(wildcard benchmarks/*.py)); do \
		case $$program in */loader.py | */train_step.py) peer="$(PEER:%=--peer %)" ;; *) peer= ;; esac; \
		$(BIN)/python $$program $$peer || exit 1; \
	done

docs: setup $(VENV)/with-docs ## the documentation as a site, in site/
	$(BIN)/python docs/pages.py site/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "site/html/index.html"

setup: $(VENV)/installed $(EXTRAS:%=$(VENV)/with-%) ## only the environment; EXTRAS="test docs": more in it

$(VENV)/installed: pyproject.toml requirements/run.txt requirements/torch.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)
ifeq ($(TORCH),cpu)
	$(BIN)/pip install --quiet --no-deps --index-url https://download.pytorch.org/whl/cpu $(TORCH_PINS)
endif
	$(if $(LOCK),$(LOCKED) $(if $(filter cuda,$(TORCH)),-r $(LOCK)/torch.txt) -r $(LOCK)/run.txt)
	$(BIN)/pip install --quiet $(if $(LOCK),--no-deps) --editable .
	touch $@

$(VENV)/with-%: requirements/%.txt $(VENV)/installed
	$(if $(LOCK),$(LOCKED) -r $(LOCK)/$*.txt,$(BIN)/pip install --quiet --editable '.[$*]')
	touch $@

lock: ## requirements/*.txt anew, from the pins of pyproject.toml; UPGRADE=1: the newest of all else
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/pip install --quiet uv
	PATH="$(CURDIR)/$(VENV)/uv/bin:$$PATH" $(VENV)/uv/bin/python requirements/lock.py $(UPGRADE:%=--upgrade)

clean: ## what the demo made
	rm -rf results/demo results/demo-stills results/table* results/flops* results/summary results/figures results/report results/proof results/logs results/archive.tar.gz
