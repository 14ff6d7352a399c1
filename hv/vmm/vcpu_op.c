/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VCPUOP_* and set_timer_op (Xen public/vcpu.h, public/xen.h), for guests with LAPICs.
 *
 * vCPUs are started as processors are, by INIT and SIPI, so what starts them here is -ENOSYS.  Areas
 * that a guest registers are written once: a vCPU counts as running all its life, and what its clock is
 * made of never changes.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/timerfd.h>

#include "lib/sys.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define PAGE_SHIFT 12
#define NSEC_PER_SEC UINT64_C(1000000000)
#define SOON UINT64_C(100000000)     /* ns */
#define FAR_SHIFT 50		     /* 2^50 ns: 13 days */
#define PERIOD_MIN UINT64_C(1000000) /* ns; both bounds are Xen's */
#define PERIOD_MAX (UINT64_MAX >> 2)

static int new_timer(int *fd, struct failure *f)
{
	*fd = SYS(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	return *fd < 0 ? failure_sys(f, -errno, "a vCPU's timer can't be set up") : 0;
}

int timer_init(struct vmm *vm, struct failure *f)
{
	int ret = 0;

	for (unsigned i = 0; i < vm->cfg.vcpus && !ret; i++) {
		ret = new_timer(&vm->vcpus[i].timer, f);
		if (!ret)
			ret = new_timer(&vm->vcpus[i].ticks, f);
	}
	return ret;
}

/* host: CLOCK_MONOTONIC; 0: never.  What is past fires at once. */
static int arm(struct vcpu *v, uint64_t host)
{
	uint64_t sec = host / NSEC_PER_SEC;
	const struct itimerspec its = {
	    .it_value = {.tv_sec = (time_t)sec, .tv_nsec = (long)(host % NSEC_PER_SEC)}};

	return timerfd_settime(v->timer, TFD_TIMER_ABSTIME, &its, NULL) ? -errno : 0;
}

/* Fire at a moment of guest time.  => -ETIME: it has been reached, and it shall not fire then */
static int arm_for_guest(struct vcpu *v, uint64_t when, bool only_future)
{
	uint64_t host;
	bool reached;
	int ret = clock_deadline(v, when, &host, &reached);

	if (ret)
		return ret;
	if (!reached)
		return arm(v, host);
	if (only_future)
		return -ETIME;
	ret = arm(v, 0);
	event_timer(v);
	return ret;
}

/* 0: no more ticks.  Those that nobody was there to take are one. */
static int tick_every(struct vcpu *v, uint64_t period)
{
	const struct timespec ts = {
	    .tv_sec = (time_t)(period / NSEC_PER_SEC), .tv_nsec = (long)(period % NSEC_PER_SEC)};
	const struct itimerspec its = {.it_value = ts, .it_interval = ts};

	return timerfd_settime(v->ticks, 0, &its, NULL) ? -errno : 0;
}

static int64_t set_periodic(struct vcpu *v, struct vcpu *target, const struct hypercall *h)
{
	struct vcpu_set_periodic_timer op;
	int ret = gmem_copy_in(&v->vm->mem, &h->paging, &op, h->arg[2], sizeof(op));

	if (ret)
		return ret;
	if (op.period_ns < PERIOD_MIN || op.period_ns > PERIOD_MAX)
		return -EINVAL;
	return tick_every(target, op.period_ns);
}

static int64_t set_singleshot(struct vcpu *v, const struct hypercall *h)
{
	struct vcpu_set_singleshot_timer op;
	int ret = gmem_copy_in(&v->vm->mem, &h->paging, &op, h->arg[2], sizeof(op));

	return ret ? ret : arm_for_guest(v, op.timeout_abs_ns, op.flags & VCPU_SSHOTTMR_future);
}

int64_t timer_op(struct vcpu *v, const struct hypercall *h)
{
	uint64_t when = h->arg[0], now;
	int ret;

	if (!v->vm->cfg.lapic)
		return -ENOSYS;
	if (when == 0)
		return arm(v, 0);
	/* Xen's word about these: a guest whose own arithmetic wrapped, with work to do now. */
	ret = vcpu_time(v, &now);
	if (ret)
		return ret;
	if (when > INT64_MAX || (when > now && (when - now) >> FAR_SHIFT != 0))
		when = now + SOON;
	return arm_for_guest(v, when, false);
}

static int64_t register_info(struct vcpu *v, struct vcpu *target, const struct hypercall *h)
{
	struct wire_hypercall q = {.nr = __HYPERVISOR_vcpu_op,
	    .cmd = VCPUOP_register_vcpu_info,
	    .arg_len = sizeof(struct wire_vcpu_info)};
	struct vcpu_register_vcpu_info op;
	struct wire_vcpu_info wi = {.vcpu = target->id};
	struct wire_result r;
	int ret = gmem_copy_in(&v->vm->mem, &h->paging, &op, h->arg[2], sizeof(op));

	if (ret)
		return ret;
	wi.gfn = op.mfn;
	wi.offset = op.offset;
	memcpy(q.arg, &wi, sizeof(wi));
	link_hypercall(&q, &r);
	if (r.ret == 0)
		event_info_moved(target, (wi.gfn << PAGE_SHIFT) + wi.offset);
	return r.ret;
}

/* Running since guest time began: times and the time since state_entry_time add up. */
static int runstate(struct vcpu *v, struct vcpu_runstate_info *rs)
{
	uint64_t now;
	int ret = vcpu_time(v, &now);

	*rs = (struct vcpu_runstate_info){.state = RUNSTATE_running, .state_entry_time = now};
	rs->time[RUNSTATE_running] = now;
	return ret;
}

static int64_t get_runstate(struct vcpu *v, const struct hypercall *h)
{
	struct vcpu_runstate_info rs;
	int ret = runstate(v, &rs);

	return ret ? ret : gmem_copy_out(&v->vm->mem, &h->paging, h->arg[2], &rs, sizeof(rs));
}

/* Both kinds of area are told by one virtual address; 0: the area is given up. */
static int area_address(struct vcpu *v, const struct hypercall *h, uint64_t *gva)
{
	_Static_assert(sizeof(struct vcpu_register_runstate_memory_area) == sizeof(*gva) &&
			   sizeof(struct vcpu_register_time_memory_area) == sizeof(*gva),
	    "an address each");
	return gmem_copy_in(&v->vm->mem, &h->paging, gva, h->arg[2], sizeof(*gva));
}

static int64_t register_runstate(struct vcpu *v, const struct hypercall *h)
{
	struct vcpu_runstate_info rs;
	uint64_t gva;
	int ret = area_address(v, h, &gva);

	if (!ret && gva != 0)
		ret = runstate(v, &rs);
	if (!ret && gva != 0)
		ret = gmem_copy_out(&v->vm->mem, &h->paging, gva, &rs, sizeof(rs));
	return ret;
}

static int64_t register_time(struct vcpu *v, struct vcpu *target, const struct hypercall *h)
{
	struct vcpu_time_info ti;
	uint64_t gva;
	int ret = area_address(v, h, &gva);

	if (ret || gva == 0)
		return ret;
	clock_show_vcpu(target, &ti);
	return gmem_copy_out(&v->vm->mem, &h->paging, gva, &ti, sizeof(ti));
}

/* The periodic one may be set by any vCPU, the other one by its own. */
static int64_t timer_command(struct vcpu *v, struct vcpu *target, const struct hypercall *h)
{
	if (h->arg[0] == VCPUOP_set_periodic_timer)
		return set_periodic(v, target, h);
	if (h->arg[0] == VCPUOP_stop_periodic_timer)
		return tick_every(target, 0);
	if (target != v)
		return -EINVAL;
	return h->arg[0] == VCPUOP_set_singleshot_timer ? set_singleshot(v, h) : arm(v, 0);
}

int64_t vcpu_op(struct vcpu *v, const struct hypercall *h)
{
	struct vcpu *target;

	if (!v->vm->cfg.lapic)
		return -ENOSYS;
	if (h->arg[1] >= v->vm->cfg.vcpus)
		return -ENOENT;
	target = &v->vm->vcpus[h->arg[1]];
	switch (h->arg[0]) {
	case VCPUOP_register_vcpu_info:
		return register_info(v, target, h);
	case VCPUOP_register_runstate_memory_area:
		return register_runstate(v, h);
	case VCPUOP_register_vcpu_time_memory_area:
		return register_time(v, target, h);
	case VCPUOP_get_runstate_info:
		return get_runstate(v, h);
	case VCPUOP_set_periodic_timer:
	case VCPUOP_stop_periodic_timer:
	case VCPUOP_set_singleshot_timer:
	case VCPUOP_stop_singleshot_timer:
		return timer_command(v, target, h);
	case VCPUOP_is_up:
		return atomic_load(&target->up);
	default:
		return -ENOSYS;
	}
}
