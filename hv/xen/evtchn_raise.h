/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_EVTCHN_RAISE_H
#define HV_XEN_EVTCHN_RAISE_H
/*
 * How an event is made known to a guest: two-level ABI, Xen public/xen.h.  The core does so for most
 * events, a VMM for those that its guest sends to itself.
 *
 * Both pages are the guest's memory, which it may change at any moment: all is done by single atomic
 * steps, and none depends on what an earlier one has left there.
 */
#include <stdbool.h>
#include <stdint.h>

#include "xen/public.h"

#define EVTCHN_PORTS EVTCHN_2L_NR_CHANNELS

_Static_assert(sizeof(xen_ulong_t) == sizeof(uint64_t), "ports come in words of 64 bits");
_Static_assert(EVTCHN_PORTS == 64 * 64, "a bit of pending_sel for each word of ports");

/* How far it got. */
enum evtchn_raised {
	EVTCHN_WAS_PENDING, /* nothing is new */
	EVTCHN_MASKED,	    /* it is pending, and nobody shall be interrupted for it */
	EVTCHN_SELECTED,    /* ... and its vCPU has an upcall pending already */
	EVTCHN_UPCALL,	    /* ... and its vCPU has one from now on: interrupt it */
};

static inline uint64_t evtchn_bit(uint32_t port)
{
	return UINT64_C(1) << port % 64;
}

static inline bool evtchn_pending_p(const struct shared_info *si, uint32_t port)
{
	return __atomic_load_n(&si->evtchn_pending[port / 64], __ATOMIC_SEQ_CST) & evtchn_bit(port);
}

/* evtchn_select: a port that is pending and not masked: its vCPU shall look. */
static inline enum evtchn_raised evtchn_select(struct vcpu_info *vi, uint32_t port)
{
	(void)__atomic_fetch_or(&vi->evtchn_pending_sel, evtchn_bit(port / 64), __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST)
		   ? EVTCHN_SELECTED
		   : EVTCHN_UPCALL;
}

/* evtchn_select_all: it shall look at all ports: something may have been lost. */
static inline void evtchn_select_all(struct vcpu_info *vi)
{
	__atomic_store_n(&vi->evtchn_pending_sel, ~UINT64_C(0), __ATOMIC_SEQ_CST);
	__atomic_store_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
}

/*
 * evtchn_raise: make a port pending.  => port < EVTCHN_PORTS; vi: of the vCPU that it notifies
 * evtchn_unmask: let it notify.
 */
static inline enum evtchn_raised evtchn_raise(
    struct shared_info *si, struct vcpu_info *vi, uint32_t port)
{
	uint64_t bit = evtchn_bit(port);

	if (__atomic_fetch_or(&si->evtchn_pending[port / 64], bit, __ATOMIC_SEQ_CST) & bit)
		return EVTCHN_WAS_PENDING;
	if (__atomic_load_n(&si->evtchn_mask[port / 64], __ATOMIC_SEQ_CST) & bit)
		return EVTCHN_MASKED;
	return evtchn_select(vi, port);
}

static inline enum evtchn_raised evtchn_unmask(
    struct shared_info *si, struct vcpu_info *vi, uint32_t port)
{
	(void)__atomic_fetch_and(&si->evtchn_mask[port / 64], ~evtchn_bit(port), __ATOMIC_SEQ_CST);
	return evtchn_pending_p(si, port) ? evtchn_select(vi, port) : EVTCHN_WAS_PENDING;
}

#endif
