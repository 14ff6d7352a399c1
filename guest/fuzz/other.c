/* SPDX-License-Identifier: BSD-2-Clause */
/* All other hypercalls, those that there are not included. */
#include "fuzz.h"

static void shared_info_fill(void *arg)
{
	struct xen_add_to_physmap *op = arg;

	op->domid = one_in(6) ? any_domid() : DOMID_SELF;
	op->space = XENMAPSPACE_shared_info;
	op->idx = one_in(6) ? wild() : 0;
	op->gpfn = one_in(4) ? spot() : public_gfn();
}

static void frame_fill(void *arg)
{
	struct xen_add_to_physmap *op = arg;

	op->domid = one_in(6) ? any_domid() : DOMID_SELF;
	op->space = XENMAPSPACE_grant_table;
	op->idx = below(one_in(4) ? 70 : 3) + (second_p ? FRAMES : 0);
	op->gpfn = one_in(4) ? any_gfn() : spot();
}

/* We have to see it: if it went elsewhere it comes back. */
static void frame_done(const void *arg, int64_t ret)
{
	struct xen_add_to_physmap op = *(const struct xen_add_to_physmap *)arg;

	(void)ret;
	if (op.space != XENMAPSPACE_grant_table || op.idx >= FRAMES)
		return;
	while (!in_tables(op.gpfn)) {
		op.gpfn = spot();
		if (plain(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &op) != 0)
			op.gpfn = 0;
	}
	field.frame[op.idx] = (struct grant_entry_v1 *)(op.gpfn * PAGE_SIZE);
}

static void space_fill(void *arg)
{
	frame_fill(arg);
	((struct xen_add_to_physmap *)arg)->space = 2 + below(8);
}

static void get_param_fill(void *arg)
{
	struct xen_hvm_param *op = arg;

	op->domid = one_in(6) ? any_domid() : DOMID_SELF;
	op->index = below(HVM_NR_PARAMS + 2);
}

static void set_param_fill(void *arg)
{
	struct xen_hvm_param *op = arg;

	get_param_fill(arg);
	if (one_in(2))
		op->index = one_in(2) ? HVM_PARAM_STORE_EVTCHN : HVM_PARAM_CONSOLE_EVTCHN;
	op->value = one_in(2) ? any_port() : wild();
}

static int64_t version(void)
{
	static struct xen_feature_info info;
	uint64_t to = one_in(8) ? bad_address() : (uint64_t)&info;
	static char text[256];

	info.submap_idx = below(3);
	switch (below(4)) {
	case 0:
		return hypercall(__HYPERVISOR_xen_version, XENVER_version, to, 0, 0, 0);
	case 1:
		return hypercall(__HYPERVISOR_xen_version, XENVER_get_features, to, 0, 0, 0);
	case 2:
		to = one_in(8) ? bad_address() : (uint64_t)text;
		return hypercall(__HYPERVISOR_xen_version, XENVER_extraversion, to, 0, 0, 0);
	default:
		return hypercall(__HYPERVISOR_xen_version, XENVER_pagesize, to, 0, 0, 0);
	}
}

/* Endless ones from where nothing can be read only: what is there would all be printed. */
static int64_t console_write(void)
{
	static const char noise[] = "fuzz: noise\n";

	if (one_in(2))
		return hypercall(
		    __HYPERVISOR_console_io, CONSOLEIO_write, 1 + wild(), bad_address(), 0, 0);
	if (!one_in(20))
		return hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 0, wild(), 0, 0);
	return hypercall(
	    __HYPERVISOR_console_io, CONSOLEIO_write, sizeof(noise) - 1, (uint64_t)noise, 0, 0);
}

static int64_t console_read(void)
{
	static char buf[256];
	uint64_t to = one_in(2) ? bad_address() : (uint64_t)buf;

	return hypercall(__HYPERVISOR_console_io, CONSOLEIO_read, sizeof(buf), to, 0, 0);
}

static int64_t yield(void)
{
	return hypercall(__HYPERVISOR_sched_op, SCHEDOP_yield, wild(), wild(), 0, 0);
}

/*
 * Never for long, and not for ever: then the structure would have to be ours, but for one that can't
 * be read.
 */
static int64_t poll(void)
{
	static evtchn_port_t ports[160];
	struct sched_poll op = {.nr_ports = below(8), .timeout = time_after(below(100000))};

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		ports[i] = any_port();
	if (one_in(8))
		op.nr_ports = below(ARRAY_SIZE(ports));
	if (one_in(16))
		op.nr_ports = (uint32_t)wild();
	set_xen_guest_handle(op.ports, ports);
	if (one_in(8))
		set_xen_guest_handle(op.ports, (evtchn_port_t *)bad_address());
	return hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll,
	    one_in(8) ? bad_address() : (uint64_t)&op, 0, 0, 0);
}

static int64_t exit_status(void)
{
	return hypercall(LOMBARD_HYPERCALL_guest_op, GUESTOP_exit_status, below(300), 0, 0, 0);
}

static uint64_t writable(void)
{
	if (one_in(8))
		return one_in(2) ? twisted() : bad_address();
	return (uint64_t)field.public + below((uint32_t)PAGE_SIZE * (PUBLIC_PAGES - 1));
}

static uint64_t any_vcpu(void)
{
	return one_in(6) ? wild() : below(2);
}

/* A structure at most; where the hypervisor writes, others may, too. */
static int64_t vcpu(unsigned cmd, const void *arg)
{
	return hypercall(
	    __HYPERVISOR_vcpu_op, cmd, any_vcpu(), one_in(8) ? bad_address() : (uint64_t)arg, 0, 0);
}

static int64_t vcpu_timer(void)
{
	struct vcpu_set_singleshot_timer op = {
	    .timeout_abs_ns = one_in(4) ? wild() : time_after(below(1000000)),
	    .flags = one_in(4) ? VCPU_SSHOTTMR_future : 0};

	return one_in(4) ? vcpu(VCPUOP_stop_singleshot_timer, &op)
			 : vcpu(VCPUOP_set_singleshot_timer, &op);
}

static int64_t vcpu_info(void)
{
	struct vcpu_register_vcpu_info op = {.mfn = one_in(4) ? any_gfn() : public_gfn(),
	    .offset = one_in(4) ? (uint32_t)wild() : below(63) * 64};

	return vcpu(VCPUOP_register_vcpu_info, &op);
}

static int64_t vcpu_area(void)
{
	uint64_t address = writable();

	return one_in(2) ? vcpu(VCPUOP_register_runstate_memory_area, &address)
			 : vcpu(VCPUOP_register_vcpu_time_memory_area, &address);
}

static int64_t vcpu_state(void)
{
	return one_in(2) ? vcpu(VCPUOP_get_runstate_info, (const void *)writable())
			 : vcpu(VCPUOP_is_up, NULL);
}

static int64_t set_timer(void)
{
	return hypercall(
	    __HYPERVISOR_set_timer_op, one_in(2) ? wild() : time_after(below(1000000)), 0, 0, 0, 0);
}

static int64_t assist(void)
{
	return hypercall(__HYPERVISOR_vm_assist, below(3),
	    one_in(2) ? VMASST_TYPE_runstate_update_flag : below(8), 0, 0, 0);
}

static int64_t upcall_vector(void)
{
	struct xen_hvm_evtchn_upcall_vector op = {
	    .vcpu = (uint32_t)any_vcpu(), .vector = (uint8_t)below(256)};

	return hypercall(__HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector,
	    one_in(8) ? bad_address() : (uint64_t)&op, 0, 0, 0);
}

static const uint8_t known[] = {__HYPERVISOR_memory_op, __HYPERVISOR_xen_version,
    __HYPERVISOR_console_io, __HYPERVISOR_grant_table_op, __HYPERVISOR_sched_op,
    __HYPERVISOR_event_channel_op, __HYPERVISOR_hvm_op, LOMBARD_HYPERCALL_chan_op,
    LOMBARD_HYPERCALL_guest_op, LOMBARD_HYPERCALL_loan_op, __HYPERVISOR_vcpu_op,
    __HYPERVISOR_set_timer_op, __HYPERVISOR_vm_assist};

static bool known_p(uint64_t nr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i] == nr)
			return true;
	return false;
}

static int64_t unknown_number(void)
{
	uint64_t nr = one_in(4) ? rnd() >> below(64) : below(64);

	while (known_p(nr))
		nr = below(64);
	return hypercall(nr, wild(), wild(), wild(), wild(), wild());
}

static int64_t unknown_command(void)
{
	uint8_t nr = known[below(ARRAY_SIZE(known))];
	uint64_t cmd = one_in(2) ? 64 + below(1000) : rnd() | 1ULL << 40;

	return hypercall(nr, cmd, wild(), wild(), wild(), wild());
}

/* The core writes to the shared info page. */
static bool memory_hurts(const void *arg)
{
	return vital(((const struct xen_add_to_physmap *)arg)->gpfn, 1);
}

#define MEMORY(n, w, k, f)                                                                         \
	{                                                                                          \
		.name = "memory." #n, .nr = __HYPERVISOR_memory_op, .cmd = XENMEM_add_to_physmap,  \
		.size = sizeof(struct xen_add_to_physmap), .weight = w, .kind = k, .fill = f,      \
		.done = frame_done, .hurts = memory_hurts                                          \
	}
#define HVM(op, w, ...)                                                                            \
	{                                                                                          \
		.name = "hvm." #op, .nr = __HYPERVISOR_hvm_op, .cmd = HVMOP_##op,                  \
		.size = sizeof(struct xen_hvm_param), .weight = w, .fill = op##_fill, __VA_ARGS__  \
	}
#define CALL(n, k, c, w)                                                                           \
	{                                                                                          \
		.name = n, .kind = k, .weight = w, .call = c                                       \
	}

const struct op ops_other[] = {
    MEMORY(shared_info, 8, BOTH, shared_info_fill),
    MEMORY(grant_table, 8, BOTH, frame_fill),
    MEMORY(other_space, 2, FAILS, space_fill),
    HVM(get_param, 4, .results = true),
    HVM(set_param, 4, .results = false),
    CALL("version", BOTH, version, 6),
    CALL("console.write", BOTH, console_write, 3),
    CALL("console.read", WORKS, console_read, 2),
    CALL("sched.yield", WORKS, yield, 2),
    CALL("sched.poll", BOTH, poll, 10),
    CALL("guest.exit_status", BOTH, exit_status, 2),
    CALL("vcpu.timer", BOTH, vcpu_timer, 8),
    CALL("vcpu.info", BOTH, vcpu_info, 4),
    CALL("vcpu.area", BOTH, vcpu_area, 4),
    CALL("vcpu.state", BOTH, vcpu_state, 4),
    CALL("set_timer", BOTH, set_timer, 4),
    CALL("vm_assist", BOTH, assist, 4),
    CALL("hvm.upcall_vector", BOTH, upcall_vector, 4),
    CALL("unknown.number", FAILS, unknown_number, 20),
    CALL("unknown.command", FAILS, unknown_command, 10),
};
const unsigned nr_ops_other = ARRAY_SIZE(ops_other);
