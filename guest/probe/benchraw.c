/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What channels are compared with: a ring and single words in plain memory that both guests see.
 * The memory is that of channels, made without the library: each guest writes its own arena and
 * reads the other's.
 */
#include "benchpass.h"

#include <transport.h>
#include <xen/version.h>

static inline uint64_t bench_now(void)
{
	return time_ns();
}

#include "benchflow.h"

/* An arena: the ring that its owner sends through, counters, and the owner's private buffer. */
#define RAW_COUNTERS RING_BYTES
#define RAW_HEAD (RAW_COUNTERS + 0 * PAGE_SIZE) /* what its owner has sent */
#define RAW_TAIL (RAW_COUNTERS + 1 * PAGE_SIZE) /* what its owner has taken */
#define RAW_WORD (RAW_COUNTERS + 2 * PAGE_SIZE)
#define RAW_PRIVATE (RAW_COUNTERS + PAGE_2M_BYTES)
#define RAW_BYTES (RAW_PRIVATE + BENCH_MAX_LEN + PAGE_2M_BYTES)
#define RAW_PAGES ((uint32_t)(RAW_BYTES / PAGE_SIZE))
#define PAGE_2M_BYTES (2UL << 20)

#define CALL_TRIES 200u

_Static_assert(RING_BYTES % PAGE_2M_BYTES == 0, "an arena is a number of huge frames");

static const struct chan_transport *transport;
static struct chan_endpoint ep;
static char *own, *peer;
static struct ring_end out, in;

static struct ring_counter *counter(char *area, uint64_t offset)
{
	return (struct ring_counter *)(void *)(area + offset);
}

static void ring_init(void)
{
	out = (struct ring_end){.data = (uint8_t *)own,
	    .ours = counter(own, RAW_HEAD),
	    .theirs = counter(peer, RAW_TAIL)};
	in = (struct ring_end){.data = (uint8_t *)peer,
	    .ours = counter(own, RAW_TAIL),
	    .theirs = counter(peer, RAW_HEAD)};
}

static int make(const char *name, bool huge, struct bench_result *r)
{
	struct chan_create op = {
	    .arena_pages = RAW_PAGES, .max_peers = 1, .flags = huge ? CHAN_WANT_HUGE : 0};
	void *addr;
	int err = transport->place(transport->ctx, CHAN_AREA_PAGES(RAW_PAGES), &op.gfn, &addr);

	if (err != 0)
		return err;
	memcpy(op.name, name, strlen(name));
	ep = (struct chan_endpoint){.transport = transport};
	err = transport->create(&ep, &op);
	if (err != 0) {
		transport->unplace(transport->ctx, op.gfn, CHAN_AREA_PAGES(RAW_PAGES));
		return err;
	}
	own = addr;
	r->frame_bytes = (uint64_t)op.frame_pages * PAGE_SIZE;
	return 0;
}

/* The other one is soon there: try until it is. */
static int meet(const char *name, bool sender)
{
	struct chan_connect op = {.id = ep.id, .room = CHAN_AREA_PAGES(RAW_PAGES)};
	uint64_t deadline = time_after(DEADLINE_NS);
	void *addr;
	int err = transport->place(transport->ctx, op.room, &op.gfn, &addr);

	if (err != 0)
		return err;
	memcpy(op.name, name, sender ? 0 : strlen(name));
	for (;;) {
		err = sender ? transport->accept(&ep, &op) : transport->connect(&ep, &op);
		if ((err != -EAGAIN && err != -ENOENT) || time_ns() > deadline)
			break;
		time_sleep(SECOND / 1000);
	}
	if (err == 0)
		peer = addr;
	return err;
}

int raw_open(const char *name, bool sender, bool huge, struct bench_result *r)
{
	int err;

	transport = chan_default_transport();
	err = make(sender ? name : "", huge, r);
	if (err != 0)
		return err;
	err = meet(name, sender);
	if (err == 0)
		ring_init();
	return err;
}

void raw_close(void)
{
	transport->close(&ep);
	own = peer = NULL;
}

/* ---- passing ---- */

static void ring_pass(bool sender, struct flow *f)
{
	if (f->w->echo)
		ring_echo(&out, &in, own + RAW_PRIVATE, sender, f);
	else if (sender)
		ring_pass_out(&out, own + RAW_PRIVATE, f);
	else
		ring_pass_in(&in, own + RAW_PRIVATE, f);
}

int raw_pass(bool sender, const struct bench_work *w, struct bench_result *r)
{
	struct flow f;

	if (own == NULL || peer == NULL)
		return -ENOTCONN;
	flow_start(&f, w, r);
	if (w->via == VIA_RING)
		ring_pass(sender, &f);
	else
		word_pass(counter(own, RAW_WORD), counter(peer, RAW_WORD), sender, &f);
	return 0;
}

/* ---- what calls cost ---- */

static void keep_lowest(uint64_t *lowest, uint64_t start)
{
	uint64_t took = time_ns() - start;

	if (*lowest == 0 || took < *lowest)
		*lowest = took;
}

int raw_calls(struct bench_result *r)
{
	struct loan_info info;
	uint64_t start;
	int err = 0;

	for (unsigned i = 0; err >= 0 && i < CALL_TRIES; i++) {
		start = time_ns();
		hypercall(__HYPERVISOR_xen_version, XENVER_pagesize, 0, 0, 0, 0);
		keep_lowest(&r->phase[CALL_EXIT], start);
		start = time_ns();
		err = loan_info(&info);
		keep_lowest(&r->phase[CALL_CORE], start);
		if (err != 0)
			break;
		start = time_ns();
		err = transport->reap(&ep);
		keep_lowest(&r->phase[CALL_REAP], start);
	}
	return err < 0 ? err : 0;
}
