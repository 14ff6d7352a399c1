/* SPDX-License-Identifier: BSD-2-Clause */
#include "private.h"

#define LOOKS_PER_CLOCK 16

/* ---- waking others ---- */

void wait_wake(struct chan *ch, unsigned peers, uint32_t unless)
{
	unsigned sleepers = 0;
	struct peer *peer;
	uint32_t sleeping;

	for (unsigned m = peers; m != 0; m &= m - 1) {
		peer = &ch->peer[first_peer(m)];
		sleeping = load32(&peer->control->sleeping);
		if (__builtin_expect(sleeping == 0, 1) || (sleeping & unless) != 0)
			continue;
		if (sleeping >= SLEEP_EPOCH && sleeping == peer->woken)
			continue;
		peer->woken = sleeping;
		sleepers |= m & -m;
	}
	if (sleepers == 0)
		return;
	/* An error could only say that one is gone, which its status says, too. */
	ch->count.notifies++;
	(void)ch->t->notify(&ch->ep, sleepers);
}

/* ---- being woken ---- */

static void arm(struct chan *ch, unsigned events)
{
	uint32_t word;

	ch->epoch += SLEEP_EPOCH;
	if (ch->epoch == 0)
		ch->epoch = SLEEP_EPOCH;
	word = ch->epoch | SLEEP_YES;
	if ((events & CHAN_READABLE) == 0)
		word |= SLEEP_NOT_FOR_MESSAGES;
	if ((events & CHAN_WRITABLE) == 0)
		word |= SLEEP_NOT_FOR_RELEASES;
	store32(&ch->control->sleeping, word);
	ch->armed = true;
	full_fence(ch);
}

void wait_disarm_slow(struct chan *ch)
{
	store32(&ch->control->sleeping, 0);
	ch->armed = false;
}

/* If the cell is lost, chan_accept would not wait, but say so. */
static bool acceptable(const struct chan *ch)
{
	return (load32(&ch->status->peers) & ~(uint32_t)ch->attached) != 0 || chan_cut_off(ch);
}

static unsigned look(struct chan *ch, unsigned events)
{
	unsigned ready = 0;

	peer_check(ch);
	if ((events & CHAN_READABLE) && recv_readable(ch))
		ready |= CHAN_READABLE;
	if ((events & CHAN_WRITABLE) && send_writable(ch))
		ready |= CHAN_WRITABLE;
	if ((events & CHAN_ACCEPTABLE) && acceptable(ch))
		ready |= CHAN_ACCEPTABLE;
	return ready;
}

/* Nobody can answer what was never published. */
static int flush_first(struct chan *ch)
{
	peer_check(ch);
	return send_flush(ch);
}

/* Look until it is time to sleep; 0 then. */
static unsigned spin(struct chan *ch, unsigned events, uint64_t deadline)
{
	uint64_t now = chan_clock(ch), end = deadline;
	unsigned ready;

	if ((ch->opt.flags & CHAN_POLLED) == 0 && deadline > now &&
	    deadline - now > ch->opt.spin_ns)
		end = now + ch->opt.spin_ns;
	do {
		for (unsigned i = 0; i < LOOKS_PER_CLOCK; i++) {
			ready = look(ch, events);
			if (ready != 0)
				return ready;
			cpu_relax();
		}
	} while (chan_clock(ch) < end);
	return 0;
}

/* Sleep until something is so; a mask or -errno. */
static int doze(struct chan *ch, unsigned events, uint64_t deadline)
{
	unsigned ready;
	int err = 0;

	do {
		arm(ch, events);
		ready = look(ch, events);
		if (ready == 0) {
			ch->count.sleeps++;
			err = ch->t->wait(&ch->ep, deadline);
		}
		wait_disarm_slow(ch);
		if (ready == 0)
			ready = look(ch, events);
	} while (ready == 0 && err == 0);
	return ready != 0 ? (int)ready : err;
}

static int wait_mask(struct chan *ch, unsigned events, uint64_t deadline)
{
	unsigned ready;
	int err = flush_first(ch);

	if (err != 0)
		return err;
	ready = look(ch, events);
	if (ready != 0)
		return (int)ready;
	if (deadline == CHAN_NOW)
		return -EAGAIN;
	ready = spin(ch, events, deadline);
	if (ready != 0)
		return (int)ready;
	return ch->opt.flags & CHAN_POLLED ? -ETIME : doze(ch, events, deadline);
}

int wait_for(struct chan *ch, unsigned events, uint64_t deadline)
{
	int ret;

	if (deadline == CHAN_NOW || chan_clock(ch) >= deadline) {
		ret = flush_first(ch);
		if (ret != 0)
			return ret;
		return deadline == CHAN_NOW ? -EAGAIN : -ETIME;
	}
	ret = wait_mask(ch, events, deadline);
	return ret < 0 ? ret : 0;
}

static bool events_ok(unsigned events)
{
	return events != 0 && (events & ~(CHAN_READABLE | CHAN_WRITABLE | CHAN_ACCEPTABLE)) == 0;
}

int chan_wait(struct chan *ch, unsigned events, uint64_t deadline)
{
	wait_disarm(ch);
	if (!events_ok(events))
		return -EINVAL;
	return wait_mask(ch, events, deadline);
}

int chan_poll(struct chan *ch, unsigned events)
{
	unsigned ready;
	int err;

	wait_disarm(ch);
	if (!events_ok(events))
		return -EINVAL;
	(void)ch->t->take(&ch->ep);
	err = flush_first(ch);
	if (err != 0)
		return err;
	ready = look(ch, events);
	if (ready != 0)
		return (int)ready;
	arm(ch, events);
	ready = look(ch, events);
	if (ready != 0)
		wait_disarm_slow(ch);
	return (int)ready;
}
