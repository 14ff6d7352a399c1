/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests that have halted for good: every vCPU halts with interrupts off, or was never started, so that
 * none will wake another one.  As with Xen that is the guest's poweroff; a Linux that knows no other way to
 * switch the machine off does just that.
 *
 * KVM does not say when a vCPU with a LAPIC halts.  So who has not used any CPU time for a while is paused for
 * a moment, which it does not notice, and looked at.
 */
#include <pthread.h>
#include <sys/ioctl.h>
#include <time.h>

#include "lib/now.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define LOOK_MS 1000	/* from one look to the next */
#define PATIENCE_MS 100 /* for vCPUs to come out, when nobody else wants them to */
#define NSEC_PER_SEC UINT64_C(1000000000)
#define RFLAGS_IF 0x200

/* What all vCPUs have used up; *inside: and all are in KVM_RUN. */
static uint64_t cpu_time(const struct vmm *vm, bool *inside)
{
	uint64_t sum = 0;

	*inside = true;
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		struct timespec ts = {0};
		clockid_t clock;

		*inside &= atomic_load(&vm->vcpus[i].inside);
		if (pthread_getcpuclockid(vm->vcpus[i].thread, &clock) == 0)
			(void)clock_gettime(clock, &ts);
		sum += (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	}
	return sum;
}

static bool all_parked_p(const struct vmm *vm)
{
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		if (!atomic_load(&vm->vcpus[i].parked))
			return false;
	return true;
}

/* => it is parked */
static bool down_p(const struct vcpu *v)
{
	struct kvm_mp_state mp;
	struct kvm_regs regs;

	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp))
		return false;
	if (lapic_waiting_p(mp.mp_state))
		return true;
	return mp.mp_state == KVM_MP_STATE_HALTED && ioctl(v->fd, KVM_GET_REGS, &regs) == 0 &&
	       !(regs.rflags & RFLAGS_IF);
}

/* => all are parked, and stay so */
static bool all_down_p(const struct vmm *vm)
{
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		if (!down_p(&vm->vcpus[i]))
			return false;
	return true;
}

static _Noreturn void power_off(struct vmm *vm)
{
	const struct vmm_end end = {
	    .reason = SHUTDOWN_poweroff, .code = atomic_load(&vm->exit_status)};

	console_finish(&vm->console);
	link_exit(&end);
}

void halt_leave(struct vmm *vm, struct halt *h)
{
	if (h->looking)
		gate_open(vm);
	h->looking = false;
	h->next = now_ms() + LOOK_MS;
}

static void begin(struct vmm *vm, struct halt *h)
{
	bool inside;
	uint64_t used = cpu_time(vm, &inside);

	h->next = now_ms() + LOOK_MS;
	if (used == h->used && inside) {
		gate_close(vm);
		h->looking = true;
		h->next = now_ms() + PATIENCE_MS;
	}
	h->used = used;
}

void halt_look(struct vmm *vm, struct halt *h)
{
	if (!vm->cfg.lapic || (!h->looking && gate_closed_p(vm)))
		return;
	if (!h->looking && now_ms() >= h->next)
		begin(vm, h);
	if (!h->looking)
		return;
	if (all_parked_p(vm) && all_down_p(vm))
		power_off(vm);
	if (all_parked_p(vm) || now_ms() >= h->next)
		halt_leave(vm, h);
}

int halt_patience(struct vmm *vm, const struct halt *h)
{
	int64_t left = h->next - now_ms();

	if (!vm->cfg.lapic || (!h->looking && gate_closed_p(vm)))
		return -1;
	return left > 0 ? (int)left : 0;
}
