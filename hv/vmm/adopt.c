/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests that Xen's tools have built: what lies in their memory has not come by our loader (pvh.c).  Before such a
 * guest runs for the first time it is looked through for what that would have done.
 *
 * Only pages that have been written are read, since others take no memory yet.  The tool says in the start
 * information where the modules are, and they are left out: an initrd is data.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "lib/guestcpu.h"
#include "lib/sys.h"
#include "vmm/platform.h"
#include "vmm/pvh.h"
#include "vmm/vmm.h"

#define NAME "what the tool has loaded"

/* The note "Xen", GUEST_OS (6), "linux", as it lies in a file; and how HYPERCALL_PAGE (2) ends but for its value. */
static const uint8_t note_linux[] = {
    4, 0, 0, 0, 6, 0, 0, 0, 6, 0, 0, 0, 'X', 'e', 'n', 0, 'l', 'i', 'n', 'u', 'x', 0};
static const uint8_t note_page[] = {2, 0, 0, 0, 'X', 'e', 'n', 0};

/* Of those that a tool has loaded. */
#define MAX_MODULES 16

/* How far apart notes of one kernel lie at most. */
#define NOTES_LEN 1024

struct found {
	struct pvh_calls calls;
	bool linux_p;	/* a Linux's notes */
	bool call_page; /* which say that it asks for its hypercalls when it runs */
};

static void look_for_notes(const uint8_t *begin, const uint8_t *end, struct found *fd)
{
	const uint8_t *at = memmem(begin, (size_t)(end - begin), note_linux, sizeof(note_linux));
	const uint8_t *from, *to;

	if (at == NULL)
		return;
	from = at - begin > NOTES_LEN ? at - NOTES_LEN : begin;
	to = end - at > NOTES_LEN ? at + NOTES_LEN : end;
	fd->linux_p = true;
	fd->call_page = memmem(from, (size_t)(to - from), note_page, sizeof(note_page)) != NULL;
}

/* [from, to) of RAM, as far as it has been written.  => 0 or -errno */
static int look_through(struct vmm *vm, uint64_t from, uint64_t to, struct found *fd)
{
	const uint64_t base = vm->mem.ram.offset;
	uint8_t *ram = vm->mem.ram.hva;

	while (from < to) {
		off_t data = SYS(lseek(vm->pmap.store, (off_t)(base + from), SEEK_DATA)), hole;
		uint64_t end;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = SYS(lseek(vm->pmap.store, data, SEEK_HOLE));
		if (hole < 0)
			return -errno;
		from = (uint64_t)data - base;
		if (from >= to)
			return 0;
		end = (uint64_t)hole - base < to ? (uint64_t)hole - base : to;
		pvh_look_for_calls(ram + from, ram + end, &fd->calls);
		look_for_notes(ram + from, ram + end, fd);
		from = end;
	}
	return 0;
}

/* Where the first module lies that lies behind the kernel's beginning; the RAM's end if there is none. */
static uint64_t first_module(const struct vmm *vm, uint64_t entry, uint64_t start_info)
{
	uint64_t first = vm->mem.ram.size;
	struct hvm_start_info si;

	if (gmem_read(&vm->mem, start_info, &si, sizeof(si)) ||
	    si.magic != XEN_HVM_START_MAGIC_VALUE)
		return first;
	for (uint64_t i = 0; i < si.nr_modules && i < MAX_MODULES; i++) {
		struct hvm_modlist_entry m;

		if (gmem_read(&vm->mem, si.modlist_paddr + i * sizeof(m), &m, sizeof(m)) == 0 &&
		    m.paddr > entry && m.paddr < first)
			first = m.paddr;
	}
	return first;
}

/* => 0, or why it can't run */
static int bring_calls(struct vmm *vm, const struct found *fd, struct failure *f)
{
	if (fd->linux_p && !guestcpu_virtualized_p())
		return pvh_not_here(NAME, f);
	if (pvh_rewrite_found(&fd->calls))
		return 0;
	if (machine_can_pass_p(vm))
		return machine_pass_calls(vm, f);
	return fd->linux_p && !fd->call_page ? pvh_calls_lost(NAME, fd->calls.found, f) : 0;
}

int adopt(struct vmm *vm, struct failure *f)
{
	struct found found = {.linux_p = false};
	struct kvm_regs regs;
	uint64_t end;
	int ret;

	if (ioctl(vm->vcpus[0].fd, KVM_GET_REGS, &regs))
		return failure_sys(f, -errno, "KVM_GET_REGS");
	end = first_module(vm, regs.rip, regs.rbx);
	ret = look_through(vm, PLATFORM_LOW_END, end, &found);
	if (ret)
		return failure_sys(f, ret, NAME " can't be looked at");
	return bring_calls(vm, &found, f);
}
