# SPDX-License-Identifier: BSD-2-Clause
#
# The libraries that Debian's Xen tools find instead of Xen's: $(B)/lib/xen/libxen*.so.1.
#
# Programs that know nothing of sanitizers load them, so they are built without, whatever VARIANT
# is.  They are replaced by renaming: a program that uses the old one goes on with it.

XENLIBS := call evtchn foreignmemory gnttab
XENLIB_COMMON := active.c link.c
XENLIB_MAPS   := mapper.c maps.c view.c
xencall_SRCS          := xencall.c calls.c $(XENLIB_COMMON)
xenevtchn_SRCS        := xenevtchn.c $(XENLIB_COMMON)
xenforeignmemory_SRCS := xenforeignmemory.c $(XENLIB_MAPS) $(XENLIB_COMMON)
xengnttab_SRCS        := xengnttab.c xengntshr.c gntdev.c $(XENLIB_MAPS) $(XENLIB_COMMON)

# All of them, for tests.
XENLIB_SRCS := $(filter-out %/xenpaths.c,$(wildcard host-tools/xen/*.c)) hv/lib/reach.c hv/lib/sock.c hv/lib/sys.c

XENLIB_DIR  := $(B)/lib/xen
XENLIB_LIBS := $(shell pkg-config --libs jansson xentoollog xentoolcore)
XENLIB_CFLAGS = -std=gnu11 -g -O2 $(WARN) -pthread -fPIC

xenlib_objs = $(patsubst %,$(B)/xen/%.o,$(addprefix host-tools/xen/,$(basename $(xen$(1)_SRCS))) hv/lib/reach hv/lib/sock)

$(B)/xen/%.o: %.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(XENLIB_CFLAGS) -c -o $@ $<

define xenlib
$(XENLIB_DIR)/libxen$(1).so.1: $(call xenlib_objs,$(1)) host-tools/xen/xen$(1).map
	$$(SAY) LD $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -pthread -shared -Wl,-soname,libxen$(1).so.1 -Wl,-z,defs \
		-Wl,--version-script,host-tools/xen/xen$(1).map \
		-o $$@.new $$(filter %.o,$$^) $(XENLIB_LIBS)
	$$(Q)mv -f $$@.new $$@
	$$(Q)ln -sf libxen$(1).so.1 $(XENLIB_DIR)/libxen$(1).so
OBJS += $(call xenlib_objs,$(1))
ALL  += $(XENLIB_DIR)/libxen$(1).so.1
endef
$(foreach l,$(XENLIBS),$(eval $(call xenlib,$(l))))

# What LD_PRELOAD names: found by LD_LIBRARY_PATH, as the others are.
XENPATHS      := $(XENLIB_DIR)/liblombard-xenpaths.so
XENPATHS_OBJS := $(B)/xen/host-tools/xen/xenpaths.o
OBJS          += $(XENPATHS_OBJS)
ALL           += $(XENPATHS)
$(XENPATHS): $(XENPATHS_OBJS) host-tools/xen/xenpaths.map
	$(SAY) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -Wl,-z,defs -Wl,--version-script,host-tools/xen/xenpaths.map \
		-o $@.new $(XENPATHS_OBJS)
	$(Q)mv -f $@.new $@
