/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CORE_SRCS) tests/unit/xen/callfake.c */
/* pkgs: $(lombardd_PKGS) */
/*
 * XEN_DOMCTL_* and HVMOP_* that inform and configure: which domain is meant, what is told of it, what
 * is kept, and what happens to wrong arguments.  And wild ones.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/host.h"
#include "xen/callfake.h"
#include "xen/cpupolicy.h"
#include "xen/domain.h"

#define NOWHERE UINT64_C(0x1234000)
#define AT 4096u
#define NOBODY 30000u

TestSuite(domctl, .timeout = 120);

Test(domctl, other_versions_are_refused)
{
	struct xen_domctl op = {.cmd = XEN_DOMCTL_getdomaininfo, .interface_version = 0x14};

	fake_reset(0);
	memcpy(fake.fk_memory, &op, sizeof(op));
	cr_assert_eq(fake_call(__HYPERVISOR_domctl, FAKE_BASE, 0), -EACCES);
	cr_assert_eq(memcmp(fake.fk_memory, &op, sizeof(op)), 0);
}

Test(domctl, guests_may_not)
{
	struct xen_domctl op = {
	    .cmd = XEN_DOMCTL_getdomaininfo, .interface_version = XEN_DOMCTL_INTERFACE_VERSION};

	fake_reset(5);
	memcpy(fake.fk_memory, &op, sizeof(op));
	cr_assert_eq(fake_call(__HYPERVISOR_domctl, FAKE_BASE, 0), -EPERM);
}

Test(domctl, unknown_operations_are_enosys_whatever_the_domain)
{
	static const uint32_t unknown[] = {0, 6, 23, 49, 58, 87, 999, 1000, UINT32_MAX};
	struct xen_domctl op = {.cmd = 0};

	fake_reset(0);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		cr_assert_eq(fake_domctl(unknown[i], NOBODY, &op), -ENOSYS, "%u", unknown[i]);
}

Test(domctl, info_finds_the_next_domain)
{
	struct guest *p, *a, *b;
	struct xen_domctl op = {.cmd = 0};

	fake_reset(0);
	p = fake_program("p");
	a = fake_guest("a", 7, 0);
	b = fake_guest("b", 0, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, 0, &op), 0);
	cr_assert_eq(op.domain, 0);
	cr_assert_eq(op.u.getdomaininfo.max_vcpu_id + 1, host_cpus());
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, p->g_domid, &op), 0);
	cr_assert_eq(op.domain, a->g_domid);
	cr_assert_eq(op.u.getdomaininfo.domain, a->g_domid);
	cr_assert_eq(op.u.getdomaininfo.tot_pages, 7);
	cr_assert_eq(op.u.getdomaininfo.max_pages, a->g_ram_pages);
	cr_assert(op.u.getdomaininfo.flags & XEN_DOMINF_hvm_guest);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, a->g_domid + 1, &op), 0);
	cr_assert_eq(op.domain, b->g_domid);
	cr_assert_neq(memcmp(op.u.getdomaininfo.handle, a->g_xen.xd_handle, 16), 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, b->g_domid + 1, &op), -ESRCH);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, 0xffff, &op), -ESRCH);
	fake_end(p);
	fake_end(a);
	fake_end(b);
}

Test(domctl, only_guests_that_there_are_can_be_meant)
{
	struct xen_domctl op = {.cmd = 0};
	struct guest *p;

	fake_reset(0);
	p = fake_program("p");
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_mem, NOBODY, &op), -ESRCH);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_mem, p->g_domid, &op), -ESRCH);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_mem, DOMID_SELF, &op), -ESRCH);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_mem, 0, &op), -EPERM);
	fake_end(p);
}

Test(domctl, states_are_flags)
{
	struct xen_domctl op = {.cmd = 0};
	struct guest *g;

	fake_reset(0);
	g = fake_guest("g", 0, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, g->g_domid, &op), 0);
	cr_assert_eq(op.u.getdomaininfo.flags & (XEN_DOMINF_paused | XEN_DOMINF_dying), 0);
	g->g_state = GUEST_STARTING;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, g->g_domid, &op), 0);
	cr_assert(op.u.getdomaininfo.flags & XEN_DOMINF_paused);
	g->g_state = GUEST_RUNNING;
	g->g_pauses = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, g->g_domid, &op), 0);
	cr_assert(op.u.getdomaininfo.flags & XEN_DOMINF_paused);
	g->g_state = GUEST_STOPPING;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, g->g_domid, &op), 0);
	cr_assert(op.u.getdomaininfo.flags & XEN_DOMINF_dying);
	fake_end(g);
}

/* A thread of ours as a vCPU: it works, or sleeps, as it is told. */
static _Atomic bool works, stops;
static _Atomic pid_t vcpu_tid;

static void *vcpu(void *arg)
{
	pthread_setname_np(pthread_self(), "vcpu0");
	vcpu_tid = gettid();
	while (!stops)
		if (!works)
			usleep(20000);
	return arg;
}

static struct guest *guest_with_vcpu(pthread_t *t)
{
	cr_assert_eq(pthread_create(t, NULL, vcpu, NULL), 0);
	while (vcpu_tid == 0)
		usleep(1000);
	return fake_guest("g", 0, getpid());
}

static void end_guest_with_vcpu(struct guest *g, pthread_t t)
{
	stops = true;
	pthread_join(t, NULL);
	g->g_pid = 0;
	fake_end(g);
}

/* It may be caught in its few other moments: look until it is seen. */
static struct xen_domctl_getvcpuinfo wait_until_running(struct guest *g, bool running)
{
	struct xen_domctl op = {.cmd = 0};
	bool seen = false;

	for (int i = 0; i < 2000 && !seen; i++) {
		op.u.getvcpuinfo.vcpu = 0;
		cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuinfo, g->g_domid, &op), 0);
		cr_assert_eq(op.u.getvcpuinfo.running, !op.u.getvcpuinfo.blocked);
		seen = op.u.getvcpuinfo.running == running;
		usleep(seen ? 0 : 1000);
	}
	cr_assert(seen, "the vCPU never %s", running ? "ran" : "slept");
	return op.u.getvcpuinfo;
}

Test(domctl, vcpus_run_and_sleep_and_take_time)
{
	struct xen_domctl_getvcpuinfo before, after;
	struct xen_domctl op = {.cmd = 0};
	struct guest *g;
	pthread_t t;

	fake_reset(0);
	g = guest_with_vcpu(&t);
	before = wait_until_running(g, false);
	works = true;
	wait_until_running(g, true);
	usleep(100000);
	works = false;
	after = wait_until_running(g, false);
	cr_assert_geq(after.cpu_time, before.cpu_time + 5000000);
	cr_assert_lt(after.cpu, host_cpus());
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, g->g_domid, &op), 0);
	cr_assert_geq(op.u.getdomaininfo.cpu_time, after.cpu_time);
	op.u.getvcpuinfo.vcpu = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuinfo, g->g_domid, &op), -EINVAL);
	op.u.getvcpuinfo.vcpu = 0;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuinfo, 0, &op), 0);
	cr_assert_eq(op.u.getvcpuinfo.online, 1);
	op.u.getvcpuinfo.vcpu = host_cpus();
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuinfo, 0, &op), -EINVAL);
	end_guest_with_vcpu(g, t);
}

static void fill_affinity(struct xen_domctl *op, uint32_t flags, uint32_t bits)
{
	*op = (struct xen_domctl){.cmd = 0};
	op->u.vcpuaffinity.flags = flags;
	FAKE_HANDLE(op->u.vcpuaffinity.cpumap_hard.bitmap, fake_address(AT));
	FAKE_HANDLE(op->u.vcpuaffinity.cpumap_soft.bitmap, fake_address((size_t)2 * AT));
	op->u.vcpuaffinity.cpumap_hard.nr_bits = bits;
	op->u.vcpuaffinity.cpumap_soft.nr_bits = bits;
}

#define BOTH (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)

Test(domctl, affinity_binds_the_thread)
{
	uint8_t *hard = fake_at(AT), *soft = fake_at(2 * AT);
	struct xen_domctl op;
	struct guest *g;
	cpu_set_t set;
	pthread_t t;

	fake_reset(0);
	g = guest_with_vcpu(&t);
	fill_affinity(&op, BOTH, 64);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuaffinity, g->g_domid, &op), 0);
	for (int i = 0; i < 8; i++)
		cr_assert(hard[i] == 0xff && soft[i] == 0xff, "any CPU at first");
	memset(hard, 0, 8);
	memset(soft, 0, 8);
	hard[0] = 0x01;
	hard[7] = 0x80;
	soft[0] = 0x03;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), 0);
	cr_assert(hard[0] == 0x01 && hard[7] == 0, "what comes of it");
	cr_assert_eq(soft[0], 0x01);
	cr_assert_eq(sched_getaffinity(vcpu_tid, sizeof(set), &set), 0);
	cr_assert(CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuaffinity, g->g_domid, &op), 0);
	cr_assert(hard[0] == 0x01 && hard[7] == 0x80 && soft[0] == 0x03, "as it was set");
	end_guest_with_vcpu(g, t);
}

Test(domctl, affinity_to_nothing_is_refused)
{
	uint8_t *hard = fake_at(AT);
	struct xen_domctl op;
	struct guest *g;

	fake_reset(0);
	g = fake_guest("g", 0, 0);
	fill_affinity(&op, XEN_VCPUAFFINITY_HARD, 64);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	hard[7] = 0x80; /* no such CPU here */
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	memset(hard, 0xff, 8);
	fill_affinity(&op, 0, 64);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	fill_affinity(&op, 8, 64);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	fill_affinity(&op, BOTH, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	fill_affinity(&op, BOTH, UINT32_MAX);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpuaffinity, g->g_domid, &op), -EINVAL);
	fill_affinity(&op, BOTH, 64);
	op.u.vcpuaffinity.vcpu = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EINVAL);
	fill_affinity(&op, BOTH, 64);
	FAKE_HANDLE(op.u.vcpuaffinity.cpumap_soft.bitmap, NOWHERE);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setvcpuaffinity, g->g_domid, &op), -EFAULT);
	cr_assert_eq(g->g_xen.xd_affinity, NULL, "nothing was kept of all that");
	fake_end(g);
}

Test(domctl, weight_is_a_nice_value)
{
	struct xen_domctl_scheduler_op *so;
	struct xen_domctl op = {.cmd = 0};
	struct guest *g;
	pthread_t t;

	fake_reset(0);
	so = &op.u.scheduler_op;
	g = guest_with_vcpu(&t);
	so->sched_id = XEN_SCHEDULER_CREDIT2;
	so->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), 0);
	cr_assert_eq(so->u.credit2.weight, 256);
	so->cmd = XEN_DOMCTL_SCHEDOP_putinfo;
	so->u.credit2.weight = 128;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), 0);
	cr_assert_eq(getpriority(PRIO_PROCESS, (id_t)vcpu_tid), 3);
	so->u.credit2.weight = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), 0);
	cr_assert_eq(getpriority(PRIO_PROCESS, (id_t)vcpu_tid), 19);
	so->u.credit2.weight = 0;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), 0);
	so->cmd = XEN_DOMCTL_SCHEDOP_getinfo;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), 0);
	cr_assert_eq(so->u.credit2.weight, 1);
	so->cmd = XEN_DOMCTL_SCHEDOP_putinfo;
	so->u.credit2.cap = 50;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), -EOPNOTSUPP);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, 0, &op), -EPERM);
	so->sched_id = XEN_SCHEDULER_CREDIT;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_scheduler_op, g->g_domid, &op), -EINVAL);
	end_guest_with_vcpu(g, t);
}

Test(domctl, configuration_is_kept)
{
	struct xen_domctl op = {.cmd = 0};
	struct guest *g;
	uint32_t id;

	fake_reset(0);
	g = fake_guest("g", 0, 0);
	id = g->g_domid;
	op.u.max_mem.max_memkb = 403;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_mem, id, &op), 0);
	memset(op.u.setdomainhandle.handle, 0x5a, 16);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_setdomainhandle, id, &op), 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getdomaininfo, id, &op), 0);
	cr_assert_eq(op.u.getdomaininfo.max_pages, 100);
	cr_assert_eq(op.u.getdomaininfo.handle[15], 0x5a);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_get_paging_mempool_size, id, &op), 0);
	cr_assert_eq(op.u.paging_mempool.size, 1 << 20);
	op.u.paging_mempool.size = 4097;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_paging_mempool_size, id, &op), -EINVAL);
	op.u.paging_mempool.size = 8192;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_paging_mempool_size, id, &op), 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_get_paging_mempool_size, id, &op), 0);
	cr_assert_eq(op.u.paging_mempool.size, 8192);
	op.u.max_vcpus.max = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_vcpus, id, &op), 0);
	op.u.max_vcpus.max = 2;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_max_vcpus, id, &op), -EINVAL);
	fake_end(g);
}

Test(domctl, tsc_is_the_hosts)
{
	struct xen_domctl op = {.cmd = 0};
	struct guest *g;

	fake_reset(0);
	g = fake_guest("g", 0, 0);
	op.u.tsc_info.tsc_mode = 2;
	op.u.tsc_info.incarnation = 3;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_settscinfo, g->g_domid, &op), 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gettscinfo, g->g_domid, &op), 0);
	cr_assert(op.u.tsc_info.tsc_mode == 2 && op.u.tsc_info.incarnation == 3);
	cr_assert_eq(op.u.tsc_info.gtsc_khz, host_khz());
	op.u.tsc_info.gtsc_khz += 5;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_settscinfo, g->g_domid, &op), -EOPNOTSUPP);
	op.u.tsc_info.gtsc_khz = 0;
	op.u.tsc_info.tsc_mode = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_settscinfo, g->g_domid, &op), -EOPNOTSUPP);
	op.u.tsc_info.tsc_mode = 4;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_settscinfo, g->g_domid, &op), -EINVAL);
	fake_end(g);
}

static int64_t nodes(struct guest *g, uint32_t cmd, uint32_t bits, uint64_t at)
{
	struct xen_domctl op = {.cmd = 0};

	FAKE_HANDLE(op.u.nodeaffinity.nodemap.bitmap, at);
	op.u.nodeaffinity.nodemap.nr_bits = bits;
	return fake_domctl(cmd, g->g_domid, &op);
}

Test(domctl, node_affinity_is_of_nodes_that_there_are)
{
	uint8_t *map = fake_at(AT);
	struct guest *g;

	fake_reset(0);
	g = fake_guest("g", 0, 0);
	map[0] = 0xff;
	cr_assert_eq(nodes(g, XEN_DOMCTL_setnodeaffinity, 8, fake_address(AT)), 0);
	cr_assert_eq(nodes(g, XEN_DOMCTL_getnodeaffinity, 8, fake_address(AT)), 0);
	cr_assert_eq(map[0] & 1, 1);
	map[0] = 0;
	cr_assert_eq(nodes(g, XEN_DOMCTL_setnodeaffinity, 8, fake_address(AT)), -EINVAL);
	cr_assert_eq(nodes(g, XEN_DOMCTL_setnodeaffinity, 70000, fake_address(AT)), -EINVAL);
	cr_assert_eq(nodes(g, XEN_DOMCTL_setnodeaffinity, 8, NOWHERE), -EFAULT);
	cr_assert_eq(nodes(g, XEN_DOMCTL_getnodeaffinity, 8, NOWHERE), -EFAULT);
	fake_end(g);
}

static void fill_policy(struct xen_domctl *op, uint32_t nleaves, uint32_t nmsrs)
{
	*op = (struct xen_domctl){.cmd = 0};
	op->u.cpu_policy.nr_leaves = nleaves;
	op->u.cpu_policy.nr_msrs = nmsrs;
	FAKE_HANDLE(op->u.cpu_policy.leaves, fake_address(AT));
	FAKE_HANDLE(op->u.cpu_policy.msrs, fake_address((size_t)4 * AT));
}

/* Without KVM nobody knows what guests would see. */
static bool policies(void)
{
	struct cpu_policy cp;

	if (cpu_policy_guest(&cp) == 0)
		return true;
	cr_skip_test("KVM can't be asked here");
	return false;
}

Test(domctl, policy_is_set_before_the_domain_runs)
{
	xen_cpuid_leaf_t *leaf = fake_at(AT);
	struct xen_domctl op;
	struct guest *g;
	uint32_t had;

	fake_reset(0);
	if (!policies())
		return;
	g = fake_guest("g", 0, 0);
	fill_policy(&op, CPU_POLICY_LEAVES, CPU_POLICY_MSRS);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_get_cpu_policy, g->g_domid, &op), 0);
	cr_assert_eq(op.u.cpu_policy.nr_leaves, CPU_POLICY_LEAVES);
	had = leaf[1].c;
	leaf[1].a = 0x12345;
	leaf[1].c = UINT32_MAX;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), 0);
	cr_assert_eq(op.u.cpu_policy.err_leaf, UINT32_MAX);
	memset(leaf, 0, sizeof(struct cpu_policy));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_get_cpu_policy, g->g_domid, &op), 0);
	cr_assert_eq(leaf[1].a, 0x12345);
	cr_assert_eq(leaf[1].c, had, "features that are not there are not given");
	g->g_xen.xd_ran = true;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -EEXIST);
	fake_end(g);
}

Test(domctl, policy_says_what_is_wrong_with_it)
{
	xen_cpuid_leaf_t *leaf = fake_at(AT);
	xen_msr_entry_t *msr = fake_at(4 * AT);
	struct xen_domctl op;
	struct guest *g;

	fake_reset(0);
	if (!policies())
		return;
	g = fake_guest("g", 0, 0);
	leaf[0] = (xen_cpuid_leaf_t){.leaf = 0x40000005, .subleaf = 9};
	fill_policy(&op, 1, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -ERANGE);
	cr_assert(op.u.cpu_policy.err_leaf == 0x40000005 && op.u.cpu_policy.err_subleaf == 9);
	leaf[0] = (xen_cpuid_leaf_t){.leaf = 0, .subleaf = UINT32_MAX, .a = 0x7fffffff};
	fill_policy(&op, 1, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -EINVAL);
	cr_assert_eq(op.u.cpu_policy.err_leaf, 0);
	msr[0] = (xen_msr_entry_t){.idx = 0x77};
	fill_policy(&op, 0, 1);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -ERANGE);
	cr_assert_eq(op.u.cpu_policy.err_msr, 0x77);
	fill_policy(&op, UINT32_MAX, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -E2BIG);
	fill_policy(&op, 0, UINT32_MAX);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -E2BIG);
	fill_policy(&op, 1, 0);
	FAKE_HANDLE(op.u.cpu_policy.leaves, NOWHERE);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_set_cpu_policy, g->g_domid, &op), -EFAULT);
	fill_policy(&op, 3, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_get_cpu_policy, g->g_domid, &op), -ENOBUFS);
	cr_assert_eq(g->g_xen.xd_policy, NULL, "nothing was kept of all that");
	fake_end(g);
}

static int64_t param(uint32_t cmd, uint32_t domid, uint32_t index, uint64_t *value)
{
	struct xen_hvm_param *p = fake_at(0);
	int64_t ret;

	*p = (struct xen_hvm_param){.domid = (domid_t)domid, .index = index, .value = *value};
	ret = fake_call(__HYPERVISOR_hvm_op, cmd, FAKE_BASE);
	*value = p->value;
	return ret;
}

Test(domctl, hvm_params_are_kept_for_each_guest)
{
	struct guest *a, *b;
	uint64_t v = 0xfeffc;

	fake_reset(0);
	a = fake_guest("a", 0, 0);
	b = fake_guest("b", 0, 0);
	cr_assert_eq(param(HVMOP_set_param, a->g_domid, HVM_PARAM_STORE_PFN, &v), 0);
	v = 1;
	cr_assert_eq(param(HVMOP_get_param, b->g_domid, HVM_PARAM_STORE_PFN, &v), 0);
	cr_assert_eq(v, 0);
	cr_assert_eq(param(HVMOP_get_param, a->g_domid, HVM_PARAM_STORE_PFN, &v), 0);
	cr_assert_eq(v, 0xfeffc);
	cr_assert_eq(param(HVMOP_get_param, a->g_domid, HVM_NR_PARAMS, &v), -EINVAL);
	cr_assert_eq(param(HVMOP_set_param, a->g_domid, UINT32_MAX, &v), -EINVAL);
	cr_assert_eq(param(HVMOP_set_param, NOBODY, HVM_PARAM_STORE_PFN, &v), -ESRCH);
	cr_assert_eq(param(HVMOP_set_param, DOMID_SELF, HVM_PARAM_STORE_PFN, &v), -EINVAL);
	v = 1;
	cr_assert_eq(param(HVMOP_set_param, a->g_domid, HVM_PARAM_ALTP2M, &v), -EOPNOTSUPP);
	v = 0;
	cr_assert_eq(param(HVMOP_set_param, a->g_domid, HVM_PARAM_ALTP2M, &v), 0);
	cr_assert_eq(param(HVMOP_altp2m, a->g_domid, 0, &v), -ENOSYS);
	fake_end(a);
	fake_end(b);
}

Test(domctl, hvm_params_of_a_guests_own)
{
	struct guest *a, *b;
	uint64_t v = 7;

	fake_reset(0);
	a = fake_guest("a", 0, 0);
	b = fake_guest("b", 0, 0);
	cr_assert_eq(param(HVMOP_set_param, a->g_domid, HVM_PARAM_CONSOLE_PFN, &v), 0);
	fake.fk_caller.domid = a->g_domid;
	cr_assert_eq(param(HVMOP_get_param, DOMID_SELF, HVM_PARAM_CONSOLE_PFN, &v), 0);
	cr_assert_eq(v, 7);
	cr_assert_eq(param(HVMOP_get_param, b->g_domid, HVM_PARAM_CONSOLE_PFN, &v), -EPERM);
	cr_assert_eq(param(HVMOP_get_param, 0, HVM_PARAM_CONSOLE_PFN, &v), -EINVAL);
	cr_assert_eq(param(HVMOP_set_param, DOMID_SELF, HVM_PARAM_CONSOLE_PFN, &v), -EPERM);
	cr_assert_eq(param(HVMOP_get_param, DOMID_SELF, HVM_PARAM_IDENT_PT, &v), -EPERM);
	cr_assert_eq(param(HVMOP_set_param, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &v), -EPERM);
	/* Only who can be interrupted may ask for it. */
	a->g_lapic = true;
	cr_assert_eq(param(HVMOP_set_param, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &v), 0);
	cr_assert_eq(param(HVMOP_set_param, DOMID_SELF, HVM_PARAM_IDENT_PT, &v), -EPERM);
	fake_end(a);
	fake_end(b);
}

Test(domctl, remote_shutdown_ends_a_guest)
{
	struct sched_remote_shutdown *op = fake_at(0);
	struct guest *g;

	fake_reset(0);
	g = fake_guest("g", 0, 0);
	*op = (struct sched_remote_shutdown){.domain_id = NOBODY};
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, FAKE_BASE), -ESRCH);
	op->domain_id = 0;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, FAKE_BASE), -EPERM);
	op->domain_id = (domid_t)g->g_domid;
	op->reason = 77;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, FAKE_BASE), -EINVAL);
	cr_assert_eq(g->g_state, GUEST_RUNNING);
	op->reason = SHUTDOWN_reboot;
	cr_assert_eq(fake_call(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, FAKE_BASE), 0);
	cr_assert(g->g_state == GUEST_STOPPING && g->g_end == GUEST_END_REBOOT);
	fake_end(g);
}

static uint32_t rng = 1;

static uint32_t random_number(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng;
}

/* Numbers that mean something in some places, and others. */
static uint64_t wild(uint32_t domid)
{
	switch (random_number() % 10) {
	case 0:
		return 0;
	case 1:
		return domid;
	case 2:
		return random_number() % 70;
	case 3:
		return UINT64_MAX - random_number() % 4096;
	case 4:
		return UINT32_MAX;
	case 5:
		return (uint64_t)random_number() << 32 | random_number();
	case 6:
		return 1u << random_number() % 32;
	default:
		return fake_address(random_number() % (FAKE_BYTES + 64));
	}
}

static void wild_structure(uint32_t domid, uint32_t cmd, uint32_t version)
{
	uint64_t words[18];

	for (size_t i = 0; i < 18; i++)
		words[i] = random_number() % 3 == 0 ? wild(domid) << 32 | (uint32_t)wild(domid)
						    : wild(domid);
	words[0] = (uint64_t)version << 32 | cmd;
	memcpy(fake.fk_memory, words, sizeof(words));
}

static const uint32_t domctls[] = {
    3, 4, 5, 9, 11, 13, 14, 15, 16, 17, 25, 28, 33, 34, 55, 59, 60, 61, 68, 69, 82, 83, 85, 86};

static int64_t wild_call(uint32_t domid)
{
	const uint32_t cmd = domctls[random_number() % (sizeof(domctls) / sizeof(domctls[0]))];

	switch (random_number() % 5) {
	case 0:
		wild_structure(domid, random_number() % 32, XEN_SYSCTL_INTERFACE_VERSION);
		return fake_call(__HYPERVISOR_sysctl, FAKE_BASE, 0);
	case 1:
		return fake_call(__HYPERVISOR_xen_version, random_number() % 12, wild(domid));
	case 2:
		wild_structure(domid, (uint32_t)wild(domid), (uint32_t)wild(domid));
		return fake_call(__HYPERVISOR_hvm_op, random_number() % 2, FAKE_BASE);
	default:
		wild_structure(domid, cmd, XEN_DOMCTL_INTERFACE_VERSION);
		fake.fk_memory[8] = (uint8_t)(random_number() % 4 == 0 ? 0 : domid);
		fake.fk_memory[9] = 0;
		return fake_call(__HYPERVISOR_domctl, FAKE_BASE, 0);
	}
}

Test(domctl, wild_calls_do_no_harm)
{
	struct guest *g;
	unsigned good = 0, bad = 0;

	fake_reset(0);
	g = fake_guest("g", 3, 0);
	for (int i = 0; i < 20000; i++) {
		int64_t ret = wild_call(g->g_domid);

		cr_assert(ret >= -4095, "%jd", (intmax_t)ret);
		good += ret >= 0;
		bad += ret < 0;
	}
	cr_assert(good > 100 && bad > 100 && fake.fk_refused > 100, "%u good, %u bad, %u refused",
	    good, bad, fake.fk_refused);
	cr_assert_eq(g->g_state, GUEST_RUNNING);
	cr_assert_eq(guest_frames(g), 3);
	fake_end(g);
}
