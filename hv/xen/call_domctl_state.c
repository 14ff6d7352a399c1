/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XEN_DOMCTL_* on a domain's life and its vCPUs: pause, destroy, registers.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/host.h"
#include "xen/call_domctl.h"
#include "xen/domain.h"
#include "xen/hvm_context.h"

/* gfns of one XEN_DOMCTL_getpageframeinfo3, as in Xen. */
#define MAX_FRAMES 1024u

int64_t xen_domctl_pausedomain(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	(void)op;
	return guest_pause(g);
}

int64_t xen_domctl_unpausedomain(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	(void)op;
	return guest_unpause(g);
}

int64_t xen_domctl_destroydomain(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	(void)op;
	guest_stop_wait(g);
	return 0;
}

int64_t xen_domctl_getvcpucontext(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_vcpucontext *vc = &op->u.vcpucontext;
	struct vcpu_guest_context ctx;
	struct wire_vcpu state;
	int error;

	if (vc->vcpu >= g->g_vcpus)
		return -ESRCH;
	error = guest_get_state(g, vc->vcpu, &state);
	if (error != 0)
		return error;
	vcpu_context_write(&state, &ctx);
	return xen_copy_out(c, XEN_HANDLE(vc->ctxt), &ctx, sizeof(ctx));
}

/* => *len: of all records of a domain as it is now */
static int read_context(struct guest *g, void *buf, size_t *len)
{
	struct wire_vcpu states[WIRE_MAX_VCPUS];
	const struct hvm_vcpus vs = {.hv_vcpu = states, .hv_n = g->g_vcpus, .hv_lapic = g->g_lapic};
	int error = guest_get_states(g, states);

	if (error == 0)
		*len = hvm_context_write(&vs, host_khz(), buf);
	return error;
}

/* Without a buffer only the size is asked for. */
int64_t xen_domctl_gethvmcontext(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_hvmcontext *hc = &op->u.hvmcontext;
	uint64_t buffer = XEN_HANDLE(hc->buffer);
	const size_t most = HVM_CONTEXT_SIZE(g->g_vcpus, g->g_lapic);
	char records[HVM_CONTEXT_SIZE(WIRE_MAX_VCPUS, true)];
	size_t len;
	int error;

	if (buffer != 0 && hc->size < most)
		return -ENOSPC;
	hc->size = (uint32_t)most;
	if (buffer == 0)
		return 0;
	error = read_context(g, records, &len);
	if (error == 0)
		hc->size = (uint32_t)len;
	return error != 0 ? error : xen_copy_out(c, buffer, records, len);
}

int64_t xen_domctl_gethvmcontext_partial(
    struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	struct xen_domctl_hvmcontext_partial *hp = &op->u.hvmcontext_partial;
	uint64_t buffer = XEN_HANDLE(hp->buffer);
	char records[HVM_CONTEXT_SIZE(WIRE_MAX_VCPUS, true)];
	const void *body;
	size_t len;
	int error = read_context(g, records, &len);

	if (error == 0)
		error = hvm_context_find(records, hp->type, hp->instance, &body, &len);
	if (error != 0)
		return error;
	if (buffer != 0 && hp->bufsz < len)
		return -ENOBUFS;
	hp->bufsz = len;
	return buffer != 0 ? xen_copy_out(c, buffer, body, len) : 0;
}

/* Records that are not given leave the state as it is. */
static int write_context(struct guest *g, const void *records, size_t len)
{
	struct wire_vcpu states[WIRE_MAX_VCPUS];
	struct hvm_vcpus vs = {.hv_vcpu = states, .hv_n = g->g_vcpus, .hv_lapic = g->g_lapic};
	int error = guest_get_states(g, states);

	if (error == 0)
		error = hvm_context_read(records, len, &vs);
	for (unsigned i = 0; i < g->g_vcpus && error == 0; i++)
		if (vs.hv_named >> i & 1)
			error = guest_set_state(g, i, &states[i]);
	return error;
}

/*
 * Paused all the while: with the state as it was some time ago a guest would not get far.  A pause of
 * ours counts as any.
 */
int64_t xen_domctl_sethvmcontext(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_hvmcontext *hc = &op->u.hvmcontext;
	void *records;
	int error, undone;

	if (hc->size > HVM_CONTEXT_MAX)
		return -E2BIG;
	records = malloc(hc->size + 1); /* 0 bytes are to be refused as too few */
	if (records == NULL)
		return -ENOMEM;
	error = xen_copy_in(c, records, XEN_HANDLE(hc->buffer), hc->size);
	if (error == 0)
		error = guest_pause(g);
	if (error == 0) {
		error = write_context(g, records, hc->size);
		undone = guest_unpause(g);
		error = error != 0 ? error : undone;
	}
	free(records);
	return error;
}

/* Type of a page: memory, or none. */
static uint32_t frame_type(struct uvm_map *map, uint64_t gfn)
{
	struct uvm_lookup ul;
	bool memory;

	if (uvm_map_lookup(map, gfn, &ul) != 0)
		return XEN_DOMCTL_PFINFO_XTAB;
	memory = ul.ul_entry->me_kind == UVM_ENTRY_MEMORY;
	uvm_map_unlock(&ul);
	return memory ? XEN_DOMCTL_PFINFO_NOTAB : XEN_DOMCTL_PFINFO_XTAB;
}

int64_t xen_domctl_getpageframeinfo3(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	const struct xen_domctl_getpageframeinfo3 *pf = &op->u.getpageframeinfo3;
	xen_pfn_t frames[MAX_FRAMES];
	struct uvm_map *map;
	size_t len;

	if (pf->num > MAX_FRAMES)
		return -E2BIG;
	len = pf->num * sizeof(frames[0]);
	if (xen_copy_in(c, frames, XEN_HANDLE(pf->array), len) != 0)
		return -EFAULT;
	map = guest_map_get(g);
	if (map == NULL)
		return -ESRCH;
	uvm_world_enter();
	for (size_t i = 0; i < pf->num; i++)
		frames[i] = frame_type(map, frames[i]);
	uvm_map_rele(map);
	uvm_world_leave();
	return xen_copy_out(c, XEN_HANDLE(pf->array), frames, len);
}

/* Xen has them for what a guest takes as an interrupt, or from ACPI: none of which is there. */
int64_t xen_domctl_sendtrigger(struct xen_caller *c, struct guest *g, struct xen_domctl *op)
{
	(void)c;
	if (op->u.sendtrigger.trigger > XEN_DOMCTL_SENDTRIGGER_SLEEP)
		return -ENOSYS;
	return op->u.sendtrigger.vcpu < g->g_vcpus ? -EOPNOTSUPP : -ESRCH;
}
