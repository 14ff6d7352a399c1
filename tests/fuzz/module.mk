# SPDX-License-Identifier: BSD-2-Clause
#
#   make fuzz            libFuzzer (clang) on what hostile channel peers can write; SECONDS=, FUZZ_DIR=
#
# Without clang the same targets run on random input, as part of check-unit (unit/chan_fuzz).

FUZZ_DIR   ?= build/fuzz
FUZZ_CLANG ?= clang
FUZZ_FLAGS := -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

$(FUZZ_DIR)/chan: $(wildcard tests/fuzz/chan_*) $(CHAN_SRCS) $(wildcard hv/chan/*.h hv/abi/lombard/*.h)
	$(SAY) FUZZ $@
	@mkdir -p $(@D)/corpus
	$(Q)$(FUZZ_CLANG) $(CPPFLAGS) $(WARN) $(FUZZ_FLAGS) -o $@ $(filter %.c,$^)

.PHONY: fuzz
fuzz: $(FUZZ_DIR)/chan
	$(Q)$< -max_total_time=$(SECONDS) -max_len=2000 -print_final_stats=1 $(FUZZ_DIR)/corpus
