# `make book` builds the book into _build/html, `make test` runs every check. Either can be the first thing
# typed on a fresh machine: both set up .venv, and reuse it afterwards. PYTHON=... names another Python.

BIN := .venv/bin
NBVAL := --nbval --nbval-sanitize-with tests/nbval.cfg
# As many processes as there are cores; the tests of a file stay together, since they share what is made for it.
JOBS ?= auto
PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder
# What must be quick is timed at the end, with nothing else running.
ALONE := $(BIN)/python -m pytest tests/test_book.py tests/test_demo.py -m alone
export PYTHON

.PHONY: book test test-all test-colab test-faults lint lab notebooks results mistakes slides pdf pictures address lock environment clean help

book: environment
	@echo "Building the book; this takes a minute or two, and says little until it is done."
	@$(BIN)/jupyter-book build . -W -n --keep-going --quiet
	@echo "The book is at _build/html/index.html"

test: environment lint
	$(BIN)/python -m pytest tests notebooks -m "not alone" $(NBVAL) $(PARALLEL) --ignore=notebooks/solutions
	$(ALONE)

# With the notebooks that hold the solutions, and the tests that take long.
test-all: environment lint
	FERCOURSE_SLOW=1 $(BIN)/python -m pytest tests notebooks -m "not alone" $(NBVAL) $(PARALLEL)
	$(ALONE)

# Every notebook as in Colab: its versions, an empty folder, the first cell's installation.
test-colab: environment
	$(BIN)/python tools/colab.py

# Kills by the dozen, broken files by the thousand, every network exported. `make test` has a small share of each.
test-faults: environment
	FERCOURSE_KILLS=50 FERCOURSE_MUTATIONS=10000 FERCOURSE_EXPORT_ALL=1 \
		$(BIN)/python -m pytest tests/test_sweep.py tests/test_mutations.py tests/test_export.py

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff

lab: environment
	$(BIN)/jupyter lab notebooks

notebooks: environment
	$(BIN)/python tools/notebooks.py

# After new records: every claim judged, and the chapters that show these records made anew.
results: environment
	$(BIN)/fercourse ledger
	@chapters=$$($(BIN)/fercourse ledger --chapters) && \
	if [ -n "$$chapters" ]; then $(BIN)/python tools/notebooks.py $$chapters && $(BIN)/fercourse ledger --made >/dev/null; fi

# What the checkers say to wrong answers, for teachers; only chapters that have changed.
mistakes: environment
	$(BIN)/python tools/mistakes.py

slides: environment
	$(BIN)/python tools/slides.py

# Needs Chromium; CHROMIUM names it where it is not on the path.
pdf: environment
	$(BIN)/python tools/pdf.py

pictures: environment
	$(BIN)/python tools/pictures.py

address: environment
	$(BIN)/python tools/address.py

# One lock for Python 3.11 to 3.13 on every system; takes the newest versions that fit.
lock: environment
	$(BIN)/uv pip compile pyproject.toml --extra book --extra chapters --extra export --extra faces --extra sweep --extra test --universal \
		--override tools/overrides.txt --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade -o requirements.txt

environment:
	@tools/environment.sh $(firstword $(MAKECMDGOALS))

clean:
	rm -rf .venv _build build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

help:
	@echo "make book       build the book into _build/html"
	@echo "make test       run every check and test"
	@echo "make test-all   that, the solutions' notebooks and what takes long"
	@echo "make test-colab every notebook with Colab's versions, in an empty folder"
	@echo "make test-faults   a grid killed 50 times, 10,000 broken files, all exports"
	@echo "make lab        open JupyterLab on the notebooks"
	@echo "make notebooks  make notebooks/ anew from chapters/"
	@echo "make results    judge every claim anew, and make the chapters that show new records"
	@echo "make mistakes   collect what the checkers say to the labelled wrong answers"
	@echo "make slides     write the slides of the 90-minute lesson to _build/slides.html"
	@echo "make pdf        print the book into _build/fercourse.pdf (needs Chromium)"
	@echo "make pictures   draw the pictures of the book's pages anew"
	@echo "make address    copy the repository's address from _config.yml to where it stands"
	@echo "make lock       write requirements.txt anew with the newest versions"
	@echo "make clean      remove everything that make has made"
