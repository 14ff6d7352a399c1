# SPDX-License-Identifier: BSD-2-Clause
#
# The channel library for host programs: $(B)/lib/liblombard-chan.a and .so, with lombard-chan.pc.
# Both are made of the same position-independent objects, and give nothing away but chan_*.

LIBCHAN_SRCS := $(wildcard hv/chan/*.c host-tools/libchan/*.c) hv/pmap/pmap_local.c hv/pmap/mapcount.c \
	hv/lib/failure.c hv/lib/sock.c hv/lib/spin.c hv/lib/sys.c hv/lib/uffd.c
LIBCHAN_OBJS := $(LIBCHAN_SRCS:%.c=$(B)/pic/%.o)
LIBCHAN      := $(B)/lib/liblombard-chan
LIBCHAN_LIBS := $(shell pkg-config --libs jansson)
OBJS         += $(LIBCHAN_OBJS)
ALL          += $(LIBCHAN).a $(LIBCHAN).so $(B)/lib/lombard-chan.pc

$(LIBCHAN_OBJS): $(B)/pic/%.o: %.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -c -o $@ $<

# One object, in which everything but the interface is local.
$(B)/pic/lombard-chan.o: $(LIBCHAN_OBJS)
	$(SAY) LD $@
	$(Q)$(LD) -r -o $@ $^
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='chan_*' $@

OBJCOPY ?= objcopy

$(LIBCHAN).a: $(B)/pic/lombard-chan.o
	$(SAY) AR $@
	@mkdir -p $(@D)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(LIBCHAN).so: $(B)/pic/lombard-chan.o
	$(SAY) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,liblombard-chan.so.0 -o $@ $^ $(LIBCHAN_LIBS)
	$(Q)ln -sf liblombard-chan.so $@.0

$(B)/lib/lombard-chan.pc: host-tools/libchan/lombard-chan.pc.in hv/lib/version.h
	$(SAY) GEN $@
	@mkdir -p $(@D)
	$(Q)sed -e 's,@LIBDIR@,$(abspath $(B)/lib),' -e 's,@HV@,$(abspath hv),' \
		-e "s,@VERSION@,$$(sed -n 's/.*LOMBARD_VERSION "\(.*\)"/\1/p' hv/lib/version.h)," $< >$@
