# SPDX-License-Identifier: BSD-2-Clause
#
#   make bench           what lending costs, beside the least it could cost here (release build);
#                        BENCH_GUESTS= most guests alive, EFFORT= percent of the rounds, CSV= directory;
#                        then make bench-chan, see chan/module.mk

EFFORT       ?= 100
CSV          ?= build/bench
BENCH_GUESTS ?= 500

PROGS += bench/bench bench/floor
bench/bench_SRCS := $(addprefix tests/bench/,cell.c ledger.c main.c measure.c peer.c report.c) \
	$(CORE_SRCS) hv/pmap/pmap_soft.c
bench/bench_PKGS := $(lombardd_PKGS)
bench/floor_SRCS := tests/bench/floor.c tests/bench/floor_vm.c hv/lib/failure.c hv/lib/sys.c hv/lib/uffd.c

$(B)/tests/bench/%.o: CPPFLAGS += -I.

.PHONY: bench-run
bench:
	$(Q)$(MAKE) --no-print-directory VARIANT=release bench-run
	$(Q)$(MAKE) --no-print-directory bench-chan

bench-run: $(addprefix $(B)/bin/,bench/bench bench/floor lombard-vmm) $(GUEST_B)/probe.elf
	$(Q)$(B)/bin/bench/bench --vmm=$(B)/bin/lombard-vmm --floor=$(B)/bin/bench/floor \
		--guest=$(GUEST_B)/probe.elf --csv=$(CSV) --guests=$(BENCH_GUESTS) --effort=$(EFFORT)

include tests/bench/chan/module.mk
include tests/bench/blk/module.mk
