/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/state.c hv/vmm/state_lapic.c */
/*
 * A vCPU's state out of KVM and back, on a KVM that is played here: it keeps what it is given, and
 * says of TR that it is busy, as KVM does on AMD's processors.
 */
#include "vmm/vmm.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define FD 1000
#define NMSRS 64
#define TSC 0x10
#define LSTAR 0xc0000082
#define BUSY 2

static struct {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
	struct kvm_xsave xsave;
	struct kvm_vcpu_events events;
	struct kvm_msr_entry msr[NMSRS];
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp;
	unsigned sregs_set; /* how often */
	unsigned lapic_set, mp_set;
	unsigned msrs_set;
} kvm;

static struct vmm machine;

static const struct vcpu vcpu = {.vm = &machine, .fd = FD, .tsc_khz = 1000000};

/* The entry of this MSR, or the first free one. */
static struct kvm_msr_entry *msr(uint32_t index)
{
	unsigned i = 0;

	while (i < NMSRS - 1 && kvm.msr[i].index != index && kvm.msr[i].index != 0)
		i++;
	cr_assert_lt(i, NMSRS - 1, "no room for MSR 0x%x", index);
	kvm.msr[i].index = index;
	return &kvm.msr[i];
}

static int get_msrs(struct kvm_msrs *m)
{
	cr_assert_eq(m->nmsrs, 1);
	m->entries[0].data = msr(m->entries[0].index)->data;
	return 1;
}

static int set_msrs(const struct kvm_msrs *m)
{
	cr_assert_eq(m->nmsrs, 1);
	msr(m->entries[0].index)->data = m->entries[0].data;
	kvm.msrs_set++;
	return 1;
}

static int give(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return 0;
}

static int set_sregs(const struct kvm_sregs *s)
{
	kvm.sregs_set++;
	return give(&kvm.sregs, s, sizeof(*s));
}

static int get_sregs(struct kvm_sregs *s)
{
	*s = kvm.sregs;
	s->tr.type |= BUSY;
	return 0;
}

static int answer(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_REGS:
		return give(arg, &kvm.regs, sizeof(kvm.regs));
	case KVM_SET_REGS:
		return give(&kvm.regs, arg, sizeof(kvm.regs));
	case KVM_GET_SREGS:
		return get_sregs(arg);
	case KVM_SET_SREGS:
		return set_sregs(arg);
	case KVM_GET_DEBUGREGS:
		return give(arg, &kvm.debug, sizeof(kvm.debug));
	case KVM_SET_DEBUGREGS:
		return give(&kvm.debug, arg, sizeof(kvm.debug));
	case KVM_GET_XSAVE:
		return give(arg, &kvm.xsave, sizeof(kvm.xsave));
	case KVM_SET_XSAVE:
		return give(&kvm.xsave, arg, sizeof(kvm.xsave));
	case KVM_GET_VCPU_EVENTS:
		return give(arg, &kvm.events, sizeof(kvm.events));
	case KVM_SET_VCPU_EVENTS:
		return give(&kvm.events, arg, sizeof(kvm.events));
	case KVM_GET_LAPIC:
		return give(arg, &kvm.lapic, sizeof(kvm.lapic));
	case KVM_SET_LAPIC:
		kvm.lapic_set++;
		return give(&kvm.lapic, arg, sizeof(kvm.lapic));
	case KVM_GET_MP_STATE:
		return give(arg, &kvm.mp, sizeof(kvm.mp));
	case KVM_SET_MP_STATE:
		kvm.mp_set++;
		return give(&kvm.mp, arg, sizeof(kvm.mp));
	case KVM_GET_MSRS:
		return get_msrs(arg);
	case KVM_SET_MSRS:
		return set_msrs(arg);
	default:
		errno = EINVAL;
		return -1;
	}
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd != FD) {
		errno = EBADF;
		return -1;
	}
	return answer(request, arg);
}

/* In place of vcpu.c's. */
int vcpu_read_tsc(const struct vcpu *v, uint64_t *tsc)
{
	cr_assert_eq(v->fd, FD);
	*tsc = msr(TSC)->data;
	return 0;
}

/* As a guest of this project runs: CPL 3, FS and GS not in use, TR as LTR leaves it in QEMU. */
static void setup(void)
{
	struct kvm_segment data = {.limit = UINT32_MAX,
	    .selector = 0x13,
	    .type = 3,
	    .present = 1,
	    .dpl = 3,
	    .db = 1,
	    .s = 1,
	    .g = 1};
	struct kvm_segment code = data;
	struct kvm_segment none = {.unusable = 1};
	struct kvm_sregs *s = &kvm.sregs;

	code.selector = 0x1b;
	code.type = 11;
	code.db = 0;
	code.l = 1;
	memset(&kvm, 0, sizeof(kvm));
	machine.cfg.lapic = 0;
	s->cs = code;
	s->ss = s->ds = s->es = data;
	s->fs = s->gs = s->ldt = none;
	s->tr = (struct kvm_segment){
	    .base = 0x155000, .limit = 0x87, .selector = 0x20, .type = 9, .present = 1};
	s->gdt = (struct kvm_dtable){.base = 0x156000, .limit = 0x2f};
	s->idt = (struct kvm_dtable){.base = 0x157000, .limit = 0x1ff};
	s->cr0 = 0x80010033;
	s->cr3 = 0x158000;
	s->cr4 = 0x620;
	s->cr8 = 5;
	s->efer = 0x500;
	kvm.regs.rip = 0x143830;
	kvm.regs.rsp = 0x13ff80;
	kvm.regs.r15 = 15;
	kvm.regs.rflags = 0x202;
	msr(TSC)->data = 1000;
	msr(LSTAR)->data = 0x154000;
}

TestSuite(state, .init = setup);

/* TR was set to what KVM says of it, and QEMU's software SVM let CPL 3 have no port any more. */
Test(state, given_back_as_it_was_sets_no_special_registers)
{
	const struct kvm_sregs sregs = kvm.sregs;
	const struct kvm_regs regs = kvm.regs;
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	cr_assert_eq(state_get(&v, &s), 0);
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.sregs_set, 0);
	cr_expect_arr_eq(&kvm.sregs, &sregs, sizeof(sregs));
	cr_expect_arr_eq(&kvm.regs, &regs, sizeof(regs));
	cr_expect_eq(kvm.msrs_set, 1, "the TSC alone is set always");
}

Test(state, with_another_rip_leaves_special_registers_alone)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	cr_assert_eq(state_get(&v, &s), 0);
	s.rip = 0xdeadbeef;
	s.gpr[15] = 16;
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.sregs_set, 0);
	cr_expect_eq(kvm.regs.rip, 0xdeadbeef);
	cr_expect_eq(kvm.regs.r15, 16);
}

/* Each of them alone is a difference. */
Test(state, one_special_register_changed_is_set)
{
	struct wire_vcpu s, other;
	uint64_t *const numbers[] = {&other.cr0, &other.cr2, &other.cr3, &other.cr4, &other.efer,
	    &other.gdtr.base, &other.idtr.base, &other.segment[WIRE_FS].base,
	    &other.segment[WIRE_TR].base};
	struct vcpu v = vcpu;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		setup();
		cr_assert_eq(state_get(&v, &s), 0);
		other = s;
		*numbers[i] ^= 0x1000;
		cr_assert_eq(state_set(&v, &other), 0);
		cr_expect_eq(kvm.sregs_set, 1, "number %zu", i);
		cr_assert_eq(state_get(&v, &s), 0);
		cr_expect_arr_eq(&s, &other, sizeof(s), "number %zu", i);
	}
}

/* Whatever KVM has of segments comes back to it when something else has to be set. */
Test(state, segments_are_set_as_they_were)
{
	struct kvm_sregs want;
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	cr_assert_eq(get_sregs(&want), 0);
	cr_assert_eq(state_get(&v, &s), 0);
	s.cr3 = want.cr3 = 0x159000;
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.sregs_set, 1);
	cr_expect_arr_eq(&kvm.sregs, &want, sizeof(want));
}

/* FS not in use gets a descriptor: present and unusable change places. */
Test(state, segment_that_was_not_there_is_set)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	cr_assert_eq(state_get(&v, &s), 0);
	cr_expect_eq(s.segment[WIRE_FS].attributes & 0x80, 0);
	s.segment[WIRE_FS] = s.segment[WIRE_DS];
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.sregs_set, 1);
	cr_expect_arr_eq(&kvm.sregs.fs, &kvm.sregs.ds, sizeof(kvm.sregs.fs));
}

Test(state, msr_that_differs_is_set)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	cr_assert_eq(state_get(&v, &s), 0);
	cr_expect_eq(s.lstar, 0x154000);
	s.lstar = 0x155000;
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(msr(LSTAR)->data, 0x155000);
	cr_expect_eq(kvm.msrs_set, 2);
}

Test(state, tsc_set_moves_its_first_value)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	v.tsc_first = 400;
	cr_assert_eq(state_get(&v, &s), 0);
	s.tsc = 5000;
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(msr(TSC)->data, 5000);
	cr_expect_eq(v.tsc_first, 4400, "600 ticks since it began, as before");
}

/* A tool's state ends with SSE: XSTATE_BV is at 512, AVX's upper halves are at 576. */
Test(state, what_tools_do_not_know_of_stays)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	kvm.xsave.region[512 / 4] = 4;
	kvm.xsave.region[576 / 4] = 0x12345678;
	cr_assert_eq(state_get(&v, &s), 0);
	s.fxsave[160] = 0xab; /* xmm0 */
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.xsave.region[160 / 4], 0xab);
	cr_expect_eq(kvm.xsave.region[512 / 4], 7, "x87, SSE and AVX are there");
	cr_expect_eq(kvm.xsave.region[576 / 4], 0x12345678);
}

Test(state, exception_under_way_comes_back)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	kvm.events.exception.injected = 1;
	kvm.events.exception.nr = 14;
	kvm.events.exception.has_error_code = 1;
	kvm.events.exception.error_code = 6;
	cr_assert_eq(state_get(&v, &s), 0);
	memset(&kvm.events, 0, sizeof(kvm.events));
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.events.exception.injected, 1);
	cr_expect_eq(kvm.events.exception.nr, 14);
	cr_expect_eq(kvm.events.exception.has_error_code, 1);
	cr_expect_eq(kvm.events.exception.error_code, 6);
}

/* An exception vector beyond 31 is no exception; nothing that there is no word for is injected. */
Test(state, event_that_can_not_be_is_refused)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	cr_assert_eq(state_get(&v, &s), 0);
	s.event = WIRE_EVENT_VALID | WIRE_EVENT_EXCEPTION << 8 | 32;
	cr_expect_eq(state_set(&v, &s), -EINVAL);
	s.event = WIRE_EVENT_VALID | 7 << 8;
	cr_expect_eq(state_set(&v, &s), -EINVAL);
}

static void setup_lapic(void)
{
	machine.cfg.lapic = 1;
	kvm.sregs.apic_base = 0xfee00d00;
	kvm.lapic.regs[0x20] = 3;
	kvm.mp.mp_state = KVM_MP_STATE_HALTED;
}

/* To set its registers again would start the timer again, and a halted vCPU is not woken. */
Test(state, lapic_given_back_as_it_was_is_let_alone)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	setup_lapic();
	cr_assert_eq(state_get(&v, &s), 0);
	cr_expect_eq(s.apic_base, 0xfee00d00);
	cr_expect_eq(s.lapic[0x20], 3);
	cr_expect_eq(s.waiting, 0);
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.sregs_set + kvm.lapic_set + kvm.mp_set, 0);
}

Test(state, lapic_that_differs_is_set)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	setup_lapic();
	cr_assert_eq(state_get(&v, &s), 0);
	s.apic_base = 0xfee00900;
	s.lapic[0xf1] = 1;
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.sregs.apic_base, 0xfee00900);
	cr_expect_eq(kvm.lapic.regs[0xf1], 1);
	cr_expect_eq(kvm.lapic.regs[0x20], 3);
	cr_expect_eq(kvm.mp_set, 0);
}

Test(state, vcpu_that_is_moved_does_not_wait)
{
	static const uint32_t states[] = {
	    KVM_MP_STATE_HALTED, KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED};
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		setup();
		setup_lapic();
		kvm.mp.mp_state = states[i];
		cr_assert_eq(state_get(&v, &s), 0);
		cr_expect_eq(s.waiting, states[i] != KVM_MP_STATE_HALTED);
		s.rip += 2;
		/* It is for who sets the state to say that it has been started. */
		cr_assert_eq(state_set(&v, &s), 0);
		cr_expect_eq(kvm.mp_set, states[i] == KVM_MP_STATE_HALTED);
		s.waiting = 0;
		cr_assert_eq(state_set(&v, &s), 0);
		cr_expect_eq(kvm.mp.mp_state, KVM_MP_STATE_RUNNABLE);
	}
}

Test(state, vcpu_can_be_made_to_wait)
{
	struct vcpu v = vcpu;
	struct wire_vcpu s;

	setup_lapic();
	cr_assert_eq(state_get(&v, &s), 0);
	s.waiting = 1;
	cr_assert_eq(state_set(&v, &s), 0);
	cr_expect_eq(kvm.mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
}
