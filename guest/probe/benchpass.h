/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_BENCHPASS_H
#define LOMBARD_PROBE_BENCHPASS_H
/* What the files of the guest that passes messages for the channel bench share. */
#include "probe.h"

#include <lombard-chan.h>

#include "benchchan.h"

#define DEADLINE_NS (30 * SECOND) /* longer than anything that goes well takes */

/*
 * pass_channel: pass messages over a channel of the library, as sender or as receiver.
 * pass_send, pass_take, pass_give: BENCH_SEND, BENCH_TAKE, BENCH_GIVE.
 * => 0 or -errno
 */
int pass_channel(struct chan *ch, bool sender, const struct bench_work *w, struct bench_result *r);
int pass_send(struct chan *ch, const struct bench_work *w, struct bench_result *r);
int pass_take(struct chan *ch, const struct bench_work *w, struct bench_result *r);
int pass_give(struct chan *ch, bool sender);

/* pass_self: see BENCH_SELF. */
int pass_self(struct bench_result *r);

/*
 * Raw arenas: what chan_op gives without the library.
 * raw_open: => huge: 2 MiB frames, if they can be had
 */
int raw_open(const char *name, bool sender, bool huge, struct bench_result *r);
void raw_close(void);
int raw_pass(bool sender, const struct bench_work *w, struct bench_result *r);

/* raw_calls: see BENCH_CALLS.  => raw arenas are open, this is the sender */
int raw_calls(struct bench_result *r);

#endif
