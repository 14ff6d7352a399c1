/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of a vCPU's state that only one with a LAPIC has.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/vmm.h"

_Static_assert(sizeof(((struct kvm_lapic_state *)0)->regs) == WIRE_LAPIC, "the registers' page");

bool lapic_waiting_p(uint32_t mp_state)
{
	return mp_state == KVM_MP_STATE_UNINITIALIZED || mp_state == KVM_MP_STATE_INIT_RECEIVED;
}

int lapic_get(const struct vcpu *v, struct wire_vcpu *s)
{
	struct kvm_lapic_state regs;
	struct kvm_mp_state mp;
	struct kvm_sregs sregs;

	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp) || ioctl(v->fd, KVM_GET_SREGS, &sregs) ||
	    ioctl(v->fd, KVM_GET_LAPIC, &regs))
		return -errno;
	s->waiting = lapic_waiting_p(mp.mp_state);
	s->apic_base = sregs.apic_base;
	memcpy(s->lapic, regs.regs, sizeof(s->lapic));
	return 0;
}

/* First, for its registers are another set in x2APIC mode. */
static int set_base(const struct vcpu *v, uint64_t base)
{
	struct kvm_sregs sregs;

	if (ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return -errno;
	if (sregs.apic_base == base)
		return 0;
	sregs.apic_base = base;
	return ioctl(v->fd, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

/* What is as it should be is let alone: to set it would start a timer anew. */
static int set_regs(const struct vcpu *v, const uint8_t *lapic)
{
	struct kvm_lapic_state regs;

	if (ioctl(v->fd, KVM_GET_LAPIC, &regs))
		return -errno;
	if (memcmp(regs.regs, lapic, sizeof(regs.regs)) == 0)
		return 0;
	memcpy(regs.regs, lapic, sizeof(regs.regs));
	return ioctl(v->fd, KVM_SET_LAPIC, &regs) ? -errno : 0;
}

/* One that is given a place to run at need not be started any more, and one that was halted goes on. */
static int set_mp_state(const struct vcpu *v, bool waiting, bool moved)
{
	struct kvm_mp_state mp;

	if (ioctl(v->fd, KVM_GET_MP_STATE, &mp))
		return -errno;
	if (lapic_waiting_p(mp.mp_state) == waiting && (waiting || !moved))
		return 0;
	mp.mp_state = waiting ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	return ioctl(v->fd, KVM_SET_MP_STATE, &mp) ? -errno : 0;
}

int lapic_set(const struct vcpu *v, const struct wire_vcpu *s, bool moved)
{
	int ret = set_base(v, s->apic_base);

	if (!ret)
		ret = set_regs(v, s->lapic);
	return ret ? ret : set_mp_state(v, s->waiting != 0, moved);
}
