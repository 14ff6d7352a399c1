# SPDX-License-Identifier: BSD-2-Clause
#
#   make check-npt       KVM's tests on AMD nested paging (QEMU's software SVM), on two kernels
#   make check-ept       the quick ones on Intel EPT (Bochs' software VMX)
#                        ONE=NAME runs one test by name; KERNELS= picks others; with PROCESSORS=1
#                        Linux guests do not crash now and then: see machine.sh
#   make check-linux     Linux guests, on nested paging of a machine with one processor, on two kernels
#   make check-npt-6.1 check-linux-6.1   on one of the kernels
#   make bench-boot      a Linux guest's way to its first process, beside QEMU's microvm, on AMD nested paging
#   make shell-npt shell-ept   a shell in there
#   make testbed-ready   fetches and builds what these need, and runs nothing
#
# tests/testbed/run.sh has more to offer.

PROGS        += testbed/hold testbed/tsckhz
testbed/hold_SRCS := tests/testbed/hold.c
testbed/tsckhz_SRCS := tests/testbed/tsckhz.c

TESTBED      := tests/testbed/run.sh --build $(B) --guests $(GUEST_B)
TESTBED_NEED := $(addprefix $(B)/bin/,$(BIN_PROGS) $(HOST_PROGS) testbed/hold testbed/tsckhz $(filter unit/vmm/%,$(UNIT_TESTS))) $(ALL)
# Hosts with an unstable TSC are among those where Lombard has to work: 6.1 is made one.
NPT_KERNELS   = $(or $(KERNELS),6.1:tsc=unstable 6.12)
# ... but KVM promises guests with several vCPUs no reliable TSC then, and Linux has its time from it.
LINUX_KERNELS = $(or $(KERNELS),6.1 6.12)
# One Debian is enough, since the making of its disk takes two minutes.
DEBIAN_TOO    = $(if $(filter 6.12%,$(LINUX_KERNELS)),--with-debian)
EPT_KERNELS   = $(or $(KERNELS),6.1)
kernels_of    = $(if $(filter ept,$(1)),$(EPT_KERNELS),$(if $(filter linux,$(1)),$(LINUX_KERNELS),$(NPT_KERNELS)))

# Each of them keeps one processor busy: those that take long begin first, for all to end soon.
TESTBED_ORDER := check-npt-6.12 check-ept-6.1
TESTBED_ALL  := $(foreach v,npt linux ept,$(foreach k,$(call kernels_of,$(v)),\
	check-$(v)-$(firstword $(subst :, ,$(k)))))
TESTBED_ONES := $(filter $(TESTBED_ORDER),$(TESTBED_ALL)) $(filter-out $(TESTBED_ORDER),$(TESTBED_ALL))

.PHONY: testbed-ready bench-boot check-npt check-linux check-ept shell-npt shell-ept $(TESTBED_ONES)
# So that several can run at once.  What can't be had here, each of them misses by itself.
testbed-ready: $(TESTBED_NEED)
	$(Q)$(TESTBED) --fetch --vendor npt $(NPT_KERNELS:%=--kernel %)
	$(Q)$(TESTBED) --fetch --vendor npt $(DEBIAN_TOO) $(patsubst %,--kernel %,$(filter 6.12%,$(LINUX_KERNELS)))
	$(Q)$(TESTBED) --fetch --vendor ept $(EPT_KERNELS:%=--kernel %)

check-npt: $(TESTBED_NEED)
	$(Q)$(TESTBED) --limit 3000 --vendor npt $(PROCESSORS:%=--processors %) $(NPT_KERNELS:%=--kernel %) $(if $(ONE),--test $(ONE))

check-linux: $(TESTBED_NEED)
	$(Q)$(TESTBED) --limit 1800 --vendor npt --processors 1 $(DEBIAN_TOO) $(LINUX_KERNELS:%=--kernel %) --test $(or $(ONE),linux)

check-ept: $(TESTBED_NEED)
	$(Q)$(TESTBED) --limit 2700 --vendor ept $(EPT_KERNELS:%=--kernel %) $(if $(ONE),--test $(ONE))

bench-boot: $(TESTBED_NEED)
	$(Q)$(TESTBED) --limit 900 --with-qemu --vendor npt --processors 1 --kernel $(firstword $(LINUX_KERNELS)) tests/bench/boot.sh $(ROUNDS)

shell-npt: $(TESTBED_NEED)
	$(Q)$(TESTBED) --vendor npt --kernel $(firstword $(NPT_KERNELS)) --shell

shell-ept: $(TESTBED_NEED)
	$(Q)$(TESTBED) --vendor ept --kernel $(firstword $(EPT_KERNELS)) --shell

# The kernel's name is what stands before the colon in the list.
$(filter check-npt-%,$(TESTBED_ONES)): check-npt-%:
	$(Q)$(MAKE) --no-print-directory check-npt KERNELS='$(filter $* $*:%,$(NPT_KERNELS))'

$(filter check-linux-%,$(TESTBED_ONES)): check-linux-%:
	$(Q)$(MAKE) --no-print-directory check-linux KERNELS='$(filter $* $*:%,$(LINUX_KERNELS))'

$(filter check-ept-%,$(TESTBED_ONES)): check-ept-%:
	$(Q)$(MAKE) --no-print-directory check-ept KERNELS='$(filter $* $*:%,$(EPT_KERNELS))'
