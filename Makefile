# Entry points. On a fresh machine with Go, `make demo` and `make test` do all the set-up themselves (docs/testing.md).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: help build demo test test-go lint cross release machines-test machines-down docs bench microbench clean prepare

# Debian keeps sshd, debootstrap and the like where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

# A test may start fabgo, ssh or git: none of them is to ask a person.
export GIT_TERMINAL_PROMPT := 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)

# Building, vetting and static checks share one set of compiled packages, since they agree on these; only the race detector needs others.
# The version comes from LDFLAGS, so Go's own stamp (which fails in a clone that belongs to another user) is off.
PURE := CGO_ENABLED=0 GOFLAGS='$(GOFLAGS) -trimpath -buildvcs=false'

# Where fabgo is typed.
CONTROLLERS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
# Where it is evaluated beside a host.
HELPERS := linux/amd64 linux/arm64 linux/arm linux/386 linux/riscv64 freebsd/amd64 darwin/arm64
# What may be brought to a host, in bytes when compressed.
HELPER_LIMIT := 6000000

GO_TEST := CGO_ENABLED=1 go test -race -timeout 40m
MACHINES := testdata/machines/machines
DEMO := bundles/demo/web1.star

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the static binary bin/fabgo
	$(PURE) go build -ldflags '$(LDFLAGS)' -o bin/fabgo ./cmd/fabgo

demo: build ## plan, run and run again a bundle in a sandbox of this machine
	@trap 'bin/fabgo sandbox remove' EXIT; set -x; \
	bin/fabgo plan -H @sandbox --keep --diff $(DEMO); \
	bin/fabgo run -H @sandbox --keep --diff $(DEMO); \
	bin/fabgo run -H @sandbox --keep $(DEMO); \
	{ set +x; } 2>/dev/null

prepare:
	@testdata/prepare </dev/null

test: prepare lint build test-go ## everything that needs no machine of its own; with CI=true that too
ifeq ($(CI),true)
test: cross machines-test
endif

test-go: prepare
	$(GO_TEST) ./...

lint: ## gofmt, go vet for every system, staticcheck
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofmt wants to change:" $$unformatted >&2; exit 1; fi
	$(PURE) go vet ./...
	$(PURE) GOOS=darwin go vet ./...
	$(PURE) GOOS=windows go vet ./...
	$(PURE) GOOS=freebsd go vet ./cmd/fabgo ./internal/... ./transport/...
	$(PURE) go tool -modfile=tools/go.mod staticcheck ./...

# On arm the floating point of version 6: a Raspberry Pi Zero has no newer one.
cross: ## the controllers for all systems, in dist/, and the helpers, in dist/helpers/
	@build() { \
	  local os=$${1%/*} arch=$${1#*/} suffix=; if [ $$os = windows ]; then suffix=.exe; fi; \
	  echo "build $$2/fabgo-$$os-$$arch$$suffix"; \
	  $(PURE) GOOS=$$os GOARCH=$$arch GOARM=6 go build -ldflags '$(LDFLAGS)' -o $$2/fabgo-$$os-$$arch$$suffix ./cmd/fabgo; \
	}; \
	for target in $(CONTROLLERS); do build $$target dist; done; \
	for target in $(HELPERS); do build $$target dist/helpers; done; \
	for helper in dist/helpers/*; do \
	  size=$$(gzip -c $$helper | wc -c); \
	  if [ $$size -gt $(HELPER_LIMIT) ]; then echo "$$helper has $$size bytes when compressed, more than $(HELPER_LIMIT)" >&2; exit 1; fi; \
	done

release: ## dist/ from nothing, with its digests in dist/SHA256SUMS
	rm -rf dist
	$(MAKE) --no-print-directory cross
	cd dist && sha256sum fabgo-* helpers/fabgo-* >SHA256SUMS

# The packages whose tests ask for machines, found by their imports; Need makes sure that such a test has Machine in its name.
WITH_MACHINES = go list -f '{{$$p := .ImportPath}}{{range .TestImports}}{{if eq . "fabgo/internal/machines"}}{{$$p}}{{"\n"}}{{end}}{{end}}{{range .XTestImports}}{{if eq . "fabgo/internal/machines"}}{{$$p}}{{"\n"}}{{end}}{{end}}' ./... | sort -u
# Root only for the test itself: what the go command writes stays with the user.
AS_ROOT_BENCH := $(shell [ "$$(id -u)" = 0 ] || echo "-exec 'sudo -n --preserve-env=PATH,HOME,FABGO_MACHINES,FABGO_MACHINES_DIR,FABGO_MACHINES_PORT,FABGO_BENCH,FABGO_BENCH_PEERS,FABGO_BENCH_ROUNDS,FABGO_BENCH_HOSTS'")
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo "-exec 'sudo -n --preserve-env=FABGO_MACHINES,FABGO_MACHINES_DIR,FABGO_MACHINES_PORT'")

machines-test: prepare ## the tests that run on real Debian machines
	@packages=$$($(WITH_MACHINES)); set -x; \
	FABGO_MACHINES=1 $(GO_TEST) -count=1 -run Machine $(AS_ROOT) $$packages

machines-down: ## stop the machines that were booted by hand
	$(MACHINES) down

docs: ## docs/reference.md from the prelude
	go run ./cmd/fabgo doc --reference >docs/reference.md.new
	mv docs/reference.md.new docs/reference.md

bench: prepare ## fabgo against what it is measured by, on real machines; writes docs/benchmarks.md (PEERS=1: against its peers too)
	FABGO_MACHINES=1 FABGO_BENCH=$(CURDIR)/docs/benchmarks.md FABGO_BENCH_PEERS=$(PEERS) \
	  go test -count=1 -timeout 60m -v -run TestMachineBenchmarks $(AS_ROOT_BENCH) ./internal/bench

microbench: ## the benchmarks of single packages
	go test -run '^$$' -bench . -benchmem ./...

clean: ## what the targets above have built
	rm -rf bin dist docs/reference.md.new
