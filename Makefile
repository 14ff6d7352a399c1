# SPDX-License-Identifier: BSD-2-Clause
#
# One Makefile, not recursive: every directory adds its programs in a module.mk.
#
#   make                 everything, into build/release
#   sudo make run        the main job (FILE=... takes any file)
#   sudo make check      all tests that this machine can run by itself
#   sudo make check-all  and on nested paging in software: check-npt, check-linux, check-ept
#   sudo make install    into PREFIX (/usr/local); then ldconfig
#   make bench | lint | clean | help
#
#   V=1 shows commands, CC=clang picks the compiler, WERROR=0 tolerates warnings,
#   VARIANT=release|asan|tsan picks the build.

VARIANT ?= release
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
B       := build/$(VARIANT)$(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))
Q       := $(if $(V),,@)
SAY      = $(if $(V),@:,@printf '  %-7s %s\n')

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all programs deps run check check-all bench lint clean help

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wundef \
	-Wwrite-strings -Wvla -Wformat=2 $(if $(filter 0,$(WERROR)),,-Werror)
FLAGS_release := -O2
FLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DLOMBARD_DEBUG -DLOMBARD_FAULTS
FLAGS_tsan    := -O1 -fsanitize=thread -fno-omit-frame-pointer -DLOMBARD_DEBUG -DLOMBARD_FAULTS
VARIANT_FLAGS := $(FLAGS_$(VARIANT))
ifeq ($(VARIANT_FLAGS),)
$(error VARIANT is $(VARIANT); it must be release, asan or tsan)
endif

CFLAGS  = -std=gnu11 -g $(VARIANT_FLAGS) $(WARN) -pthread
CPPFLAGS = -Ihv -Ihv/abi -D_GNU_SOURCE -MMD -MP
LDFLAGS = $(VARIANT_FLAGS) -pthread

# Each module.mk does:  PROGS += NAME; NAME_SRCS := ...; NAME_PKGS := pkg-config names; NAME_LIBS := -l...
PROGS :=
ALL   :=

include hv/module.mk
include guest/module.mk
include host-tools/module.mk
include tests/module.mk

objs = $(patsubst %.c,$(B)/%.o,$($(1)_SRCS))

define program
$(B)/bin/$(1): $$(call objs,$(1))
	$$(SAY) LD $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(if $$($(1)_PKGS),$$$$(pkg-config --libs $$($(1)_PKGS))) $$($(1)_LIBS)
OBJS += $$(call objs,$(1))
endef
$(foreach p,$(PROGS),$(eval $(call program,$(p))))

$(B)/%.o: %.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

-include $(sort $(OBJS:.o=.d))

# ... and what tests and benchmarks are made of, but for unit tests.
programs: all $(addprefix $(B)/bin/,$(filter-out unit/%,$(PROGS)))

all: $(addprefix $(B)/bin/,$(BIN_PROGS)) $(ALL)

deps:
	$(Q)tests/tools/install-packages.sh

# The steps are makes of their own, because the packages must be there before anything is built.
# FILE goes to the shell as a variable, which make exports: its name may have quotes.
run:
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)host-tools/main-job.sh $(B)/bin $(GUEST_B) $(if $(FILE),"$$FILE")

check:
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)tests/tools/run-check.sh check-unit check-threads check-host

check-all:
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)-$(MAKE) --no-print-directory testbed-ready
	$(Q)tests/tools/run-check.sh lint check-unit check-threads check-host --together $(TESTBED_ONES)

lint:
	$(Q)tests/tools/install-packages.sh g++ clang clang-tidy clang-format shellcheck mandoc
	$(Q)tests/tools/lint.sh

clean:
	rm -rf build

help:
	@sed -n '3,14s/^# \{0,1\}//p' Makefile

.DEFAULT_GOAL := all
