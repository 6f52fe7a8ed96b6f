# Two commands, each with all of its own set-up: it takes Python 3.11 to 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin
DATASETS ?= datasets/
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1

.PHONY: demo test test-all lint install refresh tables fetch published bench bench-full bench-beside

demo: install  ## recover the latent vectors of ten recordings, and of four synthesized clips whose latent vectors are known; walk from one to another
	$(BIN)/python generate.py --num_samples=4 --seed=2026 --output=waves/demo/generated/
	$(BIN)/python latent_vector_recovery.py --files=waves/demo/generated/ --gradient --output=waves/demo/synthesized/ --overwrite
	$(BIN)/python latent_vector_recovery.py --files=Audio_Examples/real/ --output=waves/demo/predicted/ --overwrite
	$(BIN)/python latent_vector_recovery.py --files=Audio_Examples/real/ --gradient --output=waves/demo/real/ --report --overwrite
	$(BIN)/python generate.py --between=waves/demo/real/3.npy,waves/demo/real/8.npy --steps=8 --output=waves/demo/between/
	@echo "Listen: waves/demo/between/index.html, the way from a three to an eight; waves/demo/real/index.html, waves/demo/real/*_reconstruction.wav beside Audio_Examples/real/*.wav, and Audio_Examples/index.html"

published: install  ## the paper from end to end: classifier, inverse mapping, recovery, tables, beside ours (hours; DATASETS=folder)
	PYTHON=$(BIN)/python recipes/published.sh $(DATASETS)

refresh: install  ## after a change of the generator: train what depends on it, write every table and example anew (hours)
	PYTHON=$(BIN)/python recipes/inverse_mapping.sh --datasets=$(DATASETS)
	PYTHON=$(BIN)/python recipes/inverse_mapping_resnet.sh --datasets=$(DATASETS)
	PYTHON=$(BIN)/python recipes/tables.sh $(DATASETS)

tables: install  ## every table, picture and example anew, from the weights that are in place (about an hour on two cores)
	PYTHON=$(BIN)/python recipes/tables.sh $(DATASETS)

fetch: install  ## download WHAT: sc09, speech_commands or fsdd into datasets/, or the published generator, wavegan, into checkpoint/
	$(BIN)/python datasets/fetch.py --what=$(WHAT)

bench: install  ## how fast it is, beside a plain way of doing the same: one table, some minutes
	$(BIN)/python benchmarks/speed.py

bench-full: install  ## the same with predictions and metrics of 10, 100 and 1,000 clips (longer)
	$(BIN)/python benchmarks/speed.py --corpora=10,100,1000

bench-beside: install  ## processor time of whole recoveries beside an earlier version of this project in the folder OTHER
	$(BIN)/python benchmarks/beside.py --other=$(OTHER)

test: .venv/dev  ## all that a change has to pass, in minutes
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-all: .venv/dev  ## with the slow tests too
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

install: .venv/run

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" || \
		{ echo "$(PYTHON) is not Python 3.11 to 3.13; give one: make PYTHON=python3.13" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/dev: requirements.txt requirements-dev.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ .venv/run
