# Every target makes or refreshes .venv first (scripts/provision); that takes minutes once, and nothing after.

# A Python to build .venv on (3.10, 3.11 or 3.12): any supported one is found by itself.
PYTHON ?=
# What demo flies through: a folder in the TUM RGB-D layout or a rosbag2; empty for the built-in room.
SEQUENCE ?=
# Where demo leaves its results.
OUT ?=
# How long soak goes on, in minutes.
MINUTES ?= 20
# Further arguments: make test ARGS="-k memory -x", make bench ARGS=--help, make train ARGS=--help
ARGS ?=

BIN := .venv/bin
# A command in the environment ROS needs (spatia_ros/nodes/environment.py says what and why).
RUN := $(BIN)/python -m spatia_ros.nodes.environment

.DEFAULT_GOAL := help
.PHONY: help demo gallery test coverage tutorials bench bench-ros soak train fuzz lint clean distclean ros-build set-up-run set-up-test

help:
	@echo "make demo                 fly a camera through a scanned room and beyond what was scanned, through ROS 2; see out/demo/"
	@echo "make demo SEQUENCE=DIR    the same in your own recording (TUM RGB-D folder or rosbag2); OUT=DIR for the results"
	@echo "make gallery              films of what can be done with space and time; see out/gallery/index.html; OUT=DIR, ARGS=--help"
	@echo "make test                 every test; ARGS=\"-k memory -x\" to choose"
	@echo "make coverage             every test, and which lines they reach, into out/coverage/html"
	@echo "make tutorials            the commands of docs/tutorials, as they stand there; SPATIA_DATA names the recordings"
	@echo "make bench                the figures of docs/benchmarks.md, into out/bench.json"
	@echo "make soak MINUTES=20      play with a live world, kill it, check every promise; see out/soak.html; ARGS=--help"
	@echo "make bench-ros            from a command to its image through ROS, and real time, into out/bench_ros.json"
	@echo "make lint                 ruff, mypy, and the audit of what is installed"
	@echo "make fuzz                 every reader, topic, service, action and parameter fed with what it should refuse; ARGS=--help"
	@echo "make train                train the generator again (hours; resumes); ARGS=--help for the options"
	@echo "make ros-build            colcon build against the ROS in .venv or the one you sourced, into build/colcon"
	@echo "make clean                remove build products, caches, out/demo and out/gallery; make distclean also .venv"
	@echo
	@echo "The first target you make sets up .venv: Python 3.10 to 3.12 and g++ are all it needs. PYTHON=python3.11 names a Python."

demo: set-up-run
	@$(RUN) $(BIN)/spatia demo $(if $(SEQUENCE),--sequence "$(SEQUENCE)") $(if $(OUT),--out "$(OUT)") $(ARGS)

gallery: set-up-run
	@$(RUN) $(BIN)/spatia gallery $(if $(OUT),--out "$(OUT)") $(ARGS)

test: set-up-test
	@$(RUN) $(BIN)/python -m pytest $(ARGS)

tutorials: set-up-test
	@$(RUN) $(BIN)/python scripts/tutorial.py docs/tutorials/*.md $(ARGS)

coverage: set-up-test
	@rm -rf out/coverage && mkdir -p out/coverage
	@$(RUN) $(BIN)/python -m coverage run -m pytest $(ARGS); status=$$?; $(BIN)/python -m coverage combine -q && \
	$(BIN)/python -m coverage html -q -d out/coverage/html && $(BIN)/python -m coverage report | tail -1 && exit $$status

bench: set-up-run
	@mkdir -p out
	@$(RUN) $(BIN)/spatia bench --city --json out/bench.json $(ARGS)

soak: set-up-run
	@mkdir -p out
	@$(RUN) $(BIN)/spatia ros soak --minutes $(MINUTES) --json out/soak.json $(ARGS)

bench-ros: set-up-run
	@$(RUN) $(BIN)/python bench/ros.py --json out/bench_ros.json $(ARGS)

train: set-up-test
	@$(RUN) $(BIN)/spatia train $(ARGS)

fuzz: set-up-test
	@$(BIN)/python test/fuzz/run.py --json out/fuzz.json $(ARGS)

lint: set-up-test
	@status=0; $(BIN)/ruff check . || status=1; $(BIN)/mypy || status=1; $(BIN)/python scripts/audit.py || status=1; exit $$status

ros-build: set-up-test
	@$(RUN) $(BIN)/python scripts/colcon_build.py $(ARGS)

clean:
	@rm -rf build dist *.egg-info out/demo out/gallery .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 -r rm -rf

distclean: clean
	@rm -rf .venv

set-up-run set-up-test: set-up-%:
	@command -v python3 >/dev/null || { echo "set-up: python3 not found: sudo apt install python3 python3-venv python3-dev" >&2; exit 1; }
	@PYTHON="$(PYTHON)" python3 scripts/provision $*
