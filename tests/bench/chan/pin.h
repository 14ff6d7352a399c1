/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_BENCH_CHAN_PIN_H
#define TESTS_BENCH_CHAN_PIN_H
/*
 * Who sends and who receives get a processor each: two that spin for each other on the same one would
 * wait for the scheduler's next tick, and whether that happens is chance.
 */
#include <sys/types.h>

/*
 * pin_task: let a task run on our first (which 0) or second (1) processor only.
 * pin_thread: the same for the thread of a process that has this name.
 * => the processor's number; -1: there is none, or we may not: it runs wherever it likes
 */
int pin_task(pid_t tid, unsigned which);
int pin_thread(pid_t pid, const char *name, unsigned which);

#endif
