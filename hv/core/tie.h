/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_TIE_H
#define HV_CORE_TIE_H
/*
 * What a guest has tied to its event channels (LOANOP_tie, lombard/loan.h): offers and windows of
 * programs that may be killed.  Their system closes their ports then, and the ties say what goes along.
 *
 * All functions are for the guest's own thread, inside the world.
 */
#include <bsd/sys/tree.h>
#include <stdint.h>

struct guest;
struct loan_tie;
struct tie;

/* What the core keeps of each guest's ties: zeroes at first. */
struct tie_owner {
	RB_HEAD(tietree, tie) to_ties;
	uint32_t to_count;
};

/*
 * tie_op: LOANOP_tie.  A thing that is tied already is tied to the new port.
 * => 0; -EINVAL: kind, pad, or no port that waits; -ENOENT: no such offer of the guest's, or window;
 *    -ENOSPC; -ENOMEM
 *
 * tie_forget: the thing is gone: its name may be another's.
 */
int tie_op(struct guest *g, const struct loan_tie *op);
void tie_forget(struct guest *g, uint16_t kind, uint64_t what);

/*
 * tie_ports_close: end what is tied to ports from first to last.
 * => 0; -ERESTART: a part of it, the rest is for another call; -ENOTRECOVERABLE (uvm_ledger_return)
 */
#define TIE_PART 256u
int tie_ports_close(struct guest *g, uint32_t first, uint32_t last);

/* tie_guest_gone: forget all. */
void tie_guest_gone(struct guest *g);

#endif
