# SPDX-License-Identifier: BSD-2-Clause
#
#   make check-unit      unit tests and model, with ASan and UBSan (STEPS=, SEED= for the model)
#   make check-threads   the threaded ones, with TSan (SECONDS= each)
#
#   make check-night     the same and check-host, for hours
#
# A new tests/unit/*/test_*.c is picked up by itself.  tests/unit/uvm gets the core on the soft pmap;
# elsewhere its first lines say what to link: /* links: hv/lib/x.c hv/lib/y.c */ and perhaps
# /* pkgs: jansson */ (pkg-config names).

STEPS   ?= 200000
SECONDS ?= 10

UNIT_COMMON := tests/unit/fixture.c hv/pmap/pmap_soft.c $(UVM_SRCS)
CORE_SRCS   := $(filter-out hv/core/main.c,$(lombardd_SRCS))
CHAN_FAKE   := $(wildcard tests/unit/chan/fake*.c)
UNIT_UVM    := $(wildcard tests/unit/uvm/test_*.c)
UNIT_OTHER  := $(filter-out $(UNIT_UVM) tests/unit/known_bad/%,$(wildcard tests/unit/*/test_*.c))
UNIT_TESTS  := $(foreach t,$(UNIT_UVM) $(UNIT_OTHER),$(patsubst tests/unit/%.c,unit/%,$(t)))
UNIT_PLAIN  := unit/model unit/stress_lock unit/stress_arena unit/stress_grant unit/stress_chan unit/chan_fuzz
UNIT_PROGS  := $(UNIT_TESTS) unit/known_bad $(UNIT_PLAIN)
PROGS       += $(UNIT_PROGS)

# test_says WORD,FILE: what stands behind "WORD: " in a comment line at the head of FILE
test_says = $(shell sed -n '1,5s,^/\* $(1): \(.*\) \*/.*,\1,p' $(2))

define uvm_test
$(patsubst tests/unit/%.c,unit/%,$(1))_SRCS := $(1) tests/unit/lvtest.c tests/unit/failnth.c $$(UNIT_COMMON)
$(patsubst tests/unit/%.c,unit/%,$(1))_LIBS := -lcriterion
endef
define other_test
$(patsubst tests/unit/%.c,unit/%,$(1))_SRCS := $(1) $(call test_says,links,$(1))
$(patsubst tests/unit/%.c,unit/%,$(1))_PKGS := $(call test_says,pkgs,$(1))
$(patsubst tests/unit/%.c,unit/%,$(1))_LIBS := -lcriterion
endef
$(foreach t,$(UNIT_UVM),$(eval $(call uvm_test,$(t))))
$(foreach t,$(UNIT_OTHER),$(eval $(call other_test,$(t))))

unit/known_bad_SRCS   := tests/unit/known_bad/test_known_bad.c tests/unit/lvtest.c $(UNIT_COMMON)
unit/known_bad_LIBS   := -lcriterion
unit/model_SRCS       := $(wildcard tests/unit/model/*.c) $(UNIT_COMMON)
unit/stress_lock_SRCS := tests/unit/stress/stress_lock.c hv/uvm/uvm_lock.c
unit/stress_arena_SRCS := tests/unit/stress/stress_arena.c $(UNIT_COMMON)
unit/stress_grant_SRCS := tests/unit/stress/stress_grant.c hv/xen/grant.c hv/xen/grant_copy.c \
	hv/xen/grant_op.c hv/xen/grant_share.c hv/pmap/store_memfd.c hv/lib/failure.c hv/lib/sys.c \
	$(UNIT_COMMON)
unit/stress_chan_SRCS := tests/unit/chan/stress_chan.c $(CHAN_FAKE) $(CHAN_SRCS)

unit/chan_fuzz_SRCS := $(wildcard tests/fuzz/*.c) $(CHAN_SRCS)

$(B)/tests/unit/%.o: CPPFLAGS += -Itests/unit
$(B)/tests/unit/blk/%.o: CPPFLAGS += -Ihost-tools/blk
$(B)/tests/unit/xenlib/%.o: CPPFLAGS += -Ihost-tools/xen
# Parts of the small guests' library that need no guest.
$(B)/tests/unit/guest/%.o $(B)/guest/lib/%.o: CPPFLAGS += -Iguest/lib

.PHONY: check-unit check-threads check-night unit-run threads-run
# What takes hours: ten million steps of the model, long threads, every single failing call, ten
# minutes of channels; and the whole system with TSan, which is several times slower.
check-night:
	$(Q)TIMEOUT=36000 $(MAKE) --no-print-directory check-unit STEPS=10000000
	$(Q)TIMEOUT=3600 $(MAKE) --no-print-directory check-threads SECONDS=600
	$(Q)HOST_EVERY=1 HOST_SOAK=600 $(MAKE) --no-print-directory check-host
	$(Q)HOST_SCALE=3 HOST_SOAK=120 $(MAKE) --no-print-directory check-host HOST_VARIANT=tsan

check-unit:
	$(Q)$(MAKE) --no-print-directory VARIANT=asan unit-run

check-threads:
	$(Q)$(MAKE) --no-print-directory VARIANT=tsan threads-run

unit-run: $(addprefix $(B)/bin/,$(UNIT_PROGS))
	$(Q)B=$(B) CC='$(CC)' STEPS=$(STEPS) SEED=$(SEED) TESTS='$(UNIT_TESTS)' tests/tools/run-unit.sh unit

threads-run: $(addprefix $(B)/bin/,$(UNIT_PLAIN))
	$(Q)B=$(B) SECONDS_EACH=$(SECONDS) SEED=$(SEED) tests/tools/run-unit.sh threads

include tests/fuzz/module.mk
include tests/host/module.mk
include tests/bench/module.mk
include tests/testbed/module.mk
