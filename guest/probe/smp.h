/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_SMP_H
#define LOMBARD_PROBE_SMP_H
/* Processors with local APICs, for tests that interrupt them. */
#include "probe.h"

#define SMP_MAX_VCPUS 16

/* By their APICs' numbers: interrupts with any vector from 32 on, each of which its handler has ended. */
extern volatile uint64_t smp_interrupts[SMP_MAX_VCPUS];

/* smp_begin: ours takes interrupts, and the others wait for them.  Once. */
void smp_begin(uint32_t vcpus);

#endif
