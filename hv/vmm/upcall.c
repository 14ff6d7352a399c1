/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling a vCPU with a LAPIC that an upcall is pending: an interrupt, by a message to its LAPIC.
 *
 * A LAPIC that the guest has not switched on yet takes none (KVM says so), and the guest may have chosen
 * its vector long before.  Since nobody tells again as long as upcall_pending is 1, such an interrupt is
 * owed: it is tried again each time its vCPU comes out of KVM_RUN, and every few milliseconds by the
 * upcall thread.  One interrupt too many does no harm: its handler finds nothing to do.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/count.h"
#include "lib/sys.h"
#include "vmm/platform.h"
#include "vmm/vmm.h"

/* How long to wait before the next try: longer each time, as there are vCPUs that are never started. */
#define RETRY_MIN_MS 1
#define RETRY_MAX_MS 100
#define MSI_DEST_SHIFT 12

/* => false: its LAPIC has not taken it */
static bool interrupt(struct vcpu *v, uint8_t vector)
{
	struct kvm_msi msi = {
	    .address_lo = (uint32_t)PLATFORM_LAPIC_GPA | vcpu_apic(v) << MSI_DEST_SHIFT,
	    .data = vector,
	};

	return ioctl(v->vm->vm, KVM_SIGNAL_MSI, &msi) > 0;
}

static bool inject(struct vcpu *v)
{
	uint8_t vector = atomic_load(&v->vector);

	if (vector != 0 && interrupt(v, vector))
		return true;
	atomic_store(&v->owed, true);
	return false;
}

void upcall_pay(struct vcpu *v)
{
	if (atomic_load(&v->vector) != 0 && atomic_exchange(&v->owed, false))
		(void)inject(v);
}

void upcall_raise(struct vcpu *v)
{
	bool taken = inject(v);

	event_wake_pollers(v->vm);
	/* The thread may sleep without a limit. */
	if (!taken)
		count_up(v->vm->upcalls);
}

void upcall_set_vector(struct vcpu *v, uint8_t vector)
{
	atomic_store(&v->vector, vector);
	upcall_pay(v);
	count_up(v->vm->upcalls);
}

/* How long the thread may sleep; last: what it was before.  -1: for ever. */
static int patience(struct vmm *vm, int last)
{
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		if (!atomic_load(&vm->vcpus[i].owed) || atomic_load(&vm->vcpus[i].vector) == 0)
			continue;
		if (last < 0)
			return RETRY_MIN_MS;
		return last < RETRY_MAX_MS / 2 ? last * 2 : RETRY_MAX_MS;
	}
	return -1;
}

/* A timer that was set anew after it had fired has nothing to be read. */
static void take_timer(struct vcpu *v, int timer)
{
	uint64_t times;

	if (read(timer, &times, sizeof(times)) == (ssize_t)sizeof(times))
		event_timer(v);
}

/* Of each vCPU: the core's event, and its timers. */
#define PER_VCPU 3

static void watch(struct pollfd p[PER_VCPU], const struct vcpu *v)
{
	p[0] = (struct pollfd){.fd = v->upcall, .events = POLLIN};
	p[1] = (struct pollfd){.fd = v->timer, .events = POLLIN};
	p[2] = (struct pollfd){.fd = v->ticks, .events = POLLIN};
}

static void serve(const struct pollfd p[PER_VCPU], struct vcpu *v)
{
	upcall_pay(v);
	if (p[1].revents)
		take_timer(v, v->timer);
	if (p[2].revents)
		take_timer(v, v->ticks);
	if (!p[0].revents)
		return;
	count_off(v->upcall);
	(void)inject(v);
	event_wake_pollers(v->vm);
}

_Noreturn void upcall_serve(struct vmm *vm)
{
	struct pollfd p[2 + PER_VCPU * WIRE_MAX_VCPUS] = {
	    {.fd = WIRE_FD_EVENT, .events = POLLIN}, {.fd = vm->upcalls, .events = POLLIN}};
	unsigned n = vm->cfg.vcpus;
	int wait = -1;

	for (unsigned i = 0; i < n; i++)
		watch(&p[2 + PER_VCPU * i], &vm->vcpus[i]);
	for (;;) {
		wait = patience(vm, wait);
		if (poll(p, 2 + PER_VCPU * n, wait) < 0)
			continue;
		/* Of ports that interrupt nobody: whoever polls looks for himself. */
		if (p[0].revents) {
			count_off(WIRE_FD_EVENT);
			event_wake_pollers(vm);
		}
		if (p[1].revents)
			count_off(vm->upcalls);
		for (unsigned i = 0; i < n; i++)
			serve(&p[2 + PER_VCPU * i], &vm->vcpus[i]);
	}
}

int upcall_init(struct vmm *vm, struct failure *f)
{
	vm->upcalls = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return vm->upcalls < 0
		   ? failure_sys(f, -errno, "what tells vCPUs of events can't be set up")
		   : 0;
}
