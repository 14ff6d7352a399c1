/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XENMEM_decrease_reservation and _populate_physmap (Xen public/memory.h), by which a system's balloon gives RAM back
 * and takes it again.  Given back it is discarded; since a page that is touched gets memory, there is nothing to do
 * when it is taken again.
 */
#include <errno.h>
#include <string.h>

#include "lombard/loan.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define PAGE_SHIFT 12
#define MAX_ORDER 9U /* of an extent: Xen's bound for guests */

/* The command's upper bits are how many extents have been done: Xen's way, too. */
#define START_SHIFT 6
#define COMMAND ((UINT64_C(1) << START_SHIFT) - 1)

static int discard(uint64_t gfn, uint32_t n)
{
	struct wire_hypercall q = {.nr = LOMBARD_HYPERCALL_loan_op,
	    .cmd = LOANOP_discard,
	    .arg_len = sizeof(struct loan_discard)};
	const struct loan_discard op = {.gfn = gfn, .nr_pages = n};
	struct wire_result r;

	memcpy(q.arg, &op, sizeof(op));
	link_hypercall(&q, &r);
	return (int)r.ret;
}

static bool inside_p(const struct gmem_area *a, uint64_t gfn, uint64_t n)
{
	uint64_t first = a->gpa >> PAGE_SHIFT, pages = a->size >> PAGE_SHIFT;

	return gfn >= first && gfn - first < pages && n <= pages - (gfn - first);
}

/* => 0 or an error, which ends the operation */
static int do_extent(const struct vmm *vm, uint64_t cmd, uint64_t gfn, uint32_t n)
{
	if (!inside_p(&vm->mem.ram, gfn, n) && !inside_p(&vm->mem.high, gfn, n))
		return -EINVAL;
	return cmd == XENMEM_decrease_reservation ? discard(gfn, n) : 0;
}

/* => how many extents are done; whatever is wrong ends it, and is said in no other way, as with Xen */
static int64_t change_reservation(struct vcpu *v, struct hypercall *h)
{
	struct vmm *vm = v->vm;
	uint64_t cmd = h->arg[0] & COMMAND, start = h->arg[0] >> START_SHIFT, i = start;
	struct xen_memory_reservation r;
	xen_pfn_t gfn;

	if (gmem_copy_in(&vm->mem, &h->paging, &r, h->arg[1], sizeof(r)) ||
	    (r.domid != DOMID_SELF && r.domid != vm->cfg.domid) || r.extent_order > MAX_ORDER ||
	    r.nr_extents > UINT32_MAX >> START_SHIFT)
		return (int64_t)start;
	for (; i < r.nr_extents; i++) {
		if (hypercall_rest_p(vm, (unsigned)(i - start))) {
			h->arg[0] = i << START_SHIFT | cmd;
			return -ERESTART;
		}
		if (gmem_copy_in(&vm->mem, &h->paging, &gfn,
			(uintptr_t)r.extent_start.p + i * sizeof(gfn), sizeof(gfn)) ||
		    do_extent(vm, cmd, gfn, 1U << r.extent_order))
			break;
	}
	return (int64_t)i;
}

bool memory_op(struct vcpu *v, struct hypercall *h, int64_t *ret)
{
	uint64_t cmd = h->arg[0] & COMMAND;

	if (cmd != XENMEM_decrease_reservation && cmd != XENMEM_populate_physmap)
		return false;
	*ret = change_reservation(v, h);
	return true;
}
