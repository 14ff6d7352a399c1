/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_GUEST_LOAN_FIND_H
#define LOMBARD_GUEST_LOAN_FIND_H
/*
 * How offers are looked through: one source for small guests and for programs in Linux guests, each of which
 * has a loan_next of its own.
 */
#include <lombard/loan.h>

int loan_next(uint64_t after, struct loan_query *loan);

/* loan_find: the first offer there is now that fits, as in loan_wait; or what loan_next says when none does. */
static inline int loan_find(uint64_t tag, uint64_t mask, uint16_t kind, struct loan_query *loan)
{
	struct loan_query offer = {0};
	int error;

	while ((error = loan_next(offer.id, &offer)) == 0) {
		if ((offer.tag & mask) != tag || (kind != 0 && offer.kind != kind))
			continue;
		*loan = offer;
		return 0;
	}
	return error;
}

#endif
