# SPDX-License-Identifier: Apache-2.0

# Every target works from a fresh clone with Go. A target that needs containers finds
# or starts an engine (tests/engine/run). ENGINE=podman chooses podman.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build

export ENGINE ?= docker
export CGO_ENABLED := 0
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)
GOOS ?= linux
GOARCH ?= $(shell go env GOARCH)
FUZZTIME ?= 10s
# FUZZTIME of make test, for which CI has ninety minutes.
TESTFUZZ ?= 2s
BIN := bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

LDFLAGS := -s -w -buildid= -X github.com/gateway-init/gateway-init/internal/version.String=$(VERSION)
# -E starts init/plain/entry, or gatewayctl/entry, before Go's runtime.
INIT_LDFLAGS := -E github.com/gateway-init/gateway-init/init/plain/entry.start
CTL_LDFLAGS := -E github.com/gateway-init/gateway-init/gatewayctl/entry.start
BUILD := GOOS=$(GOOS) GOARCH=$(GOARCH) go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
BUILD_CTL := GOOS=$(GOOS) GOARCH=$(GOARCH) go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS) $(CTL_LDFLAGS)'
BUILD_INIT := GOOS=$(GOOS) GOARCH=$(GOARCH) go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS) $(INIT_LDFLAGS)'

# Packages that do not change the process. A program with cgo, which the race detector
# needs, cannot change the capabilities and uids of all threads.
RACE_PKGS = ./supervisor ./supervisor/control ./supervisor/proof ./internal/procfs ./internal/sockets ./internal/relaylink ./internal/config ./internal/status ./internal/logring ./internal/logfile
UNIT_PKGS = $(shell go list ./... | grep -v -e /tests/ns -e /tests/e2e -e /tests/harness)

GOTEST := go run ./tests/gotest
# All parts of make test share one tally. A part alone has its own.
export GOTEST_TALLY
export GOTEST_EVENTS

.PHONY: build build-all image demo openclaw openclaw-demo quick test test-all topologies test-openclaw long-openclaw long-rounds check unit race ns e2e gotip fuzz bench reproducible clean help

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

build: ## bin/gateway-init, bin/gateway-relay and bin/gatewayctl: static, stripped, reproducible
	@mkdir -p $(BIN)
	@$(BUILD_INIT) -o $(BIN)/gateway-init ./init
	@$(BUILD_CTL) -o $(BIN)/gatewayctl ./gatewayctl
	@$(BUILD) -o $(BIN)/gateway-relay ./relay
	@echo 'built $(BIN)/gateway-init, $(BIN)/gateway-relay and $(BIN)/gatewayctl, $(VERSION) for $(GOOS)/$(GOARCH)'

build-all: ## the same for each platform, in bin/OS-ARCH
	@$(MAKE) --no-print-directory build BIN=bin/linux-amd64 GOOS=linux GOARCH=amd64
	@$(MAKE) --no-print-directory build BIN=bin/linux-arm64 GOOS=linux GOARCH=arm64

.PHONY: image-context
image-context: build
	@mkdir -p $(BIN)/image
	@$(BUILD) -o $(BIN)/demogateway ./tests/fixtures/demogateway
	@$(BUILD) -o $(BIN)/demotools ./tests/fixtures/demotools
	@go run ./image/mkroot image/init.manifest $(BIN) $(BIN)/image/init.tar
	@go run ./image/mkroot image/demo.manifest $(BIN) $(BIN)/image/demo.tar
	@go run ./image/mkroot image/openclaw.manifest $(BIN) $(BIN)/image/openclaw.tar

image: image-context ## gateway-init:dev and gateway-demo:dev
	@tests/engine/run tests/engine/build-images

demo: image-context ## start a container, restart its gateway, try to steal its token
	@tests/engine/run bash -c 'tests/engine/build-images >/dev/null && image/demo.sh'

openclaw: image-context ## gateway-openclaw:dev, with the real OpenClaw gateway (BASE= builds on your image)
	@tests/engine/run image/openclaw/build

openclaw-demo: image-context ## the same tour with it: start, pair, restart, attack, terminal UI, stop
	@tests/engine/run bash -c 'image/openclaw/build && image/openclaw/demo.sh'

quick: ## formatting, vet, unit tests, layers: no root, no engine
	@tests/checks/source
	@go vet ./...
	@go test -vet=off -ldflags='-s -w' $(UNIT_PKGS) | { grep -v -e '^ok' -e 'no test files' || true; }

# The parts of make test, in order. The table is printed even if one of them fails.
PARTS := check unit race ns e2e fuzz
test: ## the tests of CI; the last lines show the time of each part, and the tally
	@rm -f $(BIN)/tally && mkdir -p $(BIN)
	@status=0; $(MAKE) --no-print-directory GOTEST_TALLY=$(CURDIR)/$(BIN)/tally FUZZTIME=$(TESTFUZZ) $(PARTS) || status=$$?; \
	$(GOTEST) -sum $(BIN)/tally && exit $$status

# Tests that take too long for make test. Each part must take less than 30 minutes.
test-all: test topologies test-openclaw long-openclaw long-rounds ## make test and the long tests, one part after the other

topologies: image-context ## the tests that the topology can change, without root and below a foreign PID 1
	@tests/engine/run tests/engine/topologies

# The tests of long-openclaw, as a pattern for -run and -skip.
LONG_OPENCLAW := TestDeputy$$|TestDisplacedNode$$|TestOwnBase$$|TestDemo$$

test-openclaw: image-context ## every other test of the real OpenClaw, and a browser (screenshots in bin/screenshots)
	@tests/engine/run bash -c 'tests/engine/build-images >/dev/null && tests/engine/build-openclaw && tests/engine/need-chromium && $(GOTEST) -part test-openclaw -- -tags long -timeout 30m ./tests/harness/browser ./tests/e2e/openclaw -skip "$(LONG_OPENCLAW)"'

long-openclaw: image-context ## the attack table and a displaced node on the real OpenClaw
	@DEPUTY_FULL=1 tests/engine/run bash -c 'tests/engine/build-images >/dev/null && tests/engine/build-openclaw && $(GOTEST) -part long-openclaw -- -tags long -timeout 30m ./tests/e2e/openclaw -run "$(LONG_OPENCLAW)"'

long-rounds: image-context ## tests with more rounds (thieves, hostile agents, crashes, restarts), and the time limits of scenarios
	@GATEWAY_TEST_LONG=1 $(GOTEST) -part long-ns -- -timeout 20m ./supervisor ./gatewayctl/client ./tests/ns/faults ./tests/ns/relay ./relay/loop
	@GATEWAY_TEST_LONG=1 THIEF_SECONDS=600 tests/engine/run bash -c 'tests/engine/build-images >/dev/null && $(GOTEST) -part long-rounds -- -p 1 -timeout 30m ./tests/e2e/{leaks,managed,load,neighbors,proof,client,continuity,lifecycle} -run "TestThief$$|TestRecycledPidIsNeverSignaled$$|TestEndsWithGateway$$|TestEngineClientKilled$$|TestStop$$|TestDrain$$|TestOneShot$$|TestDockerStopEndsEveryProcess$$|TestStopSignalReachesExecProcesses$$|TestDockerStopWorksInEveryState$$|TestHostileAgent|TestControllerInACrowd|TestSimultaneousRestarts|TestCrashLoopDelayIsCapped$$"'

check: build ## formatting, vet, staticcheck, forbidden words, reproducible builds
	@$(GOTEST) -part check -command $(MAKE) --no-print-directory checks

.PHONY: checks
checks:
	@tests/checks/source
	go vet -tags long ./...
	GOARCH=arm64 go vet ./...
	go run $(STATICCHECK) ./...
	go run $(STATICCHECK) -tags long ./tests/e2e/openclaw
	go run $(ACTIONLINT) -shellcheck= -pyflakes= .github/workflows/*.yml
	go mod tidy -diff
	@tests/checks/binaries $(BIN)
	@$(MAKE) --no-print-directory reproducible

reproducible: ## check that two builds in two places are the same bytes
	@tests/checks/reproducible '$(VERSION)'

unit: ## tests beside the code
	@$(GOTEST) -part unit -- $(UNIT_PKGS)

race: ## the pure packages under the race detector, where there is a C compiler
	@if command -v gcc >/dev/null; then CGO_ENABLED=1 $(GOTEST) -part race -- -race $(RACE_PKGS); else echo 'race: no gcc, left out'; fi

ns: image-context ## tests in PID namespaces of their own (root)
	@$(GOTEST) -part ns -- -timeout 20m ./tests/ns/...

e2e: image-context ## tests in containers
	@tests/engine/run tests/engine/e2e

gotip: unit ## what CI tries with Go's development version: unit tests, and an init without linker flags (root)
	go build -o /dev/null ./init
	@$(GOTEST) -part flags -- ./tests/ns/flags

fuzz: ## every fuzz target for FUZZTIME
	@FUZZTIME=$(FUZZTIME) tests/checks/fuzz

BENCHFLAGS ?=
bench: image-context ## gateway-init beside tini, dumb-init, catatonit, s6, gosu, bash; gateway-relay beside nginx, socat (root; BENCHFLAGS='-write docs')
	@go run ./tests/bench $(BENCHFLAGS)
	@tests/engine/run bash -c 'tests/engine/build-images >/dev/null && go test ./tests/e2e/managed -run "^$$" -bench Restart -benchtime 30x'

clean: ## remove the built files
	rm -rf bin
