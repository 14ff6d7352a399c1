/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/callfake.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fake fake;

static bool inside(uint64_t address, size_t len)
{
	return address >= FAKE_BASE && len <= FAKE_BYTES && address - FAKE_BASE <= FAKE_BYTES - len;
}

static int fake_in(struct xen_caller *c, void *to, uint64_t from, size_t len)
{
	(void)c;
	if (len > 0 && !inside(from, len)) {
		fake.fk_refused++;
		return -EFAULT;
	}
	if (len == 0)
		return 0;
	if (from < FAKE_BASE + 8)
		fake.fk_reads++;
	memcpy(to, fake.fk_memory + (from - FAKE_BASE), len);
	return 0;
}

static int fake_out(struct xen_caller *c, uint64_t to, const void *from, size_t len)
{
	(void)c;
	if (len > 0 && !inside(to, len)) {
		fake.fk_refused++;
		return -EFAULT;
	}
	if (len > 0)
		memcpy(fake.fk_memory + (to - FAKE_BASE), from, len);
	return 0;
}

/* In the middle of things, perhaps. */
static bool fake_gone(struct xen_caller *c)
{
	(void)c;
	return fake.fk_stays > 0 && --fake.fk_stays == 0;
}

static const struct xen_access fake_access = {
    .copy_in = fake_in, .copy_out = fake_out, .gone = fake_gone};

void fake_reset(uint32_t domid)
{
	memset(&fake, 0, sizeof(fake));
	fake.fk_caller = (struct xen_caller){.xa = &fake_access, .domid = domid};
}

int64_t fake_call(uint64_t nr, uint64_t arg0, uint64_t arg1)
{
	const uint64_t arg[5] = {arg0, arg1};

	return xen_call(&fake.fk_caller, nr, arg);
}

int64_t fake_domctl(uint32_t cmd, uint32_t domid, struct xen_domctl *op)
{
	int64_t ret;

	op->cmd = cmd;
	op->domain = (domid_t)domid;
	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	memcpy(fake.fk_memory, op, sizeof(*op));
	fake.fk_reads = 0;
	ret = fake_call(__HYPERVISOR_domctl, FAKE_BASE, 0);
	cr_assert_eq(fake.fk_reads, 1, "read %u times", fake.fk_reads);
	memcpy(op, fake.fk_memory, sizeof(*op));
	return ret;
}

int64_t fake_sysctl(uint32_t cmd, struct xen_sysctl *op)
{
	int64_t ret;

	op->cmd = cmd;
	op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	memcpy(fake.fk_memory, op, sizeof(*op));
	fake.fk_reads = 0;
	ret = fake_call(__HYPERVISOR_sysctl, FAKE_BASE, 0);
	cr_assert_eq(fake.fk_reads, 1, "read %u times", fake.fk_reads);
	memcpy(op, fake.fk_memory, sizeof(*op));
	return ret;
}

#define RAM 64u

/* A map whose store has memory behind some of its pages. */
static void give_memory(struct guest *g, unsigned frames)
{
	const struct uvm_maprange range = {.mr_gfn = 0, .mr_npages = RAM};
	static const char page[UVM_PAGE_SIZE] = "used";
	struct memfd_store *ms;
	struct failure f;

	cr_assert_eq(memfd_store_create(g->g_name, RAM, 1, g->g_domid, &ms, &f), 0);
	for (unsigned i = 0; i < frames; i++)
		cr_assert_eq(pwrite(ms->ms_fd, page, sizeof(page), i * (off_t)sizeof(page)),
		    (ssize_t)sizeof(page));
	remote_pmap_init(&g->g_pmap, &ms->ms_store, -1);
	uvm_world_enter();
	g->g_map = uvm_map_create(&g->g_pmap.rp_pmap, &ms->ms_store, g->g_domid, &range, 1);
	uvm_store_rele(&ms->ms_store);
	uvm_world_leave();
	cr_assert(g->g_map != NULL);
}

static struct guest *new_guest(const char *name, bool program)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct failure f;

	cr_assert(g != NULL);
	atomic_init(&g->g_refs, 1);
	pthread_mutex_init(&g->g_mutex, NULL);
	pthread_mutex_init(&g->g_control_mutex, NULL);
	g->g_control = -1;
	g->g_request = g->g_pmap_sock = g->g_event = g->g_uffd = g->g_ended_fd = -1;
	for (unsigned i = 0; i < GUEST_NSTART_FDS; i++)
		g->g_start_fds[i] = -1;
	for (unsigned i = 0; i < WIRE_MAX_VCPUS; i++)
		g->g_upcall[i] = -1;
	g->g_program = program;
	g->g_vcpus = 1;
	g->g_ram_pages = RAM;
	g->g_state = GUEST_RUNNING;
	clock_gettime(CLOCK_MONOTONIC, &g->g_born);
	cr_assert_eq(xen_domain_init(&g->g_xen, RAM), 0);
	cr_assert_eq(guest_enlist(g, name, &f), 0);
	return g;
}

struct guest *fake_guest(const char *name, unsigned frames, pid_t pid)
{
	struct guest *g = new_guest(name, false);

	g->g_pid = pid;
	give_memory(g, frames);
	return g;
}

struct guest *fake_program(const char *name)
{
	return new_guest(name, true);
}

void fake_end(struct guest *g)
{
	guest_delist(g);
	if (g->g_map != NULL) {
		uvm_world_enter();
		uvm_map_destroy(g->g_map);
		uvm_world_leave();
		g->g_map = NULL;
	}
	guest_put(g);
}
