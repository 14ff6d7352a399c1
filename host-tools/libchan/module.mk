# SPDX-License-Identifier: BSD-2-Clause
#
# The channel library for host programs and for programs in Linux guests: $(B)/lib/liblombard-chan.a and
# .so, with lombard-chan.pc.  For the latter it has loans, too (guest/linux).  Both are made of the same
# position-independent objects, and give nothing away but chan_* and loan_*.

LIBCHAN_SRCS := $(wildcard hv/chan/*.c host-tools/libchan/*.c guest/linux/*.c) hv/pmap/pmap_local.c hv/pmap/mapcount.c \
	hv/lib/failure.c hv/lib/program.c hv/lib/reach.c hv/lib/sock.c hv/lib/spin.c hv/lib/sys.c hv/lib/uffd.c
LIBCHAN_HDRS := hv/chan/lombard-chan.h guest/linux/lombard-loan.h
LIBCHAN_OBJS := $(LIBCHAN_SRCS:%.c=$(B)/pic/%.o)
LIBCHAN      := $(B)/lib/liblombard-chan
LIBCHAN_SONAME := liblombard-chan.so.0
LIBCHAN_LIBS := $(shell pkg-config --libs jansson)
OBJS         += $(LIBCHAN_OBJS)
ALL          += $(LIBCHAN).a $(LIBCHAN).so $(B)/lib/lombard-chan.pc

$(LIBCHAN_OBJS) $(B)/host-tools/libchan/chan_host.o: CPPFLAGS += -Iguest/linux

$(LIBCHAN_OBJS): $(B)/pic/%.o: %.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -c -o $@ $<

# One object, in which everything but the interface is local.
$(B)/pic/lombard-chan.o: $(LIBCHAN_OBJS)
	$(SAY) LD $@
	$(Q)$(LD) -r -o $@ $^
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='chan_*' --keep-global-symbol='loan_*' $@

OBJCOPY ?= objcopy

$(LIBCHAN).a: $(B)/pic/lombard-chan.o
	$(SAY) AR $@
	@mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(LIBCHAN).so: $(B)/pic/lombard-chan.o
	$(SAY) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(LIBCHAN_SONAME) -o $@ $^ $(LIBCHAN_LIBS)
	$(Q)ln -sf liblombard-chan.so $(B)/lib/$(LIBCHAN_SONAME)

VERSION = $(shell sed -n 's/.*LOMBARD_VERSION "\(.*\)"/\1/p' hv/lib/version.h)

# $(call libchan_pc,PREFIX,LIBDIR,CFLAGS): print lombard-chan.pc
libchan_pc = sed -e 's,@PREFIX@,$(1),' -e 's,@LIBDIR@,$(2),' -e 's,@CFLAGS@,$(3),' \
	-e 's,@VERSION@,$(VERSION),' host-tools/libchan/lombard-chan.pc.in

# For programs that use this build as it lies here: PKG_CONFIG_PATH=$(B)/lib.
$(B)/lib/lombard-chan.pc: host-tools/libchan/lombard-chan.pc.in host-tools/libchan/module.mk hv/lib/version.h
	$(SAY) GEN $@
	@mkdir -p $(@D)
	$(Q)$(call libchan_pc,$(CURDIR),$(abspath $(B)/lib),-I$(CURDIR)/hv/chan -I$(CURDIR)/guest/linux -I$(CURDIR)/hv/abi) >$@
