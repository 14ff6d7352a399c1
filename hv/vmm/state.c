/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's state between KVM's structures and struct wire_vcpu.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/vmm.h"

#define MSR_TSC 0x10
#define MSR_TSC_AUX 0xc0000103
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_WRITE_BACK 6u
#define MTRR_ENABLED (1u << 11)

/* In XSAVE's header, behind the FXSAVE area: which components are there (x87 and SSE). */
#define XSTATE_BV (512 / 4)
#define XSTATE_FP_SSE 3

struct msr {
	uint32_t index;
	size_t at; /* in struct wire_vcpu */
};

#define AT(field) offsetof(struct wire_vcpu, field)
#define MTRR_VAR(n)                                                                                \
	{0x200 + 2 * (n), AT(mtrr_var[2 * (n)])},                                                  \
	{                                                                                          \
		0x201 + 2 * (n), AT(mtrr_var[2 * (n) + 1])                                         \
	}

/* Those that can be read and set; EFER is among KVM's special registers. */
static const struct msr msrs[] = {
    {0x174, AT(sysenter_cs)},
    {0x175, AT(sysenter_esp)},
    {0x176, AT(sysenter_eip)},
    {0xc0000081, AT(star)},
    {0xc0000082, AT(lstar)},
    {0xc0000083, AT(cstar)},
    {0xc0000084, AT(sfmask)},
    {0xc0000102, AT(kernel_gs_base)},
    {MSR_TSC_AUX, AT(tsc_aux)},
    {0x277, AT(pat)},
    {MSR_MTRR_DEF_TYPE, AT(mtrr_def_type)},
    {0x250, AT(mtrr_fixed[0])},
    {0x258, AT(mtrr_fixed[1])},
    {0x259, AT(mtrr_fixed[2])},
    {0x268, AT(mtrr_fixed[3])},
    {0x269, AT(mtrr_fixed[4])},
    {0x26a, AT(mtrr_fixed[5])},
    {0x26b, AT(mtrr_fixed[6])},
    {0x26c, AT(mtrr_fixed[7])},
    {0x26d, AT(mtrr_fixed[8])},
    {0x26e, AT(mtrr_fixed[9])},
    {0x26f, AT(mtrr_fixed[10])},
    MTRR_VAR(0),
    MTRR_VAR(1),
    MTRR_VAR(2),
    MTRR_VAR(3),
    MTRR_VAR(4),
    MTRR_VAR(5),
    MTRR_VAR(6),
    MTRR_VAR(7),
};
#define NMSRS (sizeof(msrs) / sizeof(msrs[0]))

static const struct msr mtrr_cap = {0xfe, AT(mtrr_cap)}; /* can't be set */

union one_msr {
	struct kvm_msrs head;
	char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

/* One by one: KVM stops at the first that a host does not have, which then reads as 0. */
static void get_msr(const struct vcpu *v, const struct msr *m, struct wire_vcpu *s)
{
	union one_msr one = {.head = {.nmsrs = 1}};
	uint64_t value = 0;

	one.head.entries[0].index = m->index;
	if (ioctl(v->fd, KVM_GET_MSRS, &one) == 1)
		value = one.head.entries[0].data;
	memcpy((char *)s + m->at, &value, sizeof(value));
}

static int set_msr(const struct vcpu *v, uint32_t index, uint64_t value)
{
	union one_msr one = {.head = {.nmsrs = 1}};

	one.head.entries[0].index = index;
	one.head.entries[0].data = value;
	return ioctl(v->fd, KVM_SET_MSRS, &one) == 1 ? 0 : -EINVAL;
}

/* What a host does not have can only stay as it is. */
static int set_msrs(const struct vcpu *v, const struct wire_vcpu *s)
{
	struct wire_vcpu now;
	uint64_t old, value;
	int ret = 0;

	for (size_t i = 0; i < NMSRS && !ret; i++) {
		get_msr(v, &msrs[i], &now);
		memcpy(&old, (char *)&now + msrs[i].at, sizeof(old));
		memcpy(&value, (const char *)s + msrs[i].at, sizeof(value));
		if (value != old)
			ret = set_msr(v, msrs[i].index, value);
	}
	return ret;
}

/* No default would make Linux map uncached what is not in its memory map: slower, but not wrong. */
void state_set_write_back(const struct vcpu *v)
{
	(void)set_msr(v, MSR_MTRR_DEF_TYPE, MTRR_ENABLED | MTRR_WRITE_BACK);
}

/* KVM's order is not the processor's. */
static uint64_t *gpr_of(struct kvm_regs *r, unsigned i)
{
	uint64_t *const low[] = {(uint64_t *)&r->rax, (uint64_t *)&r->rcx, (uint64_t *)&r->rdx,
	    (uint64_t *)&r->rbx, (uint64_t *)&r->rsp, (uint64_t *)&r->rbp, (uint64_t *)&r->rsi,
	    (uint64_t *)&r->rdi};

	return i < 8 ? low[i] : (uint64_t *)&r->r8 + (i - 8);
}

static struct kvm_segment *segment_of(struct kvm_sregs *r, unsigned i)
{
	struct kvm_segment *const segments[WIRE_SEGMENTS] = {
	    [WIRE_ES] = &r->es,
	    [WIRE_CS] = &r->cs,
	    [WIRE_SS] = &r->ss,
	    [WIRE_DS] = &r->ds,
	    [WIRE_FS] = &r->fs,
	    [WIRE_GS] = &r->gs,
	    [WIRE_LDTR] = &r->ldt,
	    [WIRE_TR] = &r->tr,
	};

	return segments[i];
}

static struct wire_segment segment_get(const struct kvm_segment *k)
{
	unsigned present = k->present && !k->unusable;

	return (struct wire_segment){
	    .base = k->base,
	    .limit = k->limit,
	    .selector = k->selector,
	    .attributes = (uint16_t)(k->type | k->s << 4 | k->dpl << 5 | present << 7 |
				     k->avl << 8 | k->l << 9 | k->db << 10 | k->g << 11),
	};
}

static struct kvm_segment segment_set(const struct wire_segment *w)
{
	uint16_t a = w->attributes;

	return (struct kvm_segment){
	    .base = w->base,
	    .limit = w->limit,
	    .selector = w->selector,
	    .type = a & 15,
	    .s = a >> 4 & 1,
	    .dpl = a >> 5 & 3,
	    .present = a >> 7 & 1,
	    .avl = a >> 8 & 1,
	    .l = a >> 9 & 1,
	    .db = a >> 10 & 1,
	    .g = a >> 11 & 1,
	    .unusable = !(a >> 7 & 1),
	};
}

static int get_regs(const struct vcpu *v, struct wire_vcpu *s)
{
	struct kvm_regs r;

	if (ioctl(v->fd, KVM_GET_REGS, &r))
		return -errno;
	for (unsigned i = 0; i < WIRE_GPRS; i++)
		s->gpr[i] = *gpr_of(&r, i);
	s->rip = r.rip;
	s->rflags = r.rflags;
	return 0;
}

/* *moved: rip is another one now */
static int set_regs(const struct vcpu *v, const struct wire_vcpu *s, bool *moved)
{
	struct kvm_regs old,
	    r = {.rip = s->rip, .rflags = s->rflags | 2}; /* a bit that is always 1 */

	for (unsigned i = 0; i < WIRE_GPRS; i++)
		*gpr_of(&r, i) = s->gpr[i];
	if (ioctl(v->fd, KVM_GET_REGS, &old) || ioctl(v->fd, KVM_SET_REGS, &r))
		return -errno;
	*moved = old.rip != r.rip;
	return 0;
}

static int get_sregs(const struct vcpu *v, struct wire_vcpu *s)
{
	struct kvm_sregs r;

	if (ioctl(v->fd, KVM_GET_SREGS, &r))
		return -errno;
	for (unsigned i = 0; i < WIRE_SEGMENTS; i++)
		s->segment[i] = segment_get(segment_of(&r, i));
	s->gdtr = (struct wire_table){.base = r.gdt.base, .limit = r.gdt.limit};
	s->idtr = (struct wire_table){.base = r.idt.base, .limit = r.idt.limit};
	s->cr0 = r.cr0;
	s->cr2 = r.cr2;
	s->cr3 = r.cr3;
	s->cr4 = r.cr4;
	s->efer = r.efer;
	return 0;
}

/*
 * What is not ours (the task priority, an interrupt) stays as KVM has it.
 *
 * Nothing is set when nothing differs, for KVM_SET_SREGS is not free of effects: on AMD's processors
 * KVM says of any task register that its TSS is busy, and sets that.  It is busy in any processor, but
 * QEMU's software SVM keeps the type that LTR found, available (9), and looks into the I/O bitmap of
 * no other: each `out` of a guest at CPL 3 would be a #GP from then on.
 */
static int set_sregs(const struct vcpu *v, const struct wire_vcpu *s)
{
	struct kvm_sregs r, old;

	if (ioctl(v->fd, KVM_GET_SREGS, &r))
		return -errno;
	old = r;
	for (unsigned i = 0; i < WIRE_SEGMENTS; i++)
		*segment_of(&r, i) = segment_set(&s->segment[i]);
	r.gdt = (struct kvm_dtable){.base = s->gdtr.base, .limit = (uint16_t)s->gdtr.limit};
	r.idt = (struct kvm_dtable){.base = s->idtr.base, .limit = (uint16_t)s->idtr.limit};
	r.cr0 = s->cr0;
	r.cr2 = s->cr2;
	r.cr3 = s->cr3;
	r.cr4 = s->cr4;
	r.efer = s->efer;
	if (memcmp(&r, &old, sizeof(r)) == 0)
		return 0;
	return ioctl(v->fd, KVM_SET_SREGS, &r) ? -errno : 0;
}

static int get_debug(const struct vcpu *v, struct wire_vcpu *s)
{
	struct kvm_debugregs r;

	if (ioctl(v->fd, KVM_GET_DEBUGREGS, &r))
		return -errno;
	for (unsigned i = 0; i < 4; i++)
		s->dr[i] = r.db[i];
	s->dr6 = r.dr6;
	s->dr7 = r.dr7;
	return 0;
}

static int set_debug(const struct vcpu *v, const struct wire_vcpu *s)
{
	struct kvm_debugregs r = {.dr6 = s->dr6, .dr7 = s->dr7};

	for (unsigned i = 0; i < 4; i++)
		r.db[i] = s->dr[i];
	return ioctl(v->fd, KVM_SET_DEBUGREGS, &r) ? -errno : 0;
}

static int get_fpu(const struct vcpu *v, struct wire_vcpu *s)
{
	struct kvm_xsave x;

	if (ioctl(v->fd, KVM_GET_XSAVE, &x))
		return -errno;
	memcpy(s->fxsave, x.region, sizeof(s->fxsave));
	return 0;
}

/* x87 and SSE are in the FXSAVE area.  What else a guest has, as AVX's upper halves, stays as it is. */
static int set_fpu(const struct vcpu *v, const struct wire_vcpu *s)
{
	struct kvm_xsave x;

	if (ioctl(v->fd, KVM_GET_XSAVE, &x))
		return -errno;
	memcpy(x.region, s->fxsave, sizeof(s->fxsave));
	x.region[XSTATE_BV] |= XSTATE_FP_SSE;
	return ioctl(v->fd, KVM_SET_XSAVE, &x) ? -errno : 0;
}

static uint32_t event_get(const struct kvm_vcpu_events *e, uint32_t *error)
{
	uint32_t code = e->exception.has_error_code ? WIRE_EVENT_ERROR_CODE : 0;

	*error = 0;
	if (e->exception.injected) {
		*error = e->exception.error_code;
		return WIRE_EVENT_VALID | WIRE_EVENT_EXCEPTION << 8 | code | e->exception.nr;
	}
	if (e->nmi.injected)
		return WIRE_EVENT_VALID | WIRE_EVENT_NMI << 8 | 2;
	if (e->interrupt.injected)
		return WIRE_EVENT_VALID |
		       (e->interrupt.soft ? WIRE_EVENT_SOFT : WIRE_EVENT_INTERRUPT) << 8 |
		       e->interrupt.nr;
	return 0;
}

static int get_event(const struct vcpu *v, struct wire_vcpu *s)
{
	struct kvm_vcpu_events e;

	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e))
		return -errno;
	s->event = event_get(&e, &s->event_error);
	return 0;
}

static int event_set(struct kvm_vcpu_events *e, const struct wire_vcpu *s)
{
	uint8_t vector = s->event & 0xff;

	switch (WIRE_EVENT_TYPE(s->event)) {
	case WIRE_EVENT_EXCEPTION:
		e->exception.injected = 1;
		e->exception.nr = vector;
		e->exception.has_error_code = (s->event & WIRE_EVENT_ERROR_CODE) != 0;
		e->exception.error_code = s->event_error;
		return vector < 32 && vector != 2 ? 0 : -EINVAL;
	case WIRE_EVENT_NMI:
		e->nmi.injected = 1;
		return 0;
	case WIRE_EVENT_INTERRUPT:
	case WIRE_EVENT_SOFT:
		e->interrupt.injected = 1;
		e->interrupt.soft = WIRE_EVENT_TYPE(s->event) == WIRE_EVENT_SOFT;
		e->interrupt.nr = vector;
		return 0;
	default:
		return -EINVAL;
	}
}

static int set_event(const struct vcpu *v, const struct wire_vcpu *s)
{
	struct kvm_vcpu_events e;
	int ret = 0;

	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e))
		return -errno;
	e.exception.injected = e.nmi.injected = e.interrupt.injected = 0;
	if (s->event & WIRE_EVENT_VALID)
		ret = event_set(&e, s);
	if (ret)
		return ret;
	return ioctl(v->fd, KVM_SET_VCPU_EVENTS, &e) ? -errno : 0;
}

int state_get(const struct vcpu *v, struct wire_vcpu *s)
{
	int ret;

	memset(s, 0, sizeof(*s));
	ret = get_regs(v, s);
	if (!ret)
		ret = get_sregs(v, s);
	if (!ret)
		ret = get_debug(v, s);
	if (!ret)
		ret = get_fpu(v, s);
	if (!ret)
		ret = get_event(v, s);
	for (size_t i = 0; i < NMSRS; i++)
		get_msr(v, &msrs[i], s);
	get_msr(v, &mtrr_cap, s);
	if (!ret && v->vm->cfg.lapic)
		ret = lapic_get(v, s);
	return ret ? ret : vcpu_read_tsc(v, &s->tsc);
}

/* The guest's time goes on where it is: it counts from its TSC's first value. */
static int set_tsc(struct vcpu *v, uint64_t tsc)
{
	uint64_t before, after;
	int ret = vcpu_read_tsc(v, &before);

	if (!ret)
		ret = set_msr(v, MSR_TSC, tsc);
	if (!ret)
		ret = vcpu_read_tsc(v, &after);
	if (!ret)
		v->tsc_first += after - before;
	return ret;
}

/* Special registers first: what the others may be depends on the mode. */
int state_set(struct vcpu *v, const struct wire_vcpu *s)
{
	bool moved = false;
	int ret = set_sregs(v, s);

	if (!ret)
		ret = set_regs(v, s, &moved);
	if (!ret)
		ret = set_msrs(v, s);
	if (!ret)
		ret = set_debug(v, s);
	if (!ret)
		ret = set_fpu(v, s);
	if (!ret)
		ret = set_tsc(v, s->tsc);
	if (!ret && v->vm->cfg.lapic)
		ret = lapic_set(v, s, moved);
	return ret ? ret : set_event(v, s);
}
