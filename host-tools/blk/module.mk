# SPDX-License-Identifier: BSD-2-Clause

PROGS     += lombard-blk
BIN_PROGS += lombard-blk
lombard-blk_SRCS := $(wildcard host-tools/blk/*.c) hv/lib/confine.c hv/lib/failure.c hv/lib/reach.c hv/lib/sock.c hv/lib/spin.c hv/lib/sys.c \
	$(addprefix host-tools/xen/,xenevtchn.c xengnttab.c gntdev.c gntfill.c $(XENLIB_MAPS) $(XENLIB_COMMON))
lombard-blk_PKGS := jansson libseccomp liburing xenstore xentoolcore xentoollog
