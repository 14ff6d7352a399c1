/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `probe upcall`: events, timers and clocks of a guest with two vCPUs, as other systems use them: with
 * interrupts, and vcpu_info where it wants it.
 */
#include "smp.h"

#include <xen/features.h>
#include <xen/hvm/hvm_op.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define VCPUS 2
#define VECTOR 0x41
#define MS 1000000ULL
#define QUIET (50 * MS)		/* for what must not come */
#define YEAR_2020 1577836800ULL /* seconds */

static struct shared_info *shared;
static struct vcpu_info *info[VCPUS]; /* where each has it now */

static int64_t vcpu_call(unsigned int cmd, uint64_t vcpu, void *arg)
{
	return hypercall(__HYPERVISOR_vcpu_op, cmd, vcpu, (uint64_t)arg, 0, 0);
}

static bool take(uint32_t vcpu, uint32_t port)
{
	uint64_t bit = 1ULL << port % 64;
	bool yes = __atomic_fetch_and(&shared->evtchn_pending[port / 64], ~bit, __ATOMIC_SEQ_CST) &
		   bit;

	__atomic_store_n(&info[vcpu]->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&info[vcpu]->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
	return yes;
}

static void await_interrupt(int check, uint32_t vcpu, uint64_t before)
{
	uint64_t end = time_after(PATIENCE);

	while (smp_interrupts[vcpu] == before)
		if (time_ns() > end)
			fail(check, "vCPU %u was not interrupted", vcpu);
}

static void none_comes(int check, uint32_t vcpu, uint64_t before)
{
	uint64_t end = time_after(QUIET);

	while (time_ns() < end)
		if (smp_interrupts[vcpu] != before)
			fail(check, "vCPU %u was interrupted", vcpu);
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* What the clock page says. */
static uint64_t clock_of(const struct vcpu_time_info *ti)
{
	uint64_t ticks = rdtsc() - ti->tsc_timestamp;

	ticks = ti->tsc_shift < 0 ? ticks >> -ti->tsc_shift : ticks << ti->tsc_shift;
	return ti->system_time + (uint64_t)((unsigned __int128)ticks * ti->tsc_to_system_mul >> 32);
}

static uint64_t now(void)
{
	return clock_of(&info[0]->time);
}

static void place_shared_info(void)
{
	struct xen_add_to_physmap arg = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info};

	shared = page_alloc(1);
	arg.gpfn = (uint64_t)shared / PAGE_SIZE;
	expect(1, "add_to_physmap", hypercall_memory_op(XENMEM_add_to_physmap, &arg), 0);
	for (unsigned int i = 0; i < VCPUS; i++)
		info[i] = &shared->vcpu_info[i];
}

static int set_vector(uint32_t vcpu, uint8_t vector)
{
	struct xen_hvm_evtchn_upcall_vector arg = {.vcpu = vcpu, .vector = vector};

	return (int)hypercall(
	    __HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, (uint64_t)&arg, 0, 0, 0);
}

static void vectors(void)
{
	struct xen_feature_info features = {.submap_idx = 0};

	expect(2, "get_features",
	    hypercall(__HYPERVISOR_xen_version, XENVER_get_features, (uint64_t)&features, 0, 0, 0),
	    0);
	expect(3, "features", features.submap,
	    1 << XENFEAT_auto_translated_physmap | 1 << XENFEAT_hvm_callback_vector |
		1 << XENFEAT_hvm_safe_pvclock);
	expect(4, "a vector of exceptions", set_vector(0, 0xf), -XEN_EINVAL);
	expect(5, "vCPU 2", set_vector(VCPUS, VECTOR), -XEN_ENOENT);
	for (uint32_t i = 0; i < VCPUS; i++)
		expect(6, "a vector", set_vector(i, VECTOR), 0);
}

static void interprocessor(void)
{
	struct evtchn_bind_ipi bind = {.vcpu = VCPUS};
	uint64_t before = smp_interrupts[1];
	struct evtchn_send send;
	struct evtchn_close close;

	expect(10, "bind_ipi to vCPU 2", hypercall_event_channel_op(EVTCHNOP_bind_ipi, &bind),
	    -XEN_ENOENT);
	bind.vcpu = 1;
	expect(11, "bind_ipi", hypercall_event_channel_op(EVTCHNOP_bind_ipi, &bind), 0);
	close.port = send.port = bind.port;
	expect(12, "send", hypercall_event_channel_op(EVTCHNOP_send, &send), 0);
	await_interrupt(13, 1, before);
	expect(14, "upcall_pending", info[1]->evtchn_upcall_pending, 1);
	/* It has not looked yet: no second one. */
	before = smp_interrupts[1];
	expect(15, "send again", hypercall_event_channel_op(EVTCHNOP_send, &send), 0);
	none_comes(16, 1, before);
	if (!take(1, bind.port))
		fail(17, "nothing is pending");
	expect(18, "close", hypercall_event_channel_op(EVTCHNOP_close, &close), 0);
	expect(19, "send by what is closed", hypercall_event_channel_op(EVTCHNOP_send, &send),
	    -XEN_EINVAL);
}

static int64_t register_info(uint64_t vcpu, uint64_t gfn, uint32_t offset)
{
	struct vcpu_register_vcpu_info arg = {.mfn = gfn, .offset = offset};

	return vcpu_call(VCPUOP_register_vcpu_info, vcpu, &arg);
}

static void registration(void)
{
	char *page = page_alloc(1);
	uint64_t gfn = (uint64_t)page / PAGE_SIZE, before = smp_interrupts[1];
	struct vcpu_info *old = info[1];

	expect(20, "vCPU 2", register_info(VCPUS, gfn, 0), -XEN_ENOENT);
	expect(21, "no RAM", register_info(1, ~0ULL, 0), -XEN_EINVAL);
	expect(22, "the window area", register_info(1, 0x100000, 0), -XEN_EINVAL);
	expect(23, "not aligned", register_info(1, gfn, 4), -XEN_EINVAL);
	expect(24, "across pages", register_info(1, gfn, PAGE_SIZE - 56), -XEN_EINVAL);
	expect(25, "a wild pointer", vcpu_call(VCPUOP_register_vcpu_info, 1, (void *)~15ULL),
	    -XEN_EFAULT);
	none_comes(26, 1, before);
	expect(27, "register_vcpu_info", register_info(1, gfn, PAGE_SIZE - 64), 0);
	info[1] = (void *)(page + PAGE_SIZE - 64);
	await_interrupt(28, 1, before);
	expect(
	    29, "the clock's factor", info[1]->time.tsc_to_system_mul, old->time.tsc_to_system_mul);
	if (info[1]->evtchn_pending_sel != ~0UL)
		fail(30, "not all ports are to be looked at");
	expect(31, "again", register_info(1, gfn, 0), -XEN_EINVAL);
	(void)take(1, 0);
	interprocessor();
	expect(32, "the old upcall_pending", old->evtchn_upcall_pending, 0);
}

static int64_t singleshot(uint64_t vcpu, uint64_t when, uint32_t flags)
{
	struct vcpu_set_singleshot_timer arg = {.timeout_abs_ns = when, .flags = flags};

	return vcpu_call(VCPUOP_set_singleshot_timer, vcpu, &arg);
}

/* It comes, and not before its time. */
static void fires(int check, uint32_t port, uint64_t before, uint64_t when)
{
	await_interrupt(check, 0, before);
	if (now() < when)
		fail(check + 1, "%lu ns too early", when - now());
	if (!take(0, port))
		fail(check + 2, "the timer's port is not pending");
}

static uint32_t timers(void)
{
	struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER};
	uint64_t before = smp_interrupts[0], when = now() + 20 * MS;

	expect(40, "bind_virq", hypercall_event_channel_op(EVTCHNOP_bind_virq, &bind), 0);
	expect(41, "singleshot", singleshot(0, when, 0), 0);
	fires(42, bind.port, before, when);
	before = smp_interrupts[0];
	expect(45, "one in the past", singleshot(0, now() - MS, 0), 0);
	fires(46, bind.port, before, 0);
	before = smp_interrupts[0];
	expect(
	    49, "only in the future", singleshot(0, now() - MS, VCPU_SSHOTTMR_future), -XEN_ETIME);
	expect(50, "another vCPU's", singleshot(1, now() + MS, 0), -XEN_EINVAL);
	expect(51, "singleshot", singleshot(0, now() + QUIET / 2, 0), 0);
	expect(52, "stop", vcpu_call(VCPUOP_stop_singleshot_timer, 0, NULL), 0);
	expect(
	    53, "stop one that does not tick", vcpu_call(VCPUOP_stop_periodic_timer, 0, NULL), 0);
	none_comes(54, 0, before);
	when = now() + 10 * MS;
	expect(55, "set_timer_op", hypercall(__HYPERVISOR_set_timer_op, when, 0, 0, 0, 0), 0);
	fires(56, bind.port, before, when);
	before = smp_interrupts[0];
	when = now() + 90 * MS;
	expect(59, "one that wrapped", hypercall(__HYPERVISOR_set_timer_op, ~0ULL, 0, 0, 0, 0), 0);
	fires(60, bind.port, before, when);
	return bind.port;
}

static int64_t periodic(uint64_t vcpu, uint64_t period)
{
	struct vcpu_set_periodic_timer arg = {.period_ns = period};

	return vcpu_call(VCPUOP_set_periodic_timer, vcpu, &arg);
}

/* Ticks of a vCPU, not faster than they should be. */
static void ticks(int check, uint32_t vcpu, uint32_t port, uint64_t period)
{
	uint64_t before = smp_interrupts[vcpu], start = now();

	expect(check, "set_periodic", periodic(vcpu, period), 0);
	for (unsigned int i = 1; i <= 3; i++) {
		await_interrupt(check + 1, vcpu, before);
		before = smp_interrupts[vcpu];
		if (!take(vcpu, port))
			fail(check + 2, "no tick is pending");
		if (now() - start < i * period)
			fail(check + 3, "tick %u came too early", i);
	}
	expect(check + 4, "stop_periodic", vcpu_call(VCPUOP_stop_periodic_timer, vcpu, NULL), 0);
	/* One may have been on its way. */
	(void)take(vcpu, port);
	before = smp_interrupts[vcpu];
	none_comes(check + 5, vcpu, before);
}

/* timers has bound vCPU 0's VIRQ_TIMER. */
static void periodic_timers(uint32_t port)
{
	struct evtchn_bind_virq bind = {.virq = VIRQ_TIMER, .vcpu = 1};

	expect(90, "too short a period", periodic(0, MS - 1), -XEN_EINVAL);
	expect(91, "too long a period", periodic(0, 1ULL << 62), -XEN_EINVAL);
	expect(92, "vCPU 2", periodic(VCPUS, 10 * MS), -XEN_ENOENT);
	expect(93, "a wild pointer", vcpu_call(VCPUOP_set_periodic_timer, 0, (void *)~15ULL),
	    -XEN_EFAULT);
	ticks(94, 0, port, 10 * MS);
	expect(100, "bind_virq", hypercall_event_channel_op(EVTCHNOP_bind_virq, &bind), 0);
	ticks(101, 1, bind.port, 5 * MS);
}

/* All ports of the guest's end; those of its console and the like with them. */
static void reset(uint32_t timer)
{
	struct evtchn_bind_ipi ipi = {.vcpu = 1}, first;
	struct evtchn_reset arg = {.dom = 7};
	struct evtchn_status status = {.dom = DOMID_SELF};
	struct evtchn_send send;

	expect(110, "bind_ipi", hypercall_event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	first = ipi;
	expect(111, "reset of no domain", hypercall_event_channel_op(EVTCHNOP_reset, &arg),
	    -XEN_ESRCH);
	arg.dom = 0;
	expect(
	    112, "reset of the host", hypercall_event_channel_op(EVTCHNOP_reset, &arg), -XEN_EPERM);
	send.port = ipi.port;
	expect(113, "send", hypercall_event_channel_op(EVTCHNOP_send, &send), 0);
	if (!take(1, ipi.port))
		fail(114, "refused, it did something");
	arg.dom = DOMID_SELF;
	expect(115, "reset", hypercall_event_channel_op(EVTCHNOP_reset, &arg), 0);
	expect(116, "send", hypercall_event_channel_op(EVTCHNOP_send, &send), -XEN_EINVAL);
	for (status.port = 1; status.port <= ipi.port; status.port++) {
		expect(117, "status", hypercall_event_channel_op(EVTCHNOP_status, &status), 0);
		expect(118, "a port's status", status.status, EVTCHNSTAT_closed);
	}
	expect(119, "reset again", hypercall_event_channel_op(EVTCHNOP_reset, &arg), 0);
	/* All are free, and can be bound. */
	expect(120, "bind_ipi", hypercall_event_channel_op(EVTCHNOP_bind_ipi, &ipi), 0);
	expect(121, "its port", ipi.port, 1);
	/* The timer has no port: nothing comes of it. */
	expect(122, "singleshot", singleshot(0, now(), 0), 0);
	if (take(0, timer) || take(1, first.port))
		fail(123, "a closed port is pending");
}

/* A poll ends by the interrupt that its vCPU takes, though its own port is never raised. */
static void poll_ends(void)
{
	struct evtchn_alloc_unbound port = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
	struct sched_poll poll = {.nr_ports = 1};

	expect(65, "alloc_unbound", hypercall_event_channel_op(EVTCHNOP_alloc_unbound, &port), 0);
	set_xen_guest_handle(poll.ports, &port.port);
	expect(66, "singleshot", singleshot(0, now() + 20 * MS, 0), 0);
	expect(67, "poll", hypercall_sched_op(SCHEDOP_poll, &poll), 0);
	expect(68, "upcall_pending", info[0]->evtchn_upcall_pending, 1);
	(void)take(0, 0);
	poll.timeout = now() + 10 * MS;
	expect(69, "poll with a time", hypercall_sched_op(SCHEDOP_poll, &poll), 0);
	if (now() < poll.timeout)
		fail(70, "it ended too early");
}

static void clocks(void)
{
	struct vcpu_register_runstate_memory_area ra;
	struct vcpu_register_time_memory_area ta;
	struct vcpu_runstate_info rs = {.state = -1};
	struct vcpu_time_info ti = {.version = 1};
	uint64_t wall = (uint64_t)shared->wc_sec_hi << 32 | shared->wc_sec, a, b, sum;

	a = time_ns();
	b = now();
	if (b + SECOND < a || a + SECOND < b)
		fail(75, "the page's clock says %lu ns, ours %lu", b, a);
	if (wall < YEAR_2020 || shared->wc_version % 2 != 0)
		fail(76, "guest time began at %lu s", wall);
	ta.addr.v = &ti;
	expect(77, "time area", vcpu_call(VCPUOP_register_vcpu_time_memory_area, 0, &ta), 0);
	expect(78, "its version", ti.version % 2, 0);
	a = clock_of(&ti);
	if (a < b || a > b + PATIENCE)
		fail(79, "the area's clock says %lu ns, the page's %lu", a, b);
	ra.addr.v = &rs;
	expect(80, "runstate area", vcpu_call(VCPUOP_register_runstate_memory_area, 1, &ra), 0);
	expect(81, "runstate", rs.state, RUNSTATE_running);
	sum = rs.time[0] + rs.time[1] + rs.time[2] + rs.time[3];
	if (sum != rs.state_entry_time || sum < b || sum > now())
		fail(82, "its times come to %lu of %lu ns", sum, now());
	ra.addr.v = NULL;
	expect(83, "no runstate area", vcpu_call(VCPUOP_register_runstate_memory_area, 1, &ra), 0);
	expect(84, "vCPU 0 is up", vcpu_call(VCPUOP_is_up, 0, NULL), 1);
	expect(85, "vCPU 2 is up", vcpu_call(VCPUOP_is_up, VCPUS, NULL), -XEN_ENOENT);
	expect(86, "initialise", vcpu_call(VCPUOP_initialise, 1, NULL), -XEN_ENOSYS);
	expect(87, "vm_assist",
	    hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_runstate_update_flag,
		0, 0, 0),
	    0);
	expect(88, "another assist",
	    hypercall(
		__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_pae_extended_cr3, 0, 0, 0),
	    -XEN_EINVAL);
}

static void upcall(int argc, char **argv)
{
	uint32_t port;

	(void)argc, (void)argv;
	smp_begin(VCPUS);
	place_shared_info();
	vectors();
	interprocessor();
	registration();
	port = timers();
	periodic_timers(port);
	poll_ends();
	clocks();
	reset(port);
}

const struct test tests_upcall[] = {{"upcall", upcall}};
const size_t nr_tests_upcall = ARRAY_SIZE(tests_upcall);
