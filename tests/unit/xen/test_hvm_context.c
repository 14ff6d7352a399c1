/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/hvm_context.c */
/* Records of a vCPU's state: there and back, and what is no record. */
#include "xen/hvm_context.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KHZ 2500000u
#define SIZE HVM_CONTEXT_SIZE(1, false) /* of one vCPU without a LAPIC */
#define DESCRIPTOR sizeof(struct hvm_save_descriptor)
#define HEADER_AT DESCRIPTOR
#define CPU_AT (HEADER_AT + sizeof(struct hvm_save_header) + DESCRIPTOR)
#define MTRR_AT (CPU_AT + sizeof(struct hvm_hw_cpu) + DESCRIPTOR)

static uint8_t next_byte(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint8_t)x;
}

/* A state of which no two neighbouring bytes are alike by design. */
static struct wire_vcpu any_state(void)
{
	struct wire_vcpu v;

	for (size_t i = 0; i < sizeof(v); i++)
		((uint8_t *)&v)[i] = next_byte();
	for (unsigned i = 0; i < WIRE_SEGMENTS; i++)
		v.segment[i].attributes &= 0xfff;
	v.gdtr.limit &= UINT32_MAX;
	v.idtr.limit &= UINT32_MAX;
	v.event = WIRE_EVENT_VALID | WIRE_EVENT_EXCEPTION << 8 | WIRE_EVENT_ERROR_CODE | 14;
	v.waiting = v.pad = 0;
	return v;
}

static void write_one(struct wire_vcpu *v, char *records)
{
	const struct hvm_vcpus vs = {.hv_vcpu = v, .hv_n = 1};

	cr_assert_eq(hvm_context_write(&vs, KHZ, records), SIZE);
}

static int read_all(const char *records, size_t len, struct hvm_vcpus *vs)
{
	/* Of its own, so that a sanitizer sees what lies behind it. */
	char *copy = malloc(len > 0 ? len : 1);
	int error;

	memcpy(copy, records, len);
	error = hvm_context_read(copy, len, vs);
	free(copy);
	return error;
}

static int read_back(const char *records, size_t len, struct wire_vcpu *v)
{
	struct hvm_vcpus vs = {.hv_vcpu = v, .hv_n = 1};

	return read_all(records, len, &vs);
}

Test(hvm_context, round_trip)
{
	for (int i = 0; i < 100; i++) {
		struct wire_vcpu before = any_state(), after;
		char records[SIZE];

		memset(&after, 0xa5, sizeof(after));
		/* The processor's own, which no record sets. */
		after.mtrr_cap = before.mtrr_cap;
		/* There is none, in the records. */
		after.apic_base = before.apic_base;
		memcpy(after.lapic, before.lapic, sizeof(after.lapic));
		after.pad = 0;
		write_one(&before, records);
		cr_assert_eq(read_back(records, sizeof(records), &after), 0);
		cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
	}
}

/* By their places in Xen's structure, so that a mix-up that undoes itself is seen, too. */
Test(hvm_context, fields_are_where_xen_has_them)
{
	struct wire_vcpu v = any_state();
	char records[SIZE];
	struct hvm_save_header h;
	struct hvm_hw_cpu c;
	struct hvm_hw_mtrr m;

	write_one(&v, records);
	memcpy(&h, records + HEADER_AT, sizeof(h));
	memcpy(&c, records + CPU_AT, sizeof(c));
	memcpy(&m, records + MTRR_AT, sizeof(m));
	cr_assert_eq(h.magic, HVM_FILE_MAGIC);
	cr_assert_eq(h.gtsc_khz, KHZ);
	cr_assert_eq(c.rax, v.gpr[0]);
	cr_assert_eq(c.rcx, v.gpr[1]);
	cr_assert_eq(c.rdx, v.gpr[2]);
	cr_assert_eq(c.rbx, v.gpr[3]);
	cr_assert_eq(c.rsp, v.gpr[4]);
	cr_assert_eq(c.rbp, v.gpr[5]);
	cr_assert_eq(c.rsi, v.gpr[6]);
	cr_assert_eq(c.rdi, v.gpr[7]);
	cr_assert_eq(c.r15, v.gpr[15]);
	cr_assert_eq(c.rip, v.rip);
	cr_assert_eq(c.cr3, v.cr3);
	cr_assert_eq(c.cs_sel, v.segment[WIRE_CS].selector);
	cr_assert_eq(c.ss_base, v.segment[WIRE_SS].base);
	cr_assert_eq(c.tr_arbytes, v.segment[WIRE_TR].attributes);
	cr_assert_eq(c.ldtr_limit, v.segment[WIRE_LDTR].limit);
	cr_assert_eq(c.gdtr_base, v.gdtr.base);
	cr_assert_eq(c.idtr_limit, v.idtr.limit);
	cr_assert_eq(c.shadow_gs, v.kernel_gs_base);
	cr_assert_eq(c.msr_efer, v.efer);
	cr_assert_eq(c.pending_vector, 14);
	cr_assert_eq(c.pending_type, 3);
	cr_assert_eq(c.pending_error_valid, 1);
	cr_assert_eq(c.pending_valid, 1);
	cr_assert_eq(memcmp(c.fpu_regs, v.fxsave, sizeof(c.fpu_regs)), 0);
	cr_assert_eq(m.msr_pat_cr, v.pat);
	cr_assert_eq(m.msr_mtrr_var[15], v.mtrr_var[15]);
	cr_assert_eq(m.msr_mtrr_fixed[10], v.mtrr_fixed[10]);
}

/* What Xen's tools make for a new domain: no FPU state, no MTRRs. */
Test(hvm_context, without_fpu_and_mtrr)
{
	struct wire_vcpu before = any_state(), v = any_state();
	struct wire_vcpu old = v;
	const struct hvm_save_descriptor end = {.typecode = 0};
	char records[SIZE];
	const uint16_t fcw = 0x37f;
	const uint32_t none = 0;

	write_one(&before, records);
	memcpy(records + CPU_AT + offsetof(struct hvm_hw_cpu, flags), &none, sizeof(none));
	memcpy(records + MTRR_AT - DESCRIPTOR, &end, sizeof(end));
	cr_assert_eq(read_back(records, MTRR_AT, &v), 0);
	cr_assert_eq(v.rip, before.rip);
	cr_assert_eq(v.pat, old.pat);
	cr_assert_eq(memcmp(v.mtrr_var, old.mtrr_var, sizeof(v.mtrr_var)), 0);
	cr_assert_eq(memcmp(v.fxsave, &fcw, sizeof(fcw)), 0);
	cr_assert_eq(v.fxsave[24], 0x80);
	cr_assert_eq(v.fxsave[25], 0x1f);
	cr_assert_eq(v.fxsave[200], 0);
}

Test(hvm_context, every_length_that_is_too_short)
{
	struct wire_vcpu v = any_state();
	char records[SIZE];

	write_one(&v, records);
	for (size_t len = 0; len < sizeof(records); len++)
		cr_assert_eq(read_back(records, len, &v), -EINVAL, "%zu bytes", len);
}

Test(hvm_context, what_lies_behind_the_end_means_nothing)
{
	struct wire_vcpu before = any_state(), v = before;
	char records[SIZE + 100];

	write_one(&before, records);
	memset(records + SIZE, 0xff, 100);
	cr_assert_eq(read_back(records, sizeof(records), &v), 0);
	cr_assert_eq(memcmp(&before, &v, sizeof(v)), 0);
}

/* One 32-bit word of the records is another. */
static int with_word(size_t at, uint32_t word)
{
	struct wire_vcpu v = any_state();
	char records[SIZE];

	write_one(&v, records);
	memcpy(records + at, &word, sizeof(word));
	return read_back(records, sizeof(records), &v);
}

Test(hvm_context, wrong_words)
{
	const size_t descriptor = CPU_AT - DESCRIPTOR;

	cr_assert_eq(with_word(HEADER_AT, HVM_FILE_MAGIC), 0);
	cr_assert_eq(with_word(HEADER_AT, 0), -EINVAL);		      /* magic */
	cr_assert_eq(with_word(HEADER_AT + 4, 2), -EINVAL);	      /* version */
	cr_assert_eq(with_word(0, 2), -EINVAL);			      /* no header first */
	cr_assert_eq(with_word(descriptor, 1), -EINVAL);	      /* a header again */
	cr_assert_eq(with_word(descriptor, 5), -EINVAL);	      /* a LAPIC */
	cr_assert_eq(with_word(descriptor, 0xffff), -EINVAL);	      /* no such kind */
	cr_assert_eq(with_word(descriptor, 2 | 1u << 16), -EINVAL);   /* vCPU 1 */
	cr_assert_eq(with_word(descriptor + 4, 1024), -EINVAL);	      /* length */
	cr_assert_eq(with_word(descriptor + 4, UINT32_MAX), -EINVAL); /* length */
	cr_assert_eq(with_word(MTRR_AT - 4, 0), -EINVAL);	      /* length */
	cr_assert_eq(with_word(MTRR_AT + sizeof(struct hvm_hw_mtrr), 3), -EINVAL); /* no end */
	cr_assert_eq(with_word(CPU_AT + offsetof(struct hvm_hw_cpu, flags), 2), -EINVAL);
	cr_assert_eq(
	    with_word(CPU_AT + offsetof(struct hvm_hw_cpu, pending_event), 0xfffff000), -EINVAL);
	/* Without "valid" the rest of the word means nothing. */
	cr_assert_eq(with_word(CPU_AT + offsetof(struct hvm_hw_cpu, pending_event), 0x7ffff000), 0);
}

Test(hvm_context, any_bytes)
{
	struct wire_vcpu v = any_state();
	char records[SIZE];

	for (int i = 0; i < 20000; i++) {
		write_one(&v, records);
		for (int n = next_byte() % 8; n >= 0; n--)
			records[(next_byte() << 8 | next_byte()) % sizeof(records)] = (char)
			    next_byte();
		(void)read_back(records, sizeof(records) - next_byte() % 64u, &v);
	}
}

Test(hvm_context, find)
{
	struct wire_vcpu v = any_state();
	char records[SIZE];
	const void *body;
	size_t len;

	write_one(&v, records);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(CPU), 0, &body, &len), 0);
	cr_assert_eq((const char *)body, records + CPU_AT);
	cr_assert_eq(len, sizeof(struct hvm_hw_cpu));
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(MTRR), 0, &body, &len), 0);
	cr_assert_eq((const char *)body, records + MTRR_AT);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(CPU), 1, &body, &len), -ENOENT);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(LAPIC), 0, &body, &len), -ENOENT);
	cr_assert_eq(hvm_context_find(records, 0, 0, &body, &len), -EINVAL);
	cr_assert_eq(hvm_context_find(records, UINT32_MAX, 0, &body, &len), -EINVAL);
}

Test(hvm_context, old_context)
{
	struct wire_vcpu v = any_state();
	struct vcpu_guest_context *ctx = malloc(sizeof(*ctx));

	v.segment[WIRE_SS].attributes = 0x0f3; /* CPL 3 */
	vcpu_context_write(&v, ctx);
	cr_assert_eq(ctx->user_regs.rip, v.rip);
	cr_assert_eq(ctx->user_regs.rsp, v.gpr[WIRE_RSP]);
	cr_assert_eq(ctx->user_regs.cs, v.segment[WIRE_CS].selector);
	cr_assert_eq(ctx->ctrlreg[3], v.cr3);
	cr_assert_eq(ctx->gs_base_kernel, v.segment[WIRE_GS].base);
	cr_assert_eq(ctx->flags, VGCF_i387_valid | VGCF_online);
	v.segment[WIRE_SS].attributes = 0x093;
	vcpu_context_write(&v, ctx);
	cr_assert_eq(ctx->flags, VGCF_i387_valid | VGCF_online | VGCF_in_kernel);
	v.waiting = 1;
	vcpu_context_write(&v, ctx);
	cr_assert_eq(ctx->flags, VGCF_i387_valid | VGCF_in_kernel);
	free(ctx);
}

#define MANY 3u

/* vCPUs with LAPICs, of which number 1 has not been started. */
static void make_many(struct wire_vcpu v[MANY])
{
	for (unsigned i = 0; i < MANY; i++)
		v[i] = any_state();
	v[1].waiting = 1;
}

Test(hvm_context, many_round_trip)
{
	static char records[HVM_CONTEXT_SIZE(MANY, true)];
	struct wire_vcpu before[MANY], after[MANY];
	const struct hvm_vcpus out = {.hv_vcpu = before, .hv_n = MANY, .hv_lapic = true};
	struct hvm_vcpus in = {.hv_vcpu = after, .hv_n = MANY, .hv_lapic = true};
	size_t len;

	make_many(before);
	memset(after, 0, sizeof(after));
	len = hvm_context_write(&out, KHZ, records);
	cr_assert_eq(len, HVM_CONTEXT_SIZE(MANY - 1, true));
	cr_assert_eq(read_all(records, len, &in), 0);
	cr_assert_eq(in.hv_named, 5);
	for (unsigned i = 0; i < MANY; i++)
		after[i].mtrr_cap = before[i].mtrr_cap;
	cr_assert_eq(memcmp(&before[0], &after[0], sizeof(before[0])), 0);
	cr_assert_eq(memcmp(&before[2], &after[2], sizeof(before[0])), 0);
	cr_assert_eq(after[1].rip, 0);
	/* Fewer, or without LAPICs: somebody is meant who is not there. */
	in.hv_n = MANY - 1;
	cr_assert_eq(read_all(records, len, &in), -EINVAL);
	in.hv_n = MANY;
	in.hv_lapic = false;
	cr_assert_eq(read_all(records, len, &in), -EINVAL);
}

/* A CPU record starts the vCPU that it is of. */
Test(hvm_context, record_of_a_waiting_vcpu)
{
	static char records[HVM_CONTEXT_SIZE(MANY, true)];
	struct wire_vcpu before[MANY], after[MANY];
	const struct hvm_vcpus out = {.hv_vcpu = before, .hv_n = MANY, .hv_lapic = true};
	struct hvm_vcpus in = {.hv_vcpu = after, .hv_n = MANY, .hv_lapic = true};
	size_t len;

	make_many(before);
	memcpy(after, before, sizeof(after));
	before[1].waiting = 0;
	len = hvm_context_write(&out, KHZ, records);
	cr_assert_eq(len, sizeof(records));
	cr_assert_eq(read_all(records, len, &in), 0);
	cr_assert_eq(in.hv_named, 7);
	cr_assert_eq(after[1].waiting, 0);
}

Test(hvm_context, lapic_as_xen_keeps_it)
{
	static char records[HVM_CONTEXT_SIZE(MANY, true)];
	struct wire_vcpu v[MANY];
	const struct hvm_vcpus vs = {.hv_vcpu = v, .hv_n = MANY, .hv_lapic = true};
	const uint32_t on = 0x1ff, off = 0xff, by_128 = 10, by_2 = 0;
	struct hvm_hw_lapic l;
	const void *body;
	size_t len;

	make_many(v);
	v[0].apic_base = 0xfee00900;
	memcpy(v[0].lapic + 0xf0, &on, sizeof(on));
	memcpy(v[0].lapic + 0x3e0, &by_128, sizeof(by_128));
	v[2].apic_base = 0xfee00000;
	memcpy(v[2].lapic + 0xf0, &off, sizeof(off));
	memcpy(v[2].lapic + 0x3e0, &by_2, sizeof(by_2));
	(void)hvm_context_write(&vs, KHZ, records);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(LAPIC), 0, &body, &len), 0);
	memcpy(&l, body, sizeof(l));
	cr_assert_eq(l.apic_base_msr, 0xfee00900);
	cr_assert_eq(l.disabled, 0);
	cr_assert_eq(l.timer_divisor, 128);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(LAPIC), 1, &body, &len), -ENOENT);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(LAPIC), 2, &body, &len), 0);
	memcpy(&l, body, sizeof(l));
	cr_assert_eq(l.disabled, 3);
	cr_assert_eq(l.timer_divisor, 2);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(LAPIC_REGS), 2, &body, &len), 0);
	cr_assert_eq(memcmp(body, v[2].lapic, WIRE_LAPIC), 0);
}
