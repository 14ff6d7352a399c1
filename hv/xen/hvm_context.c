/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/hvm_context.h"

#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

_Static_assert(sizeof(((struct hvm_hw_cpu *)0)->fpu_regs) == WIRE_FXSAVE, "one FXSAVE area");
_Static_assert(
    sizeof(((struct hvm_hw_mtrr *)0)->msr_mtrr_fixed) == WIRE_FIXED_MTRRS * sizeof(uint64_t),
    "fixed");
_Static_assert(sizeof(((struct hvm_hw_mtrr *)0)->msr_mtrr_var) == WIRE_VAR_MTRRS * sizeof(uint64_t),
    "variable");

_Static_assert(sizeof(struct hvm_hw_lapic_regs) == WIRE_LAPIC, "a page of registers");

#define APIC_BASE_ENABLED (UINT64_C(1) << 11)
#define LAPIC_SPURIOUS 0xf0
#define SPURIOUS_ENABLED (UINT32_C(1) << 8)
#define LAPIC_DIVIDE 0x3e0

/* struct hvm_hw_lapic: disabled */
#define LAPIC_HW_DISABLED 1
#define LAPIC_SW_DISABLED 2

#define VALID_EVENTS (WIRE_EVENT_VALID | WIRE_EVENT_ERROR_CODE | 0x7ff)

/*
 * Fields that are in both, by name here and there: TAKE copies one of them in the direction that a
 * function wants.
 */
#define GPRS(TAKE)                                                                                 \
	TAKE(rax, gpr[WIRE_RAX])                                                                   \
	TAKE(rcx, gpr[WIRE_RCX])                                                                   \
	TAKE(rdx, gpr[WIRE_RDX])                                                                   \
	TAKE(rbx, gpr[WIRE_RBX])                                                                   \
	TAKE(rsp, gpr[WIRE_RSP])                                                                   \
	TAKE(rbp, gpr[WIRE_RBP])                                                                   \
	TAKE(rsi, gpr[WIRE_RSI])                                                                   \
	TAKE(rdi, gpr[WIRE_RDI])                                                                   \
	TAKE(r8, gpr[8])                                                                           \
	TAKE(r9, gpr[9])                                                                           \
	TAKE(r10, gpr[10])                                                                         \
	TAKE(r11, gpr[11])                                                                         \
	TAKE(r12, gpr[12])                                                                         \
	TAKE(r13, gpr[13])                                                                         \
	TAKE(r14, gpr[14])                                                                         \
	TAKE(r15, gpr[15])                                                                         \
	TAKE(rip, rip)                                                                             \
	TAKE(rflags, rflags)

#define SEGMENT(TAKE, name, number)                                                                \
	TAKE(name##_sel, segment[number].selector)                                                 \
	TAKE(name##_limit, segment[number].limit)                                                  \
	TAKE(name##_base, segment[number].base)                                                    \
	TAKE(name##_arbytes, segment[number].attributes)

#define SYSTEM(TAKE)                                                                               \
	TAKE(cr0, cr0)                                                                             \
	TAKE(cr2, cr2)                                                                             \
	TAKE(cr3, cr3)                                                                             \
	TAKE(cr4, cr4)                                                                             \
	TAKE(dr0, dr[0])                                                                           \
	TAKE(dr1, dr[1])                                                                           \
	TAKE(dr2, dr[2])                                                                           \
	TAKE(dr3, dr[3])                                                                           \
	TAKE(dr6, dr6)                                                                             \
	TAKE(dr7, dr7)                                                                             \
	TAKE(gdtr_base, gdtr.base)                                                                 \
	TAKE(gdtr_limit, gdtr.limit)                                                               \
	TAKE(idtr_base, idtr.base)                                                                 \
	TAKE(idtr_limit, idtr.limit)                                                               \
	TAKE(sysenter_cs, sysenter_cs)                                                             \
	TAKE(sysenter_esp, sysenter_esp)                                                           \
	TAKE(sysenter_eip, sysenter_eip)                                                           \
	TAKE(shadow_gs, kernel_gs_base)                                                            \
	TAKE(msr_lstar, lstar)                                                                     \
	TAKE(msr_star, star)                                                                       \
	TAKE(msr_cstar, cstar)                                                                     \
	TAKE(msr_syscall_mask, sfmask)                                                             \
	TAKE(msr_efer, efer)                                                                       \
	TAKE(msr_tsc_aux, tsc_aux)                                                                 \
	TAKE(tsc, tsc)                                                                             \
	TAKE(pending_event, event)                                                                 \
	TAKE(error_code, event_error)

#define ALL(TAKE)                                                                                  \
	GPRS(TAKE)                                                                                 \
	SYSTEM(TAKE)                                                                               \
	SEGMENT(TAKE, cs, WIRE_CS)                                                                 \
	SEGMENT(TAKE, ds, WIRE_DS)                                                                 \
	SEGMENT(TAKE, es, WIRE_ES)                                                                 \
	SEGMENT(TAKE, fs, WIRE_FS)                                                                 \
	SEGMENT(TAKE, gs, WIRE_GS)                                                                 \
	SEGMENT(TAKE, ss, WIRE_SS)                                                                 \
	SEGMENT(TAKE, tr, WIRE_TR)                                                                 \
	SEGMENT(TAKE, ldtr, WIRE_LDTR)

static void cpu_from_vcpu(const struct wire_vcpu *v, struct hvm_hw_cpu *c)
{
	memset(c, 0, sizeof(*c));
#define TAKE(theirs, ours) c->theirs = (__typeof__(c->theirs))v->ours;
	ALL(TAKE)
#undef TAKE
	memcpy(c->fpu_regs, v->fxsave, sizeof(c->fpu_regs));
	c->flags = XEN_X86_FPU_INITIALISED;
}

/* What an FPU is after FNINIT, with all SSE exceptions masked. */
static void init_fpu(uint8_t *fxsave)
{
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80;

	memset(fxsave, 0, WIRE_FXSAVE);
	memcpy(fxsave, &fcw, sizeof(fcw));
	memcpy(fxsave + 24, &mxcsr, sizeof(mxcsr));
}

static int cpu_to_vcpu(const void *body, struct wire_vcpu *v)
{
	struct hvm_hw_cpu cpu, *c = &cpu;

	memcpy(c, body, sizeof(*c));
	if ((c->flags & ~XEN_X86_FPU_INITIALISED) != 0 || c->pad0 != 0)
		return -EINVAL;
	if ((c->pending_event & WIRE_EVENT_VALID) && (c->pending_event & ~VALID_EVENTS))
		return -EINVAL;
#define TAKE(theirs, ours) v->ours = (__typeof__(v->ours))c->theirs;
	ALL(TAKE)
#undef TAKE
	if (c->flags & XEN_X86_FPU_INITIALISED)
		memcpy(v->fxsave, c->fpu_regs, sizeof(v->fxsave));
	else
		init_fpu(v->fxsave);
	v->waiting = 0;
	return 0;
}

static void mtrr_from_vcpu(const struct wire_vcpu *v, struct hvm_hw_mtrr *m)
{
	*m = (struct hvm_hw_mtrr){.msr_pat_cr = v->pat,
	    .msr_mtrr_cap = v->mtrr_cap,
	    .msr_mtrr_def_type = v->mtrr_def_type};
	memcpy(m->msr_mtrr_fixed, v->mtrr_fixed, sizeof(m->msr_mtrr_fixed));
	memcpy(m->msr_mtrr_var, v->mtrr_var, sizeof(m->msr_mtrr_var));
}

/* The capabilities are the processor's, and no setting. */
static int mtrr_to_vcpu(const void *body, struct wire_vcpu *v)
{
	struct hvm_hw_mtrr m;

	memcpy(&m, body, sizeof(m));
	v->pat = m.msr_pat_cr;
	v->mtrr_def_type = m.msr_mtrr_def_type;
	memcpy(v->mtrr_fixed, m.msr_mtrr_fixed, sizeof(v->mtrr_fixed));
	memcpy(v->mtrr_var, m.msr_mtrr_var, sizeof(v->mtrr_var));
	return 0;
}

static void header_fill(uint32_t khz, struct hvm_save_header *h)
{
	uint32_t b, c, d;

	*h = (struct hvm_save_header){
	    .magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION, .changeset = -1, .gtsc_khz = khz};
	__cpuid(1, h->cpuid, b, c, d);
}

static int header_check(const void *body, struct wire_vcpu *v)
{
	struct hvm_save_header h;

	(void)v;
	memcpy(&h, body, sizeof(h));
	return h.magic == HVM_FILE_MAGIC && h.version == HVM_FILE_VERSION ? 0 : -EINVAL;
}

/* In the page of registers: Intel SDM vol. 3A, table 11-1. */
static uint32_t lapic_reg(const struct wire_vcpu *v, size_t at)
{
	uint32_t value;

	memcpy(&value, v->lapic + at, sizeof(value));
	return value;
}

/* What follows from the registers is said once more, as Xen keeps it. */
static void lapic_from_vcpu(const struct wire_vcpu *v, struct hvm_hw_lapic *l)
{
	uint32_t divide = lapic_reg(v, LAPIC_DIVIDE), spurious = lapic_reg(v, LAPIC_SPURIOUS);

	*l = (struct hvm_hw_lapic){.apic_base_msr = v->apic_base};
	l->timer_divisor = 1U << (((divide & 3) | (divide & 8) >> 1) + 1) % 8;
	if (!(v->apic_base & APIC_BASE_ENABLED))
		l->disabled |= LAPIC_HW_DISABLED;
	if (!(spurious & SPURIOUS_ENABLED))
		l->disabled |= LAPIC_SW_DISABLED;
}

static int lapic_to_vcpu(const void *body, struct wire_vcpu *v)
{
	struct hvm_hw_lapic l;

	memcpy(&l, body, sizeof(l));
	v->apic_base = l.apic_base_msr;
	return 0;
}

static int lapic_regs_to_vcpu(const void *body, struct wire_vcpu *v)
{
	memcpy(v->lapic, body, sizeof(v->lapic));
	return 0;
}

static void *put(void *at, uint16_t type, unsigned instance, const void *body, size_t len)
{
	const struct hvm_save_descriptor d = {
	    .typecode = type, .instance = (uint16_t)instance, .length = (uint32_t)len};

	memcpy(at, &d, sizeof(d));
	if (len > 0)
		memcpy((char *)at + sizeof(d), body, len);
	return (char *)at + sizeof(d) + len;
}

static void *put_cpu(void *at, unsigned i, const struct wire_vcpu *v)
{
	struct hvm_hw_cpu cpu;

	cpu_from_vcpu(v, &cpu);
	return put(at, HVM_SAVE_CODE(CPU), i, &cpu, sizeof(cpu));
}

static void *put_lapic(void *at, unsigned i, const struct wire_vcpu *v)
{
	struct hvm_hw_lapic lapic;

	lapic_from_vcpu(v, &lapic);
	return put(at, HVM_SAVE_CODE(LAPIC), i, &lapic, sizeof(lapic));
}

static void *put_lapic_regs(void *at, unsigned i, const struct wire_vcpu *v)
{
	return put(at, HVM_SAVE_CODE(LAPIC_REGS), i, v->lapic, sizeof(v->lapic));
}

static void *put_mtrr(void *at, unsigned i, const struct wire_vcpu *v)
{
	struct hvm_hw_mtrr mtrr;

	mtrr_from_vcpu(v, &mtrr);
	return put(at, HVM_SAVE_CODE(MTRR), i, &mtrr, sizeof(mtrr));
}

static void *put_all(void *at, const struct hvm_vcpus *vs,
    void *(*put_one)(void *at, unsigned i, const struct wire_vcpu *v))
{
	for (unsigned i = 0; i < vs->hv_n; i++)
		if (!vs->hv_vcpu[i].waiting)
			at = put_one(at, i, &vs->hv_vcpu[i]);
	return at;
}

size_t hvm_context_write(const struct hvm_vcpus *vs, uint32_t khz, void *buf)
{
	struct hvm_save_header header;
	char *at = buf;

	header_fill(khz, &header);
	at = put(at, HVM_SAVE_CODE(HEADER), 0, &header, sizeof(header));
	at = put_all(at, vs, put_cpu);
	if (vs->hv_lapic) {
		at = put_all(at, vs, put_lapic);
		at = put_all(at, vs, put_lapic_regs);
	}
	at = put_all(at, vs, put_mtrr);
	at = put(at, HVM_SAVE_CODE(END), 0, NULL, 0);
	return (size_t)(at - (char *)buf);
}

static const struct kind {
	size_t len;
	int (*take)(const void *body, struct wire_vcpu *v);
	bool lapic; /* only where there is one */
} kinds[] = {
    [HVM_SAVE_CODE(HEADER)] = {sizeof(struct hvm_save_header), header_check, false},
    [HVM_SAVE_CODE(CPU)] = {sizeof(struct hvm_hw_cpu), cpu_to_vcpu, false},
    [HVM_SAVE_CODE(LAPIC)] = {sizeof(struct hvm_hw_lapic), lapic_to_vcpu, true},
    [HVM_SAVE_CODE(LAPIC_REGS)] = {sizeof(struct hvm_hw_lapic_regs), lapic_regs_to_vcpu, true},
    [HVM_SAVE_CODE(MTRR)] = {sizeof(struct hvm_hw_mtrr), mtrr_to_vcpu, false},
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

static int take_record(
    const struct hvm_save_descriptor *d, const void *body, size_t left, struct hvm_vcpus *vs)
{
	if (d->typecode >= NKINDS || kinds[d->typecode].take == NULL || d->instance >= vs->hv_n)
		return -EINVAL;
	if (d->length != kinds[d->typecode].len || d->length > left)
		return -EINVAL;
	if (kinds[d->typecode].lapic && !vs->hv_lapic)
		return -EINVAL;
	if (d->typecode != HVM_SAVE_CODE(HEADER))
		vs->hv_named |= UINT32_C(1) << d->instance;
	return kinds[d->typecode].take(body, &vs->hv_vcpu[d->instance]);
}

/* As Xen has it: the header comes first, what lies behind END is of no meaning. */
int hvm_context_read(const void *buf, size_t len, struct hvm_vcpus *vs)
{
	struct hvm_save_descriptor d;
	const char *at = buf;
	bool first = true;
	int error;

	for (;; first = false) {
		if (len < sizeof(d))
			return -EINVAL;
		memcpy(&d, at, sizeof(d));
		at += sizeof(d);
		len -= sizeof(d);
		if (first != (d.typecode == HVM_SAVE_CODE(HEADER)))
			return -EINVAL;
		if (d.typecode == HVM_SAVE_CODE(END))
			return 0;
		error = take_record(&d, at, len, vs);
		if (error != 0)
			return error;
		at += d.length;
		len -= d.length;
	}
}

int hvm_context_find(
    const void *buf, uint32_t type, uint32_t instance, const void **body, size_t *len)
{
	struct hvm_save_descriptor d;
	const char *at = buf;

	if (type >= NKINDS || kinds[type].take == NULL)
		return -EINVAL;
	for (;; at += d.length) {
		memcpy(&d, at, sizeof(d));
		at += sizeof(d);
		if (d.typecode == HVM_SAVE_CODE(END))
			return -ENOENT;
		if (d.typecode == type && d.instance == instance)
			break;
	}
	*body = at;
	*len = d.length;
	return 0;
}

void vcpu_context_write(const struct wire_vcpu *v, struct vcpu_guest_context *ctx)
{
	struct cpu_user_regs *u = &ctx->user_regs;

	memset(ctx, 0, sizeof(*ctx));
	memcpy(&ctx->fpu_ctxt, v->fxsave, sizeof(v->fxsave));
	ctx->flags = VGCF_i387_valid | (v->waiting ? 0 : VGCF_online);
	if ((v->segment[WIRE_SS].attributes >> 5 & 3) == 0)
		ctx->flags |= VGCF_in_kernel;
#define TAKE(theirs, ours) u->theirs = v->ours;
	GPRS(TAKE)
#undef TAKE
	u->cs = v->segment[WIRE_CS].selector;
	u->ss = v->segment[WIRE_SS].selector;
	u->ds = v->segment[WIRE_DS].selector;
	u->es = v->segment[WIRE_ES].selector;
	u->fs = v->segment[WIRE_FS].selector;
	u->gs = v->segment[WIRE_GS].selector;
	ctx->ctrlreg[0] = v->cr0;
	ctx->ctrlreg[2] = v->cr2;
	ctx->ctrlreg[3] = v->cr3;
	ctx->ctrlreg[4] = v->cr4;
	for (unsigned i = 0; i < 4; i++)
		ctx->debugreg[i] = v->dr[i];
	ctx->debugreg[6] = v->dr6;
	ctx->debugreg[7] = v->dr7;
	ctx->fs_base = v->segment[WIRE_FS].base;
	ctx->gs_base_kernel = v->segment[WIRE_GS].base;
	ctx->gs_base_user = v->kernel_gs_base;
}
