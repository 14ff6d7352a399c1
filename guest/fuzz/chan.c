/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels. */
#include "fuzz.h"

static int64_t chan_op(unsigned cmd, void *arg)
{
	return plain(LOMBARD_HYPERCALL_chan_op, cmd, arg);
}

static void any_name(char name[CHAN_NAME_LEN])
{
	struct thing t;

	memset(name, 0, CHAN_NAME_LEN);
	switch (below(8)) {
	case 0:
		memcpy(name, "pair", 4); /* which has its peer */
		break;
	case 1:
		memcpy(name, "open", 4);
		break;
	case 2:
		memset(name, 'x', below(CHAN_NAME_LEN + 1));
		break;
	case 3:
		memcpy(name, "a\nb\x80", below(5));
		break;
	case 4:
	case 5:
		name_of(name, field.info.domid);
		break;
	default:
		name_of(name, hoard_any(OTHERS, &t) ? (uint32_t)t.a : field.info.domid);
		break;
	}
}

static void create_fill(void *arg)
{
	struct chan_create *op = arg;

	if (one_in(2))
		name_of(op->name, field.info.domid);
	else if (one_in(4))
		any_name(op->name);
	op->gfn = one_in(16) ? any_gfn() : area();
	op->arena_pages = 1 + below(64);
	op->max_peers = (uint16_t)(1 + below(8));
	op->flags = one_in(8) ? CHAN_WANT_HUGE : 0;
}

/* The areas of the peers that this endpoint saw. */
static void forget_views(uint64_t id)
{
	unsigned i = 0;

	while (i < hoard_nr(VIEWS))
		if (hoard_at(VIEWS, i).b >> 8 == id)
			hoard_drop(VIEWS, hoard_at(VIEWS, i).a);
		else
			i++;
}

static void forget(uint64_t id)
{
	forget_views(id);
	hoard_drop(ENDPOINTS, id);
}

static void create_done(const void *arg, int64_t ret)
{
	const struct chan_create *op = arg;
	struct thing lost;
	struct chan_id close;

	(void)ret;
	if (hoard_add(ENDPOINTS, op->id, op->gfn << 32 | op->arena_pages, &lost))
		return;
	close.id = lost.a;
	forget_views(lost.a);
	(void)chan_op(CHANOP_close, &close);
}

static uint64_t any_endpoint(void)
{
	struct thing t;

	if (!one_in(8) && hoard_any(ENDPOINTS, &t))
		return t.a;
	return one_in(2) ? below(200) : wild();
}

static void connect_fill(void *arg)
{
	struct chan_connect *op = arg;

	op->id = any_endpoint();
	any_name(op->name);
	op->gfn = one_in(16) ? any_gfn() : area();
	op->room = one_in(8) ? below(64) : AREA_PAGES;
}

static void connect_done(const void *arg, int64_t ret)
{
	const struct chan_connect *op = arg;
	struct chan_peers drop;
	struct thing lost;

	(void)ret;
	if (hoard_add(VIEWS, op->gfn, op->id << 8 | op->peer, &lost))
		return;
	drop = (struct chan_peers){.id = lost.b >> 8, .peers = lost.b & 0xff};
	(void)chan_op(CHANOP_drop, &drop);
}

static void query_fill(void *arg)
{
	struct chan_query *op = arg;

	op->id = any_endpoint();
	if (!one_in(3))
		any_name(op->name);
}

static void seal_fill(void *arg)
{
	struct chan_seal *op = arg;

	op->id = any_endpoint();
	op->nr = 1 + below(one_in(8) ? 24 : 3);
	for (unsigned i = 0; i < CHAN_SEAL_MAX; i++)
		op->range[i] = (struct chan_range){
		    .seq = below(300), .first = below(32), .nr = 1 + below(3)};
}

static void id_fill(void *arg)
{
	((struct chan_id *)arg)->id = any_endpoint();
}

static void close_done(const void *arg, int64_t ret)
{
	(void)ret;
	forget(((const struct chan_id *)arg)->id);
}

static void notify_fill(void *arg)
{
	struct chan_peers *op = arg;

	op->id = any_endpoint();
	op->peers = one_in(8) ? (uint32_t)rnd() : below(256);
}

/* A peer that we see, if there is one. */
static uint64_t any_view(uint32_t *peer)
{
	struct thing t;

	*peer = below(9);
	if (one_in(4) || !hoard_any(VIEWS, &t))
		return any_endpoint();
	*peer = t.b & 0xff;
	return t.b >> 8;
}

static void drop_fill(void *arg)
{
	struct chan_peers *op = arg;

	op->id = any_view(&op->peers);
}

static void drop_done(const void *arg, int64_t ret)
{
	const struct chan_peers *op = arg;

	(void)ret;
	for (unsigned i = 0; i < hoard_nr(VIEWS); i++) {
		if (hoard_at(VIEWS, i).b != (op->id << 8 | op->peers))
			continue;
		hoard_drop(VIEWS, hoard_at(VIEWS, i).a);
		return;
	}
}

static void refresh_fill(void *arg)
{
	struct chan_refresh *op = arg;

	op->id = any_view(&op->peer);
	op->seq = below(300);
	op->first = below(32);
	op->nr = 1 + below(8);
}

#define CHAN(op, type, w, ...)                                                                     \
	{                                                                                          \
		.name = "chan." #op, .nr = LOMBARD_HYPERCALL_chan_op, .cmd = CHANOP_##op,          \
		.size = sizeof(struct chan_##type), .weight = w, __VA_ARGS__                       \
	}

const struct op ops_chan[] = {
    CHAN(create, create, 10, .fill = create_fill, .results = true, .done = create_done),
    CHAN(connect, connect, 20, .fill = connect_fill, .results = true, .done = connect_done),
    CHAN(accept, connect, 20, .fill = connect_fill, .results = true, .done = connect_done),
    CHAN(query, query, 8, .fill = query_fill, .results = true),
    CHAN(seal, seal, 30, .fill = seal_fill),
    CHAN(reap, id, 10, .fill = id_fill),
    CHAN(close, id, 4, .fill = id_fill, .done = close_done),
    CHAN(notify, peers, 10, .fill = notify_fill),
    CHAN(drop, peers, 8, .fill = drop_fill, .done = drop_done),
    CHAN(refresh, refresh, 20, .fill = refresh_fill),
};
const unsigned nr_ops_chan = ARRAY_SIZE(ops_chan);
