/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_HVM_CONTEXT_H
#define HV_XEN_HVM_CONTEXT_H
/*
 * A domain's vCPU as Xen's tools see it: records of Xen public/hvm/save.h, and the older
 * vcpu_guest_context of public/xen.h.  There is one vCPU, without an interrupt controller: the
 * records are HEADER, CPU, MTRR, END.
 */
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"
#include "xen/public.h"

#define HVM_CONTEXT_SIZE                                                                           \
	(4 * sizeof(struct hvm_save_descriptor) + sizeof(struct hvm_save_header) +                 \
	    sizeof(struct hvm_hw_cpu) + sizeof(struct hvm_hw_mtrr))

/* More than this is none of ours, whoever made it. */
#define HVM_CONTEXT_MAX 65536u

/* hvm_context_write: all records.  => buf holds HVM_CONTEXT_SIZE bytes; khz: the TSC's rate */
void hvm_context_write(const struct wire_vcpu *v, uint32_t khz, void *buf);

/*
 * hvm_context_read: take what the records say into *v, which holds the state as it is.
 * => buf: len bytes, which nobody changes meanwhile
 * => -EINVAL: they are not whole, or of a kind, a size or a vCPU that is not there; then *v is
 *    undefined
 */
int hvm_context_read(const void *buf, size_t len, struct wire_vcpu *v);

/*
 * hvm_context_find: the body of one record among those that hvm_context_write has written.
 * => -EINVAL: there is no such kind; -ENOENT: not for this instance
 */
int hvm_context_find(
    const void *buf, uint32_t type, uint32_t instance, const void **body, size_t *len);

/* vcpu_context_write: the same for XEN_DOMCTL_getvcpucontext. */
void vcpu_context_write(const struct wire_vcpu *v, struct vcpu_guest_context *ctx);

#endif
