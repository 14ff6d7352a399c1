/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls of guests that were not made for Lombard.  KVM answers the processor's own instructions
 * for them, VMMCALL and VMCALL, by itself.  So they become what reaches us: `out` to a port.
 *
 * Linux since the end of 2024 (and the stable kernels of then) has two functions for all of its Xen
 * hypercalls, one for each vendor of processors: the instruction and a return, or a jump to the
 * thunk that returns.  Others have a page of calls written by the hypervisor.  Where neither is found, a
 * KVM that knows Xen's guests can pass the instructions on.
 */
#include "vmm/pvh_private.h"

#include <errno.h>
#include <string.h>

#include "lombard/loan.h"

#define CALL_LEN 3
#define RET 0xc3
#define JMP 0xe9
#define JMP_LEN 5
#define OUT_IMM 0xe7
#define NOP 0x90
#define MOV_EAX 0xb8

/* How far apart the two functions can be. */
#define NEAR 64

/*
 * How functions begin: at such a boundary, or with an ENDBR64.  Kernels call other hypervisors, too, but
 * from within functions.
 */
#define FUNCTION_ALIGN 16
static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

/* Pieces of a page of calls: 32 bytes each, by number.  There is none for iret in HVM guests. */
#define PIECE 32
#define IRET 23
#define UD2_0 0x0f
#define UD2_1 0x0b

static const uint8_t vmmcall[CALL_LEN] = {0x0f, 0x01, 0xd9};
static const uint8_t vmcall[CALL_LEN] = {0x0f, 0x01, 0xc1};

/* A segment's bytes in RAM. */
struct code {
	uint8_t *begin, *end;
};

static bool function_begins_p(const struct code *c, const uint8_t *at)
{
	return (uintptr_t)at % FUNCTION_ALIGN == 0 ||
	       (at - c->begin >= (ptrdiff_t)sizeof(endbr64) &&
		   memcmp(at - sizeof(endbr64), endbr64, sizeof(endbr64)) == 0);
}

/*
 * Whether this is a function of the instruction and a return; *target is then where that jumps to, or
 * NULL when it returns right here.
 */
static bool function_p(
    const struct code *c, const uint8_t *at, const uint8_t insn[CALL_LEN], const uint8_t **target)
{
	const uint8_t *end = c->end;
	int32_t distance;

	if (end - at < CALL_LEN + 1 || memcmp(at, insn, CALL_LEN) != 0 || !function_begins_p(c, at))
		return false;
	*target = NULL;
	if (at[CALL_LEN] == RET)
		return true;
	if (end - at < CALL_LEN + JMP_LEN || at[CALL_LEN] != JMP)
		return false;
	memcpy(&distance, at + CALL_LEN + 1, sizeof(distance));
	*target = (const uint8_t *)((uintptr_t)at + CALL_LEN + JMP_LEN +
				    (uintptr_t)(intptr_t)distance);
	return true;
}

/* The other vendor's function, before or behind. */
static uint8_t *find_near(const struct code *c, uint8_t *amd, const uint8_t *target)
{
	uint8_t *from = amd - c->begin > NEAR ? amd - NEAR : c->begin;
	uint8_t *to = c->end - amd > NEAR ? amd + NEAR : c->end;

	for (uint8_t *at = from; at < to; at++) {
		const uint8_t *other;

		if (function_p(c, at, vmcall, &other) && other == target)
			return at;
	}
	return NULL;
}

/* By the instruction's last byte, which is rare: there are 25 MiB to look through. */
void pvh_look_for_calls(uint8_t *begin, uint8_t *end, struct pvh_calls *p)
{
	const struct code c = {begin, end};

	for (uint8_t *last = begin; last < end; last++) {
		const uint8_t *target;
		uint8_t *at, *intel;

		last = memchr(last, vmmcall[CALL_LEN - 1], (size_t)(end - last));
		if (last == NULL)
			return;
		at = last - (CALL_LEN - 1);
		if (at < begin || !function_p(&c, at, vmmcall, &target))
			continue;
		intel = find_near(&c, at, target);
		if (intel == NULL)
			continue;
		p->amd = at;
		p->intel = intel;
		p->found++;
	}
}

static void rewrite(uint8_t *at)
{
	at[0] = OUT_IMM;
	at[1] = LOMBARD_HYPERCALL_PORT;
	at[2] = NOP;
}

bool pvh_rewrite_found(const struct pvh_calls *p)
{
	if (p->found != 1)
		return false;
	rewrite(p->amd);
	rewrite(p->intel);
	return true;
}

int pvh_calls_lost(const char *path, unsigned found, struct failure *f)
{
	return failure_set(f, -ENOEXEC,
	    "%s can't be loaded: nothing would bring this Linux's hypercalls here. It has no Xen "
	    "note "
	    "HYPERCALL_PAGE. Newer kernels have a function of vmmcall (0f 01 d9) and a return, and "
	    "within %d bytes one of vmcall (0f 01 c1) and the same return. Such pairs in its code: "
	    "%u. "
	    "And this host's KVM lacks KVM_CAP_XEN_HVM with INTERCEPT_HCALL (CONFIG_KVM_XEN of "
	    "Linux)",
	    path, NEAR, found);
}

int pvh_rewrite_calls(struct loader *l)
{
	struct pvh_calls p = {0};

	for (size_t i = 0; i < l->nphdrs; i++) {
		const GElf_Phdr *ph = &l->phdrs[i];

		if (pvh_load_p(ph) && (ph->p_flags & PF_X)) {
			uint8_t *begin = gmem_ptr(l->gm, ph->p_paddr, ph->p_filesz);

			pvh_look_for_calls(begin, begin + ph->p_filesz, &p);
		}
	}
	if (pvh_rewrite_found(&p))
		return 0;
	l->pass = l->img->can_pass; /* whatever executes them, then */
	return l->pass ? 0 : pvh_calls_lost(l->img->path, p.found, l->f);
}

void pvh_hypercall_page(uint8_t page[PVH_CALL_PAGE])
{
	for (uint32_t nr = 0; nr < PVH_CALL_PAGE / PIECE; nr++) {
		uint8_t *piece = page + (size_t)nr * PIECE;

		memset(piece, NOP, PIECE);
		if (nr == IRET) {
			piece[0] = UD2_0;
			piece[1] = UD2_1;
			continue;
		}
		piece[0] = MOV_EAX;
		memcpy(piece + 1, &nr, sizeof(nr));
		piece[5] = OUT_IMM;
		piece[6] = LOMBARD_HYPERCALL_PORT;
		piece[7] = RET;
	}
}
