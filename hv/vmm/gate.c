/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pausing: the main thread closes the gate, the vCPU threads come out of the guest and park.
 *
 * A vCPU thread says that it is inside before KVM looks at immediate_exit; who closes the gate sets
 * immediate_exit before it looks whether the thread is inside.  So one of them sees the other: either
 * KVM_RUN comes back at once, or the thread is sent a signal, which ends KVM_RUN.  A thread that sleeps
 * in a fault comes out once that is served, if the signal does not get it out.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/count.h"
#include "lib/sys.h"
#include "lombard/loan.h"
#include "vmm/vmm.h"

#define KICK SIGUSR1

/* The two ways to write a hypercall: their last byte tells which it was. */
#define OUT_IMM_LEN 2	 /* e7 PORT */
#define OUT_DX_LAST 0xef /* ef */
#define OUT_DX_LEN 1

/* Nothing to do: to be interrupted is all. */
static void kicked(int signal)
{
	(void)signal;
}

/*
 * A vCPU without an interrupt controller is the only one: the core's event wakes it.  Otherwise the
 * upcall thread passes on what the core says.
 */
static int wake_event(const struct vmm *vm)
{
	return vm->cfg.lapic ? SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) : WIRE_FD_EVENT;
}

int gate_init(struct vmm *vm, struct failure *f)
{
	struct sigaction sa = {.sa_handler = kicked, .sa_flags = SA_RESTART};
	struct gate *g = &vm->gate;

	pthread_mutex_init(&g->mutex, NULL);
	pthread_cond_init(&g->opened, NULL);
	g->told = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (g->told < 0 || SYS(sigaction(KICK, &sa, NULL)))
		return failure_sys(f, -errno, "what pauses a guest can't be set up");
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		vm->vcpus[i].wake = wake_event(vm);
		if (vm->vcpus[i].wake < 0)
			return failure_sys(f, -errno, "what wakes a vCPU can't be set up");
	}
	return 0;
}

static void set_immediate_exit(struct vmm *vm, uint8_t yes)
{
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		__atomic_store_n(&vm->vcpus[i].run->immediate_exit, yes, __ATOMIC_SEQ_CST);
}

void gate_close(struct vmm *vm)
{
	struct gate *g = &vm->gate;

	pthread_mutex_lock(&g->mutex);
	set_immediate_exit(vm, 1);
	atomic_store(&g->closed, true);
	pthread_mutex_unlock(&g->mutex);
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (atomic_load(&v->inside))
			pthread_kill(v->thread, KICK);
		/* It may sleep for an event. */
		count_up(v->wake);
	}
}

void gate_open(struct vmm *vm)
{
	struct gate *g = &vm->gate;

	pthread_mutex_lock(&g->mutex);
	set_immediate_exit(vm, 0);
	atomic_store(&g->closed, false);
	pthread_cond_broadcast(&g->opened);
	pthread_mutex_unlock(&g->mutex);
}

bool gate_outside_p(struct vmm *vm)
{
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		if (atomic_load(&vm->vcpus[i].inside))
			return false;
	}
	return true;
}

int gate_run(struct vcpu *v)
{
	struct gate *g = &v->vm->gate;
	int ret;

	atomic_store(&v->inside, true);
	ret = ioctl(v->fd, KVM_RUN, 0) ? -errno : 0;
	atomic_store(&v->inside, false);
	if (atomic_load(&g->closed))
		count_up(g->told);
	return ret;
}

/* => mutex locked; state complete: KVM_RUN was interrupted, and by nothing else */
static void park(struct vcpu *v)
{
	struct gate *g = &v->vm->gate;

	atomic_store(&v->parked, true);
	count_up(g->told);
	while (atomic_load(&g->closed))
		pthread_cond_wait(&g->opened, &g->mutex);
	atomic_store(&v->parked, false);
}

void gate_pass(struct vcpu *v)
{
	struct gate *g = &v->vm->gate;

	pthread_mutex_lock(&g->mutex);
	if (atomic_load(&g->closed))
		park(v);
	pthread_mutex_unlock(&g->mutex);
}

/* Where the `out` begins that ended before rip; rip itself if its code can't be read any more. */
static uint64_t start_of_out(struct vcpu *v, uint64_t rip)
{
	const struct kvm_sregs *s = &v->run->s.regs.sregs;
	const struct gmem_paging paging = {
	    .cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer};
	uint64_t end = s->cs.l ? rip : s->cs.base + rip;
	uint8_t last;

	if (gmem_copy_in(&v->vm->mem, &paging, &last, end - 1, 1))
		return rip;
	if (last == OUT_DX_LAST)
		return rip - OUT_DX_LEN;
	return last == LOMBARD_HYPERCALL_PORT ? rip - OUT_IMM_LEN : rip;
}

/* KVM_RUN finishes the exit, and nothing else.  => mutex locked: immediate_exit is ours */
static int finish_exit(struct vcpu *v)
{
	bool closed = atomic_load(&v->vm->gate.closed);
	int ret;

	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	ret = ioctl(v->fd, KVM_RUN, 0) ? -errno : -EPROTO;
	__atomic_store_n(&v->run->immediate_exit, closed, __ATOMIC_SEQ_CST);
	return ret == -EINTR ? 0 : ret;
}

/*
 * Some KVMs have moved rip behind the `out` when it exits, others do so at the next KVM_RUN, which
 * has to be made first in any case: until then KVM may still change the state.
 */
static int take_back(struct vcpu *v, const struct hypercall *h)
{
	const uint64_t rip_at_exit = v->run->s.regs.regs.rip;
	struct kvm_regs regs;
	int ret = finish_exit(v);

	if (ret)
		return ret;
	if (ioctl(v->fd, KVM_GET_REGS, &regs))
		return -errno;
	regs.rip = regs.rip != rip_at_exit ? rip_at_exit : start_of_out(v, regs.rip);
	regs.rax = h->nr;
	regs.rdi = h->arg[0];
	regs.rsi = h->arg[1];
	regs.rdx = h->arg[2];
	regs.r10 = h->arg[3];
	regs.r8 = h->arg[4];
	return ioctl(v->fd, KVM_SET_REGS, &regs) ? -errno : 0;
}

int gate_make_again(struct vcpu *v, const struct hypercall *h)
{
	struct gate *g = &v->vm->gate;
	int ret;

	pthread_mutex_lock(&g->mutex);
	ret = take_back(v, h);
	pthread_mutex_unlock(&g->mutex);
	return ret;
}
