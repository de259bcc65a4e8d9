# What people and CI run. `make help` lists it. Needs make, git, and Node with npm of any age from 20 on:
# mailmux itself wants Node 24.12 or later, and where the machine's is older, the one in .node-version is brought to .runtime/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

NODE_VERSION := $(shell cat .node-version)
NODE_PACKAGE := node-linux-$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
RUNTIME_NODE := $(CURDIR)/.runtime/node_modules/$(NODE_PACKAGE)/bin/node

# "v24.12.1" -> 24 12; nothing at all where there is no node
OWN_NODE := $(subst ., ,$(patsubst v%,%,$(shell node --version 2>/dev/null)))
OWN_NODE_IS_NEW := $(shell [ "$(or $(word 1,$(OWN_NODE)),0)" -gt 24 ] || \
	{ [ "$(or $(word 1,$(OWN_NODE)),0)" -eq 24 ] && [ "$(word 2,$(OWN_NODE))" -ge 12 ]; } && echo yes)

ifeq ($(OWN_NODE_IS_NEW),yes)
NODE := node
BROUGHT_NODE :=
else
NODE := $(RUNTIME_NODE)
BROUGHT_NODE := $(RUNTIME_NODE)
export PATH := $(dir $(RUNTIME_NODE)):$(PATH)
endif

# npm writes this file last, so it stands for a finished installation
DEPS := node_modules/.package-lock.json

DIRECTORY ?= static
INSTANCES ?= 1
DEMO_PACKAGES := dovecot-imapd dovecot-pop3d dovecot-managesieved openssl $(if $(filter redis,$(DIRECTORY)),redis-server redis-tools)
TEST_PACKAGES := dovecot-imapd dovecot-pop3d redis-server redis-tools openssl curl python3 \
	dovecot-managesieved dovecot-sieve sieve-connect libnet-managesieve-perl php-cli php-net-sieve python3-sievelib \
	isync fetchmail getmail6 neomutt gsasl sasl2-bin bsdutils haproxy testssl.sh nginx libnginx-mod-mail dnsmasq-base faketime fail2ban \
	postfix dovecot-lmtpd systemd strace logrotate prometheus chromium \
	zsh fish mandoc dpkg-dev tmux
DEB_PACKAGES := dpkg-dev
DEB_TEST_PACKAGES := dpkg-dev debootstrap lintian iproute2

.PHONY: help runtime deps demo run build man lint types check test test-packages bench bench-quick bench-features bench-profile soak screenshots mutants docker deb package-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

runtime: $(BROUGHT_NODE) ## Node as in .node-version, into .runtime/, where the machine's own is too old

$(RUNTIME_NODE): .node-version
	@[ "$$($@ --version 2>/dev/null || true)" = "v$(NODE_VERSION)" ] || \
	npm install --prefix .runtime --no-save --no-package-lock --no-audit --no-fund --ignore-scripts $(NODE_PACKAGE)@$(NODE_VERSION)
	@touch $@

deps: $(DEPS) ## npm packages, as in package-lock.json

$(DEPS): package-lock.json | $(BROUGHT_NODE)
	npm ci --no-audit --no-fund
	@touch $@

demo: $(DEPS) ## three real mail stores and mailmux in front of them; DIRECTORY=redis keeps the routes in a Redis, and INSTANCES=2 then starts a second mailmux
	@test/support/packages.sh $(DEMO_PACKAGES)
	@DIRECTORY=$(DIRECTORY) INSTANCES=$(INSTANCES) $(NODE) test/demo/demo.ts

run: $(DEPS) ## mailmux alone, from the sources, with CONFIG=file
	@if [ -z "$(CONFIG)" ]; then echo 'make run: say which configuration, as in: make run CONFIG=config/mailmux.yaml' >&2; exit 1; fi
	@src/main.ts run -c "$(CONFIG)"

build: $(DEPS) ## JavaScript into dist/
	npm run --silent build

man: $(DEPS) ## the manual pages, into dist/man
	@$(NODE) src/main.ts man dist/man

lint: $(DEPS) ## ESLint and Prettier
	npm run --silent lint

types: $(DEPS) ## the TypeScript compiler, without output
	npm run --silent types

check: lint types test ## all that CI runs: lint, types, test

# The second runtime; in a folder of its own, since npm would remove Node from beside it
BUN_VERSION := 1.4.5
BUN_PACKAGE := @oven/bun-linux-$(if $(filter aarch64 arm64,$(shell uname -m)),aarch64,x64)
RUNTIME_BUN := $(CURDIR)/.runtime/bun/node_modules/$(BUN_PACKAGE)/bin/bun

$(RUNTIME_BUN): Makefile | $(DEPS)
	@[ "$$($@ --version 2>/dev/null || true)" = "$(BUN_VERSION)" ] || \
	npm install --prefix .runtime/bun --no-save --no-package-lock --no-audit --no-fund --ignore-scripts $(BUN_PACKAGE)@$(BUN_VERSION)
	@touch $@

# What mailmux itself runs on in the end-to-end tests, the package and the image; the tests and whatever has no mailmux of its own stay on Node.
RUNTIME ?= node
ifeq ($(RUNTIME),bun)
export MAILMUX_RUNTIME := $(RUNTIME_BUN)
else ifneq ($(RUNTIME),node)
$(error RUNTIME is node or bun, not $(RUNTIME))
endif

# Unit and dialogue tests start nothing. They share processes, since a process for each of 270 files would take longer than the
# tests: a process for each quarter of the files, two at a time. Each end-to-end file starts Dovecots, a Redis and a mailmux of its own.
# Two thirds of its time it waits for them: three files at a time keep two cores busy.
UNIT_PARTS := 1/4 2/4 3/4 4/4

# Node keeps the compiled sources there, and a mailmux starts in half the processor time.
test: export NODE_COMPILE_CACHE := $(CURDIR)/.runtime/compiled
test: $(DEPS) $(MAILMUX_RUNTIME) test-packages ## every test: unit, dialogue, end to end with real Dovecot, Redis and clients; RUNTIME=bun has mailmux on Bun
	printf '%s\n' $(UNIT_PARTS) | xargs -P 2 -I PART $(NODE) --test --test-isolation=none --test-shard=PART 'test/unit/**/*.test.ts' 'test/dialogue/**/*.test.ts'
	FUZZ_SECONDS=20 $(NODE) --test 'test/fuzz/*.test.ts'
	$(NODE) --test --test-concurrency=3 'test/e2e/**/*.test.ts'

test-packages:
	@test/support/packages.sh $(TEST_PACKAGES)
	@test/support/cyrus.sh .runtime/cyrus
	@test/support/crowdsec.sh .runtime/crowdsec
	@test/support/schemas.sh .runtime/schemas

bench: $(DEPS) $(RUNTIME_BUN) ## mailmux beside its peers, half an hour: every measure and target, into docs/performance.md
	$(NODE) test/bench/bench.ts --page

bench-quick: $(DEPS) ## the measures that fit into a minute
	$(NODE) test/bench/bench.ts --quick

bench-features: $(DEPS) ## what each feature costs, switched off or on, six minutes: into docs/performance.md
	$(NODE) test/bench/bench.ts --features --page

bench-profile: $(DEPS) $(RUNTIME_BUN) ## where the processor time of a login goes, five minutes, needs perf: into docs/performance.md
	@test/support/packages.sh linux-perf
	$(NODE) test/bench/profile/profile.ts --page

# The pictures of the status page, which a usual run of the test does not write
screenshots: $(DEPS) test-packages ## pictures of the status page, into docs/images/
	mkdir -p docs/images
	SCREENSHOTS=docs/images $(NODE) --test test/e2e/status-page.test.ts

# Each may be run alone, and for a shorter time: test/soak/README.md
soak: $(DEPS) test-packages ## the long runs, two and a half hours: steady load, chaos, a million routes, a wave of 2000 clients, moves, guesses, reloads, upgrades, kills; their account goes into docs/
	$(NODE) test/soak/steady.ts
	$(NODE) test/soak/chaos.ts
	$(NODE) test/soak/scale.ts --page
	$(NODE) test/soak/recovery-wave.ts
	$(NODE) test/soak/converge.ts
	$(NODE) test/soak/move.ts
	$(NODE) test/soak/guessing.ts
	$(NODE) test/soak/testssl.ts docs/testssl
	$(NODE) test/soak/reload.ts
	$(NODE) test/soak/upgrade.ts
	$(NODE) test/soak/upgrade.ts kill

# The mutation tester and a compiler of the version that it knows: 94 MB and 190 packages that nothing else needs, so in a folder of their own.
STRYKER_VERSION := 10.0.0
STRYKER_PACKAGES := $(foreach part,core typescript-checker,@stryker-mutator/$(part)@$(STRYKER_VERSION)) typescript@6.0.3
STRYKER := .runtime/stryker/node_modules/@stryker-mutator/core/package.json

$(STRYKER): Makefile | $(DEPS)
	@grep -qs '"version": "$(STRYKER_VERSION)"' $@ || \
	npm install --prefix .runtime/stryker --no-save --no-package-lock --no-audit --no-fund --ignore-scripts $(STRYKER_PACKAGES)
	@touch $@

mutants: $(DEPS) $(STRYKER) ## how many faults the unit and dialogue tests notice; MODULE=routing or a folder or file of a module, SAMPLE=20 (percent of the mutants), SEED=2 (another sample), JOBS=2, TYPES=yes
	@MODULE=$(MODULE) SAMPLE=$(SAMPLE) SEED=$(SEED) JOBS=$(JOBS) TYPES=$(TYPES) nice -n 19 $(NODE) test/mutants/mutants.ts

deb: $(DEPS) $(RUNTIME_NODE) $(MAILMUX_RUNTIME) ## the Debian package, into deb/, with Node, or with RUNTIME=bun; two minutes, most of them for the compression
	@test/support/packages.sh $(DEB_PACKAGES)
	@NODE_HOME=$(dir $(RUNTIME_NODE)).. BUN=$(if $(filter bun,$(RUNTIME)),$(RUNTIME_BUN)) packaging/debian/build.sh deb

package-test: $(DEPS) $(RUNTIME_NODE) $(RUNTIME_BUN) ## the Debian package in a Debian of its own: installed, upgraded, purged, and read by lintian; then each command of the documents; five minutes, as root
	@test/support/packages.sh $(DEB_TEST_PACKAGES)
	$(NODE) --test 'test/package/*.test.ts'

docker: ## the container image mailmux:latest, with Node, or with RUNTIME=bun
	docker build --build-arg RUNTIME=$(RUNTIME) -f docker/Dockerfile -t mailmux:latest .
