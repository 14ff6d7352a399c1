/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CORE_SRCS) tests/unit/xen/callfake.c */
/* pkgs: $(lombardd_PKGS) */
/*
 * XEN_SYSCTL_* and XENVER_*: who may call, what is told, and what happens to bad pointers and sizes.
 */
#include <criterion/criterion.h>
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/host.h"
#include "lib/log.h"
#include "xen/callfake.h"
#include "xen/cpupolicy.h"

#define NOWHERE UINT64_C(0x1234000)
#define AT 4096u
#define NEAR_END (FAKE_BYTES - 8u)

TestSuite(sysctl, .timeout = 60);

Test(sysctl, other_versions_are_refused_unchanged)
{
	struct xen_sysctl op = {.cmd = XEN_SYSCTL_sched_id};

	fake_reset(0);
	for (uint32_t v = 0x10; v < 0x20; v++) {
		op.interface_version = v;
		op.u.sched_id.sched_id = 77;
		memcpy(fake.fk_memory, &op, sizeof(op));
		cr_assert_eq(fake_call(__HYPERVISOR_sysctl, FAKE_BASE, 0),
		    v == XEN_SYSCTL_INTERFACE_VERSION ? 0 : -EACCES);
		memcpy(&op, fake.fk_memory, sizeof(op));
		cr_assert_eq(op.u.sched_id.sched_id == 77, v != XEN_SYSCTL_INTERFACE_VERSION);
	}
}

Test(sysctl, guests_may_not)
{
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(7);
	op.cmd = XEN_SYSCTL_physinfo;
	op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	memcpy(fake.fk_memory, &op, sizeof(op));
	cr_assert_eq(fake_call(__HYPERVISOR_sysctl, FAKE_BASE, 0), -EPERM);
}

Test(sysctl, unknown_operations_are_enosys)
{
	static const uint32_t unknown[] = {0, 13, 24, 28, 30, 64, UINT32_MAX, XEN_SYSCTL_tbuf_op,
	    XEN_SYSCTL_perfc_op, XEN_SYSCTL_livepatch_op, XEN_SYSCTL_lockprof_op,
	    XEN_SYSCTL_coverage_op};
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		cr_assert_eq(fake_sysctl(unknown[i], &op), -ENOSYS, "%u", unknown[i]);
	cr_assert_eq(fake_call(__HYPERVISOR_hypfs_op, FAKE_BASE, 0), -ENOSYS);
	cr_assert_eq(fake_call(__HYPERVISOR_xsm_op, FAKE_BASE, 0), -ENOSYS);
	cr_assert_eq(fake_call(__HYPERVISOR_platform_op, FAKE_BASE, 0), -ENOSYS);
	cr_assert_eq(fake_call(UINT64_MAX, FAKE_BASE, 0), -ENOSYS);
	cr_assert_eq(fake_call(63, FAKE_BASE, 0), -ENOSYS);
}

Test(sysctl, structures_out_of_reach_are_efault)
{
	fake_reset(0);
	cr_assert_eq(fake_call(__HYPERVISOR_sysctl, 0, 0), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_sysctl, UINT64_MAX - 3, 0), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_sysctl, fake_address(FAKE_BYTES - 135), 0), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_domctl, fake_address(FAKE_BYTES - 143), 0), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_xen_version, XENVER_extraversion, NOWHERE), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_hvm_op, HVMOP_get_param, NOWHERE), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, NOWHERE), -EFAULT);
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, NOWHERE), -EFAULT);
}

Test(sysctl, version_says_what_tools_need)
{
	char *text = fake_at(0);

	fake_reset(0);
	cr_assert_eq(fake_call(__HYPERVISOR_xen_version, XENVER_version, 0), 4 << 16 | 17);
	cr_assert_eq(fake_call(__HYPERVISOR_xen_version, XENVER_capabilities, FAKE_BASE), 0);
	cr_assert(strstr(text, "hvm-3.0-x86_64 ") != NULL);
	cr_assert_eq(fake_call(__HYPERVISOR_xen_version, XENVER_build_id, FAKE_BASE), -ENODATA);
	cr_assert_eq(fake_call(__HYPERVISOR_xen_version, 77, FAKE_BASE), -ENOSYS);
}

Test(sysctl, physinfo_is_this_machine)
{
	const struct xen_sysctl_physinfo *pi;
	struct xen_sysctl op = {.cmd = 0};
	uint32_t a = 0, b = 0, c = 0, d = 0;

	fake_reset(0);
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_physinfo, &op), 0);
	pi = &op.u.physinfo;
	cr_assert_eq(pi->nr_cpus, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
	cr_assert_eq(pi->max_cpu_id + 1, host_cpus());
	cr_assert_eq(pi->total_pages, (uint64_t)sysconf(_SC_PHYS_PAGES));
	cr_assert(pi->free_pages > 0 && pi->free_pages <= pi->total_pages);
	cr_assert(pi->capabilities & XEN_SYSCTL_PHYSCAP_hvm);
	cr_assert(pi->capabilities & XEN_SYSCTL_PHYSCAP_hap);
	cr_assert(pi->threads_per_core >= 1 && pi->cores_per_socket >= 1 && pi->nr_nodes >= 1);
	cr_assert(__get_cpuid(1, &a, &b, &c, &d));
	cr_assert_eq(pi->hw_cap[0], d);
}

static int64_t list(struct xen_sysctl *op, uint32_t first, uint32_t max, uint64_t buffer)
{
	*op = (struct xen_sysctl){.cmd = 0};
	op->u.getdomaininfolist.first_domain = (domid_t)first;
	op->u.getdomaininfolist.max_domains = max;
	FAKE_HANDLE(op->u.getdomaininfolist.buffer, buffer);
	return fake_sysctl(XEN_SYSCTL_getdomaininfolist, op);
}

Test(sysctl, list_goes_on_from_where_it_is_told)
{
	const struct xen_domctl_getdomaininfo *info = fake_at(AT);
	struct guest *a, *p, *b;
	struct xen_sysctl op;

	fake_reset(0);
	a = fake_guest("a", 3, 0);
	p = fake_program("p");
	b = fake_guest("b", 5, 0);
	cr_assert_eq(list(&op, 0, 100, fake_address(AT)), 0);
	cr_assert_eq(op.u.getdomaininfolist.num_domains, 3);
	cr_assert_eq(info[0].domain, 0);
	cr_assert_eq(info[1].domain, a->g_domid);
	cr_assert_eq(info[2].domain, b->g_domid, "programs are no domains");
	cr_assert_eq(info[1].tot_pages, 3);
	cr_assert_eq(info[2].tot_pages, 5);
	cr_assert_eq(list(&op, a->g_domid + 1, 1, fake_address(AT)), 0);
	cr_assert_eq(op.u.getdomaininfolist.num_domains, 1);
	cr_assert_eq(info[0].domain, b->g_domid);
	cr_assert_eq(list(&op, b->g_domid + 1, 100, fake_address(AT)), 0);
	cr_assert_eq(op.u.getdomaininfolist.num_domains, 0);
	cr_assert_eq(list(&op, 0xffff, 100, fake_address(AT)), 0);
	cr_assert_eq(op.u.getdomaininfolist.num_domains, 0);
	fake_end(a);
	fake_end(p);
	fake_end(b);
}

Test(sysctl, list_writes_only_where_it_may)
{
	struct xen_sysctl op;
	struct guest *a;

	fake_reset(0);
	a = fake_guest("a", 0, 0);
	cr_assert_eq(list(&op, 0, UINT32_MAX, fake_address(FAKE_BYTES - 112)), -EFAULT);
	cr_assert_eq(list(&op, 0, UINT32_MAX, NOWHERE), -EFAULT);
	cr_assert_eq(list(&op, 0, UINT32_MAX, UINT64_MAX - 50), -EFAULT);
	cr_assert_eq(list(&op, 0, 0, NOWHERE), 0);
	fake_end(a);
}

static int64_t read_console(
    struct xen_sysctl *op, uint32_t count, bool incremental, bool clear, uint32_t index)
{
	*op = (struct xen_sysctl){.cmd = 0};
	op->u.readconsole.count = count;
	op->u.readconsole.incremental = incremental;
	op->u.readconsole.clear = clear;
	op->u.readconsole.index = index;
	FAKE_HANDLE(op->u.readconsole.buffer, fake_address(AT));
	return fake_sysctl(XEN_SYSCTL_readconsole, op);
}

static void says(const struct xen_sysctl *op, const char *what)
{
	char text[FAKE_BYTES];

	memcpy(text, fake_at(AT), op->u.readconsole.count);
	text[op->u.readconsole.count] = '\0';
	cr_assert(strstr(text, what) != NULL, "no '%s' in '%s'", what, text);
}

Test(sysctl, console_is_read_again_and_again_and_goes_on)
{
	struct xen_sysctl op;
	uint32_t all, end;

	fake_reset(0);
	log_note("first %s", "line");
	cr_assert_eq(read_console(&op, 60000, false, false, 0), 0);
	says(&op, "] first line\n");
	all = op.u.readconsole.count;
	end = op.u.readconsole.index;
	cr_assert_eq(read_console(&op, 60000, false, false, 0), 0);
	cr_assert_eq(op.u.readconsole.count, all);
	cr_assert_eq(read_console(&op, 60000, true, false, end), 0);
	cr_assert_eq(op.u.readconsole.count, 0);
	cr_assert_eq(op.u.readconsole.index, end);
	log_note("second\x1b[31m line");
	cr_assert_eq(read_console(&op, 60000, true, false, end), 0);
	says(&op, "] second?[31m line\n");
	cr_assert(op.u.readconsole.count < all + 20);
	cr_assert_eq(read_console(&op, 60000, true, false, 0), 0);
	says(&op, "first line\n");
	cr_assert_eq(read_console(&op, 60000, false, true, 0), 0);
	cr_assert_eq(read_console(&op, 60000, false, false, 0), 0);
	cr_assert_eq(op.u.readconsole.count, 0);
}

Test(sysctl, console_comes_in_pieces)
{
	char whole[8192] = "", *at = whole;
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	for (int i = 0; i < 100; i++)
		log_note("line %d", i);
	do {
		cr_assert_eq(read_console(&op, 777, true, false, op.u.readconsole.index), 0);
		memcpy(at, fake_at(AT), op.u.readconsole.count);
		at += op.u.readconsole.count;
	} while (op.u.readconsole.count == 777);
	cr_assert(strstr(whole, "line 0\n") != NULL && strstr(whole, "line 50\n") != NULL);
	cr_assert_str_eq(at - strlen("line 99\n"), "line 99\n");
}

Test(sysctl, console_forgets_the_oldest)
{
	struct xen_sysctl op;

	fake_reset(0);
	for (int i = 0; i < 5000; i++)
		log_note("number %d of many", i);
	cr_assert_eq(read_console(&op, 1000, true, false, 0), 0);
	cr_assert_eq(op.u.readconsole.count, 1000);
	cr_assert(op.u.readconsole.index > 1000, "the beginning is gone");
	cr_assert_eq(read_console(&op, 50000, true, true, op.u.readconsole.index), 0);
	cr_assert_eq(read_console(&op, UINT32_MAX, false, false, 0), 0);
	says(&op, "number 4999 of many\n");
}

Test(sysctl, console_needs_a_buffer)
{
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	log_note("something");
	op.u.readconsole.count = 100;
	FAKE_HANDLE(op.u.readconsole.buffer, NOWHERE);
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_readconsole, &op), -EFAULT);
	op.u.readconsole.count = UINT32_MAX;
	FAKE_HANDLE(op.u.readconsole.buffer, fake_address(NEAR_END));
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_readconsole, &op), -EFAULT);
}

Test(sysctl, debug_keys_go_to_the_console)
{
	struct xen_sysctl op = {.cmd = 0};
	struct guest *g;

	fake_reset(0);
	g = fake_guest("keyed", 2, 0);
	memcpy(fake_at(AT), "Zqh", 3);
	FAKE_HANDLE(op.u.debug_keys.keys, fake_address(AT));
	op.u.debug_keys.nr_keys = 3;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_debug_keys, &op), 0);
	cr_assert_eq(read_console(&op, 60000, false, false, 0), 0);
	says(&op, "(keyed): 2 of 64 pages");
	says(&op, "key 'q': domains");
	op = (struct xen_sysctl){.cmd = 0};
	op.u.debug_keys.nr_keys = UINT32_MAX;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_debug_keys, &op), -E2BIG);
	op.u.debug_keys.nr_keys = 1;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_debug_keys, &op), -EFAULT);
	fake_end(g);
}

Test(sysctl, topology_tells_how_much_there_is)
{
	const struct xen_sysctl_cputopo *topo = fake_at(AT);
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cputopoinfo, &op), 0);
	cr_assert_eq(op.u.cputopoinfo.num_cpus, host_cpus());
	FAKE_HANDLE(op.u.cputopoinfo.cputopo, fake_address(AT));
	memset(fake_at(AT), 0xee, 64);
	op.u.cputopoinfo.num_cpus = 1;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cputopoinfo, &op), 0);
	cr_assert_eq(op.u.cputopoinfo.num_cpus, host_cpus());
	cr_assert_neq(topo[0].core, 0xeeeeeeee);
	cr_assert_eq(topo[1].core, 0xeeeeeeee, "room for one only");
	op.u.cputopoinfo.num_cpus = UINT32_MAX;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cputopoinfo, &op), 0);
	FAKE_HANDLE(op.u.cputopoinfo.cputopo, NOWHERE);
	op.u.cputopoinfo.num_cpus = UINT32_MAX;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cputopoinfo, &op), -EFAULT);
}

Test(sysctl, numa_memory_and_distances)
{
	const struct xen_sysctl_meminfo *mi = fake_at(AT);
	const uint32_t *distance = fake_at(2 * AT);
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	op.u.numainfo.num_nodes = 64;
	FAKE_HANDLE(op.u.numainfo.meminfo, fake_address(AT));
	FAKE_HANDLE(op.u.numainfo.distance, fake_address((size_t)2 * AT));
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_numainfo, &op), 0);
	cr_assert_eq(op.u.numainfo.num_nodes, host_nodes());
	cr_assert(mi[0].memsize > 0 && mi[0].memfree <= mi[0].memsize);
	cr_assert_eq(distance[0], 10);
	FAKE_HANDLE(op.u.numainfo.distance, NOWHERE);
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_numainfo, &op), -EFAULT);
}

Test(sysctl, pci_devices_that_are_not_there_say_so)
{
	struct physdev_pci_device *dev = fake_at(AT);
	const uint32_t *node = fake_at(2 * AT);
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	dev[0] = (struct physdev_pci_device){.seg = 0xfffe, .bus = 0xfe, .devfn = 0xff};
	op.u.pcitopoinfo.num_devs = 1;
	FAKE_HANDLE(op.u.pcitopoinfo.devs, fake_address(AT));
	FAKE_HANDLE(op.u.pcitopoinfo.nodes, fake_address((size_t)2 * AT));
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_pcitopoinfo, &op), 0);
	cr_assert_eq(node[0], XEN_INVALID_DEV);
	cr_assert_eq(op.u.pcitopoinfo.num_devs, 1);
	op.u.pcitopoinfo.num_devs = UINT32_MAX;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_pcitopoinfo, &op), -E2BIG);
	op.u.pcitopoinfo.num_devs = 60000;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_pcitopoinfo, &op), -EFAULT);
}

Test(sysctl, one_pool_has_all)
{
	struct xen_sysctl op = {.cmd = 0};
	uint8_t *map = fake_at(AT);

	fake_reset(0);
	op.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
	FAKE_HANDLE(op.u.cpupool_op.cpumap.bitmap, fake_address(AT));
	op.u.cpupool_op.cpumap.nr_bits = 3;
	map[0] = map[1] = 0xff;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cpupool_op, &op), 0);
	cr_assert_eq(op.u.cpupool_op.n_dom, 1);
	cr_assert_eq(map[0] & 1, 1);
	cr_assert_eq(map[0] & 0xf8, 0, "only three bits were wanted");
	cr_assert_eq(map[1], 0xff);
	op.u.cpupool_op.cpupool_id = 1;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cpupool_op, &op), -ENOENT);
	op.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cpupool_op, &op), 0);
	cr_assert_eq(map[0], 0);
	op.u.cpupool_op.cpumap.nr_bits = UINT32_MAX;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cpupool_op, &op), -EINVAL);
	op.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_CREATE;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_cpupool_op, &op), -EOPNOTSUPP);
}

Test(sysctl, featureset_is_the_processors)
{
	const uint32_t *words = fake_at(AT);
	struct xen_sysctl op = {.cmd = 0};
	uint32_t a = 0, b = 0, c = 0, d = 0;

	fake_reset(0);
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_featureset, &op), 0);
	cr_assert_eq(op.u.cpu_featureset.nr_features, CPU_POLICY_WORDS);
	FAKE_HANDLE(op.u.cpu_featureset.features, fake_address(AT));
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_featureset, &op), 0);
	cr_assert(__get_cpuid(0x80000001u, &a, &b, &c, &d));
	cr_assert_eq(words[2], d);
	cr_assert_eq(words[3], c);
	cr_assert(__get_cpuid_count(7, 0, &a, &b, &c, &d));
	cr_assert_eq(words[5], b);
	op.u.cpu_featureset.nr_features = 3;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_featureset, &op), -ENOBUFS);
	op.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_pv;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_featureset, &op), -EOPNOTSUPP);
	op.u.cpu_featureset.index = 99;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_featureset, &op), -EINVAL);
}

Test(sysctl, policy_is_as_long_as_it_was_said)
{
	const xen_cpuid_leaf_t *leaf = fake_at(AT);
	struct xen_sysctl op = {.cmd = 0};
	uint32_t a = 0, b = 0, c = 0, d = 0;

	fake_reset(0);
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_policy, &op), 0);
	cr_assert_eq(op.u.cpu_policy.nr_leaves, CPU_POLICY_LEAVES);
	cr_assert_eq(op.u.cpu_policy.nr_msrs, CPU_POLICY_MSRS);
	FAKE_HANDLE(op.u.cpu_policy.leaves, fake_address(AT));
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_policy, &op), 0);
	cr_assert_eq(op.u.cpu_policy.nr_leaves, CPU_POLICY_LEAVES);
	cr_assert(__get_cpuid(0, &a, &b, &c, &d));
	cr_assert(leaf[0].leaf == 0 && leaf[0].subleaf == XEN_CPUID_NO_SUBLEAF);
	cr_assert(leaf[0].a == a && leaf[0].b == b && leaf[0].c == c && leaf[0].d == d);
	op.u.cpu_policy.nr_leaves--;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_policy, &op), -ENOBUFS);
	op.u.cpu_policy._rsvd = 1;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_get_cpu_policy, &op), -EINVAL);
}

Test(sysctl, memory_below_an_address_is_unknown)
{
	struct xen_sysctl op = {.cmd = 0};

	fake_reset(0);
	op.u.availheap.node = -1;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_availheap, &op), 0);
	cr_assert(op.u.availheap.avail_bytes > 0);
	op.u.availheap.max_bitwidth = 32;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_availheap, &op), -EOPNOTSUPP);
	op.u.availheap.max_bitwidth = 0;
	op.u.availheap.node = 4000;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_availheap, &op), -EINVAL);
	op.u.availheap.node = INT32_MIN;
	cr_assert_eq(fake_sysctl(XEN_SYSCTL_availheap, &op), -EINVAL);
}

Test(sysctl, multicall_entries_fail_alone)
{
	struct multicall_entry *e = fake_at(0);

	fake_reset(0);
	e[0].op = __HYPERVISOR_xen_version;
	e[0].args[0] = XENVER_version;
	e[1].op = __HYPERVISOR_sysctl;
	e[1].args[0] = NOWHERE;
	e[2].op = __HYPERVISOR_multicall;
	cr_assert_eq(fake_call(__HYPERVISOR_multicall, FAKE_BASE, 3), 0);
	cr_assert_eq(e[0].result, 4 << 16 | 17);
	cr_assert_eq((int64_t)e[1].result, -EFAULT);
	cr_assert_eq((int64_t)e[2].result, -EINVAL);
}

/* Bug: a client that was gone could keep the cell from ending for hours. */
Test(sysctl, multicall_ends_with_its_caller)
{
	struct multicall_entry *e = fake_at(0);

	fake_reset(0);
	for (unsigned i = 0; i < 3; i++)
		e[i] = (struct multicall_entry){.op = __HYPERVISOR_xen_version};
	fake.fk_stays = 3;
	cr_assert_eq(fake_call(__HYPERVISOR_multicall, FAKE_BASE, 3), -EINTR);
	cr_assert_eq(e[1].result, 4 << 16 | 17);
	cr_assert_eq(e[2].result, 0);
}

Test(sysctl, watchdogs_are_two)
{
	struct sched_watchdog *w = fake_at(0);

	fake_reset(0);
	w->timeout = 1000;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), 1);
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), 2);
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), -ENOSPC);
	w->id = 2;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), 0);
	w->timeout = 0;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), 0);
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), -EINVAL);
	w->id = 3;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), -EINVAL);
	w->id = 0;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_watchdog, FAKE_BASE), -EINVAL);
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_yield, FAKE_BASE), -ENOSYS);
}
