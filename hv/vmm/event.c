/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events that a guest's VMM raises by itself: those that vCPUs send each other (IPIs), and timers.
 *
 * The core knows all ports and answers for them; of these it is only learned here, as the hypercalls
 * pass, which they are.  A port is forgotten before the core closes it and noted after the core has made
 * it, so no number means two things.  What a guest gains by confusing this is events that it could have
 * sent itself.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/count.h"
#include "vmm/vmm.h"
#include "xen/evtchn_raise.h"

#define PAGE_SHIFT 12

_Static_assert(sizeof(((struct events *)0)->ipi) == EVTCHN_PORTS, "any port may be an IPI's");

void event_init(struct vmm *vm)
{
	pthread_mutex_init(&vm->events.mutex, NULL);
}

/* => mutex held; NULL: it has none yet */
static struct vcpu_info *info_of(const struct vcpu *v)
{
	struct shared_info *si = atomic_load(&v->vm->events.shared);

	if (v->info != NULL)
		return v->info;
	return si != NULL ? &si->vcpu_info[v->id] : NULL;
}

bool event_upcall_p(struct vcpu *v)
{
	struct vcpu_info *vi;
	bool yes;

	pthread_mutex_lock(&v->vm->events.mutex);
	vi = info_of(v);
	yes = vi != NULL && __atomic_load_n(&vi->evtchn_upcall_pending, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&v->vm->events.mutex);
	return yes;
}

void event_wake_pollers(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		if (atomic_load(&vm->vcpus[i].polling))
			count_up(vm->vcpus[i].wake);
}

/* v: the vCPU that the port notifies */
static void raise_port(struct vcpu *v, uint32_t port)
{
	struct vmm *vm = v->vm;
	enum evtchn_raised how = EVTCHN_WAS_PENDING;
	struct shared_info *si;

	pthread_mutex_lock(&vm->events.mutex);
	si = atomic_load(&vm->events.shared);
	if (si != NULL)
		how = evtchn_raise(si, info_of(v), port);
	pthread_mutex_unlock(&vm->events.mutex);
	if (how == EVTCHN_UPCALL)
		upcall_raise(v);
	else if (how != EVTCHN_WAS_PENDING)
		event_wake_pollers(vm);
}

void event_timer(struct vcpu *v)
{
	uint32_t port = atomic_load(&v->timer_port);

	if (port != 0)
		raise_port(v, port);
}

static bool send_ipi(struct vmm *vm, uint32_t port)
{
	uint8_t target = port < EVTCHN_PORTS ? atomic_load(&vm->events.ipi[port]) : 0;

	if (target == 0)
		return false;
	raise_port(&vm->vcpus[target - 1], port);
	return true;
}

static void forget(struct vmm *vm, uint32_t port)
{
	if (port >= EVTCHN_PORTS)
		return;
	atomic_store(&vm->events.ipi[port], 0);
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		uint32_t mine = port;

		(void)atomic_compare_exchange_strong(&vm->vcpus[i].timer_port, &mine, 0);
	}
}

static void forget_all(struct vmm *vm)
{
	for (uint32_t port = 1; port < EVTCHN_PORTS; port++)
		atomic_store(&vm->events.ipi[port], 0);
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		atomic_store(&vm->vcpus[i].timer_port, 0);
}

bool event_asked(struct vmm *vm, uint64_t cmd, const void *arg)
{
	struct evtchn_close close_op;
	struct evtchn_reset reset_op;
	struct evtchn_send send_op;

	if (!vm->cfg.lapic)
		return false;
	if (cmd == EVTCHNOP_send) {
		memcpy(&send_op, arg, sizeof(send_op));
		return send_ipi(vm, send_op.port);
	}
	if (cmd == EVTCHNOP_close) {
		memcpy(&close_op, arg, sizeof(close_op));
		forget(vm, close_op.port);
	}
	if (cmd == EVTCHNOP_reset) {
		memcpy(&reset_op, arg, sizeof(reset_op));
		if (reset_op.dom == DOMID_SELF || reset_op.dom == vm->cfg.domid)
			forget_all(vm);
	}
	return false;
}

/* A port of which the core has just made something else: a tool may have closed it under our feet. */
static void forget_old(struct vmm *vm, uint64_t cmd, const void *arg)
{
	struct evtchn_bind_interdomain bound;
	struct evtchn_alloc_unbound made;
	struct evtchn_bind_virq virq;

	if (cmd == EVTCHNOP_alloc_unbound) {
		memcpy(&made, arg, sizeof(made));
		forget(vm, made.port);
	} else if (cmd == EVTCHNOP_bind_interdomain) {
		memcpy(&bound, arg, sizeof(bound));
		forget(vm, bound.local_port);
	} else if (cmd == EVTCHNOP_bind_virq) {
		memcpy(&virq, arg, sizeof(virq));
		forget(vm, virq.port);
	}
}

void event_answered(struct vmm *vm, uint64_t cmd, const void *arg)
{
	struct evtchn_bind_virq virq;
	struct evtchn_bind_ipi ipi;

	if (!vm->cfg.lapic)
		return;
	forget_old(vm, cmd, arg);
	if (cmd == EVTCHNOP_bind_ipi) {
		memcpy(&ipi, arg, sizeof(ipi));
		if (ipi.port < EVTCHN_PORTS && ipi.vcpu < vm->cfg.vcpus)
			atomic_store(&vm->events.ipi[ipi.port], (uint8_t)(ipi.vcpu + 1));
	} else if (cmd == EVTCHNOP_bind_virq) {
		memcpy(&virq, arg, sizeof(virq));
		if (virq.virq == VIRQ_TIMER && virq.port < EVTCHN_PORTS &&
		    virq.vcpu < vm->cfg.vcpus)
			atomic_store(&vm->vcpus[virq.vcpu].timer_port, virq.port);
	}
}

/* What was raised in the old page after the core had left it is raised again, needed or not. */
static void raise_again(struct vmm *vm)
{
	for (uint32_t port = 1; port < EVTCHN_PORTS; port++)
		(void)send_ipi(vm, port);
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		event_timer(&vm->vcpus[i]);
}

void event_shared_moved(struct vcpu *v, uint64_t gfn)
{
	struct vmm *vm = v->vm;
	struct shared_info *si = gmem_ptr(&vm->mem, gfn << PAGE_SHIFT, sizeof(*si)), *old;

	if (si == NULL)
		return;
	if (vm->cfg.lapic)
		clock_show(v, si);
	pthread_mutex_lock(&vm->events.mutex);
	old = atomic_exchange(&vm->events.shared, si);
	pthread_mutex_unlock(&vm->events.mutex);
	if (old != NULL && vm->cfg.lapic)
		raise_again(vm);
}

void event_info_moved(struct vcpu *v, uint64_t gpa)
{
	struct vcpu_info *vi = gmem_ptr(&v->vm->mem, gpa, sizeof(*vi));

	if (vi == NULL)
		return;
	clock_show_vcpu(v, &vi->time);
	/* As the core did: for what was raised in the old one after that. */
	pthread_mutex_lock(&v->vm->events.mutex);
	v->info = vi;
	evtchn_select_all(vi);
	pthread_mutex_unlock(&v->vm->events.mutex);
	upcall_raise(v);
}
