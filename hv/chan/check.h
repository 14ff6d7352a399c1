/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CHAN_CHECK_H
#define HV_CHAN_CHECK_H

/* The library's own invariants, checked in every build.  It has no console, so it just traps. */
#define CHAN_CHECK(e) ((e) ? (void)0 : __builtin_trap())

#endif
