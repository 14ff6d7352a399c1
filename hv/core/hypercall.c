/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls of guests that the core answers: decode, check, call.
 */
#include <errno.h>
#include <string.h>

#include "core/guest.h"
#include "lombard/chan.h"
#include "lombard/loan.h"
#include "xen/hvmparam.h"
#include "xen/public.h"

void guest_notify(uint32_t domid)
{
	evtchn_virq(domid == UVM_DOMID_ANY ? EVTCHN_ALL : domid, LOMBARD_VIRQ_LOAN);
}

/* The value of the hypercall: 0, a count, or a negative Xen error, which are Linux' numbers. */
typedef int64_t loan_op(struct guest *g, void *arg);

static int64_t op_info(struct guest *g, void *arg)
{
	struct loan_info *op = arg;

	*op = (struct loan_info){.abi_version = LOMBARD_ABI_VERSION,
	    .domid = (uint16_t)g->g_domid,
	    .ram_pages = g->g_ram_pages,
	    .window_gfn = guest_window_gfn(g),
	    .window_pages = g->g_window_pages};
	return 0;
}

_Static_assert(
    LOAN_MAX_OFFERS == UVM_LEDGER_MAX_OFFERS && LOAN_MAX_OFFERED_PAGES == UVM_LEDGER_MAX_OFFERED,
    "guests are told what the ledger allows");

static bool kind_p(uint16_t kind)
{
	return kind == LOAN_TO_PAGE || kind == LOAN_TO_ANON;
}

/* The place of a lend that is under way, or with 0 a free one; or NULL. */
static struct offer **find_lend(struct guest *g, uint64_t id)
{
	for (unsigned i = 0; i < WIRE_MAX_VCPUS; i++) {
		struct offer **ofp = &g->g_lending[i];

		if (*ofp != NULL ? uvm_ledger_lend_id(*ofp) == id : id == 0)
			return ofp;
	}
	return NULL;
}

/* A part of it.  -ERESTART: it has to be gone on with, by its number */
static int64_t lend_on(struct offer **ofp, struct loan_lend *op)
{
	int error;

	op->id = uvm_ledger_lend_id(*ofp);
	error = uvm_ledger_lend_on(*ofp, &op->id);
	if (error == -EINPROGRESS)
		return -ERESTART;
	*ofp = NULL;
	return error;
}

static int64_t op_lend_rest(struct guest *g, void *arg)
{
	struct loan_lend *op = arg;
	struct offer **ofp = op->id != 0 ? find_lend(g, op->id) : NULL;

	return ofp != NULL ? lend_on(ofp, op) : -ENOSYS;
}

void guest_drop_lends(struct guest *g)
{
	for (unsigned i = 0; i < WIRE_MAX_VCPUS; i++) {
		if (g->g_lending[i] != NULL)
			uvm_ledger_lend_drop(g->g_lending[i]);
		g->g_lending[i] = NULL;
	}
}

/* A guest that has left lends lying about has each further one done at one go. */
static int64_t op_lend(struct guest *g, void *arg)
{
	struct offer **ofp = find_lend(g, 0), *of;
	struct loan_lend *op = arg;
	int error;
	const struct uvm_offer_terms terms = {
	    .ot_borrower = op->domid, .ot_kind = op->kind, .ot_tag = op->tag};

	if (!kind_p(op->kind) || op->nr_pages == 0 || op->nr_pages > LOAN_MAX_PAGES)
		return -EINVAL;
	if (op->domid != LOAN_DOMID_ANY && op->domid != LOAN_DOMID_HOST && !guest_exists(op->domid))
		return -ESRCH;
	if (ofp == NULL)
		return uvm_ledger_lend(g->g_map, op->gfn, op->nr_pages, &terms, &op->id);
	error = uvm_ledger_lend_begin(g->g_map, op->gfn, op->nr_pages, &terms, &of);
	if (error != 0)
		return error;
	*ofp = of;
	return lend_on(ofp, op);
}

static int64_t op_borrow(struct guest *g, void *arg)
{
	struct loan_borrow *op = arg;
	int error;

	if (op->gfn == LOAN_ANYWHERE) {
		error = guest_find_place(g, op->nr_pages, 1, &op->gfn);
		if (error != 0)
			return error;
	}
	if (op->nr_pages > LOAN_MAX_PAGES || !guest_windows_p(g, op->gfn, op->nr_pages))
		return -EINVAL;
	return uvm_ledger_borrow(g->g_map, op->id, op->first, op->nr_pages, op->gfn);
}

static int64_t op_return(struct guest *g, void *arg)
{
	struct loan_return *op = arg;
	int error = uvm_ledger_return(g->g_map, op->gfn);

	if (error == 0)
		tie_forget(g, LOAN_TIE_WINDOW, op->gfn);
	return error;
}

static int64_t op_recall(struct guest *g, void *arg)
{
	struct loan_recall *op = arg;
	uint64_t windows;
	int error = uvm_ledger_recall(g->g_domid, op->id, &windows);

	if (error != 0)
		return error;
	tie_forget(g, LOAN_TIE_OFFER, op->id);
	return (int64_t)windows;
}

static void fill_query(struct loan_query *op, const struct uvm_offer_info *oi)
{
	*op = (struct loan_query){.id = oi->oi_id,
	    .tag = oi->oi_tag,
	    .bytes = oi->oi_bytes,
	    .nr_pages = (uint32_t)oi->oi_npages,
	    .windows = (uint32_t)oi->oi_windows,
	    .lender = (uint16_t)oi->oi_lender,
	    .borrower = (uint16_t)oi->oi_borrower,
	    .kind = (uint16_t)oi->oi_kind};
}

/* An offer by its number, or the next one after it. */
static int64_t query(struct guest *g, struct loan_query *op,
    int (*find)(uint32_t domid, uint64_t id, struct uvm_offer_info *oi))
{
	struct uvm_offer_info oi;
	int error = find(g->g_domid, op->id, &oi);

	if (error == 0)
		fill_query(op, &oi);
	return error;
}

static int64_t op_query(struct guest *g, void *arg)
{
	return query(g, arg, uvm_ledger_query);
}

static int64_t op_next(struct guest *g, void *arg)
{
	return query(g, arg, uvm_ledger_next);
}

static int64_t op_discard(struct guest *g, void *arg)
{
	struct loan_discard *op = arg;

	if (op->pad != 0 || !guest_ram_run_p(g, op->gfn, op->nr_pages))
		return -EINVAL;
	return uvm_map_discard(g->g_map, op->gfn, op->nr_pages);
}

static int64_t op_tie(struct guest *g, void *arg)
{
	return tie_op(g, arg);
}

static const struct {
	uint32_t len;
	loan_op *call;
	bool results;
} loan_ops[] = {
    [LOANOP_info] = {sizeof(struct loan_info), op_info, true},
    [LOANOP_lend] = {sizeof(struct loan_lend), op_lend, true},
    [LOANOP_borrow] = {sizeof(struct loan_borrow), op_borrow, false},
    [LOANOP_return] = {sizeof(struct loan_return), op_return, false},
    [LOANOP_recall] = {sizeof(struct loan_recall), op_recall, false},
    [LOANOP_query] = {sizeof(struct loan_query), op_query, true},
    [LOANOP_next] = {sizeof(struct loan_query), op_next, true},
    [LOANOP_discard] = {sizeof(struct loan_discard), op_discard, false},
    [LOANOP_tie] = {sizeof(struct loan_tie), op_tie, false},
};

/* An answer: the value, and whether the structure goes back to the guest. */
struct answer {
	int64_t value;
	bool copy_back;
	bool console; /* see struct wire_result */
};

/* Only who does not say where to borrow is told: the others' structures may lie where they can't write. */
static bool loan_results_p(uint32_t cmd, const void *arg)
{
	return loan_ops[cmd].results ||
	       (cmd == LOANOP_borrow && ((const struct loan_borrow *)arg)->gfn == LOAN_ANYWHERE);
}

static struct answer call_lend_rest(struct guest *g, void *arg, uint32_t len)
{
	struct answer a = {.value = -EINVAL};

	if (len != sizeof(struct loan_lend))
		return a;
	uvm_world_enter();
	a.value = op_lend_rest(g, arg);
	uvm_world_leave();
	a.copy_back = a.value == 0;
	return a;
}

static struct answer call_loan(struct guest *g, uint32_t cmd, void *arg, uint32_t len)
{
	struct answer a = {.value = -ENOSYS};
	bool results;

	if (cmd == WIRE_LEND_REST)
		return call_lend_rest(g, arg, len);
	if (cmd >= sizeof(loan_ops) / sizeof(loan_ops[0]))
		return a;
	if (len != loan_ops[cmd].len)
		return (struct answer){.value = -EINVAL};
	results = loan_results_p(cmd, arg);
	uvm_world_enter();
	a.value = loan_ops[cmd].call(g, arg);
	uvm_world_leave();
	a.copy_back = results && a.value >= 0;
	return a;
}

static struct answer call_chan(struct guest *g, uint32_t cmd, void *arg, uint32_t len)
{
	struct answer a = {0};

	a.value = channel_op(g, cmd, arg, len, &a.copy_back);
	return a;
}

/* The others' structures may lie where the guest can't write. */
static bool evtchn_results_p(uint32_t cmd)
{
	switch (cmd) {
	case EVTCHNOP_alloc_unbound:
	case EVTCHNOP_bind_interdomain:
	case EVTCHNOP_bind_virq:
	case EVTCHNOP_bind_ipi:
	case EVTCHNOP_status:
		return true;
	default:
		return false;
	}
}

/* By its console's port, and no program of the host has bound to that. */
static bool by_console(struct guest *g, const struct evtchn_send *op)
{
	return op->port == guest_console_port(g) &&
	       evtchn_stand_in(&g->g_events, op->port, false) == 0;
}

/* What programs of the guest have tied to ports ends before the ports do. */
static int ports_close(struct guest *g, uint32_t first, uint32_t last)
{
	int error;

	uvm_world_enter();
	error = channel_ports_close(g, first, last);
	if (error == 0)
		error = tie_ports_close(g, first, last);
	uvm_world_leave();
	return error;
}

/* => arg: of the operation's size */
static int prepare_evtchn(struct guest *g, uint32_t cmd, const void *arg)
{
	const struct evtchn_close *close_op = arg;
	const struct evtchn_reset *reset = arg;

	if (cmd == EVTCHNOP_close)
		return ports_close(g, close_op->port, close_op->port);
	if (cmd == EVTCHNOP_reset && (reset->dom == DOMID_SELF || reset->dom == g->g_domid))
		return ports_close(g, 1, UINT32_MAX);
	return 0;
}

static struct answer call_evtchn(struct guest *g, uint32_t cmd, void *arg, uint32_t len)
{
	int error = len == evtchn_op_size(cmd) ? prepare_evtchn(g, cmd, arg) : 0;

	if (error == 0)
		error = evtchn_op(&g->g_events, cmd, arg, len);
	return (struct answer){.value = error,
	    .copy_back = error == 0 && evtchn_results_p(cmd),
	    .console = error == 0 && cmd == EVTCHNOP_send && by_console(g, arg)};
}

static struct answer call_grant(struct guest *g, uint32_t cmd, void *arg, uint32_t len)
{
	int error = grant_op(&g->g_grants, cmd, arg, len);

	return (struct answer){.value = error, .copy_back = error == 0};
}

static struct answer call_memory(struct guest *g, uint32_t cmd, void *arg, uint32_t len)
{
	struct xen_add_to_physmap op;

	if (cmd != XENMEM_add_to_physmap)
		return (struct answer){.value = -ENOSYS};
	if (len != sizeof(op))
		return (struct answer){.value = -EINVAL};
	memcpy(&op, arg, sizeof(op));
	if (op.domid != DOMID_SELF && op.domid != g->g_domid)
		return (struct answer){.value = -EPERM};
	if (op.space == XENMAPSPACE_grant_table)
		return (struct answer){.value = grant_show_frame(&g->g_grants, op.idx, op.gpfn)};
	if (op.space != XENMAPSPACE_shared_info)
		return (struct answer){.value = -ENOSYS};
	if (op.idx != 0)
		return (struct answer){.value = -EINVAL};
	return (struct answer){.value = guest_place_shared_info(g, op.gpfn)};
}

/* What a VMM can't answer by itself. */
static struct answer call_vcpu(struct guest *g, uint32_t cmd, const void *arg, uint32_t len)
{
	struct wire_vcpu_info op;

	if (cmd != VCPUOP_register_vcpu_info)
		return (struct answer){.value = -ENOSYS};
	if (len != sizeof(op))
		return (struct answer){.value = -EINVAL};
	memcpy(&op, arg, sizeof(op));
	return (struct answer){.value = guest_place_vcpu_info(g, op.vcpu, op.gfn, op.offset)};
}

static struct answer call_hvm(struct guest *g, uint32_t cmd, void *arg, uint32_t len)
{
	struct xen_hvm_param op;
	struct answer a = {0};

	if (cmd != HVMOP_set_param && cmd != HVMOP_get_param)
		return (struct answer){.value = -ENOSYS};
	if (len != sizeof(op))
		return (struct answer){.value = -EINVAL};
	memcpy(&op, arg, sizeof(op));
	if (op.domid != DOMID_SELF && op.domid != g->g_domid)
		return (struct answer){.value = -EPERM};
	a.value = xen_hvm_param(g, true, cmd, &op);
	a.copy_back = a.value == 0 && cmd == HVMOP_get_param;
	memcpy(arg, &op, sizeof(op));
	return a;
}

/* A host program has no RAM and no event channels: nothing else is there for it. */
static struct answer call(struct guest *g, const struct wire_hypercall *req, void *arg)
{
	if (req->nr == LOMBARD_HYPERCALL_chan_op)
		return call_chan(g, req->cmd, arg, req->arg_len);
	if (g->g_program)
		return (struct answer){.value = -ENOSYS};
	switch (req->nr) {
	case LOMBARD_HYPERCALL_loan_op:
		return call_loan(g, req->cmd, arg, req->arg_len);
	case __HYPERVISOR_event_channel_op:
		return call_evtchn(g, req->cmd, arg, req->arg_len);
	case __HYPERVISOR_hvm_op:
		return call_hvm(g, req->cmd, arg, req->arg_len);
	case __HYPERVISOR_grant_table_op:
		return call_grant(g, req->cmd, arg, req->arg_len);
	case __HYPERVISOR_memory_op:
		return call_memory(g, req->cmd, arg, req->arg_len);
	case __HYPERVISOR_vcpu_op:
		return call_vcpu(g, req->cmd, arg, req->arg_len);
	default:
		return (struct answer){.value = -ENOSYS};
	}
}

void guest_hypercall(struct guest *g, const struct wire_hypercall *req, struct wire_result *res)
{
	struct answer a;

	/* The result's buffer is where operations read and write: the request stays as it came. */
	memcpy(res->arg, req->arg, req->arg_len);
	res->arg_len = req->arg_len;
	a = call(g, req, res->arg);
	if (a.value == -ENOTRECOVERABLE)
		guest_cannot_map(g);
	res->ret = a.value;
	res->copy_back = a.copy_back;
	res->console = a.console;
}
