/* SPDX-License-Identifier: BSD-2-Clause */
#include "cell.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dialogue.h"
#include "lib/sock.h"
#include "lib/sys.h"
#include "lib/uffd.h"
#include "places.h"
#include "pmap/pmap_local.h"
#include "proto/wire.h"

#define PAGE_SIZE UINT64_C(4096)
#define STATUS_BYTES (CHAN_STATUS_PAGES * PAGE_SIZE)

/*
 * mutex: everything but the request socket, on which calls_mutex lets one call at a time.  It is
 * taken before mutex where both are.
 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t calls_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool open;
	bool leaving; /* the end is our own doing */
	bool lost;
	struct sockets socks;
	struct pmap_local pmap;
	struct places places;
	pthread_t thread;
	uint64_t seq; /* calls_mutex */
} cell = {.socks = {.request = -1, .pmap = -1}, .pmap = {.uffd = -1}};

static uint8_t *address_of(uint64_t gfn)
{
	return cell.pmap.area[PMAP_WINDOW].hva +
	       (gfn - cell.pmap.area[PMAP_WINDOW].gfn) * PAGE_SIZE;
}

/*
 * Have the status pages say that the endpoint has closed.  They are exchanged in one step: whoever
 * reads them meanwhile finds the ones or the others.
 */
static void show_closed(const struct place *pl)
{
	uint8_t *at = address_of(pl->pl_gfn + pl->pl_arena_pages + CHAN_CONTROL_PAGES);
	struct chan_status *st = SYS_MMAP(
	    mmap(NULL, STATUS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	if (st == MAP_FAILED)
		return;
	memcpy(st, at, sizeof(*st));
	st->state = CHAN_STATE_CLOSED;
	st->peers = 0;
	for (unsigned i = 0; pl->pl_own && i < CHAN_SLOTS; i++)
		st->sealed[i].nr = 0;
	if (mremap(st, STATUS_BYTES, STATUS_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED)
		munmap(st, STATUS_BYTES);
}

/*
 * Nobody serves our writes to sealed frames any more, and peers that still live were promised that
 * these keep their bytes: what the program writes from now on goes nowhere.
 */
static void detach_arena(const struct place *pl)
{
	uint8_t *at = address_of(pl->pl_gfn);
	size_t len = pl->pl_arena_pages * PAGE_SIZE;

	(void)mmap(at, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	/* Who sleeps on a write finds other memory there now. */
	(void)uffd_wake(cell.pmap.uffd, at, len);
}

/*
 * Leave the program with an area that has closed.  One that is going may be unreachable by now, all
 * of it or a part, and nobody looks at it.  => mutex, and lost: nobody maps
 */
static void detach(const struct place *pl)
{
	const uint64_t one = 1;

	if (pl->pl_arena_pages == 0 || pl->pl_going)
		return;
	show_closed(pl);
	if (pl->pl_own)
		detach_arena(pl);
	if (pl->pl_event >= 0 && write(pl->pl_event, &one, sizeof(one)) < 0)
		return; /* it is raised as it is */
}

/* => as detach */
static void detach_all(void)
{
	struct place *pl;

	LIST_FOREACH (pl, &cell.places, pl_all)
		detach(pl);
}

/* Whoever waits for an answer need not any more: our calls, our thread, and the core. */
static void hang_up(void)
{
	shutdown(cell.socks.request, SHUT_RDWR);
	shutdown(cell.socks.pmap, SHUT_RDWR);
}

static void *pmap_thread(void *arg)
{
	(void)arg;
	(void)pmap_local_serve(&cell.pmap, cell.socks.pmap);
	hang_up();
	pthread_mutex_lock(&mutex);
	cell.lost = true;
	if (!cell.leaving)
		detach_all();
	pthread_mutex_unlock(&mutex);
	return NULL;
}

/* The program's signals are not for our thread. */
static int start_thread(void)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = SYS(0) != 0 ? errno : pthread_create(&cell.thread, NULL, pmap_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		pthread_setname_np(cell.thread, "lombard-chan");
	return -error;
}

/* Undo as much of join as was done; the thread has ended. */
static void clean_up(void)
{
	struct pmap_local *p = &cell.pmap;

	if (p->area[PMAP_WINDOW].hva != NULL)
		munmap(p->area[PMAP_WINDOW].hva, p->area[PMAP_WINDOW].npages * PAGE_SIZE);
	if (p->uffd >= 0)
		close(p->uffd);
	mapcount_fini(&p->area[PMAP_WINDOW].count);
	*p = (struct pmap_local){.uffd = -1};
	dialogue_close(&cell.socks);
	cell.open = cell.leaving = cell.lost = false;
}

/* => mutex */
static int join(void)
{
	struct wire_config cfg;
	struct failure f;
	int error = dialogue_open(&cell.socks);

	if (error == 0)
		error = dialogue_hello(&cell.socks, &cfg);
	if (error == 0) {
		cell.pmap.program = true;
		cell.pmap.area[PMAP_WINDOW] = (struct pmap_area){
		    .gfn = cfg.window_gfn, .npages = cfg.window_pages};
		error = pmap_local_init(&cell.pmap, &f);
		if (error == 0)
			error = start_thread();
	}
	if (error != 0) {
		clean_up();
		return error;
	}
	cell.open = true;
	return dialogue_ready(&cell.socks, &cell.pmap);
}

/* => mutex on entry and return; not between.  The last place is free. */
static void leave(void)
{
	cell.leaving = true;
	hang_up();
	pthread_mutex_unlock(&mutex);
	pthread_join(cell.thread, NULL);
	pthread_mutex_lock(&mutex);
	clean_up();
}

int cell_place(uint32_t pages, uint64_t *gfn, void **addr)
{
	int error = 0;

	pthread_mutex_lock(&calls_mutex);
	pthread_mutex_lock(&mutex);
	if (!cell.open) {
		error = join();
		if (error != 0 && cell.open)
			leave();
	} else if (cell.lost) {
		error = -EPIPE;
	}
	if (error == 0)
		error = places_take(&cell.places, cell.pmap.area[PMAP_WINDOW].gfn,
		    cell.pmap.area[PMAP_WINDOW].npages, pages, gfn);
	if (error == 0)
		*addr = address_of(*gfn);
	else if (cell.open && LIST_EMPTY(&cell.places))
		leave();
	pthread_mutex_unlock(&mutex);
	pthread_mutex_unlock(&calls_mutex);
	return error;
}

void cell_unplace(uint64_t gfn, uint32_t pages)
{
	struct place *pl;

	(void)pages;
	pthread_mutex_lock(&calls_mutex);
	pthread_mutex_lock(&mutex);
	pl = places_find(&cell.places, gfn);
	if (pl != NULL)
		places_give(pl);
	if (cell.open && LIST_EMPTY(&cell.places))
		leave();
	pthread_mutex_unlock(&mutex);
	pthread_mutex_unlock(&calls_mutex);
}

/* => calls_mutex */
static int exchange(const struct wire_hypercall *q, struct wire_result *r, int *fd)
{
	unsigned nfds = 0;
	size_t len;
	int error = sock_send(cell.socks.request, q, sizeof(*q), NULL, 0);

	*fd = -1;
	if (error == 0)
		error = sock_recv(cell.socks.request, r, sizeof(*r), &len, fd, 1, &nfds);
	if (error == 0 && (len != sizeof(*r) || r->hdr.type != WIRE_RESULT ||
			      r->hdr.seq != q->hdr.seq || r->arg_len != q->arg_len)) {
		if (nfds > 0)
			close(*fd);
		error = -EPROTO;
	}
	if (error != 0)
		*fd = -1;
	return error;
}

int64_t cell_call(uint32_t cmd, const void *arg, void *result, uint32_t len, int *fd)
{
	struct wire_hypercall q = {.hdr = {.type = WIRE_HYPERCALL},
	    .nr = LOMBARD_HYPERCALL_chan_op,
	    .cmd = cmd,
	    .arg_len = len};
	struct wire_result r;
	int error, got;

	memcpy(q.arg, arg, len);
	pthread_mutex_lock(&calls_mutex);
	q.hdr.seq = ++cell.seq;
	error = exchange(&q, &r, &got);
	/* It may have been done or not: nothing can be built on that. */
	if (error != 0)
		hang_up();
	pthread_mutex_unlock(&calls_mutex);
	if (error != 0)
		return -EPIPE;
	if (fd != NULL)
		*fd = got;
	else if (got >= 0)
		close(got);
	if (r.copy_back && result != NULL)
		memcpy(result, r.arg, len);
	return r.ret;
}

/* => mutex.  If the connection is lost by now, the area is left in its last state at once. */
static void area_is(struct place *pl, uint64_t id, uint32_t arena_pages)
{
	pl->pl_endpoint = id;
	pl->pl_arena_pages = arena_pages;
	if (cell.lost)
		detach(pl);
}

void cell_own_area(uint64_t id, uint64_t gfn, uint32_t arena_pages, int event)
{
	struct place *pl;

	pthread_mutex_lock(&mutex);
	pl = places_find(&cell.places, gfn);
	if (pl != NULL) {
		pl->pl_own = true;
		pl->pl_event = event;
		area_is(pl, id, arena_pages);
	}
	pthread_mutex_unlock(&mutex);
}

void cell_peer_area(uint64_t id, uint32_t peer, uint64_t gfn, uint32_t arena_pages)
{
	struct place *pl;

	pthread_mutex_lock(&mutex);
	pl = places_find(&cell.places, gfn);
	if (pl != NULL) {
		pl->pl_peer = peer;
		area_is(pl, id, arena_pages);
	}
	pthread_mutex_unlock(&mutex);
}

void cell_areas_go(uint64_t id)
{
	struct place *pl;

	pthread_mutex_lock(&mutex);
	LIST_FOREACH (pl, &cell.places, pl_all)
		if (pl->pl_endpoint == id)
			pl->pl_going = true;
	pthread_mutex_unlock(&mutex);
}

uint64_t cell_peer_goes(uint64_t id, uint32_t peer)
{
	uint64_t gfn = 0;
	struct place *pl;

	pthread_mutex_lock(&mutex);
	LIST_FOREACH (pl, &cell.places, pl_all) {
		/* An earlier peer's of this number may be going for good. */
		if (pl->pl_endpoint != id || pl->pl_own || pl->pl_peer != peer || pl->pl_going)
			continue;
		pl->pl_going = true;
		gfn = pl->pl_gfn;
	}
	pthread_mutex_unlock(&mutex);
	return gfn;
}

void cell_stays(uint64_t gfn)
{
	struct place *pl;

	pthread_mutex_lock(&mutex);
	pl = places_find(&cell.places, gfn);
	if (pl != NULL) {
		pl->pl_going = false;
		if (cell.lost)
			detach(pl);
	}
	pthread_mutex_unlock(&mutex);
}
