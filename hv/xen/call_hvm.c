/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HVMOP_*: parameters of domains (Xen public/hvm/params.h), by which tools tell guests where things
 * are.
 */
#include <errno.h>

#include "xen/call.h"
#include "xen/domain.h"
#include "xen/hvmparam.h"

/* What a guest may know of itself. */
static bool guest_may_get(uint32_t index)
{
	switch (index) {
	case HVM_PARAM_CALLBACK_IRQ:
	case HVM_PARAM_STORE_PFN:
	case HVM_PARAM_STORE_EVTCHN:
	case HVM_PARAM_CONSOLE_PFN:
	case HVM_PARAM_CONSOLE_EVTCHN:
	case HVM_PARAM_VM86_TSS:
	case HVM_PARAM_VM86_TSS_SIZED:
	case HVM_PARAM_ACPI_IOPORTS_LOCATION:
	case HVM_PARAM_VM_GENERATION_ID_ADDR:
	case HVM_PARAM_X87_FIP_WIDTH:
		return true;
	default:
		return false;
	}
}

/*
 * By which channels it is told of its store and console; and that it wants interrupts, which it gets
 * by its vCPUs' upcall vectors in any case, if it can take any.
 */
static bool guest_may_set(const struct guest *g, uint32_t index)
{
	return index == HVM_PARAM_STORE_EVTCHN || index == HVM_PARAM_CONSOLE_EVTCHN ||
	       (index == HVM_PARAM_CALLBACK_IRQ && g->g_lapic);
}

/* Parameters that Xen's tools use no more, or that stand for what is not there. */
static int check_value(uint32_t index, uint64_t value)
{
	switch (index) {
	case HVM_PARAM_PAE_ENABLED:
	case HVM_PARAM_DM_DOMAIN:
	case HVM_PARAM_BUFIOREQ_EVTCHN:
	case HVM_PARAM_MEMORY_EVENT_CR0:
	case HVM_PARAM_MEMORY_EVENT_CR3:
	case HVM_PARAM_MEMORY_EVENT_CR4:
	case HVM_PARAM_MEMORY_EVENT_INT3:
	case HVM_PARAM_MEMORY_EVENT_SINGLE_STEP:
	case HVM_PARAM_MEMORY_EVENT_MSR:
		return -EINVAL;
	case HVM_PARAM_VIRIDIAN:
	case HVM_PARAM_NESTEDHVM:
	case HVM_PARAM_ALTP2M:
	case HVM_PARAM_MCA_CAP:
		return value == 0 ? 0 : -EOPNOTSUPP;
	case HVM_PARAM_TIMER_MODE:
		return value <= HVMPTM_one_missed_tick_pending ? 0 : -EINVAL;
	default:
		return 0;
	}
}

int xen_hvm_set_param(struct guest *g, bool self, uint32_t index, uint64_t value)
{
	int error;

	if (index >= HVM_NR_PARAMS)
		return -EINVAL;
	if (self && !guest_may_set(g, index))
		return -EPERM;
	error = check_value(index, value);
	if (error != 0)
		return error;
	pthread_mutex_lock(&g->g_mutex);
	g->g_xen.xd_params[index] = value;
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

int xen_hvm_get_param(struct guest *g, bool self, uint32_t index, uint64_t *value)
{
	if (index >= HVM_NR_PARAMS)
		return -EINVAL;
	if (self && !guest_may_get(index))
		return -EPERM;
	pthread_mutex_lock(&g->g_mutex);
	*value = g->g_xen.xd_params[index];
	pthread_mutex_unlock(&g->g_mutex);
	return 0;
}

int64_t xen_hvm_param(struct guest *g, bool self, uint64_t cmd, struct xen_hvm_param *op)
{
	return cmd == HVMOP_set_param ? xen_hvm_set_param(g, self, op->index, op->value)
				      : xen_hvm_get_param(g, self, op->index, &op->value);
}

/* A guest has itself only, and the host has no parameters. */
static int find(const struct xen_caller *c, uint32_t domid, struct guest **gp)
{
	if (domid == DOMID_SELF)
		domid = c->domid;
	if (domid == 0)
		return -EINVAL;
	if (c->domid != 0 && domid != c->domid)
		return -EPERM;
	*gp = xen_domain_find(domid);
	return *gp != NULL ? 0 : -ESRCH;
}

int64_t xen_call_hvm(struct xen_caller *c, const uint64_t arg[5])
{
	struct xen_hvm_param op;
	struct guest *g;
	int64_t ret;

	if (arg[0] != HVMOP_set_param && arg[0] != HVMOP_get_param)
		return -ENOSYS;
	if (xen_copy_in(c, &op, arg[1], sizeof(op)) != 0)
		return -EFAULT;
	ret = find(c, op.domid, &g);
	if (ret != 0)
		return ret;
	ret = xen_hvm_param(g, c->domid != 0, arg[0], &op);
	guest_put(g);
	if (ret == 0 && arg[0] == HVMOP_get_param && xen_copy_out(c, arg[1], &op, sizeof(op)) != 0)
		return -EFAULT;
	return ret;
}
