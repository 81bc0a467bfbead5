PYTHON ?= python3
VENV := .venv-dev
BIN := $(VENV)/bin

POSTGRES_TESTS := tests/test_postgres_*.py tests/test_escapes.py
# what was written for any store, on PostgreSQL
ON_POSTGRES := tests/test_store_contract.py tests/test_scenarios_*.py tests/test_shared_changes.py tests/test_lifetimes_machine.py \
	tests/test_restore_machine.py

# histories of a size that fits, since each makes a database
MORE := AUTHCTL_MACHINE_EXAMPLES=20 AUTHCTL_RESTORE_EXAMPLES=10 AUTHCTL_HISTORIES_EXAMPLES=20 AUTHCTL_PAGES_EXAMPLES=30

.PHONY: components postgres-more console check quick test storm fuzz fuzz-door histories delivery-histories histories-mutants crash ldap real-systems door current-sqlite postgres postgres-storm postgres-hosts postgres-cluster bench bench-postgres bench-since bench-imports bench-full peers demo docs clean

check: $(VENV)/ready ## what CI runs beside the README's test command
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_commands.py --check
	$(BIN)/authctl profiles check profiles.example.yaml

quick: $(VENV)/ready ## while you work: lint, types, and every test that is not slow, in under two minutes
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not slow"

test: $(VENV)/ready ## the tests
	$(BIN)/python -m pytest -q

storm: $(VENV)/ready ## eight processes on one registry for a minute, left alone and killed at random, then sixteen and sixty-four
	AUTHCTL_STORM_SECONDS=60 $(BIN)/python -m pytest -q -s tests/test_processes.py
	for n in 16 64; do AUTHCTL_STORM_SECONDS=20 AUTHCTL_STORM_PROCESSES=$$n \
		$(BIN)/python -m pytest -q -s tests/test_processes.py -k many_processes || exit 1; done

fuzz: $(VENV)/ready ## the property tests at full size
	AUTHCTL_TEST_PROFILE=full AUTHCTL_TEST_MUTATIONS=1000000 AUTHCTL_MACHINE_STEPS=100 AUTHCTL_MACHINE_EXAMPLES=2000 AUTHCTL_RESTORE_EXAMPLES=2000 $(BIN)/python -m pytest -q tests

fuzz-door: $(VENV)/ready ## requests to the door that nobody would write, by the thousand
	AUTHCTL_DOOR_EXAMPLES=3000 $(BIN)/python -m pytest -q tests/door/test_fuzz.py

histories: $(VENV)/ready ## the random histories of imports, restores and pages at full size (an hour and more)
	AUTHCTL_TEST_PROFILE=full AUTHCTL_PAGES_EXAMPLES=2000 AUTHCTL_RESTORE_EXAMPLES=300 AUTHCTL_RESTORE_STEPS=60 \
		$(BIN)/python -m pytest -q -s tests/test_histories.py tests/test_pages.py tests/test_restore_machine.py

delivery-histories: $(VENV)/ready ## ten thousand random histories of decisions, deliveries, failures, kills and restarts (half an hour)
	AUTHCTL_DELIVERY_HISTORIES=10000 $(BIN)/python -m pytest -q tests/test_delivery_histories.py

histories-mutants: $(VENV)/ready ## each guard of imports and restores taken out alone: the histories must notice (an hour); the table of docs/guards.md
	$(BIN)/python -m tests.mutants_of_histories

crash: $(VENV)/ready ## commands killed, and failed, at every file system call that they make
	AUTHCTL_CRASH_STEP=1 AUTHCTL_POWER_CUTS=600 $(BIN)/python -m pytest -q tests/test_crash.py tests/test_delivery_crash.py tests/test_power_cut.py

components: $(VENV)/ready .venv-current/ready ## the real servers, proxies and clients that can be installed here, for the targets that test with them
	-tests/install_slapd.sh $(BIN)/python
	-tests/install_postgres.sh $(BIN)/python
	-tests/real_systems/install.sh $(PYTHON)
	-tests/door/peers/install.sh $(PYTHON)

ldap: $(VENV)/ready ## LDAP against a real slapd, where one can be installed
	tests/install_slapd.sh $(BIN)/python && $(BIN)/python -m pytest -q -rs tests/test_ldap.py || [ $$? = 77 ]

real-systems: $(VENV)/ready ## listings of a real Synapse and a real JupyterHub, where they can be installed, imported as they change
	tests/real_systems/install.sh $(PYTHON) && $(BIN)/python -m pytest -q -rs tests/real_systems || [ $$? = 77 ]

console: $(VENV)/ready ## the console in a pilot and in a real pseudo-terminal
	$(BIN)/python -m pytest -q -rs tests/test_console.py tests/test_console_parts.py tests/test_console_screens.py tests/test_console_terminal.py

door: $(VENV)/ready ## the door and the adapters whole, then with real proxies and clients, where they can be installed
	$(BIN)/python -m pytest -q -rs tests/adapters tests/door tests/test_unset_variables.py --ignore tests/door/peers
	tests/door/peers/install.sh $(PYTHON) && $(BIN)/python -m pytest -q -rs tests/door/peers || [ $$? = 77 ]

current-sqlite: .venv-current/ready ## the store, the scenarios, faults and one history with the SQLite of authctl[sqlite], in an environment of its own
	AUTHCTL_CRASH_STEP=283 .venv-current/bin/python -m pytest -q -rs tests/test_current_sqlite.py tests/test_store_contract.py tests/test_store_sqlite.py \
		tests/test_scenario*.py tests/test_crash.py tests/test_upgrade.py
	AUTHCTL_RESTORE_EXAMPLES=10 .venv-current/bin/python -m pytest -q -rs tests/test_restore_machine.py

postgres: $(VENV)/ready ## registries in a real PostgreSQL, where one can be had: the contract of a store, the scenarios, random histories, a storm, faults, hostile texts
	tests/install_postgres.sh $(BIN)/python && $(BIN)/python -m pytest -q -rs $(POSTGRES_TESTS) && \
		AUTHCTL_TEST_STORE=postgres AUTHCTL_MACHINE_EXAMPLES=5 AUTHCTL_RESTORE_EXAMPLES=3 $(BIN)/python -m pytest -q -rs $(ON_POSTGRES) || [ $$? = 77 ]

postgres-more: $(VENV)/ready ## all tests whose store is chosen by the parameter, on PostgreSQL; an hour and more
	tests/install_postgres.sh $(BIN)/python && AUTHCTL_TEST_STORE=postgres AUTHCTL_TEST_EVERY_COMMAND=1 $(MORE) $(BIN)/python -m pytest -q tests || [ $$? = 77 ]

postgres-storm: $(VENV)/ready ## processes of three hosts on one PostgreSQL for two minutes: nothing escapes, and wrong schemes are noticed
	tests/install_postgres.sh $(BIN)/python && AUTHCTL_ESCAPE_SECONDS=120 $(BIN)/python -m pytest -q -rs -s tests/test_escapes.py || [ $$? = 77 ]

postgres-hosts: $(VENV)/ready ## three hosts in network namespaces on one PostgreSQL, killed at random for a minute and cut off; needs root
	tests/install_postgres.sh $(BIN)/python && AUTHCTL_TEST_NAMESPACES=1 AUTHCTL_STORM_SECONDS=60 $(BIN)/python -m pytest -q -rs -s \
		tests/test_postgres_namespaces.py || [ $$? = 77 ]

postgres-cluster: $(VENV)/ready ## a registry in a cluster of Patroni and etcd, whose leader is killed under load, where they can be had
	tests/install_cluster.sh $(BIN)/python && AUTHCTL_TEST_CLUSTER=1 $(BIN)/python -m pytest -q -rs -s tests/test_cluster.py || [ $$? = 77 ]

BENCH := AUTHCTL_BENCH_RESULTS=.bench/results.jsonl $(BIN)/python benchmarks

bench: $(VENV)/ready .venv-peers/ready ## every ratio beside its limit, at sizes that take minutes
	mkdir -p .bench && rm -f .bench/results.jsonl
	$(BENCH)/startup.py
	$(BENCH)/verify.py 100000
	$(BENCH)/lists.py 10000 100000
	$(BENCH)/nearest.py 100000
	$(BENCH)/console.py 50000
	$(BENCH)/writes.py 10000 100000
	$(BENCH)/bulk.py 50000
	$(BENCH)/imports.py 10000
	$(BENCH)/growth.py 10000 50000
	$(BENCH)/disk.py 50000
	$(BENCH)/peers.py 5000
	$(BENCH)/continuity.py 10000
	$(BENCH)/door.py 10000
	$(BENCH)/delivering.py 10000 100000

bench-full: $(VENV)/ready .venv-peers/ready ## the same at a million and at ten million, into docs/benchmarks.md
	mkdir -p .bench && rm -f .bench/results.jsonl
	$(BENCH)/startup.py
	$(BENCH)/verify.py 1000000
	$(BENCH)/lists.py 10000 100000 1000000 10000000
	$(BENCH)/nearest.py 1000000
	$(BENCH)/console.py 1000000
	$(BENCH)/writes.py 1000000 10000000
	$(BENCH)/bulk.py 1000000
	$(BENCH)/imports.py 1000000
	$(BENCH)/growth.py 10000 100000 1000000 10000000
	$(BENCH)/disk.py 1000000
	$(BENCH)/peers.py 100000
	$(BENCH)/continuity.py 100000
	$(BENCH)/door.py 1000000
	$(BENCH)/delivering.py 100000 1000000
	$(BIN)/python benchmarks/report.py .bench/results.jsonl

SINCE := .bench/since/$(REV)

bench-since: $(VENV)/ready ## this build and an earlier one in turn: make bench-since REV=1cdad2f
	test -n "$(REV)"
	mkdir -p $(SINCE) && git archive $(REV) | tar x -C $(SINCE)
	test -e $(SINCE)/.venv/ready || { $(PYTHON) -m venv $(SINCE)/.venv && \
		$(SINCE)/.venv/bin/python -m pip install --quiet --disable-pip-version-check ./$(SINCE) && touch $(SINCE)/.venv/ready; }
	AUTHCTL_BENCH_SINCE=$(SINCE)/.venv/bin/python AUTHCTL_BENCH_SINCE_SOURCE=$(SINCE) $(BENCH)/since.py 100000 --imports

bench-postgres: $(VENV)/ready ## a registry in PostgreSQL beside bare statements of the same driver, on a server that it starts, where one can be had
	mkdir -p .bench
	tests/install_postgres.sh $(BIN)/python && $(BENCH)/postgres.py 100000 && $(BENCH)/moves.py 100000 || [ $$? = 77 ]

bench-imports: $(VENV)/ready .venv-peers/ready ## imports of a million rows, beside an earlier build and sqlite-utils: make bench-imports REV=1cdad2f
	test -x $(SINCE)/.venv/bin/python || { echo "first: make bench-since REV=$(REV)"; exit 1; }
	mkdir -p .bench
	AUTHCTL_BENCH_SINCE=$(SINCE)/.venv/bin/python $(BENCH)/imports.py 1000000

peers: .venv-peers/ready ## what benchmarks/peers.py compares with, in an environment of its own

demo: $(VENV)/ready ## the main job on made-up sessions
	$(BIN)/authctl demo

docs: $(VENV)/ready ## write docs/commands.md and the manual pages anew from the commands themselves
	$(BIN)/python docs/generate_commands.py

clean:
	rm -rf .venv .venv-dev .venv-test .venv-peers .venv-systems .venv-door .venv-current .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv-current/ready: pyproject.toml
	$(PYTHON) -m venv .venv-current
	.venv-current/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,sqlite]'
	touch $@

.venv-peers/ready: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	touch $@
