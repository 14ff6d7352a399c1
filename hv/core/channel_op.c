/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chan_op: decode, check, call.
 */
#include <errno.h>

#include "core/channel_private.h"

static int64_t op_create(struct guest *g, void *arg)
{
	return channel_create(g, arg);
}

static int64_t op_connect(struct guest *g, void *arg)
{
	return channel_connect(g, arg);
}

static int64_t op_accept(struct guest *g, void *arg)
{
	return channel_accept(g, arg);
}

static int64_t op_query(struct guest *g, void *arg)
{
	return channel_query(g, arg);
}

static int64_t op_seal(struct guest *g, void *arg)
{
	return channel_seal(g, arg);
}

static int64_t op_reap(struct guest *g, void *arg)
{
	return channel_reap(g, arg);
}

static int64_t op_close(struct guest *g, void *arg)
{
	return channel_close(g, arg);
}

/* Peers that have gone need no event, and are no error: the caller may not know yet. */
static int64_t op_notify(struct guest *g, void *arg)
{
	const struct chan_peers *op = arg;
	struct endpoint *ep = channel_find(g, op->id);

	if (ep == NULL)
		return -EBADF;
	if (op->pad != 0 || op->peers >> CHAN_MAX_PEERS != 0)
		return -EINVAL;
	channels_lock();
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++)
		if ((op->peers >> i & 1) && channel_link_live(&ep->ep_links[i]))
			channel_raise(ep->ep_links[i].li_peer);
	channels_unlock();
	return 0;
}

static int64_t op_drop(struct guest *g, void *arg)
{
	return channel_drop(g, arg);
}

static int64_t op_refresh(struct guest *g, void *arg)
{
	return channel_refresh(g, arg);
}

static const struct {
	uint32_t len;
	int64_t (*call)(struct guest *g, void *arg);
	bool results;
} ops[] = {
    [CHANOP_create] = {sizeof(struct chan_create), op_create, true},
    [CHANOP_connect] = {sizeof(struct chan_connect), op_connect, true},
    [CHANOP_accept] = {sizeof(struct chan_connect), op_accept, true},
    [CHANOP_query] = {sizeof(struct chan_query), op_query, true},
    [CHANOP_seal] = {sizeof(struct chan_seal), op_seal, false},
    [CHANOP_reap] = {sizeof(struct chan_id), op_reap, false},
    [CHANOP_close] = {sizeof(struct chan_id), op_close, false},
    [CHANOP_notify] = {sizeof(struct chan_peers), op_notify, false},
    [CHANOP_drop] = {sizeof(struct chan_peers), op_drop, false},
    [CHANOP_refresh] = {sizeof(struct chan_refresh), op_refresh, false},
};

int64_t channel_op(struct guest *g, uint32_t cmd, void *arg, uint32_t len, bool *results)
{
	int64_t value;

	*results = false;
	if (cmd >= sizeof(ops) / sizeof(ops[0]))
		return -ENOSYS;
	if (len != ops[cmd].len)
		return -EINVAL;
	uvm_world_enter();
	value = ops[cmd].call(g, arg);
	uvm_world_leave();
	*results = ops[cmd].results && value >= 0;
	return value;
}
