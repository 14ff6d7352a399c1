# SPDX-License-Identifier: BSD-2-Clause
#
#   make install [PREFIX=/usr/local] [DESTDIR=]   programs, guests, libraries, headers, man pages
#
# Programs find each other, and the guests, from where they lie: the whole can be moved.

PREFIX  ?= /usr/local
TREE     = $(DESTDIR)$(PREFIX)
INSTALL ?= install
MAN_PAGES := $(wildcard docs/man/*.[1-9])

.PHONY: install
install: all
	$(SAY) INSTALL $(TREE)
	$(Q)$(INSTALL) -d $(TREE)/bin $(TREE)/lib/pkgconfig $(TREE)/lib/lombard/guests $(TREE)/lib/lombard/xen \
		$(TREE)/include/lombard $(addprefix $(TREE)/share/man/man,$(sort $(subst .,,$(suffix $(MAN_PAGES)))))
	$(Q)$(INSTALL) -m 755 $(addprefix $(B)/bin/,$(BIN_PROGS)) $(TREE)/bin
	$(Q)$(INSTALL) -m 644 $(GUESTS:%=$(GUEST_B)/%.elf) $(TREE)/lib/lombard/guests
	$(Q)$(INSTALL) -m 755 $(XENLIBS:%=$(XENLIB_DIR)/libxen%.so.1) $(XENPATHS) $(TREE)/lib/lombard/xen
	$(Q)$(INSTALL) -m 644 $(LIBCHAN).a $(TREE)/lib
	$(Q)$(INSTALL) -m 755 $(LIBCHAN).so $(TREE)/lib/liblombard-chan.so.$(VERSION)
	$(Q)ln -sf liblombard-chan.so.$(VERSION) $(TREE)/lib/$(LIBCHAN_SONAME)
	$(Q)ln -sf $(LIBCHAN_SONAME) $(TREE)/lib/liblombard-chan.so
	$(Q)$(call libchan_pc,$(PREFIX),$(PREFIX)/lib,-I$(PREFIX)/include) >$(TREE)/lib/pkgconfig/lombard-chan.pc
	$(Q)$(INSTALL) -m 644 $(LIBCHAN_HDRS) $(TREE)/include
	$(Q)$(INSTALL) -m 644 $(wildcard hv/abi/lombard/*.h) $(TREE)/include/lombard
	$(Q)for page in $(MAN_PAGES); do $(INSTALL) -m 644 $$page $(TREE)/share/man/man$${page##*.} || exit 1; done
