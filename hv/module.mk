# SPDX-License-Identifier: BSD-2-Clause

UVM_SRCS := $(wildcard hv/uvm/*.c)

PROGS += lombardd
BIN_PROGS += lombardd
lombardd_SRCS := $(wildcard hv/core/*.c) $(UVM_SRCS) hv/pmap/pmap_remote.c hv/pmap/store_memfd.c \
	$(wildcard hv/xen/*.c) hv/lib/failure.c hv/lib/guestcpu.c hv/lib/host.c \
	hv/lib/log.c hv/lib/sock.c hv/lib/spin.c hv/lib/sys.c hv/lib/uffd.c
lombardd_PKGS := jansson

# The loader, which unit tests link.
PVH_SRCS := $(wildcard hv/vmm/pvh*.c) hv/vmm/acpi.c hv/vmm/bzimage.c hv/vmm/gmem.c hv/vmm/unpack.c \
	hv/lib/failure.c hv/lib/sys.c

PROGS += lombard-vmm
BIN_PROGS += lombard-vmm
lombard-vmm_SRCS := $(wildcard hv/vmm/*.c) hv/pmap/pmap_local.c hv/pmap/mapcount.c \
	hv/lib/confine.c hv/lib/failure.c hv/lib/guestcpu.c hv/lib/sock.c hv/lib/spin.c hv/lib/sys.c hv/lib/uffd.c
lombard-vmm_PKGS := libelf libseccomp liblz4 liblzma libzstd zlib
