# SPDX-License-Identifier: BSD-2-Clause
#
# The examples of channels as host programs: $(B)/bin/examples/NAME, of the same source text as the
# guest NAME, with the public header and the library that any program would use.

EXAMPLES := tell hear
PROGS    += $(EXAMPLES:%=examples/%)
ALL      += $(EXAMPLES:%=$(B)/bin/examples/%)

define example
examples/$(1)_SRCS := guest/$(1)/$(1).c
examples/$(1)_LIBS := $$(LIBCHAN).a $$(LIBCHAN_LIBS)
$(B)/bin/examples/$(1): $$(LIBCHAN).a
$(B)/guest/$(1)/$(1).o: CPPFLAGS += -Ihv/chan -Ihost-tools/examples
$(GUEST_B)/$(1)/$(1).o: GUEST_CPPFLAGS += -Ihost-tools/examples
endef
$(foreach e,$(EXAMPLES),$(eval $(call example,$(e))))
