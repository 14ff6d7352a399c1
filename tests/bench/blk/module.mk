# SPDX-License-Identifier: BSD-2-Clause
#
#   make bench-blk       what a small guest gets out of its disk, beside what a program of the host gets out of
#                        the same file by io_uring; EFFORT= is the percentage of the rounds, BESIDE= another
#                        build's directory (build/release), whose cell takes turns with this one's

PROGS += bench/blkfloor
bench/blkfloor_SRCS := tests/bench/blk/floor.c
bench/blkfloor_PKGS := liburing

.PHONY: bench-blk bench-blk-run
bench-blk:
	$(Q)$(MAKE) --no-print-directory VARIANT=release bench-blk-run

bench-blk-run: all $(B)/bin/bench/blkfloor
	$(Q)tests/bench/blk/run.sh $(B) $(GUEST_B) $(EFFORT) $(if $(BESIDE),"$$BESIDE")
