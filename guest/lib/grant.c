/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grants: our own table, which the hypervisor shows in the window area, and pages of others.
 */
#include "lombard-guest.h"
#include "start.h"

#define MAX_FRAMES 64u
#define PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))
#define MAX_MAPS 1024u

static struct grant_entry_v1 *frames[MAX_FRAMES];
static uint64_t taken[MAX_FRAMES * PER_FRAME / 64]; /* references in use, by number */

/* Pages of others that are mapped; page 0 is no window: a free place. */
static struct {
	uint64_t gfn;
	uint32_t handle;
} maps[MAX_MAPS];

static int error_of(int16_t status)
{
	switch (status) {
	case GNTST_okay:
		return 0;
	case GNTST_bad_domain:
		return -XEN_ESRCH;
	case GNTST_general_error:
	case GNTST_permission_denied:
		return -XEN_EPERM;
	case GNTST_bad_page:
		return -XEN_EFAULT;
	case GNTST_no_device_space:
	case GNTST_no_space:
		return -XEN_ENOSPC;
	default:
		return -XEN_EINVAL;
	}
}

/* One operation on one structure, whose status the caller looks at. */
static int gnttab_op(unsigned int cmd, void *arg)
{
	return (int)hypercall(__HYPERVISOR_grant_table_op, cmd, (uint64_t)arg, 1, 0, 0);
}

static int show_frame(unsigned int frame)
{
	struct xen_add_to_physmap arg = {
	    .domid = DOMID_SELF,
	    .space = XENMAPSPACE_grant_table,
	    .idx = frame,
	};
	uint64_t gfn;
	int err = window_take(1, 1, &gfn);

	if (err != 0)
		return err;
	arg.gpfn = gfn;
	err = hypercall_memory_op(XENMEM_add_to_physmap, &arg);
	if (err != 0) {
		window_give(gfn);
		return err;
	}
	frames[frame] = (struct grant_entry_v1 *)(gfn * PAGE_SIZE);
	return 0;
}

static int entry_of(uint32_t ref, struct grant_entry_v1 **entry)
{
	uint32_t frame = ref / PER_FRAME;
	int err = 0;

	if (frame >= MAX_FRAMES)
		return -XEN_EINVAL;
	if (frames[frame] == NULL)
		err = show_frame(frame);
	if (err == 0)
		*entry = &frames[frame][ref % PER_FRAME];
	return err;
}

int grant_page_as(uint32_t ref, const void *page, uint16_t domid, bool writable)
{
	uint16_t flags = GTF_permit_access | (writable ? 0 : GTF_readonly);
	struct grant_entry_v1 *e;
	int err = (uint64_t)page % PAGE_SIZE == 0 ? entry_of(ref, &e) : -XEN_EINVAL;

	if (err != 0)
		return err;
	if (taken[ref / 64] >> (ref % 64) & 1)
		return -XEN_EBUSY;
	taken[ref / 64] |= 1UL << (ref % 64);
	e->domid = domid;
	e->frame = (uint32_t)((uint64_t)page / PAGE_SIZE);
	/* Only now does it mean something. */
	__atomic_store_n(&e->flags, flags, __ATOMIC_SEQ_CST);
	return 0;
}

int grant_page(const void *page, uint16_t domid, bool writable, uint32_t *ref)
{
	uint32_t i = GNTTAB_NR_RESERVED_ENTRIES;
	int err;

	while (i < MAX_FRAMES * PER_FRAME && (taken[i / 64] >> (i % 64) & 1))
		i++;
	if (i == MAX_FRAMES * PER_FRAME)
		return -XEN_ENOSPC;
	err = grant_page_as(i, page, domid, writable);
	if (err == 0)
		*ref = i;
	return err;
}

int grant_revoke(uint32_t ref)
{
	struct grant_entry_v1 *e;
	uint16_t flags;
	int err = entry_of(ref, &e);

	if (err != 0)
		return err;
	flags = __atomic_load_n(&e->flags, __ATOMIC_SEQ_CST);
	do
		if (flags & (GTF_reading | GTF_writing))
			return -XEN_EBUSY;
	while (!__atomic_compare_exchange_n(
	    &e->flags, &flags, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	taken[ref / 64] &= ~(1UL << (ref % 64));
	return 0;
}

static unsigned int find_map(uint64_t gfn)
{
	unsigned int i = 0;

	while (i < MAX_MAPS && maps[i].gfn != gfn)
		i++;
	return i;
}

int grant_map(uint16_t domid, uint32_t ref, bool writable, void **page)
{
	struct gnttab_map_grant_ref op = {
	    .flags = GNTMAP_host_map | (writable ? 0 : GNTMAP_readonly), .ref = ref, .dom = domid};
	unsigned int i = find_map(0);
	uint64_t gfn;
	int err = i < MAX_MAPS ? window_take(1, 1, &gfn) : -XEN_ENOSPC;

	if (err != 0)
		return err;
	op.host_addr = gfn * PAGE_SIZE;
	err = gnttab_op(GNTTABOP_map_grant_ref, &op);
	if (err == 0)
		err = error_of(op.status);
	if (err != 0) {
		window_give(gfn);
		return err;
	}
	maps[i].gfn = gfn;
	maps[i].handle = op.handle;
	*page = (void *)(gfn * PAGE_SIZE);
	return 0;
}

int grant_unmap(void *page)
{
	uint64_t gfn = (uint64_t)page / PAGE_SIZE;
	struct gnttab_unmap_grant_ref op = {.host_addr = (uint64_t)page};
	unsigned int i = gfn != 0 ? find_map(gfn) : MAX_MAPS;
	int err;

	if (i == MAX_MAPS)
		return -XEN_EINVAL;
	op.handle = maps[i].handle;
	err = gnttab_op(GNTTABOP_unmap_grant_ref, &op);
	if (err == 0)
		err = error_of(op.status);
	if (err != 0)
		return err;
	maps[i].gfn = 0;
	return window_give(gfn);
}
