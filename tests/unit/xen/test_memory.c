/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CORE_SRCS) tests/unit/xen/callfake.c */
/* pkgs: jansson xenstore */
/*
 * XENMEM_*, what informs and sharing: who is meant, wrong arguments, and what is left of them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "uvm/uvm_share.h"
#include "xen/callfake.h"

#define NOWHERE UINT64_C(0x1234000)
#define NOBODY 30000u

static void begin(void)
{
	cr_assert_eq(uvm_loan_init(), 0);
}

TestSuite(memory, .timeout = 60, .init = begin);

/* A guest's process that does whatever it is told. */
static int obey_enter(struct pmap *pm, const struct pmap_extent *ext, size_t n, size_t *done)
{
	(void)pm;
	(void)ext;
	*done = n;
	return 0;
}

static int obey_protect(struct pmap *pm, uint64_t gfn, uint64_t npages)
{
	(void)pm;
	(void)gfn;
	(void)npages;
	return 0;
}

static void obey_unprotect(struct pmap *pm, uint64_t gfn, uint64_t npages)
{
	(void)obey_protect(pm, gfn, npages);
}

static void obey_wake(struct pmap *pm, uint64_t gfn)
{
	(void)obey_protect(pm, gfn, 1);
}

static const struct pmap_ops obedient = {
    .pmo_enter = obey_enter,
    .pmo_protect = obey_protect,
    .pmo_unprotect = obey_unprotect,
    .pmo_wake = obey_wake,
};

/* A guest with RAM, some frames of which it has touched. */
static struct guest *guest(const char *name, unsigned frames)
{
	struct guest *g = fake_guest(name, frames, 0);

	g->g_pmap.rp_pmap.pm_ops = &obedient;
	uvm_world_enter();
	cr_assert_eq(uvm_map_enter_ram(g->g_map, 0, g->g_ram_pages), 0);
	uvm_world_leave();
	return g;
}

static int64_t of_domain(uint64_t cmd, domid_t domid)
{
	memcpy(fake.fk_memory, &domid, sizeof(domid));
	return fake_call(__HYPERVISOR_memory_op, cmd, FAKE_BASE);
}

static int64_t sharing(struct xen_mem_sharing_op *op)
{
	int64_t ret;

	memcpy(fake.fk_memory, op, sizeof(*op));
	ret = fake_call(__HYPERVISOR_memory_op, XENMEM_sharing_op, FAKE_BASE);
	memcpy(op, fake.fk_memory, sizeof(*op));
	return ret;
}

static int64_t nominate(uint32_t domid, uint64_t gfn, uint64_t *handle)
{
	struct xen_mem_sharing_op op = {
	    .op = XENMEM_sharing_op_nominate_gfn, .domain = (domid_t)domid};
	int64_t ret;

	op.u.nominate.u.gfn = gfn;
	ret = sharing(&op);
	*handle = op.u.nominate.handle;
	return ret;
}

static int64_t range(struct guest *d, struct guest *cd, uint64_t first, uint64_t last)
{
	struct xen_mem_sharing_op op = {
	    .op = XENMEM_sharing_op_range_share, .domain = (domid_t)d->g_domid};

	op.u.range.first_gfn = first;
	op.u.range.last_gfn = last;
	op.u.range.client_domain = (domid_t)cd->g_domid;
	return sharing(&op);
}

static int64_t enable(struct guest *g, uint8_t yes)
{
	struct xen_domctl op = {.cmd = 0};

	op.u.mem_sharing_op.op = XEN_DOMCTL_MEM_SHARING_CONTROL;
	op.u.mem_sharing_op.u.enable = yes;
	return fake_domctl(XEN_DOMCTL_mem_sharing_op, g->g_domid, &op);
}

Test(memory, reservations_are_told)
{
	struct guest *g, *p;
	uint64_t before;

	fake_reset(0);
	g = guest("g", 7);
	p = fake_program("p");
	cr_assert_eq(of_domain(XENMEM_current_reservation, (domid_t)g->g_domid), 7);
	cr_assert_eq(
	    of_domain(XENMEM_maximum_reservation, (domid_t)g->g_domid), (int64_t)g->g_ram_pages);
	cr_assert_eq(of_domain(XENMEM_maximum_gpfn, (domid_t)g->g_domid),
	    (int64_t)uvm_map_last_ram(g->g_map));
	before = g->g_ram_pages;
	g->g_ram_pages = GUEST_LOW_RAM_PAGES + 3;
	cr_assert_eq(of_domain(XENMEM_maximum_gpfn, (domid_t)g->g_domid), GUEST_HIGH_GFN + 2);
	g->g_ram_pages = before;
	cr_assert_eq(of_domain(XENMEM_maximum_gpfn, (domid_t)p->g_domid), -ESRCH);
	cr_assert_eq(of_domain(XENMEM_current_reservation, NOBODY), -ESRCH);
	cr_assert_gt(of_domain(XENMEM_current_reservation, DOMID_SELF), 0);
	cr_assert_eq(fake_call(__HYPERVISOR_memory_op, XENMEM_maximum_gpfn, NOWHERE), -EFAULT);
	fake_end(p);
	fake_end(g);
}

Test(memory, unknown_operations_are_enosys)
{
	static const uint64_t unknown[] = {19 + 1, 40, 63, 64, 1000, UINT64_MAX};

	fake_reset(0);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		cr_assert_eq(fake_call(__HYPERVISOR_memory_op, unknown[i], FAKE_BASE), -ENOSYS);
	cr_assert_eq(
	    fake_call(__HYPERVISOR_memory_op, XENMEM_get_vnumainfo, FAKE_BASE), -EOPNOTSUPP);
}

Test(memory, guests_may_not_share)
{
	uint64_t handle;
	struct guest *g;

	fake_reset(0);
	g = guest("g", 7);
	fake.fk_caller.domid = g->g_domid;
	cr_assert_eq(nominate(g->g_domid, 1, &handle), -EPERM);
	fake_end(g);
}

Test(memory, sharing_of_wrong_domains_is_refused)
{
	struct xen_mem_sharing_op op = {.op = XENMEM_sharing_op_share};
	struct guest *g, *p;
	uint64_t handle;

	fake_reset(0);
	g = guest("g", 7);
	p = fake_program("p");
	cr_assert_eq(nominate(0, 1, &handle), -EPERM);
	cr_assert_eq(nominate(NOBODY, 1, &handle), -ESRCH);
	cr_assert_eq(nominate(p->g_domid, 1, &handle), -ESRCH);
	cr_assert_eq(nominate(DOMID_SELF, 1, &handle), -ESRCH);
	op.domain = (domid_t)g->g_domid;
	op.u.share.client_domain = NOBODY;
	cr_assert_eq(sharing(&op), -ESRCH);
	op.u.share.client_domain = 0;
	cr_assert_eq(sharing(&op), -EPERM);
	op.op = XENMEM_sharing_op_fork;
	cr_assert_eq(sharing(&op), -ENOSYS);
	op.op = 200;
	cr_assert_eq(sharing(&op), -ENOSYS);
	cr_assert_eq(fake_call(__HYPERVISOR_memory_op, XENMEM_sharing_op, NOWHERE), -EFAULT);
	fake_end(p);
	fake_end(g);
}

Test(memory, client_must_be_enabled)
{
	struct xen_mem_sharing_op op = {.op = XENMEM_sharing_op_share};
	uint64_t ha, hb;
	struct guest *a, *b;

	fake_reset(0);
	a = guest("a", 7);
	b = guest("b", 7);
	cr_assert_eq(nominate(a->g_domid, 1, &ha), 0);
	cr_assert_neq(ha, 0);
	op.domain = (domid_t)a->g_domid;
	op.u.share = (struct mem_sharing_op_share){.source_gfn = 1,
	    .source_handle = ha,
	    .client_gfn = 1,
	    .client_domain = (domid_t)b->g_domid};
	cr_assert_eq(sharing(&op), -EINVAL);
	cr_assert_eq(range(a, b, 0, 3), -EINVAL);
	cr_assert_eq(enable(b, 1), 0);
	cr_assert_eq(sharing(&op), XENMEM_SHARING_OP_C_HANDLE_INVALID);
	cr_assert_eq(nominate(b->g_domid, 1, &hb), 0);
	op.u.share.client_handle = hb;
	op.u.share.source_handle = hb;
	cr_assert_eq(sharing(&op), XENMEM_SHARING_OP_S_HANDLE_INVALID);
	cr_assert_eq(enable(b, 0), 0);
	op.u.share.source_handle = ha;
	cr_assert_eq(sharing(&op), -EINVAL);
	cr_assert_eq(fake_call(__HYPERVISOR_memory_op, XENMEM_get_sharing_shared_pages, 0), 2);
	cr_assert_eq(fake_call(__HYPERVISOR_memory_op, XENMEM_get_sharing_freed_pages, 0), 0);
	fake_end(b);
	fake_end(a);
	cr_assert_eq(fake_call(__HYPERVISOR_memory_op, XENMEM_get_sharing_shared_pages, 0), 0);
}

Test(memory, ranges_are_checked)
{
	struct xen_mem_sharing_op op = {.op = XENMEM_sharing_op_range_share};
	struct guest *a, *b;
	uint64_t last;

	fake_reset(0);
	a = guest("a", 0);
	b = guest("b", 0);
	last = uvm_map_last_ram(a->g_map);
	cr_assert_eq(enable(b, 1), 0);
	cr_assert_eq(range(a, b, 5, 4), -EINVAL);
	cr_assert_eq(range(a, b, 0, last + 1), -EINVAL);
	cr_assert_eq(range(a, b, 0, UINT64_MAX), -EINVAL);
	cr_assert_eq(range(a, b, last + 1, last + 1), -EINVAL);
	op.domain = (domid_t)a->g_domid;
	op.u.range.client_domain = (domid_t)b->g_domid;
	op.u.range._pad[1] = 1;
	cr_assert_eq(sharing(&op), -EINVAL);
	op.u.range._pad[1] = 0;
	op.u.range.first_gfn = 3;
	op.u.range.last_gfn = 6;
	op.u.range.opaque = 2;
	cr_assert_eq(sharing(&op), -EINVAL);
	op.u.range.opaque = 7;
	cr_assert_eq(sharing(&op), -EINVAL);
	/* What nobody has touched is the same already. */
	cr_assert_eq(range(a, b, 0, 6), 0);
	cr_assert_eq(fake_call(__HYPERVISOR_memory_op, XENMEM_get_sharing_shared_pages, 0), 0);
	fake_end(b);
	fake_end(a);
}

Test(memory, audit_wants_no_domain)
{
	struct xen_mem_sharing_op op = {.op = XENMEM_sharing_op_audit, .domain = NOBODY};

	fake_reset(0);
	cr_assert_eq(sharing(&op), 0);
}

Test(memory, mfns_and_unshared_pages_can_not_be_debugged)
{
	struct xen_mem_sharing_op op = {.op = XENMEM_sharing_op_debug_gfn};
	struct guest *g;
	uint64_t handle;

	fake_reset(0);
	g = guest("g", 7);
	op.domain = (domid_t)g->g_domid;
	op.u.debug.u.gfn = 2;
	cr_assert_eq(sharing(&op), -EINVAL);
	cr_assert_eq(nominate(g->g_domid, 2, &handle), 0);
	op.u.debug.u.gfn = 2;
	cr_assert_eq(sharing(&op), 1);
	op.op = XENMEM_sharing_op_debug_mfn;
	cr_assert_eq(sharing(&op), -EINVAL);
	cr_assert_eq(nominate(g->g_domid, UINT64_MAX, &handle), -EINVAL);
	fake_end(g);
}
