# Front doors; each is a line or two, the work is elsewhere. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help up down iso test test-change test-quick test-full bench

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

up: iso ## build the archive, boot a machine, bootstrap a cluster on it
	./lab up

down: ## remove everything that `up` made, but for the caches
	./lab down

iso: ## build the archive _build/metalk8s.iso
	./doit.sh iso

test: ## all tests that fit: checks, units, one life cycle on a machine
	scripts/doors/test all

test-change: ## those of them that the change against BASE=REV asks for, and why
	scripts/doors/test change $(BASE)

test-quick: ## the tests that need no machine
	scripts/doors/test quick

test-full: ## the long suites too
	scripts/doors/test full

bench: ## measure, beside peers where there are some
	scripts/doors/bench
