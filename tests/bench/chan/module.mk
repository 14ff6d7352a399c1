# SPDX-License-Identifier: BSD-2-Clause
#
#   make bench-chan      what messages cost over channels, beside the same messages in other ways;
#                        part of make bench.  As root it reserves huge pages while it runs, and
#                        installs gnuplot for the plots

PROGS += bench/chan bench/chanpeer
bench/chan_SRCS := $(addprefix tests/bench/chan/,cell.c files.c hosts.c main.c pin.c plan.c points.c readers.c report.c verdict.c) \
	$(CORE_SRCS)
bench/chan_PKGS := $(lombardd_PKGS)
bench/chan_LIBS := -lm
bench/chanpeer_SRCS := $(addprefix tests/bench/chan/,peer.c peer_pass.c pin.c)

$(B)/tests/bench/chan/%.o: CPPFLAGS += -Ihv/chan

.PHONY: bench-chan bench-chan-run
bench-chan:
	$(Q)$(MAKE) --no-print-directory VARIANT=release bench-chan-run

bench-chan-run: $(addprefix $(B)/bin/,bench/chan bench/chanpeer lombard-vmm) $(GUEST_B)/probe.elf
	$(Q)tests/bench/chan/run.sh $(B)/bin $(GUEST_B) $(CSV) $(EFFORT)
