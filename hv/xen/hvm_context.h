/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_HVM_CONTEXT_H
#define HV_XEN_HVM_CONTEXT_H
/*
 * A domain's vCPUs as Xen's tools see them: records of Xen public/hvm/save.h, and the older
 * vcpu_guest_context of public/xen.h.  The records are HEADER, then of each vCPU CPU, with local APICs
 * LAPIC and LAPIC_REGS, MTRR, and END.  As with Xen there are none of vCPUs that have not been started.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"
#include "xen/public.h"

/* The most that n vCPUs have; without local APICs it is exactly this. */
#define HVM_CONTEXT_RECORD(type) (sizeof(struct hvm_save_descriptor) + sizeof(type))
#define HVM_CONTEXT_SIZE(n, lapic)                                                                 \
	(HVM_CONTEXT_RECORD(struct hvm_save_header) + sizeof(struct hvm_save_descriptor) +         \
	    (n) *                                                                                  \
		(HVM_CONTEXT_RECORD(struct hvm_hw_cpu) + HVM_CONTEXT_RECORD(struct hvm_hw_mtrr) +  \
		    ((lapic) ? HVM_CONTEXT_RECORD(struct hvm_hw_lapic) +                           \
				   HVM_CONTEXT_RECORD(struct hvm_hw_lapic_regs)                    \
			     : 0)))

/* More than this is none of ours, whoever made it. */
#define HVM_CONTEXT_MAX 65536u

/* Some domain's vCPUs. */
struct hvm_vcpus {
	struct wire_vcpu *hv_vcpu;
	unsigned hv_n;
	bool hv_lapic;	   /* they have local APICs */
	uint32_t hv_named; /* a bit for each that hvm_context_read has found a record of */
};

/*
 * hvm_context_write: all records.
 * => buf holds HVM_CONTEXT_SIZE(n, lapic) bytes; khz: the TSC's rate
 * => how many bytes they are
 */
size_t hvm_context_write(const struct hvm_vcpus *vs, uint32_t khz, void *buf);

/*
 * hvm_context_read: take what the records say into the vCPUs, which hold their state as it is.  One
 * that has a CPU record has been started.
 * => buf: len bytes, which nobody changes meanwhile
 * => -EINVAL: they are not whole, or of a kind, a size or a vCPU that is not there; then the vCPUs are
 *    undefined
 */
int hvm_context_read(const void *buf, size_t len, struct hvm_vcpus *vs);

/*
 * hvm_context_find: the body of one record among those that hvm_context_write has written.
 * => -EINVAL: there is no such kind; -ENOENT: not for this instance
 */
int hvm_context_find(
    const void *buf, uint32_t type, uint32_t instance, const void **body, size_t *len);

/* vcpu_context_write: the same for XEN_DOMCTL_getvcpucontext. */
void vcpu_context_write(const struct wire_vcpu *v, struct vcpu_guest_context *ctx);

#endif
