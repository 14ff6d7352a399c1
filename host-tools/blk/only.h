/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_BLK_ONLY_H
#define LOMBARD_BLK_ONLY_H
#include <stdint.h>

#include "lib/failure.h"

/*
 * only_one: be the only backend of this disk as long as the process lives.  One that is just being
 * killed is waited for, for a moment: what it had under way is over then.
 */
int only_one(uint32_t domid, uint32_t devid, struct failure *f);

#endif
