# Everything this project does, by name. `make` alone lists it.
PYTHON ?= python3
PY := .venv/bin/python
OPS := $(PY) -m ops
COMPOSE := docker compose

# A test of each room, none of which takes seconds.
QUICK := tests/worker/metrics tests/worker/rides tests/worker/jobs/test_dispatch.py \
	tests/worker/queue/test_inbox.py tests/shared/samples tests/shared/test_figures.py \
	tests/shared/files/test_fit.py tests/shared/files/test_tcx.py tests/shared/files/test_gpx.py \
	tests/shared/test_settings.py tests/bench tests/api/web/test_openapi.py \
	tests/test_architecture.py

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo simulate watch audit test test-quick test-faults check format lock api worker migrate migrate-status \
	rollback partition reset-db migration recompute dead-letters replay user users storage key keys revoke app apps end-app disable-user invite reset-password doctor status lag slow-queries table-sizes connections vacuum picture figures settings device-truth chaos soak fuzz bench bench-history bench-decade up down logs scale pin install uninstall upgrade psql redis-cli backup backup-every restore restore-drill restore-to import clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	    /^## / {printf "\n%s\n", substr($$0, 4)} \
	    /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Try it: servers, migrations, API and workers, all on this machine
run: setup ## Start everything, play a ride and serve (PORT=8000 RIDE=ride.fit, RIDE=none plays nothing)
	@$(OPS) run
demo: setup ## The same, and exit once the ride is completed
	@$(OPS) run --once
simulate: setup ## Have live riders ride, at `make run` or a service started for it (RIDERS=50 MINUTES=60 SPEED=10 BY=streams URL=… KEY=…)
	@$(OPS) simulate
watch: setup ## Follow a ride under way, or a stream (ID=… or STREAM=…, KEY=… URL=…)
	@$(OPS) watch

## Develop
test: check ## Check the code and run all tests, on servers of their own
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist loadgroup $(PYTEST_ARGS)
test-quick: setup-dev ## Run the units and the fast tests on servers of their own, in a minute
	@$(PY) -m pytest -n 2 --dist loadgroup $(QUICK) $(PYTEST_ARGS)
test-faults: setup-dev ## Kill, freeze and cut everything, and see that nothing is lost
	@$(PY) -m pytest tests/faults tests/worker/jobs/test_races.py tests/worker/test_process.py \
	    tests/ops/admin/test_migrations.py tests/api/health --session-timeout 900 $(PYTEST_ARGS)
check: setup-dev ## Lint, formatting and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m mypy
audit: setup-dev ## Ask PyPI what is known against the packages of the lock files (STRICT=1)
	@$(PY) -m ops.audit
figures: setup-dev ## Write the table of figures into docs/metrics.md, from shared/figures.py
	@$(PY) -m tests.shared.figures_table
settings: setup-dev ## Write the table of settings into docs/operating.md, from the code and .env.example
	@$(PY) -m docs.settings_table
picture: setup-dev ## Draw which room imports which, from the imports, into docs/architecture.md
	@$(PY) -m docs.picture
device-truth: setup-dev ## Compare with what devices computed, into docs/metrics.md (RIDES_DIR=…)
	@$(PY) -m tests.rides.device_truth
chaos: setup-dev ## Inject random faults under load: nothing lost, nothing twice (MINUTES=10 SEED=… ON=cluster|sentinel|cluster-hosts|sentinel-hosts|replica|pgbouncer|failover|asynchronous-failover)
	@$(PY) -m tests.faults.chaos
soak: setup-dev ## Ride for an hour on a cluster, a replica and a pooler, amid upgrades and losses (MINUTES=60 RIDERS=1000 FORMER=… JSON=…)
	@$(PY) -m tests.soak.soak
fuzz: setup-dev ## Try every operation with ever other data, against the document (EXAMPLES=1000)
	@$(call whole_number,EXAMPLES)
	@EXAMPLES=$(or $(EXAMPLES),1000) $(PY) -m pytest tests/contract $(PYTEST_ARGS)
bench: setup-dev ## Measure everything beside its limit and the last run (RUNS=3 SECONDS=3 ONLY=fold,… JSON=… PEER_URL=… KEEP=1)
	@$(PY) -m bench
bench-history: setup-dev ## Measure a history among a million workouts
	@$(PY) -m bench --only history
bench-decade: setup-dev ## Import a rider's ten years of files, unattended (FILES=2000 N=2 workers)
	@$(PY) -m bench.decade
format: setup-dev ## Format the code, and mend what lint can mend
	@$(PY) -m ruff check --fix --quiet .
	@$(PY) -m ruff format .
lock: setup-dev ## Resolve the dependencies of pyproject.toml anew
	@for set in dev embedded production; do \
	    case $$set in dev) extras=--all-extras ;; embedded) extras="--extra embedded --extra s3 --extra tracing" ;; *) extras="--extra s3 --extra tracing" ;; esac; \
	    $(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	        --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	        $$extras $$([ $$set = dev ] || echo -c requirements/dev.txt) \
	        -o requirements/$$set.txt || exit 1; \
	done

## Operate: the compose stack while that is up, else DATABASE_URL and REDIS_URL, else this checkout
migrate: ## Apply the migrations that are missing
	@$(call ops,migrate)
migrate-status: ## List the migrations, and which are applied
	@$(call ops,migrate-status)
rollback: ## Roll the newest migration back
	@$(call ops,rollback)
partition: ## Put the samples of an older installation into partitions, while all goes on (ABANDON=1)
	@$(call ops,partition)
reset-db: ## Throw every user and workout away (YES=1 does not ask)
	@$(call ops,reset-db)
user: ## Create a user and print an API key once (EMAIL=me@example.com)
	@$(call ops,user)
users: ## List the users
	@$(call ops,users)
storage: ## List what is stored of each user, the largest first
	@$(call ops,storage)
key: ## Print a further key of a user once (EMAIL=… NAME=watch SCOPES=upload,read EXPIRES=2027-01-01)
	@$(call ops,key)
keys: ## List a user's keys that open, by their ids (EMAIL=…)
	@$(call ops,keys)
revoke: ## Make a key open nothing more (KEY=…, whole or an id of `make keys`)
	@$(call ops,revoke)
app: ## Register an app of others, which riders may let in (NAME=… REDIRECT_URI=https://… CONFIDENTIAL=1)
	@$(call ops,app)
apps: ## List the apps of others, by their client ids
	@$(call ops,apps)
end-app: ## Delete an app, and all that riders let it in by (APP=…)
	@$(call ops,end-app)
disable-user: ## Shut a user out, nothing is deleted (EMAIL=…, UNDO=1 lets them in again)
	@$(call ops,disable-user)
invite: ## Print a code that makes one account, where REGISTRATION=invite (DAYS=7)
	@$(call ops,invite)
reset-password: ## Print a new password of a user, and end their sessions (EMAIL=…)
	@$(call ops,reset-password)
recompute: ## Compute workouts anew, by the workers (USER=me@example.com SINCE=2026-01-01)
	@$(call ops,recompute $(if $(filter command line,$(origin USER)),--user "$$USER"))
dead-letters: ## Show what the workers gave up on, and why (ID=… shows all of one)
	@$(call ops,dead-letters)
replay: ## Give dead letters back to the workers (ID=… or ALL=1)
	@$(call ops,replay)
doctor: ## Look at everything, say what is wrong and what to do (API_URL=…)
	@$(call ops,doctor)
status: ## Show who runs, and how much waits
	@$(call ops,status)
lag: ## Show how far the workers are behind
	@$(call ops,lag)
slow-queries: ## Show the statements that took the most time (needs pg_stat_statements)
	@$(call ops,slow-queries)
table-sizes: ## Show the size of each table
	@$(call ops,table-sizes)
connections: ## Show who is connected to PostgreSQL
	@$(call ops,connections)
vacuum: ## Clean the tables up, and count their rows for the planner
	@$(call ops,vacuum)
psql: ## Open psql on the database
	@$(call ops,psql)
redis-cli: ## Open a Redis prompt
	@$(call ops,redis-cli)
backup: ## Back up the database and the samples not yet in it (KEEP=7 FILE=… BACKUP_RECIPIENT=age1…)
	@$(call ops,backup)
backup-every: setup ## Back up again and again, here (HOURS=24 KEEP=14)
	@$(OPS) backup-every
restore: ## Replace the database by a backup (FILE=…, one that has rides only with FORCE=1)
	@$(call ops,restore)
restore-drill: ## Restore the newest of BACKUP_DIR, or FILE=…, beside the database, and compare
	@$(call ops,restore-drill)
restore-to: ## Bring PostgreSQL back to a moment (TIME="2026-05-01 12:00" or latest, WAL_ARCHIVE=… of the embedded one)
	@if $(COMPOSE) ps --all --services 2>/dev/null | grep -qx postgres; then \
	    [ -n "$$TIME" ] || { echo 'say TIME="2026-05-01 12:00"' >&2; exit 2; }; \
	    $(COMPOSE) stop && { $(COMPOSE) run --no-TTY --rm --no-deps --user postgres --entrypoint archive \
	        postgres restore "$$TIME"; code=$$?; $(COMPOSE) up --detach --wait && exit $$code; }; \
	else $(PYTHON) ops/setup.py embedded && $(OPS) restore-to; fi
api: setup ## Run one API process, here
	@$(OPS) api
worker: setup ## Run worker processes, here (N=4)
	@$(OPS) worker
migration: setup ## Write the files of a new migration (NAME=add_laps)
	@$(OPS) migration

import: ## Import rides: files, folders, zips (FILES="*.fit" WATCH=folder USER=me@example.com)
	@$(call ops,import $(if $(filter command line,$(origin USER)),--user "$$USER"))

# What ops checks of its own variables (ops/variables.py), for those that others read.
whole_number = case "$$$(1)" in *[!0-9]*) echo "$(1) must be a whole number, not '$$$(1)'" >&2; exit 2 ;; esac

NEED_COMPOSE = $(COMPOSE) version >/dev/null 2>&1 || { echo "this needs a Docker engine with Compose v2 \
(docs.docker.com/compose/install); without one, \`make run\` starts everything here"; exit 1; }

## Deploy: compose.yaml on a Docker engine
up: ## Build and start the stack, and wait until it is healthy (DOMAIN=power.example.com in .env)
	@$(NEED_COMPOSE)
	@$(PYTHON) -m ops.server.stack secrets
	@$(COMPOSE) up --build --detach --wait
down: ## Stop the stack; its data stays
	@$(NEED_COMPOSE)
	@$(COMPOSE) down
logs: ## Follow the logs of the stack
	@$(NEED_COMPOSE)
	@$(COMPOSE) logs --follow --tail 100
scale: ## Run so many workers in the stack (N=4)
	@$(call whole_number,N)
	@$(NEED_COMPOSE)
	@$(COMPOSE) up --detach --no-recreate --scale worker=$(or $(N),2) worker
pin: ## Name the stack's images by the digests that their tags lead to now, in .env
	@$(NEED_COMPOSE)
	@$(PYTHON) -m ops.server.stack pin

## Deploy: systemd, on this machine
install: ## Install units, a user and this version (PREFIX=/opt/bike-power-tracker API_PORTS="8001 8002" WORKERS=2)
	@$(PYTHON) -m ops.server.install install
uninstall: ## Take that away; settings and backups stay (PURGE=1 deletes them)
	@$(PYTHON) -m ops.server.install uninstall
upgrade: ## Bring what runs, by systemd or compose, to this version; back, if that fails
	@if $(COMPOSE) ps --status running --services 2>/dev/null | grep -qx postgres; then \
	    $(MAKE) --no-print-directory BUILD= backup && COMPOSE="$(COMPOSE)" $(PYTHON) -m ops.server.stack upgrade; \
	else $(PYTHON) -m ops.server.upgrade; fi

## Housekeeping
setup: ## Install what running needs into .venv
	@$(PYTHON) ops/setup.py embedded
setup-dev: ## Install what developing needs into .venv
	@$(PYTHON) ops/setup.py dev
clean: ## Remove .venv and caches; .data and backups stay
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Run an operation in the stack if that is up, else here. Files are opened here either way, so
# that the stack's user needs no rights to this folder.
# An upgrade says BUILD= to back up by the version before.
BUILD = --build
IN_STACK = $(COMPOSE) run $(BUILD) --rm -e EMAIL -e KEY_NAME -e NAME -e SCOPES -e EXPIRES -e KEY -e UNDO -e REDIRECT_URI -e CONFIDENTIAL -e APP -e DAYS -e SINCE -e YES -e FORCE -e RIDES -e ID -e ALL -e ABANDON -e BACKUP_RECIPIENT
define ops
if $(COMPOSE) ps --status running --services 2>/dev/null | grep -qx postgres; then \
    tty=; [ -t 0 ] || tty=--no-TTY; \
    folder="$${BACKUP_DIR:-.data/backups}"; \
    case "$(firstword $(1))" in \
    backup) $(call whole_number,KEEP); \
        [ "$$FILE" != - ] || exec $(IN_STACK) --no-TTY ops backup --file -; \
        [ -z "$$FILE" ] || unset KEEP; \
        file="$${FILE:-$$folder/bpt-$$(date -u +%Y%m%dT%H%M%SZ).backup}" && \
        umask 077 && mkdir -p "$$(dirname "$$file")" && \
        { $(IN_STACK) --no-TTY ops backup --file - >"$$file.part" && mv "$$file.part" "$$file" || \
            { rm -f "$$file.part"; exit 1; }; } && \
        $(PYTHON) -m ops.backups.folder finish "$$file" && echo "wrote $$file" ;; \
    restore) [ -n "$$FILE" ] || { echo "say FILE=…" >&2; exit 2; }; \
        $(PYTHON) -m ops.backups.folder check "$$FILE" && \
        $(IN_STACK) --no-TTY ops restore --file - <"$$FILE" ;; \
    restore-drill) [ -n "$$FILE" ] || exec $(IN_STACK) $$tty ops restore-drill; \
        $(PYTHON) -m ops.backups.folder check "$$FILE" && \
        $(IN_STACK) --no-TTY ops restore-drill --file - <"$$FILE" ;; \
    import) key="$$($(IN_STACK) --no-TTY ops import-key $(wordlist 2,9,$(1)))" && \
        $(PYTHON) ops/setup.py embedded && \
        IMPORT_KEY="$$key" IMPORT_URL="http://127.0.0.1:$${PORT:-8000}" $(OPS) $(1) ;; \
    doctor) well=0; $(PYTHON) -m ops.server.stack check || well=1; \
        $(IN_STACK) $$tty ops doctor && exit $$well ;; \
    *) $(IN_STACK) $$tty ops $(1) ;; \
    esac; \
elif $(COMPOSE) ps --all --services 2>/dev/null | grep -qx postgres; then \
    echo "the stack is here, and its PostgreSQL does not run: make up logs; without the stack: make down" >&2; \
    exit 1; \
else \
    $(PYTHON) ops/setup.py embedded && $(OPS) $(1); \
fi
endef
