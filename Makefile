PYTHON ?= python3
VENV := .venv-dev
BIN := $(VENV)/bin

.PHONY: check test storm fuzz crash ldap bench peers demo docs clean

check: $(VENV)/ready ## what CI runs beside the README's test command
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_commands.py --check
	$(BIN)/authctl profiles check profiles.example.yaml

test: $(VENV)/ready ## the tests
	$(BIN)/python -m pytest -q

storm: $(VENV)/ready ## eight processes on one registry for a minute, left alone and killed at random, then sixteen and sixty-four
	AUTHCTL_STORM_SECONDS=60 $(BIN)/python -m pytest -q -s tests/test_processes.py
	for n in 16 64; do AUTHCTL_STORM_SECONDS=20 AUTHCTL_STORM_PROCESSES=$$n \
		$(BIN)/python -m pytest -q -s tests/test_processes.py -k many_processes || exit 1; done

fuzz: $(VENV)/ready ## the property tests at full size
	AUTHCTL_TEST_PROFILE=full AUTHCTL_TEST_MUTATIONS=1000000 AUTHCTL_MACHINE_STEPS=100 AUTHCTL_MACHINE_EXAMPLES=2000 $(BIN)/python -m pytest -q tests

crash: $(VENV)/ready ## commands killed, and failed, at every file system call that they make
	AUTHCTL_CRASH_STEP=1 AUTHCTL_POWER_CUTS=600 $(BIN)/python -m pytest -q tests/test_crash.py tests/test_power_cut.py

ldap: $(VENV)/ready ## LDAP against a real slapd, where one can be installed
	tests/install_slapd.sh $(BIN)/python && $(BIN)/python -m pytest -q -rs tests/test_ldap.py || [ $$? = 77 ]

bench: $(VENV)/ready ## what a continuity event costs, side by side with none
	$(BIN)/python benchmarks/continuity.py

peers: .venv-peers/ready ## what benchmarks/peers.py compares with, in an environment of its own

demo: $(VENV)/ready ## the main job on made-up sessions
	$(BIN)/authctl demo

docs: $(VENV)/ready ## write docs/commands.md anew from the commands themselves
	$(BIN)/python docs/generate_commands.py

clean:
	rm -rf .venv .venv-dev .venv-test .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv-peers/ready: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	touch $@
