/* SPDX-License-Identifier: BSD-2-Clause */
#include "private.h"

#define MIB (UINT64_C(1) << 20)
#define DEFAULT_ARENA (16 * MIB)
#define DEFAULT_COPY (8 * MIB)
#define DEFAULT_SPIN_NS 20000
#define HUGE_BYTES ((uint64_t)CHAN_HUGE_PAGES * ARENA_PAGE)

/* How often chan_connect looks whether the name is there: more and more seldom. */
#define LOOK_FIRST_NS 1000000U
#define LOOK_LAST_NS 50000000U

#define MAP_TRIES 8

uint64_t chan_now(void)
{
	const struct chan_transport *t = chan_default_transport();

	return t->now_ns(t->ctx);
}

uint64_t chan_after(uint64_t ns)
{
	uint64_t now = chan_now();

	return ns < CHAN_FOREVER - now ? now + ns : CHAN_FOREVER;
}

static int name_copy(char out[CHAN_NAME_LEN], const char *name)
{
	size_t len = __builtin_strlen(name);

	if (len == 0 || len >= CHAN_NAME_LEN)
		return -EINVAL;
	__builtin_memcpy(out, name, len + 1);
	return 0;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* The options with every zero replaced. */
static int options_complete(struct chan_options *opt)
{
	bool huge;

	if (opt->arena_bytes == 0)
		opt->arena_bytes = DEFAULT_ARENA;
	if (opt->max_peers == 0)
		opt->max_peers = 1;
	if (opt->copy_bytes == 0)
		opt->copy_bytes = DEFAULT_COPY;
	if (opt->spin_ns == 0)
		opt->spin_ns = DEFAULT_SPIN_NS;
	if (opt->arena_bytes > (uint64_t)CHAN_MAX_ARENA_PAGES * ARENA_PAGE ||
	    opt->copy_bytes > (uint64_t)ARENA_MAX_PAGES * ARENA_PAGE ||
	    opt->max_peers > CHAN_MAX_PEERS ||
	    (opt->flags & ~(CHAN_POLLED | CHAN_BASE_FRAMES)) != 0)
		return -EINVAL;
	huge = opt->arena_bytes >= HUGE_BYTES && (opt->flags & CHAN_BASE_FRAMES) == 0;
	opt->arena_bytes = round_up(opt->arena_bytes, huge ? HUGE_BYTES : ARENA_PAGE);
	opt->copy_bytes = round_up(
	    opt->copy_bytes < CHAN_COPY_LEAST ? CHAN_COPY_LEAST : opt->copy_bytes, ARENA_PAGE);
	return 0;
}

/* ---- memory of an endpoint ---- */

static size_t pool_private_bytes(const struct chan *ch)
{
	return arena_private_bytes((uint32_t)(ch->opt.copy_bytes >> ARENA_PAGE_SHIFT), 1);
}

static size_t arena_private(const struct chan *ch)
{
	uint32_t frame_pages = 1U << (ch->frame_shift - ARENA_PAGE_SHIFT);

	return arena_private_bytes((uint32_t)(ch->arena_bytes >> ARENA_PAGE_SHIFT), frame_pages);
}

static void mem_free(struct chan *ch, void *mem, size_t bytes)
{
	if (mem != NULL)
		ch->t->free(ch->t->ctx, mem, bytes);
}

/* Everything that chan_new allocated; what is NULL was not. */
static void chan_delete(struct chan *ch)
{
	mem_free(ch, ch->arena_private, arena_private(ch));
	mem_free(ch, ch->pool_private, pool_private_bytes(ch));
	mem_free(ch, ch->pool_base, ch->opt.copy_bytes);
	mem_free(ch, ch, sizeof(*ch));
}

static int chan_new(const struct chan_options *options, struct chan **chp)
{
	const struct chan_transport *t = chan_default_transport();
	struct chan_options opt = {0};
	struct chan *ch;
	int err;

	if (options != NULL)
		opt = *options;
	err = options_complete(&opt);
	if (err != 0)
		return err;
	ch = t->alloc(t->ctx, sizeof(*ch));
	if (ch == NULL)
		return -ENOMEM;
	ch->t = t;
	ch->ep.transport = t;
	ch->opt = opt;
	ch->arena_bytes = opt.arena_bytes;
	ch->frame_shift = ARENA_PAGE_SHIFT;
	ch->tail = ch->pub = ch->next = 1;
	ch->copy_limit = opt.copy_bytes;
	ch->pool_base = t->alloc(t->ctx, opt.copy_bytes);
	ch->pool_private = t->alloc(t->ctx, pool_private_bytes(ch));
	if (ch->pool_base == NULL || ch->pool_private == NULL) {
		chan_delete(ch);
		return -ENOMEM;
	}
	arena_init(&ch->pool, ch->pool_private, (uint32_t)(opt.copy_bytes >> ARENA_PAGE_SHIFT), 1);
	*chp = ch;
	return 0;
}

/* ---- the endpoint itself ---- */

static int endpoint_open(struct chan *ch, struct chan_create *op)
{
	void *addr;
	int err;

	op->arena_pages = (uint32_t)(ch->arena_bytes >> ARENA_PAGE_SHIFT);
	op->max_peers = (uint16_t)ch->opt.max_peers;
	if (ch->arena_bytes % HUGE_BYTES == 0 && (ch->opt.flags & CHAN_BASE_FRAMES) == 0)
		op->flags = CHAN_WANT_HUGE;
	ch->pages = CHAN_AREA_PAGES(op->arena_pages);
	err = ch->t->place(ch->t->ctx, ch->pages, &op->gfn, &addr);
	if (err != 0)
		return err;
	err = ch->t->create(&ch->ep, op);
	if (err != 0) {
		ch->t->unplace(ch->t->ctx, op->gfn, ch->pages);
		return err;
	}
	ch->gfn = op->gfn;
	ch->base = addr;
	ch->control = (struct chan_control *)(ch->base + ch->arena_bytes);
	ch->status = (struct chan_status *)(ch->base + ch->arena_bytes + CONTROL_BYTES);
	ch->frame_shift = ARENA_PAGE_SHIFT + (unsigned)__builtin_ctz(op->frame_pages);
	return 0;
}

static void endpoint_close(struct chan *ch)
{
	ch->t->close(&ch->ep);
	for (unsigned m = ch->attached; m != 0; m &= m - 1)
		ch->t->unplace(
		    ch->t->ctx, ch->peer[first_peer(m)].gfn, ch->peer[first_peer(m)].pages);
	ch->t->unplace(ch->t->ctx, ch->gfn, ch->pages);
	chan_delete(ch);
}

static int make(const char *name, const struct chan_options *options, struct chan **chp)
{
	struct chan_create op = {0};
	struct chan *ch;
	int err = name != NULL ? name_copy(op.name, name) : 0;

	if (err == 0)
		err = chan_new(options, &ch);
	if (err != 0)
		return err;
	err = endpoint_open(ch, &op);
	if (err != 0) {
		chan_delete(ch);
		return err;
	}
	ch->arena_private = ch->t->alloc(ch->t->ctx, arena_private(ch));
	if (ch->arena_private == NULL) {
		endpoint_close(ch);
		return -ENOMEM;
	}
	arena_init(&ch->arena, ch->arena_private, op.arena_pages, op.frame_pages);
	/* How long copies may be that we take: see private.h. */
	store32(&ch->control->pad0[0], (uint32_t)(ch->opt.copy_bytes >> ARENA_PAGE_SHIFT));
	cost_init(ch);
	*chp = ch;
	return 0;
}

int chan_create(const char *name, const struct chan_options *options, struct chan **ch)
{
	return name == NULL ? -EINVAL : make(name, options, ch);
}

void chan_close(struct chan *ch)
{
	if (ch == NULL)
		return;
	wait_disarm(ch);
	(void)chan_flush(ch);
	endpoint_close(ch);
}

/* ---- peers ---- */

/*
 * Map the area of the peer that get (connect or accept) finds; op->name says whose, or "".  Areas
 * of one name may change their size between the question and the mapping.
 */
static int map_peer(struct chan *ch, struct chan_connect *op,
    int (*get)(struct chan_endpoint *, struct chan_connect *))
{
	struct chan_query query = {.id = ch->ep.id};
	unsigned tries = 0;
	void *addr;
	int err;

	op->id = ch->ep.id;
	__builtin_memcpy(query.name, op->name, sizeof(query.name));
	do {
		err = ch->t->query(&ch->ep, &query);
		if (err != 0)
			return err;
		op->room = CHAN_AREA_PAGES(query.arena_pages);
		err = ch->t->place(ch->t->ctx, op->room, &op->gfn, &addr);
		if (err != 0)
			return err;
		err = get(&ch->ep, op);
		if (err != 0)
			ch->t->unplace(ch->t->ctx, op->gfn, op->room);
	} while (err == -ENOSPC && ++tries < MAP_TRIES);
	if (err == 0)
		peer_attach(ch, op, addr, op->room);
	return err;
}

static int connect_until(struct chan *ch, struct chan_connect *op, uint64_t deadline)
{
	uint64_t pause = LOOK_FIRST_NS, now;
	int err;

	while ((err = map_peer(ch, op, ch->t->connect)) == -ENOENT && deadline != CHAN_NOW) {
		now = chan_clock(ch);
		if (now >= deadline)
			return -ETIME;
		err = ch->t->wait(&ch->ep, deadline - now < pause ? deadline : now + pause);
		if (err != 0 && err != -ETIME)
			return err;
		if (pause < LOOK_LAST_NS)
			pause *= 2;
	}
	return err;
}

int chan_connect(
    const char *name, const struct chan_options *options, uint64_t deadline, struct chan **chp)
{
	struct chan_connect op = {0};
	struct chan *ch;
	int err = name == NULL ? -EINVAL : name_copy(op.name, name);

	if (err == 0)
		err = make(NULL, options, &ch);
	if (err != 0)
		return err;
	err = connect_until(ch, &op, deadline);
	if (err != 0)
		endpoint_close(ch);
	else
		*chp = ch;
	return err;
}

int chan_accept(struct chan *ch, uint64_t deadline, unsigned *peer)
{
	struct chan_connect op;
	int err;

	wait_disarm(ch);
	/* What is sealed from the accept on, the hypervisor expects the new peer to release. */
	peer_check(ch);
	err = send_flush(ch);
	while (err == 0) {
		op = (struct chan_connect){0};
		err = map_peer(ch, &op, ch->t->accept);
		if (err != -EAGAIN)
			break;
		err = wait_for(ch, CHAN_ACCEPTABLE, deadline);
	}
	if (err == 0 && peer != NULL)
		*peer = op.peer;
	return err;
}

int chan_drop(struct chan *ch, unsigned peer)
{
	wait_disarm(ch);
	if (peer >= CHAN_MAX_PEERS || (ch->attached >> peer & 1) == 0)
		return -EINVAL;
	peer_leave(ch, peer);
	return 0;
}

/* ---- what is known ---- */

uint32_t chan_port(const struct chan *ch)
{
	return ch->ep.port;
}

int chan_fd(const struct chan *ch)
{
	return ch->ep.fd;
}

int chan_info(const struct chan *ch, struct chan_info *info)
{
	*info = ch->count;
	info->arena_bytes = ch->arena_bytes;
	info->frame_bytes = (size_t)1 << ch->frame_shift;
	info->lend_from = ch->cost.lend_from;
	info->copy_limit = ch->copy_limit;
	info->peers = ch->out;
	info->max_peers = ch->opt.max_peers;
	return 0;
}
