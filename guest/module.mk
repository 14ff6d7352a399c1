# SPDX-License-Identifier: BSD-2-Clause
#
# Small guests: build/guest/NAME.elf, each from its directory's C files and the library.  They are
# freestanding code for one CPU type, so VARIANT changes nothing here.  The library has the channel
# library in it (hv/chan), as host programs have.

GUESTS := checker counter editor fuzz hear pipe probe tell vchan victim

GUEST_B := build/guest$(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))
GUEST_CPPFLAGS := -Iguest/lib -Ihv/abi -Ihv/chan -MMD -MP
# The library provides memcpy and friends, so no loop of it may be turned into a call of itself.
GUEST_CFLAGS := -std=gnu11 -g -O2 $(WARN) -m64 -march=x86-64 -ffreestanding -fno-pie \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	$(if $(findstring clang,$(CC)),-fno-builtin,-fno-tree-loop-distribute-patterns)
GUEST_LDFLAGS := -m64 -nostdlib -static -Wl,-T,guest/lib/guest.ld -Wl,--build-id=none \
	-Wl,-z,noexecstack -Wl,-z,max-page-size=4096

GUEST_LIB := $(GUEST_B)/liblombard-guest.a
guest_objs = $(patsubst guest/%,$(GUEST_B)/%.o,$(basename $(wildcard guest/$(1)/*.c guest/$(1)/*.S)))
CHAN_SRCS  := $(wildcard hv/chan/*.c)
GUEST_CHAN := $(CHAN_SRCS:hv/%.c=$(GUEST_B)/%.o)
GUEST_OBJS := $(foreach g,lib $(GUESTS),$(call guest_objs,$(g))) $(GUEST_CHAN)

ALL += $(GUESTS:%=$(GUEST_B)/%.elf)

$(GUEST_B)/%.o: guest/%.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CPPFLAGS) $(GUEST_CFLAGS) -c -o $@ $<

# Only the transport sees more of the channel library than its header.
$(GUEST_B)/lib/chan_guest.o $(GUEST_B)/probe/chan.o: GUEST_CPPFLAGS += -Ihv

# These look beneath the library.
$(call guest_objs,fuzz) $(call guest_objs,victim): GUEST_CPPFLAGS += -Iguest/lib

$(GUEST_CHAN): $(GUEST_B)/%.o: hv/%.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CPPFLAGS) $(GUEST_CFLAGS) -c -o $@ $<

$(GUEST_B)/%.o: guest/%.S
	$(SAY) AS $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CPPFLAGS) -m64 -c -o $@ $<

$(GUEST_LIB): $(call guest_objs,lib) $(GUEST_CHAN)
	$(SAY) AR $@
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

define guest
$(GUEST_B)/$(1).elf: $$(call guest_objs,$(1)) $$(GUEST_LIB) guest/lib/guest.ld
	$$(SAY) LD $$@
	$$(Q)$$(CC) $$(GUEST_LDFLAGS) -o $$@ $$(filter-out %.ld,$$^)
endef
$(foreach g,$(GUESTS),$(eval $(call guest,$(g))))

-include $(GUEST_OBJS:.o=.d)
