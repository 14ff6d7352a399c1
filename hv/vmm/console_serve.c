/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console thread: it serves the ring as xenconsoled would, as long as no other program does, and
 * those who have attached themselves to the console.  It sleeps in poll and nowhere else, but for
 * faults of the ring's page and turns at the core.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <xen/io/console.h>

#include "lib/count.h"
#include "lib/now.h"
#include "vmm/conring.h"
#include "vmm/console.h"
#include "vmm/vmm.h"

#define PAGE_SHIFT 12
#define MOVES 8		/* out of the ring before anybody else has a turn */
#define FAREWELL_MS 100 /* for clients that have not got all of it at the end */

enum { AT_KICK, AT_IN, AT_OUT, AT_CLIENTS, NPOLL = AT_CLIENTS + CONSOLE_CLIENTS };

/* What the thread itself knows. */
struct server {
	struct vmm *vm;
	struct console *c;
	struct pollfd p[NPOLL];
	struct xencons_interface *ring; /* as it was last time; NULL: it was not ours */
	bool told;			/* of an event, by which it is ours now */
	bool look;			/* at the ring: something has changed there, or here */
	bool blocked;			/* output waits in the ring until `out` takes it */
	bool ending;			/* the guest has ended */
	size_t left;			/* ending: what may have been in the ring then */
	int64_t leave; /* ending: when to stop waiting for clients, by now_ms; 0: not yet */
};

/* ---- the ring ---- */

/* The ring, if it is ours to serve now. */
static struct xencons_interface *our_ring(struct server *s)
{
	uint64_t gfn;

	/* The core has just said so, in its answer to the guest's event. */
	if (s->told && s->ring)
		return s->ring;
	s->ring = NULL;
	if (link_console(false, &gfn) == 0 && gfn <= UINT64_MAX >> PAGE_SHIFT)
		s->ring = gmem_ptr(
		    &s->vm->mem, gfn << PAGE_SHIFT, sizeof(struct xencons_interface));
	return s->ring;
}

/* => how much of it is out, or has nobody to read it */
static size_t write_out(struct server *s, const char *buf, size_t len)
{
	ssize_t n;

	/* Whoever holds it sees this when he lets go. */
	atomic_store(&s->c->write_wanted, true);
	if (pthread_mutex_trylock(&s->c->write_mutex))
		return 0;
	atomic_store(&s->c->write_wanted, false);
	n = console_write_now(s->c, buf, len);
	if (n < 0)
		n = (ssize_t)len;
	console_keep(s->c, buf, (size_t)n);
	pthread_mutex_unlock(&s->c->write_mutex);
	return (size_t)n;
}

/* => has anything moved? */
static bool move_out(struct server *s, struct xencons_interface *ring)
{
	char buf[CONRING_OUT];
	uint32_t at;
	size_t len = conring_peek(ring, buf, sizeof(buf), &at), n;

	s->blocked = false;
	if (len == 0)
		return false;
	n = write_out(s, buf, len);
	s->blocked = n < len;
	if (n == 0)
		return false;
	conring_consume(ring, at + (uint32_t)n);
	s->left -= n < s->left ? n : s->left;
	return true;
}

/* The page may sleep in a fault, so what goes there is a copy; nobody else takes from the front. */
static bool move_in(struct server *s, struct xencons_interface *ring)
{
	struct console *c = s->c;
	char buf[CONSOLE_INPUT];
	size_t len, n;

	pthread_mutex_lock(&c->mutex);
	len = c->ninput;
	memcpy(buf, c->input, len);
	c->ninput = 0;
	pthread_mutex_unlock(&c->mutex);
	n = len > 0 ? conring_put(ring, buf, len) : 0;
	if (n == len)
		return n > 0;
	pthread_mutex_lock(&c->mutex);
	c->ninput = len - n;
	memcpy(c->input, buf + n, c->ninput);
	pthread_mutex_unlock(&c->mutex);
	return n > 0;
}

static void serve_ring(struct server *s)
{
	struct xencons_interface *ring = our_ring(s);
	unsigned moves = 0;
	uint64_t gfn;

	s->look = false;
	s->blocked = false;
	if (!ring)
		return;
	while (moves < MOVES && move_out(s, ring))
		moves++;
	/* It may write faster than this: others have a turn. */
	s->look = moves == MOVES;
	if (move_in(s, ring) || moves > 0)
		(void)link_console(true, &gfn);
}

/* ---- the thread ---- */

/* => mutex held */
static void watch(struct server *s)
{
	struct console *c = s->c;
	bool input = atomic_load(&c->ring_used) && c->ninput < sizeof(c->input);
	int out = atomic_load(&c->out);

	s->p[AT_KICK] = (struct pollfd){.fd = c->kick, .events = POLLIN};
	s->p[AT_IN] = (struct pollfd){.fd = input ? atomic_load(&c->in) : -1, .events = POLLIN};
	s->p[AT_OUT] = (struct pollfd){.fd = s->blocked ? out : -1, .events = POLLOUT};
	if (s->blocked && out < 0)
		s->look = true;
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++) {
		int events = client_events(c, &c->clients[i]);

		s->p[AT_CLIENTS + i] = (struct pollfd){
		    .fd = events < 0 ? -1 : c->clients[i].fd, .events = (short)events};
	}
}

/* => mutex held.  Is there new input? */
static bool serve_clients(struct server *s)
{
	bool news = false;

	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		if (s->c->clients[i].fd >= 0)
			news |= client_serve(s->c, &s->c->clients[i], s->p[AT_CLIENTS + i].revents);
	return news;
}

/* => is there anything? */
static bool take_in(struct console *c)
{
	char buf[CONSOLE_INPUT];
	size_t room, n;

	pthread_mutex_lock(&c->mutex);
	room = sizeof(c->input) - c->ninput;
	pthread_mutex_unlock(&c->mutex);
	/* Only this thread adds to it. */
	pthread_mutex_lock(&c->read_mutex);
	n = room > 0 ? console_read_now(c, buf, room) : 0;
	pthread_mutex_unlock(&c->read_mutex);
	pthread_mutex_lock(&c->mutex);
	memcpy(c->input + c->ninput, buf, n);
	c->ninput += n;
	pthread_mutex_unlock(&c->mutex);
	return n > 0;
}

/* => mutex held */
static void begin_to_end(struct server *s)
{
	if (s->ending || !s->c->ending)
		return;
	s->ending = true;
	s->left = CONRING_OUT;
	s->look = atomic_load(&s->c->ring_used);
}

/* => mutex held.  Nothing is left that has to go out, or the time for it is over. */
static bool ended(struct server *s)
{
	bool behind = false;

	if (!s->ending || (s->left > 0 && (s->look || s->blocked)))
		return false;
	for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
		behind |= client_behind(s->c, &s->c->clients[i]);
	if (s->leave == 0)
		s->leave = now_ms() + FAREWELL_MS;
	return !behind || now_ms() >= s->leave;
}

static int patience(const struct server *s)
{
	if (s->look)
		return 0;
	return s->ending && !s->blocked ? FAREWELL_MS : -1;
}

static void sleep_a_while(struct server *s)
{
	if (poll(s->p, NPOLL, patience(s)) < 0)
		for (unsigned i = 0; i < NPOLL; i++)
			s->p[i].revents = 0;
	if (s->p[AT_KICK].revents)
		count_off(s->c->kick);
	s->told = atomic_exchange(&s->c->ring_told, false);
	if (s->told)
		s->look = true;
	/* It could not write: by now it can, or somebody else may have stopped writing. */
	if (s->blocked && (s->p[AT_OUT].revents || s->p[AT_KICK].revents))
		s->look = true;
}

/* One round.  => false: the guest has ended, and so does this */
static bool serve(struct server *s)
{
	struct console *c = s->c;
	bool over;

	pthread_mutex_lock(&c->mutex);
	begin_to_end(s);
	over = ended(s);
	if (over) {
		c->served = true;
		pthread_cond_broadcast(&c->changed);
	} else {
		watch(s);
	}
	pthread_mutex_unlock(&c->mutex);
	if (over)
		return false;
	sleep_a_while(s);
	if (s->p[AT_IN].revents && take_in(c))
		s->look = true;
	pthread_mutex_lock(&c->mutex);
	if (serve_clients(s))
		s->look = true;
	pthread_mutex_unlock(&c->mutex);
	if (s->look && atomic_load(&c->ring_used))
		serve_ring(s);
	else
		s->look = false;
	return true;
}

void console_serve(struct vmm *vm)
{
	struct server s = {.vm = vm, .c = &vm->console};

	while (serve(&s))
		continue;
}

void console_finish(struct console *c)
{
	pthread_mutex_lock(&c->mutex);
	c->ending = true;
	console_kick(c);
	while (!c->served)
		pthread_cond_wait(&c->changed, &c->mutex);
	pthread_mutex_unlock(&c->mutex);
}
