/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/hvm_context.c */
/* Records of a vCPU's state: there and back, and what is no record. */
#include "xen/hvm_context.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KHZ 2500000u
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
	return v;
}

static int read_back(const char *records, size_t len, struct wire_vcpu *v)
{
	/* Of its own, so that a sanitizer sees what lies behind it. */
	char *copy = malloc(len > 0 ? len : 1);
	int error;

	memcpy(copy, records, len);
	error = hvm_context_read(copy, len, v);
	free(copy);
	return error;
}

Test(hvm_context, round_trip)
{
	for (int i = 0; i < 100; i++) {
		struct wire_vcpu before = any_state(), after;
		char records[HVM_CONTEXT_SIZE];

		memset(&after, 0xa5, sizeof(after));
		/* The processor's own, which no record sets. */
		after.mtrr_cap = before.mtrr_cap;
		hvm_context_write(&before, KHZ, records);
		cr_assert_eq(read_back(records, sizeof(records), &after), 0);
		cr_assert_eq(memcmp(&before, &after, sizeof(before)), 0);
	}
}

/* By their places in Xen's structure, so that a mix-up that undoes itself is seen, too. */
Test(hvm_context, fields_are_where_xen_has_them)
{
	struct wire_vcpu v = any_state();
	char records[HVM_CONTEXT_SIZE];
	struct hvm_save_header h;
	struct hvm_hw_cpu c;
	struct hvm_hw_mtrr m;

	hvm_context_write(&v, KHZ, records);
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
	char records[HVM_CONTEXT_SIZE];
	const uint16_t fcw = 0x37f;
	const uint32_t none = 0;

	hvm_context_write(&before, KHZ, records);
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
	char records[HVM_CONTEXT_SIZE];

	hvm_context_write(&v, KHZ, records);
	for (size_t len = 0; len < sizeof(records); len++)
		cr_assert_eq(read_back(records, len, &v), -EINVAL, "%zu bytes", len);
}

Test(hvm_context, what_lies_behind_the_end_means_nothing)
{
	struct wire_vcpu before = any_state(), v = before;
	char records[HVM_CONTEXT_SIZE + 100];

	hvm_context_write(&before, KHZ, records);
	memset(records + HVM_CONTEXT_SIZE, 0xff, 100);
	cr_assert_eq(read_back(records, sizeof(records), &v), 0);
	cr_assert_eq(memcmp(&before, &v, sizeof(v)), 0);
}

/* One 32-bit word of the records is another. */
static int with_word(size_t at, uint32_t word)
{
	struct wire_vcpu v = any_state();
	char records[HVM_CONTEXT_SIZE];

	hvm_context_write(&v, KHZ, records);
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
	char records[HVM_CONTEXT_SIZE];

	for (int i = 0; i < 20000; i++) {
		hvm_context_write(&v, KHZ, records);
		for (int n = next_byte() % 8; n >= 0; n--)
			records[(next_byte() << 8 | next_byte()) % sizeof(records)] = (char)
			    next_byte();
		(void)read_back(records, sizeof(records) - next_byte() % 64u, &v);
	}
}

Test(hvm_context, find)
{
	struct wire_vcpu v = any_state();
	char records[HVM_CONTEXT_SIZE];
	const void *body;
	size_t len;

	hvm_context_write(&v, KHZ, records);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(CPU), 0, &body, &len), 0);
	cr_assert_eq((const char *)body, records + CPU_AT);
	cr_assert_eq(len, sizeof(struct hvm_hw_cpu));
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(MTRR), 0, &body, &len), 0);
	cr_assert_eq((const char *)body, records + MTRR_AT);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(CPU), 1, &body, &len), -ENOENT);
	cr_assert_eq(hvm_context_find(records, HVM_SAVE_CODE(LAPIC), 0, &body, &len), -EINVAL);
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
	free(ctx);
}
