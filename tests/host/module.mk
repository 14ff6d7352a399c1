# SPDX-License-Identifier: BSD-2-Clause
#
#   make check-host      integration tests on this machine's KVM, with ASan and UBSan
#                        (HOST=02 picks a file of tests/host; HOST_VARIANT=release
#                        or tsan another build)

HOST_VARIANT ?= asan

HOST_PROGS := host/typist host/rawclient host/frames host/chanhost host/spoilcalls
PROGS      += $(HOST_PROGS)
host/rawclient_SRCS := tests/host/rawclient.c hv/lib/sock.c hv/lib/sys.c
host/frames_SRCS    := tests/host/frames.c
host/typist_SRCS    := tests/host/typist.c
host/spoilcalls_SRCS := tests/host/spoilcalls.c hv/vmm/bzimage.c hv/vmm/unpack.c
host/spoilcalls_PKGS := liblz4 liblzma libzstd zlib
# As a user's program would be: with the public headers and the library.
host/chanhost_SRCS  := tests/host/chanhost.c
host/chanhost_LIBS  := $(LIBCHAN).a $(LIBCHAN_LIBS)
$(B)/bin/host/chanhost: $(LIBCHAN).a
$(B)/tests/host/chanhost.o: CPPFLAGS += -Ihv/chan

# As Debian's tools are: with Debian's libraries, and without sanitizers, whatever VARIANT is.
HOST_XEN_PROGS := host/xenprobe host/xenmem host/xeninfo host/xenfuzz host/xengrant
HOST_PROGS += $(HOST_XEN_PROGS)
OBJS       += $(HOST_XEN_PROGS:%=$(B)/xen/tests/%.o)
$(HOST_XEN_PROGS:%=$(B)/bin/%): $(B)/bin/%: $(B)/xen/tests/%.o
	$(SAY) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) -Wl,--as-needed -o $@ $^ -lxenctrl -lxenguest -lxencall -lxenevtchn -lxengnttab -lxenforeignmemory
$(B)/xen/tests/host/xenmem.o: CPPFLAGS += -Iguest/probe

# A libxencall whose hypercalls all fail: only what it says to the cell is another's.
HOST_PROGS     += host/libxencall-refuses.so
XENREFUSE_OBJS := $(patsubst %,$(B)/xen/%.o,tests/host/xenrefuse host-tools/xen/xencall host-tools/xen/active \
	host-tools/xen/link hv/lib/reach hv/lib/sock)
OBJS           += $(XENREFUSE_OBJS)
$(B)/bin/host/libxencall-refuses.so: $(XENREFUSE_OBJS) host-tools/xen/xencall.map
	$(SAY) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) -pthread -shared -Wl,-soname,libxencall.so.1 -Wl,-z,defs \
		-Wl,--version-script,host-tools/xen/xencall.map -o $@ $(XENREFUSE_OBJS) $(XENLIB_LIBS)

# Run in Linux guests, which have no libraries; without sanitizers, whatever VARIANT is.
STATIC_PROGS := host/linuxxen host/linuxsimd host/unixend
HOST_PROGS   += $(STATIC_PROGS)
$(STATIC_PROGS:%=$(B)/bin/%): $(B)/bin/%: tests/%.c
	$(SAY) LD $@
	@mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu11 -O2 $(WARN) -static -o $@ $< $($(notdir $@)_LIBS)
unixend_LIBS := -lxxhash
programs: $(STATIC_PROGS:%=$(B)/bin/%)

# The same for programs with the channel library, which lend or are the examples of channels.
LINUX_PROGS := linuxloan tell hear
LINUX_SRC_linuxloan := tests/host/linuxloan.c
LINUX_SRC_tell      := guest/tell/tell.c
LINUX_SRC_hear      := guest/hear/hear.c
HOST_PROGS  += $(LINUX_PROGS:%=linux/%)
LINUX_OBJS  := $(patsubst %.c,$(B)/linux/%.o,$(LIBCHAN_SRCS) $(foreach p,$(LINUX_PROGS),$(LINUX_SRC_$(p))))
OBJS        += $(LINUX_OBJS)
$(LINUX_OBJS): $(B)/linux/%.o: %.c
	$(SAY) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Ihv/chan -Iguest/linux -Ihost-tools/examples -std=gnu11 -O2 $(WARN) -pthread -c -o $@ $<

define linux_program
$(B)/bin/linux/$(1): $$(LINUX_SRC_$(1):%.c=$(B)/linux/%.o) $$(LIBCHAN_SRCS:%.c=$(B)/linux/%.o)
	$$(SAY) LD $$@
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -pthread -static -o $$@ $$^ $$(LIBCHAN_LIBS)
programs: $(B)/bin/linux/$(1)
endef
$(foreach p,$(LINUX_PROGS),$(eval $(call linux_program,$(p))))

.PHONY: check-host host-run
check-host:
	$(Q)$(MAKE) --no-print-directory VARIANT=$(HOST_VARIANT) host-run

host-run: $(addprefix $(B)/bin/,$(BIN_PROGS) $(HOST_PROGS)) $(ALL)
	$(Q)HOST_GUESTS=$(GUEST_B) tests/tools/run-host.sh $(B) $(HOST)
