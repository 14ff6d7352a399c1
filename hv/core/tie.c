/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/tie.h"

#include <errno.h>
#include <stdlib.h>

#include "core/guest.h"
#include "lib/sys.h"
#include "uvm/uvm_tree.h"

struct tie {
	RB_ENTRY(tie) ti_tree;
	uint64_t ti_what;
	uint32_t ti_port;
	uint16_t ti_kind;
};

static int tie_cmp(const struct tie *a, const struct tie *b)
{
	if (a->ti_kind != b->ti_kind)
		return a->ti_kind < b->ti_kind ? -1 : 1;
	return a->ti_what < b->ti_what ? -1 : a->ti_what > b->ti_what;
}

RB_GENERATE_STATIC(tietree, tie, ti_tree, tie_cmp)

static struct tie *find(struct guest *g, uint16_t kind, uint64_t what)
{
	struct tie key = {.ti_kind = kind, .ti_what = what};

	return RB_FIND(tietree, &g->g_ties.to_ties, &key);
}

static void forget(struct guest *g, struct tie *ti)
{
	RB_REMOVE(tietree, &g->g_ties.to_ties, ti);
	g->g_ties.to_count--;
	free(ti);
}

/* Is there what is to be tied? */
static bool there_p(struct guest *g, uint16_t kind, uint64_t what)
{
	struct uvm_offer_info oi;

	if (kind == LOAN_TIE_WINDOW)
		return uvm_ledger_window_p(g->g_map, what);
	return uvm_ledger_query(g->g_domid, what, &oi) == 0 && oi.oi_lender == g->g_domid &&
	       !oi.oi_recalled;
}

static int tie_new(struct guest *g, const struct loan_tie *op)
{
	struct tie *ti;

	if (g->g_ties.to_count >= LOAN_MAX_TIES)
		return -ENOSPC;
	ti = SYS_ALLOC(malloc(sizeof(*ti)));
	if (ti == NULL)
		return -ENOMEM;
	*ti = (struct tie){.ti_kind = op->kind, .ti_what = op->what, .ti_port = op->port};
	(void)RB_INSERT(tietree, &g->g_ties.to_ties, ti);
	g->g_ties.to_count++;
	return 0;
}

int tie_op(struct guest *g, const struct loan_tie *op)
{
	struct tie *ti;

	if ((op->kind != LOAN_TIE_OFFER && op->kind != LOAN_TIE_WINDOW) || op->pad != 0 ||
	    !evtchn_waiting_p(&g->g_events, op->port))
		return -EINVAL;
	if (!there_p(g, op->kind, op->what))
		return -ENOENT;
	ti = find(g, op->kind, op->what);
	if (ti == NULL)
		return tie_new(g, op);
	ti->ti_port = op->port;
	return 0;
}

void tie_forget(struct guest *g, uint16_t kind, uint64_t what)
{
	struct tie *ti = find(g, kind, what);

	if (ti != NULL)
		forget(g, ti);
}

/* A client of the host may have recalled the offer; a window of which a page is wired stays. */
static int untie(struct guest *g, struct tie *ti)
{
	uint64_t windows;
	int error = 0;

	if (ti->ti_kind == LOAN_TIE_OFFER)
		(void)uvm_ledger_recall(g->g_domid, ti->ti_what, &windows);
	else
		error = uvm_ledger_return(g->g_map, ti->ti_what);
	forget(g, ti);
	return error == -ENOTRECOVERABLE ? error : 0;
}

int tie_ports_close(struct guest *g, uint32_t first, uint32_t last)
{
	struct tie *ti, *next;
	unsigned done = 0;
	int error = 0;

	for (ti = RB_MIN(tietree, &g->g_ties.to_ties); ti != NULL && error == 0; ti = next) {
		next = RB_NEXT(tietree, &g->g_ties.to_ties, ti);
		if (ti->ti_port < first || ti->ti_port > last)
			continue;
		error = done++ < TIE_PART ? untie(g, ti) : -ERESTART;
	}
	return error;
}

void tie_guest_gone(struct guest *g)
{
	struct tie *ti;

	while ((ti = RB_MIN(tietree, &g->g_ties.to_ties)) != NULL)
		forget(g, ti);
}
