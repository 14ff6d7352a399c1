# SPDX-License-Identifier: BSD-2-Clause

PROGS     += lombard
BIN_PROGS += lombard
lombard_SRCS := $(wildcard host-tools/lombard/*.c) hv/lib/sock.c hv/lib/sys.c
lombard_PKGS := jansson

include host-tools/libchan/module.mk
include host-tools/xen/module.mk
include host-tools/blk/module.mk
include host-tools/examples/module.mk
include host-tools/install.mk
