/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_PROBE_CHANRAW_H
#define LOMBARD_PROBE_CHANRAW_H
/*
 * The channel tests that know better than the library: CHANOP_* as the hypervisor has them, for
 * guests and host programs like chanroles.h, which comes first.
 *
 *	chan-bad	arguments that have to be refused
 *	chan-rules	what seal, break, refresh, reap, drop and close do, step by step
 *	chan-fuzz	random commands for seconds=, seed=, with names that others use, too
 */
#include <chan/transport.h>

#define RAW_PAGES 64U

static const struct chan_transport *raw;

/* An endpoint and where it lies. */
struct raw_end {
	struct chan_endpoint ep;
	uint64_t gfn;
	uint8_t *base;
	uint32_t pages;
	struct chan_control *control;
	const struct chan_status *status;
};

static uint64_t raw_place(uint32_t pages, uint8_t **base)
{
	uint64_t gfn;
	void *addr;

	expect(80, "place", raw->place(raw->ctx, pages, &gfn, &addr), 0);
	*base = addr;
	return gfn;
}

static void raw_name(char field[CHAN_NAME_LEN], const char *name)
{
	for (unsigned i = 0; i < CHAN_NAME_LEN; i++)
		field[i] = 0;
	__builtin_memcpy(field, name, strlen(name));
}

static void raw_views(struct raw_end *e, uint32_t pages)
{
	e->pages = pages;
	e->control = (struct chan_control *)(e->base + pages * 4096UL);
	e->status = (const struct chan_status *)(e->base + (pages + CHAN_CONTROL_PAGES) * 4096UL);
}

static int raw_create(struct raw_end *e, const char *name, uint32_t pages, unsigned peers)
{
	struct chan_create op = {.arena_pages = pages, .max_peers = (uint16_t)peers};
	int err;

	raw_name(op.name, name);
	e->gfn = op.gfn = raw_place(CHAN_AREA_PAGES(pages), &e->base);
	err = raw->create(&e->ep, &op);
	if (err != 0)
		raw->unplace(raw->ctx, e->gfn, CHAN_AREA_PAGES(pages));
	else
		raw_views(e, pages);
	return err;
}

static void raw_close(struct raw_end *e)
{
	raw->close(&e->ep);
	raw->unplace(raw->ctx, e->gfn, CHAN_AREA_PAGES(e->pages));
}

/* Map a peer's area of RAW_PAGES; seen through *view. */
static int raw_join(struct raw_end *e, const char *name, struct raw_end *view)
{
	struct chan_connect op = {.id = e->ep.id, .room = CHAN_AREA_PAGES(RAW_PAGES)};
	int err;

	view->gfn = op.gfn = raw_place(op.room, &view->base);
	if (name != NULL) {
		raw_name(op.name, name);
		err = raw->connect(&e->ep, &op);
	} else {
		err = raw->accept(&e->ep, &op);
	}
	if (err != 0)
		raw->unplace(raw->ctx, view->gfn, op.room);
	else
		raw_views(view, op.arena_pages);
	return err;
}

static void raw_leave(struct raw_end *view)
{
	raw->unplace(raw->ctx, view->gfn, CHAN_AREA_PAGES(RAW_PAGES));
}

static int raw_seal(struct raw_end *e, uint32_t seq, uint32_t first, uint32_t nr)
{
	const struct chan_seal op = {
	    .id = e->ep.id, .nr = 1, .range = {{.seq = seq, .first = first, .nr = nr}}};

	return raw->seal(&e->ep, &op);
}

static int raw_refresh(struct raw_end *e, uint32_t peer, uint32_t seq, uint32_t first, uint32_t nr)
{
	const struct chan_refresh op = {
	    .id = e->ep.id, .peer = peer, .seq = seq, .first = first, .nr = nr};

	return raw->refresh(&e->ep, &op);
}

static void raw_fill(struct raw_end *e, uint32_t page, uint8_t byte)
{
	for (unsigned i = 0; i < 4096; i++)
		((volatile uint8_t *)e->base)[page * 4096UL + i] = byte;
}

static void raw_shows(int n, const struct raw_end *view, uint32_t page, uint8_t byte)
{
	const volatile uint8_t *p = view->base + page * 4096UL;

	if (p[0] != byte || p[2000] != byte || p[4095] != byte)
		fail(n, "page %u shows %u, not %u", page, p[0], byte);
}

static void raw_release(struct raw_end *e, uint32_t remote, uint32_t seq)
{
	__atomic_store_n(&e->control->release[remote][seq % CHAN_SLOTS], seq, __ATOMIC_SEQ_CST);
}

/* ---- chan-bad ---- */

struct bad_create {
	const char *what;
	struct chan_create op;
	int want;
};

/* gfn is a good place, to begin with. */
static void bad_creates(int n, uint64_t gfn)
{
	const struct bad_create cases[] = {
	    {"an endless name", {.gfn = gfn, .arena_pages = 1, .max_peers = 1}, -EINVAL},
	    {"a blank in the name", {.name = "a b", .gfn = gfn, .arena_pages = 1, .max_peers = 1},
		-EINVAL},
	    {"a newline in the name", {.name = "a\n", .gfn = gfn, .arena_pages = 1, .max_peers = 1},
		-EINVAL},
	    {"no arena", {.name = "x", .gfn = gfn, .max_peers = 1}, -EINVAL},
	    {"more than 1 GiB",
		{.name = "x", .gfn = gfn, .arena_pages = CHAN_MAX_ARENA_PAGES + 1, .max_peers = 1},
		-EINVAL},
	    {"2^32 - 1 pages", {.name = "x", .gfn = gfn, .arena_pages = ~0U, .max_peers = 1},
		-EINVAL},
	    {"no peers", {.name = "x", .gfn = gfn, .arena_pages = 1}, -EINVAL},
	    {"9 peers", {.name = "x", .gfn = gfn, .arena_pages = 1, .max_peers = 9}, -EINVAL},
	    {"an unknown flag",
		{.name = "x", .gfn = gfn, .arena_pages = 1, .max_peers = 1, .flags = 2}, -EINVAL},
	    {"a place that is not aligned",
		{.name = "x", .gfn = gfn + 1, .arena_pages = 1, .max_peers = 1}, -EINVAL},
	    {"a place in RAM", {.name = "x", .gfn = 512, .arena_pages = 1, .max_peers = 1},
		-EINVAL},
	    {"gfn 2^64 - 512",
		{.name = "x", .gfn = ~UINT64_C(511), .arena_pages = 1, .max_peers = 1}, -EINVAL},
	};
	struct chan_endpoint ep = {.fd = -1};
	struct chan_create op;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		op = cases[i].op;
		if (i == 0)
			for (unsigned k = 0; k < CHAN_NAME_LEN; k++)
				op.name[k] = 'n';
		expect(n + (int)i, cases[i].what, raw->create(&ep, &op), cases[i].want);
	}
}

static void bad_connects(int n, struct raw_end *named, struct raw_end *plain, uint64_t gfn)
{
	struct chan_connect op = {.id = plain->ep.id, .gfn = gfn, .room = ~0U};
	struct chan_query query = {.id = plain->ep.id, .name = "nobody-has-this"};
	struct raw_end view;

	expect(n, "connect to no name", raw->connect(&plain->ep, &op), -EINVAL);
	raw_name(op.name, "nobody-has-this");
	expect(n + 1, "connect to an unknown name", raw->connect(&plain->ep, &op), -ENOENT);
	expect(n + 1, "query an unknown name", raw->query(&plain->ep, &query), -ENOENT);
	raw_name(op.name, "bad");
	op.room = CHAN_AREA_PAGES(RAW_PAGES) - 1;
	expect(n + 2, "no room", raw->connect(&plain->ep, &op), -ENOSPC);
	op.room = ~0U;
	op.gfn = plain->gfn;
	expect(n + 3, "a place that is taken", raw->connect(&plain->ep, &op), -EEXIST);
	op.gfn = gfn + 1;
	expect(n + 4, "a place that is not aligned", raw->connect(&plain->ep, &op), -EINVAL);
	op.gfn = 512;
	expect(n + 4, "a place in RAM", raw->connect(&plain->ep, &op), -EINVAL);
	op.gfn = gfn;
	op.id = named->ep.id;
	expect(n + 5, "connect an endpoint with a name", raw->connect(&named->ep, &op), -EINVAL);
	op.id = plain->ep.id + 1000000;
	expect(n + 6, "connect no endpoint", raw->connect(&plain->ep, &op), -EBADF);
	op.id = named->ep.id;
	expect(n + 7, "accept when nobody came", raw->accept(&named->ep, &op), -EAGAIN);
	query = (struct chan_query){.id = named->ep.id};
	expect(n + 7, "query when nobody came", raw->query(&named->ep, &query), -EAGAIN);
	expect(n + 8, "connect", raw_join(plain, "bad", &view), 0);
	op.id = plain->ep.id;
	expect(n + 8, "connect again", raw->connect(&plain->ep, &op), -EISCONN);
}

static void bad_seals(int n, struct raw_end *e)
{
	struct chan_seal op = {.id = e->ep.id, .nr = 0};

	expect(n, "no ranges", raw->seal(&e->ep, &op), -EINVAL);
	op.nr = CHAN_SEAL_MAX + 1;
	expect(n, "too many ranges", raw->seal(&e->ep, &op), -EINVAL);
	op.nr = ~0U;
	expect(n, "2^32 - 1 ranges", raw->seal(&e->ep, &op), -EINVAL);
	op = (struct chan_seal){.id = e->ep.id, .nr = 1, .pad = 1, .range = {{1, 0, 1}}};
	expect(n, "a pad", raw->seal(&e->ep, &op), -EINVAL);
	expect(n + 1, "no frames", raw_seal(e, 1, 0, 0), -EINVAL);
	expect(n + 1, "a frame behind the arena", raw_seal(e, 1, RAW_PAGES, 1), -EINVAL);
	expect(n + 1, "over the arena's end", raw_seal(e, 1, 1, RAW_PAGES), -EINVAL);
	expect(n + 1, "first + nr overflows", raw_seal(e, 1, 2, ~0U), -EINVAL);
	op = (struct chan_seal){
	    .id = e->ep.id, .nr = 3, .range = {{1, 0, 2}, {2, 4, 2}, {257, 8, 1}}};
	expect(n + 2, "one slot twice", raw->seal(&e->ep, &op), -EBUSY);
	op.range[2] = (struct chan_range){3, 5, 1};
	expect(n + 2, "one frame twice", raw->seal(&e->ep, &op), -EBUSY);
	expect(n + 3, "what is left of these", raw->reap(&e->ep), 0);
	raw_fill(e, 0, 1);
	expect(n + 4, "seal", raw_seal(e, 7, 0, 2), 0);
	expect(n + 4, "the slot again", raw_seal(e, 7, 9, 1), -EBUSY);
	expect(n + 4, "the frames again", raw_seal(e, 8, 1, 1), -EBUSY);
	expect(n + 4, "seals", raw->reap(&e->ep), 1);
}

static void bad_others(int n, struct raw_end *e)
{
	expect(n, "notify peer 8", raw->notify(&e->ep, 0x100), -EINVAL);
	expect(n, "notify nobody who is there", raw->notify(&e->ep, 0xfe), 0);
	expect(n + 1, "drop peer 1", raw->drop(&e->ep, 1), -EINVAL);
	expect(n + 1, "drop peer 8", raw->drop(&e->ep, 8), -EINVAL);
	expect(n + 1, "drop peer 2^32 - 1", raw->drop(&e->ep, ~0U), -EINVAL);
	expect(n + 2, "refresh of peer 1", raw_refresh(e, 1, 1, 0, 1), -EINVAL);
	expect(n + 2, "refresh of peer 2^32 - 1", raw_refresh(e, ~0U, 1, 0, 1), -EINVAL);
	expect(n + 2, "refresh of nothing", raw_refresh(e, 0, 1, 0, 0), -EINVAL);
	expect(n + 2, "refresh behind the arena", raw_refresh(e, 0, 1, RAW_PAGES, 1), -EINVAL);
	expect(n + 2, "refresh of 2^32 - 1", raw_refresh(e, 0, 1, 1, ~0U), -EINVAL);
}

/* A closed endpoint is none. */
static void bad_closed(int n, struct raw_end *e)
{
	struct raw_end gone = *e;

	raw_close(e);
	gone.ep.fd = -1;
	expect(n, "seal", raw_seal(&gone, 1, 0, 1), -EBADF);
	expect(n, "reap", raw->reap(&gone.ep), -EBADF);
	expect(n, "notify", raw->notify(&gone.ep, 1), -EBADF);
	expect(n, "drop", raw->drop(&gone.ep, 0), -EBADF);
	expect(n, "refresh", raw_refresh(&gone, 0, 1, 0, 1), -EBADF);
}

#define RAW_MOST 64

static void chan_bad_test(int argc, char **argv)
{
	struct raw_end named, plain, view, many[RAW_MOST];
	struct chan_endpoint ep = {.fd = -1};
	struct chan_create op = {.arena_pages = 1, .max_peers = 1};
	unsigned n = 0;
	uint8_t *base;
	uint64_t gfn;

	(void)argc;
	(void)argv;
	raw = chan_default_transport();
	gfn = raw_place(CHAN_AREA_PAGES(RAW_PAGES), &base);
	bad_creates(1, gfn);
	expect(15, "create", raw_create(&named, "bad", RAW_PAGES, 1), 0);
	expect(15, "create another", raw_create(&plain, "", RAW_PAGES, 1), 0);
	op.gfn = named.gfn;
	expect(16, "create where something is", raw->create(&ep, &op), -EEXIST);
	expect(17, "seal for nobody", raw_seal(&plain, 1, 0, 1), -ENOTCONN);
	bad_connects(20, &named, &plain, gfn);
	expect(30, "seal for nobody yet", raw_seal(&named, 1, 0, 1), -ENOTCONN);
	expect(31, "accept", raw_join(&named, NULL, &view), 0);
	bad_seals(40, &plain);
	bad_others(50, &plain);
	while (n < RAW_MOST && raw_create(&many[n], "", 1, 1) == 0)
		n++;
	expect(60, "endpoints beside the two", n, RAW_MOST - 2);
	while (n > 0)
		raw_close(&many[--n]);
	bad_closed(70, &plain);
	raw_close(&named);
}

/* ---- chan-rules ---- */

static void rules_connect(
    int n, struct raw_end *e, struct raw_end *c, struct raw_end *e_seen, struct raw_end *c_seen)
{
	(void)raw->take(&e->ep);
	expect(n, "connect", raw_join(c, "rules", e_seen), 0);
	if (e->status->peers != 1 || c->status->peers != 1 || e_seen->status->peers != 1)
		fail(n, "the status does not show who is connected");
	if (!raw->take(&e->ep))
		fail(n, "no event for who is connected to");
	expect(n, "accept", raw_join(e, NULL, c_seen), 0);
	if (e->control->release[0][5] == 5 || c->control->release[0][5] == 5)
		fail(n, "words of the last connection are left");
}

/* Broken seals keep their bytes; each can be seen. */
static void rules_breaks(int n, struct raw_end *e, struct raw_end *c, struct raw_end *seen)
{
	raw_fill(e, 3, 10);
	raw_fill(e, 4, 20);
	expect(n, "seal", raw_seal(e, 5, 3, 2), 0);
	if (seen->control->desc[5].seq != 5)
		fail(n, "not published");
	if (seen->status->sealed[5].seq != 5 || seen->status->sealed[5].first != 3 ||
	    seen->status->sealed[5].nr != 2)
		fail(n, "the status does not show the seal");
	if (seen->status->stale[0] != 0)
		fail(n, "stale before anything was written");
	raw_fill(e, 3, 11);
	raw_shows(n + 1, e, 3, 11);
	raw_shows(n + 1, seen, 3, 10);
	raw_shows(n + 1, seen, 4, 20);
	if (seen->status->stale[0] == 0)
		fail(n + 1, "not stale after a break");
	expect(n + 2, "seal again", raw_seal(e, 6, 3, 1), 0);
	raw_fill(e, 3, 12);
	raw_shows(n + 2, seen, 3, 10);
	expect(n + 3, "refresh", raw_refresh(c, 0, 6, 3, 1), 0);
	raw_shows(n + 3, seen, 3, 11);
	expect(n + 3, "refresh back", raw_refresh(c, 0, 5, 3, 2), 0);
	raw_shows(n + 3, seen, 3, 10);
	expect(n + 4, "refresh to now", raw_refresh(c, 0, 99, 3, 1), 0);
	raw_shows(n + 4, seen, 3, 12);
	if (seen->status->stale[0] == 0)
		fail(n + 4, "not stale, though there are broken seals");
	expect(n + 4, "seals", raw->reap(&e->ep), 2);
	raw_release(c, 0, 5);
	expect(n + 5, "seals after a release", raw->reap(&e->ep), 1);
	raw_release(c, 0, 6);
	expect(n + 5, "seals after both", raw->reap(&e->ep), 0);
	if (seen->status->sealed[5].nr != 0 || seen->status->stale[0] != 0)
		fail(n + 5, "the status shows what is over");
}

/* The sender drops the receiver: its memory is its own again, but not what the other sees. */
static void rules_drop(int n, struct raw_end *e, struct raw_end *c, struct raw_end *seen)
{
	raw_fill(e, 7, 70);
	expect(n, "seal", raw_seal(e, 7, 7, 1), 0);
	(void)raw->take(&c->ep);
	expect(n, "drop", raw->drop(&e->ep, 0), 0);
	if (!raw->take(&c->ep))
		fail(n, "no event for who was dropped");
	if (c->status->peers != 0 || e->status->peers != 0)
		fail(n, "still connected");
	expect(n + 1, "seals", raw->reap(&e->ep), 0);
	raw_fill(e, 7, 71);
	raw_shows(n + 1, seen, 7, 70);
	expect(n + 2, "the other drops, too", raw->drop(&c->ep, 0), 0);
}

static void chan_rules_test(int argc, char **argv)
{
	struct raw_end e, c, e_seen, c_seen;

	(void)argc;
	(void)argv;
	raw = chan_default_transport();
	expect(1, "create", raw_create(&e, "rules", RAW_PAGES, 1), 0);
	expect(1, "create the other", raw_create(&c, "", RAW_PAGES, 1), 0);
	rules_connect(2, &e, &c, &e_seen, &c_seen);
	rules_breaks(10, &e, &c, &e_seen);
	rules_drop(20, &e, &c, &e_seen);
	raw_leave(&c_seen);
	raw_leave(&e_seen);
	rules_connect(30, &e, &c, &e_seen, &c_seen);
	/* Number 5 has been released in the last connection, and not in this one. */
	raw_fill(&e, 3, 30);
	expect(31, "seal", raw_seal(&e, 5, 3, 1), 0);
	expect(31, "seals", raw->reap(&e.ep), 1);
	(void)raw->take(&c.ep);
	expect(32, "notify", raw->notify(&e.ep, 1), 0);
	if (!raw->take(&c.ep))
		fail(32, "no event");
	/* The sender's end: the receiver keeps what it has. */
	raw_close(&e);
	raw_shows(33, &e_seen, 3, 30);
	if (e_seen.status->state != CHAN_STATE_CLOSED || c.status->peers != 0)
		fail(33, "the status does not show the end");
	if (!raw->take(&c.ep))
		fail(33, "no event for the end");
	raw_close(&c);
	raw_leave(&e_seen);
	raw_leave(&c_seen);
}

/* ---- chan-fuzz ---- */

#define FUZZ_ENDS 4
#define FUZZ_PAGES 16U

static uint64_t fuzz_state;

static uint32_t fuzz(uint32_t below)
{
	fuzz_state = fuzz_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(fuzz_state >> 33) % below;
}

static struct fuzz_end {
	bool open;
	struct raw_end end;
	uint64_t peer_gfn[CHAN_MAX_PEERS]; /* 0: not mapped */
} fuzz_ends[FUZZ_ENDS];

static void fuzz_create(struct fuzz_end *f)
{
	static const char *const names[] = {"", "fuzz-a", "fuzz-b", "fuzz-c"};

	f->open = raw_create(&f->end, names[fuzz(4)], 1 + fuzz(FUZZ_PAGES), 1 + fuzz(3)) == 0;
}

static void fuzz_unplace(struct fuzz_end *f, uint32_t peer)
{
	raw->unplace(raw->ctx, f->peer_gfn[peer], CHAN_AREA_PAGES(FUZZ_PAGES));
	f->peer_gfn[peer] = 0;
}

static void fuzz_close(struct fuzz_end *f)
{
	raw_close(&f->end);
	for (uint32_t i = 0; i < CHAN_MAX_PEERS; i++)
		if (f->peer_gfn[i] != 0)
			fuzz_unplace(f, i);
	f->open = false;
}

static void fuzz_join(struct fuzz_end *f, bool connect)
{
	static const char *const names[] = {"fuzz-a", "fuzz-b", "fuzz-c"};
	struct chan_connect op = {.id = f->end.ep.id, .room = CHAN_AREA_PAGES(FUZZ_PAGES)};
	uint8_t *base;
	int err;

	op.gfn = raw_place(op.room, &base);
	raw_name(op.name, names[fuzz(3)]);
	err = connect ? raw->connect(&f->end.ep, &op) : raw->accept(&f->end.ep, &op);
	if (err != 0)
		raw->unplace(raw->ctx, op.gfn, CHAN_AREA_PAGES(FUZZ_PAGES));
	else
		f->peer_gfn[op.peer] = op.gfn;
}

static void fuzz_seal(struct fuzz_end *f)
{
	struct chan_seal op = {.id = f->end.ep.id, .nr = 1 + fuzz(4)};

	for (uint32_t k = 0; k < op.nr; k++)
		op.range[k] = (struct chan_range){
		    fuzz(600), fuzz(FUZZ_PAGES), 1 + fuzz(FUZZ_PAGES / 2)};
	(void)raw->seal(&f->end.ep, &op);
}

static void fuzz_drop(struct fuzz_end *f)
{
	uint32_t peer = fuzz(CHAN_MAX_PEERS);

	if (raw->drop(&f->end.ep, peer) == 0)
		fuzz_unplace(f, peer);
}

/* Our own control page is ours: nothing in it may be believed. */
static void fuzz_scribble(struct fuzz_end *f)
{
	uint32_t *words = (uint32_t *)f->end.control;

	for (unsigned i = 0; i < 64; i++)
		__atomic_store_n(
		    &words[fuzz(sizeof(struct chan_control) / 4)], fuzz(600), __ATOMIC_RELAXED);
}

static void fuzz_step(struct fuzz_end *f)
{
	switch (fuzz(12)) {
	case 0:
		fuzz_join(f, true);
		break;
	case 1:
	case 2:
		fuzz_join(f, false);
		break;
	case 3:
	case 4:
	case 5:
		fuzz_seal(f);
		break;
	case 6:
		raw_fill(&f->end, fuzz(f->end.pages), (uint8_t)fuzz(256));
		break;
	case 7:
		(void)raw_refresh(&f->end, fuzz(3), fuzz(600), fuzz(FUZZ_PAGES), 1 + fuzz(4));
		break;
	case 8:
		(void)raw->reap(&f->end.ep);
		break;
	case 9:
		fuzz_scribble(f);
		break;
	case 10:
		if (fuzz(4) == 0)
			fuzz_drop(f);
		break;
	default:
		(void)raw->notify(&f->end.ep, fuzz(256));
		break;
	}
}

static void chan_fuzz_test(int argc, char **argv)
{
	uint64_t seconds = arg_u64(argc, argv, "seconds", 1), steps = 0, end;

	raw = chan_default_transport();
	fuzz_state = arg_u64(argc, argv, "seed", 1);
	puts("probe: fuzzing");
	for (end = time_after(seconds * 1000 * MS); raw->now_ns(raw->ctx) < end; steps++) {
		struct fuzz_end *f = &fuzz_ends[fuzz(FUZZ_ENDS)];

		if (!f->open)
			fuzz_create(f);
		else if (fuzz(60) == 0)
			fuzz_close(f);
		else
			fuzz_step(f);
	}
	printf("probe: fuzzed %llu\n", (unsigned long long)steps);
}

#define CHAN_RAW                                                                                   \
	{"chan-bad", chan_bad_test}, {"chan-rules", chan_rules_test}, {"chan-fuzz", chan_fuzz_test},

#endif
