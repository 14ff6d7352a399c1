/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "lombard/chan.h"
#include "lombard/loan.h"
#include "xen/public.h"

/*
 * Xen's error numbers (public/errno.h) are Linux's for all that is used here, so errors are
 * returned as they are.
 */

#define PAGE_SHIFT 12
#define XEN_VERSION_4_17 (4 << 16 | 17)
#define MAX_EXIT_STATUS 255
#define FIRST_VECTOR 0x10 /* below are exceptions */

/* Bytes of each command's structure; 0: no such command. */
static const uint16_t evtchn_sizes[] = {
    [EVTCHNOP_bind_interdomain] = sizeof(struct evtchn_bind_interdomain),
    [EVTCHNOP_bind_virq] = sizeof(struct evtchn_bind_virq),
    [EVTCHNOP_bind_pirq] = sizeof(struct evtchn_bind_pirq),
    [EVTCHNOP_close] = sizeof(struct evtchn_close),
    [EVTCHNOP_send] = sizeof(struct evtchn_send),
    [EVTCHNOP_status] = sizeof(struct evtchn_status),
    [EVTCHNOP_alloc_unbound] = sizeof(struct evtchn_alloc_unbound),
    [EVTCHNOP_bind_ipi] = sizeof(struct evtchn_bind_ipi),
    [EVTCHNOP_bind_vcpu] = sizeof(struct evtchn_bind_vcpu),
    [EVTCHNOP_unmask] = sizeof(struct evtchn_unmask),
    [EVTCHNOP_reset] = sizeof(struct evtchn_reset),
    [EVTCHNOP_init_control] = sizeof(struct evtchn_init_control),
    [EVTCHNOP_expand_array] = sizeof(struct evtchn_expand_array),
    [EVTCHNOP_set_priority] = sizeof(struct evtchn_set_priority),
};

static const uint16_t loan_sizes[] = {
    [LOANOP_info] = sizeof(struct loan_info),
    [LOANOP_lend] = sizeof(struct loan_lend),
    [LOANOP_borrow] = sizeof(struct loan_borrow),
    [LOANOP_return] = sizeof(struct loan_return),
    [LOANOP_recall] = sizeof(struct loan_recall),
    [LOANOP_query] = sizeof(struct loan_query),
    [LOANOP_next] = sizeof(struct loan_query),
    [LOANOP_discard] = sizeof(struct loan_discard),
    [LOANOP_tie] = sizeof(struct loan_tie),
};

static const uint16_t chan_sizes[] = {
    [CHANOP_create] = sizeof(struct chan_create),
    [CHANOP_connect] = sizeof(struct chan_connect),
    [CHANOP_accept] = sizeof(struct chan_connect),
    [CHANOP_query] = sizeof(struct chan_query),
    [CHANOP_seal] = sizeof(struct chan_seal),
    [CHANOP_reap] = sizeof(struct chan_id),
    [CHANOP_close] = sizeof(struct chan_id),
    [CHANOP_notify] = sizeof(struct chan_peers),
    [CHANOP_drop] = sizeof(struct chan_peers),
    [CHANOP_refresh] = sizeof(struct chan_refresh),
};

_Static_assert(sizeof(struct chan_seal) <= WIRE_MAX_ARG, "the largest structure");

static const uint16_t memory_sizes[] = {
    [XENMEM_add_to_physmap] = sizeof(struct xen_add_to_physmap),
};

static const uint16_t hvm_sizes[] = {
    [HVMOP_set_param] = sizeof(struct xen_hvm_param),
    [HVMOP_get_param] = sizeof(struct xen_hvm_param),
};

static const uint16_t grant_sizes[] = {
    [GNTTABOP_map_grant_ref] = sizeof(struct gnttab_map_grant_ref),
    [GNTTABOP_unmap_grant_ref] = sizeof(struct gnttab_unmap_grant_ref),
    [GNTTABOP_copy] = sizeof(struct gnttab_copy),
    [GNTTABOP_query_size] = sizeof(struct gnttab_query_size),
    [GNTTABOP_set_version] = sizeof(struct gnttab_set_version),
    [GNTTABOP_get_version] = sizeof(struct gnttab_get_version),
};

/* Hypercalls of the form op(cmd, pointer to a structure) that the core answers. */
static const struct forwarded {
	uint64_t nr;
	const uint16_t *sizes;
	uint64_t nsizes;
} forwarded[] = {
    {__HYPERVISOR_event_channel_op, evtchn_sizes, sizeof(evtchn_sizes) / sizeof(evtchn_sizes[0])},
    {LOMBARD_HYPERCALL_loan_op, loan_sizes, sizeof(loan_sizes) / sizeof(loan_sizes[0])},
    {LOMBARD_HYPERCALL_chan_op, chan_sizes, sizeof(chan_sizes) / sizeof(chan_sizes[0])},
    {__HYPERVISOR_hvm_op, hvm_sizes, sizeof(hvm_sizes) / sizeof(hvm_sizes[0])},
    {__HYPERVISOR_memory_op, memory_sizes, sizeof(memory_sizes) / sizeof(memory_sizes[0])},
};

/* The core has done it: what there is to be known of it. */
static void note(struct vcpu *v, const struct hypercall *h, const struct wire_hypercall *q,
    const struct wire_result *r)
{
	struct xen_add_to_physmap x;

	if (h->nr == __HYPERVISOR_event_channel_op)
		event_answered(v->vm, h->arg[0], r->arg);
	if (h->nr != __HYPERVISOR_memory_op)
		return;
	memcpy(&x, q->arg, sizeof(x));
	if (x.space == XENMAPSPACE_shared_info)
		event_shared_moved(v, x.gpfn);
}

/* What the console thread wants to know: see wire.h, and whoever asks for the ring will use it. */
static void note_console(
    struct vmm *vm, const struct wire_hypercall *q, const struct wire_result *r)
{
	struct xen_hvm_param p;

	if (r->console)
		console_ring_told(&vm->console);
	if (q->nr != __HYPERVISOR_hvm_op || q->cmd != HVMOP_get_param)
		return;
	memcpy(&p, q->arg, sizeof(p));
	if (p.index == HVM_PARAM_CONSOLE_PFN)
		console_ring_used(&vm->console);
}

/* What was copied in goes to the core, once, and comes back if the core says so. */
static int64_t ask(
    struct vcpu *v, const struct hypercall *h, struct wire_hypercall *q, struct wire_result *r)
{
	struct vmm *vm = v->vm;
	int ret;

	link_hypercall(q, r);
	if (r->ret == 0)
		note(v, h, q, r);
	note_console(vm, q, r);
	if (r->copy_back && r->arg_len == q->arg_len) {
		ret = gmem_copy_out(&vm->mem, &h->paging, h->arg[1], r->arg, q->arg_len);
		if (ret)
			return ret;
	}
	return r->ret;
}

static int64_t forward(struct vcpu *v, const struct hypercall *h, uint32_t size)
{
	struct vmm *vm = v->vm;
	struct wire_hypercall q = {
	    .nr = (uint32_t)h->nr, .cmd = (uint32_t)h->arg[0], .arg_len = size};
	struct wire_result r;
	int ret;

	ret = gmem_copy_in(&vm->mem, &h->paging, q.arg, h->arg[1], size);
	if (ret)
		return ret;
	if (h->nr == __HYPERVISOR_event_channel_op && event_asked(vm, h->arg[0], q.arg))
		return 0;
	return ask(v, h, &q, &r);
}

static int64_t forward_op(struct vcpu *v, const struct hypercall *h)
{
	for (unsigned i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++) {
		const struct forwarded *fw = &forwarded[i];

		if (fw->nr != h->nr)
			continue;
		if (h->arg[0] >= fw->nsizes || fw->sizes[h->arg[0]] == 0)
			return -ENOSYS;
		return forward(v, h, fw->sizes[h->arg[0]]);
	}
	return -ENOSYS;
}

/*
 * The core does a part of a long lend at a time.  The rest is a call of its own, of which rdx says what it is the
 * rest of: the core does not rely on it.
 */
static int64_t lend(struct vcpu *v, struct hypercall *h)
{
	struct wire_hypercall q = {.nr = (uint32_t)h->nr, .cmd = (uint32_t)h->arg[0]};
	struct wire_result r;
	struct loan_lend op = {0};
	int64_t ret = gmem_copy_in(&v->vm->mem, &h->paging, &op, h->arg[1], sizeof(op));

	/* What was begun is finished, even if its result can't be told any more. */
	if (ret && q.cmd != WIRE_LEND_REST)
		return ret;
	if (q.cmd == WIRE_LEND_REST)
		op.id = h->arg[2];
	q.arg_len = sizeof(op);
	memcpy(q.arg, &op, sizeof(op));
	ret = ask(v, h, &q, &r);
	if (ret == -ERESTART) {
		memcpy(&op, r.arg, sizeof(op));
		h->arg[0] = WIRE_LEND_REST;
		h->arg[2] = op.id;
	}
	return ret;
}

static int64_t loan_call(struct vcpu *v, struct hypercall *h)
{
	return h->arg[0] == LOANOP_lend || h->arg[0] == WIRE_LEND_REST ? lend(v, h)
								       : forward_op(v, h);
}

/* op(cmd, array, count): each element has its own status, and goes its own way to the core. */
static int64_t grant_op(struct vcpu *v, struct hypercall *h)
{
	uint32_t size = h->arg[0] < sizeof(grant_sizes) / sizeof(grant_sizes[0])
			    ? grant_sizes[h->arg[0]]
			    : 0;
	int64_t ret = 0;

	if (size == 0)
		return -ENOSYS;
	for (unsigned done = 0; ret == 0 && (uint32_t)h->arg[2] > 0; done++) {
		if (hypercall_rest_p(v->vm, done))
			return -ERESTART;
		ret = forward(v, h, size);
		h->arg[1] += size;
		h->arg[2]--;
	}
	return ret;
}

static int64_t version_extra(struct vmm *vm, const struct hypercall *h)
{
	const xen_extraversion_t extra = ".lombard";

	return gmem_copy_out(&vm->mem, &h->paging, h->arg[1], extra, sizeof(extra));
}

/* Without interrupts no feature is promised: the bits stand for those, and for a clock page. */
static uint32_t features(const struct vmm *vm)
{
	return vm->cfg.lapic
		   ? 1U << XENFEAT_auto_translated_physmap | 1U << XENFEAT_hvm_callback_vector |
			 1U << XENFEAT_hvm_safe_pvclock
		   : 0;
}

static int64_t version_features(struct vmm *vm, const struct hypercall *h)
{
	struct xen_feature_info info;
	int ret = gmem_copy_in(&vm->mem, &h->paging, &info, h->arg[1], sizeof(info));

	if (ret)
		return ret;
	if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -EINVAL;
	info.submap = info.submap_idx == 0 ? features(vm) : 0;
	return gmem_copy_out(&vm->mem, &h->paging, h->arg[1], &info, sizeof(info));
}

static int64_t version_op(struct vmm *vm, const struct hypercall *h)
{
	switch (h->arg[0]) {
	case XENVER_version:
		return XEN_VERSION_4_17;
	case XENVER_extraversion:
		return version_extra(vm, h);
	case XENVER_get_features:
		return version_features(vm, h);
	case XENVER_pagesize:
		return INT64_C(1) << PAGE_SHIFT;
	default:
		return -ENOSYS;
	}
}

/* The flag would say that a runstate area is being written: that happens when it is registered only. */
static int64_t vm_assist(const struct vmm *vm, const struct hypercall *h)
{
	if (!vm->cfg.lapic)
		return -ENOSYS;
	if (h->arg[0] != VMASST_CMD_enable && h->arg[0] != VMASST_CMD_disable)
		return -ENOSYS;
	return h->arg[1] == VMASST_TYPE_runstate_update_flag ? 0 : -EINVAL;
}

static int64_t set_upcall_vector(struct vcpu *v, const struct hypercall *h)
{
	struct xen_hvm_evtchn_upcall_vector op;
	struct vcpu *target;
	int ret = gmem_copy_in(&v->vm->mem, &h->paging, &op, h->arg[1], sizeof(op));

	if (ret)
		return ret;
	if (op.vector < FIRST_VECTOR)
		return -EINVAL;
	if (op.vcpu >= v->vm->cfg.vcpus)
		return -ENOENT;
	target = &v->vm->vcpus[op.vcpu];
	upcall_set_vector(target, op.vector);
	if (event_upcall_p(target))
		upcall_raise(target);
	return 0;
}

static int64_t hvm_op(struct vcpu *v, const struct hypercall *h)
{
	if (h->arg[0] == HVMOP_set_evtchn_upcall_vector && v->vm->cfg.lapic)
		return set_upcall_vector(v, h);
	return forward_op(v, h);
}

static int64_t guest_op(struct vmm *vm, const struct hypercall *h)
{
	if (h->arg[0] != GUESTOP_exit_status)
		return -ENOSYS;
	if (h->arg[1] > MAX_EXIT_STATUS)
		return -EINVAL;
	atomic_store(&vm->exit_status, (uint32_t)h->arg[1]);
	return 0;
}

/* => true when the guest has ended, else *ret is the error */
static bool sched_shutdown(
    struct vmm *vm, const struct hypercall *h, int64_t *ret, struct vmm_end *end)
{
	struct sched_shutdown s;

	*ret = gmem_copy_in(&vm->mem, &h->paging, &s, h->arg[1], sizeof(s));
	if (*ret)
		return false;
	if (s.reason > SHUTDOWN_MAX) {
		*ret = -EINVAL;
		return false;
	}
	end->reason = s.reason;
	end->code = s.reason == SHUTDOWN_poweroff ? atomic_load(&vm->exit_status) : 0;
	return true;
}

static bool sched_op(struct vcpu *v, const struct hypercall *h, int64_t *ret, struct vmm_end *end)
{
	switch (h->arg[0]) {
	case SCHEDOP_yield:
		*ret = sched_yield();
		return false;
	case SCHEDOP_shutdown:
		return sched_shutdown(v->vm, h, ret, end);
	case SCHEDOP_poll:
		*ret = sched_poll(v, h);
		return false;
	default:
		*ret = -ENOSYS;
		return false;
	}
}

/* => as hypercall_do */
static bool answer(struct vcpu *v, struct hypercall *h, int64_t *ret, struct vmm_end *end)
{
	struct vmm *vm = v->vm;

	switch (h->nr) {
	case __HYPERVISOR_sched_op:
		return sched_op(v, h, ret, end);
	case __HYPERVISOR_console_io:
		*ret = console_op(vm, h);
		return false;
	case __HYPERVISOR_xen_version:
		*ret = version_op(vm, h);
		return false;
	case __HYPERVISOR_memory_op:
		if (!memory_op(v, h, ret))
			*ret = forward_op(v, h);
		return false;
	case __HYPERVISOR_grant_table_op:
		*ret = grant_op(v, h);
		return false;
	case LOMBARD_HYPERCALL_loan_op:
		*ret = loan_call(v, h);
		return false;
	case LOMBARD_HYPERCALL_guest_op:
		*ret = guest_op(vm, h);
		return false;
	case __HYPERVISOR_vcpu_op:
		*ret = vcpu_op(v, h);
		return false;
	case __HYPERVISOR_set_timer_op:
		*ret = timer_op(v, h);
		return false;
	case __HYPERVISOR_vm_assist:
		*ret = vm_assist(vm, h);
		return false;
	case __HYPERVISOR_hvm_op:
		*ret = hvm_op(v, h);
		return false;
	default:
		*ret = forward_op(v, h);
		return false;
	}
}

bool hypercall_do(struct vcpu *v, struct hypercall *h, int64_t *ret, struct vmm_end *end)
{
	bool ended;

	atomic_store_explicit(&v->up, true, memory_order_relaxed);
	ended = answer(v, h, ret, end);
	if (!ended && *ret == -ENOSYS)
		link_unknown(h->nr, h->arg[0]);
	return ended;
}
