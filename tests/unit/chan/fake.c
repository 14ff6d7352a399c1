/* SPDX-License-Identifier: BSD-2-Clause */
#include "chan/fake.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "chan/fake_private.h"

pthread_mutex_t fake_mutex = PTHREAD_MUTEX_INITIALIZER;
struct fake_ep fake_eps[FAKE_ENDPOINTS];
unsigned fake_flags;

static uint64_t next_id = 1;
static int mappings; /* placed and not given back */
static uint64_t call_takes, frame_takes;
static uint64_t calls[FAKE_NCALLS];
static struct {
	unsigned n;
	int error;
} failing[FAKE_NCALLS];

_Noreturn void fake_broken(const char *what)
{
	fprintf(stderr, "fake: %s\n", what);
	abort();
}

uint64_t fake_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void take_time(uint64_t ns)
{
	uint64_t end = fake_clock() + ns;

	while (ns != 0 && fake_clock() < end)
		cpu_relax();
}

/* => mutex.  The error of this call, if it is to fail. */
int fake_failure(enum fake_call call)
{
	calls[call]++;
	if (failing[call].n == 0 || --failing[call].n > 0)
		return 0;
	return failing[call].error;
}

static int locked_failure(enum fake_call call)
{
	int error;

	pthread_mutex_lock(&fake_mutex);
	error = fake_failure(call);
	pthread_mutex_unlock(&fake_mutex);
	return error;
}

/* ---- memory ---- */

static void *fake_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return locked_failure(FAKE_ALLOC) != 0 ? NULL : calloc(1, bytes);
}

static void fake_free(void *ctx, void *mem, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(mem);
}

static int fake_place(void *ctx, uint32_t pages, uint64_t *gfn, void **addr)
{
	size_t bytes = (size_t)pages * ARENA_PAGE;
	int error = locked_failure(FAKE_PLACE);
	uint8_t *p;

	(void)ctx;
	if (error != 0)
		return error;
	p = fake_place_for_peer(pages);
	if (p == NULL) {
		p = mmap(
		    NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return -ENOMEM;
	}
	__atomic_fetch_add(&mappings, 1, __ATOMIC_SEQ_CST);
	*addr = p;
	*gfn = (uintptr_t)p / ARENA_PAGE;
	return 0;
}

/* An area that others see at its owner's address stays where it is until fake_end. */
static void fake_unplace(void *ctx, uint64_t gfn, uint32_t pages)
{
	(void)ctx;
	__atomic_fetch_sub(&mappings, 1, __ATOMIC_SEQ_CST);
	if ((fake_flags & FAKE_ONE_ADDRESS) == 0)
		munmap((void *)(uintptr_t)(gfn * ARENA_PAGE), (size_t)pages * ARENA_PAGE);
}

/* ---- endpoints ---- */

struct fake_ep *fake_find(uint64_t id)
{
	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
		if (fake_eps[i].id == id && id != 0)
			return &fake_eps[i];
	return NULL;
}

struct fake_ep *fake_find_name(const char *name)
{
	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
		if (fake_eps[i].id != 0 && !fake_eps[i].closed && name[0] != '\0' &&
		    strcmp(fake_eps[i].name, name) == 0)
			return &fake_eps[i];
	return NULL;
}

void fake_raise(struct fake_ep *ep)
{
	uint64_t one = 1;

	if (write(ep->fd, &one, sizeof(one)) != sizeof(one))
		fake_broken("eventfd");
}

size_t fake_area_bytes(const struct fake_ep *ep)
{
	return (size_t)CHAN_AREA_PAGES(ep->arena_pages) * ARENA_PAGE;
}

static void make_area(struct fake_ep *ep, uint8_t *owner)
{
	size_t front = ((size_t)ep->arena_pages + CHAN_CONTROL_PAGES) * ARENA_PAGE;

	ep->memfd = memfd_create("area", MFD_CLOEXEC);
	if (ep->memfd < 0 || ftruncate(ep->memfd, (off_t)fake_area_bytes(ep)) != 0 ||
	    mmap(owner, fake_area_bytes(ep), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		ep->memfd, 0) == MAP_FAILED)
		fake_broken("no memory for an area");
	ep->owner = ep->kva = owner;
	if ((fake_flags & FAKE_ONE_ADDRESS) == 0) {
		ep->kva = mmap(
		    NULL, fake_area_bytes(ep), PROT_READ | PROT_WRITE, MAP_SHARED, ep->memfd, 0);
		if (ep->kva == MAP_FAILED ||
		    mprotect(owner + front, CHAN_STATUS_PAGES * ARENA_PAGE, PROT_READ) != 0)
			fake_broken("no memory for an area");
	}
	ep->control = (struct chan_control *)(ep->kva + (size_t)ep->arena_pages * ARENA_PAGE);
	ep->status = (struct chan_status *)(ep->kva + front);
}

static int fake_create(struct chan_endpoint *cep, struct chan_create *op)
{
	struct fake_ep *ep = NULL;
	int error;

	pthread_mutex_lock(&fake_mutex);
	error = fake_failure(FAKE_CREATE);
	if (error == 0 && fake_find_name(op->name) != NULL)
		error = -EEXIST;
	for (unsigned i = 0; error == 0 && ep == NULL; i++) {
		if (i == FAKE_ENDPOINTS)
			fake_broken("too many endpoints");
		if (fake_eps[i].id == 0)
			ep = &fake_eps[i];
	}
	if (error == 0) {
		*ep = (struct fake_ep){.id = next_id++,
		    .arena_pages = op->arena_pages,
		    .frame_pages = (op->flags & CHAN_WANT_HUGE) && (fake_flags & FAKE_HUGE) &&
					   op->arena_pages % CHAN_HUGE_PAGES == 0
				       ? CHAN_HUGE_PAGES
				       : 1,
		    .max_peers = op->name[0] != '\0' ? op->max_peers : 1,
		    .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
		memcpy(ep->name, op->name, sizeof(ep->name));
		make_area(ep, (uint8_t *)(uintptr_t)(op->gfn * ARENA_PAGE));
		ep->status->state = CHAN_STATE_OPEN;
		ep->status->frame_pages = ep->frame_pages;
		ep->status->arena_pages = ep->arena_pages;
		ep->control->desc[0].seq = 1;
		op->id = cep->id = ep->id;
		op->frame_pages = ep->frame_pages;
		op->port = cep->port = 0;
		cep->fd = ep->fd;
	}
	pthread_mutex_unlock(&fake_mutex);
	return error;
}

/* ---- seals: fake_seal.c does it ---- */

static int fake_seal(struct chan_endpoint *cep, const struct chan_seal *op)
{
	uint64_t frames = 0;
	int error;

	pthread_mutex_lock(&fake_mutex);
	error = fake_failure(FAKE_SEAL);
	if (error == 0)
		error = fake_do_seal(fake_find(cep->id), op);
	pthread_mutex_unlock(&fake_mutex);
	for (uint32_t k = 0; k < op->nr; k++)
		frames += op->range[k].nr;
	take_time(call_takes + frames * frame_takes);
	return error;
}

static int fake_reap(struct chan_endpoint *cep)
{
	int ret;

	take_time(call_takes);
	pthread_mutex_lock(&fake_mutex);
	ret = fake_failure(FAKE_REAP);
	if (ret == 0)
		ret = fake_do_reap(fake_find(cep->id));
	pthread_mutex_unlock(&fake_mutex);
	return ret;
}

static int fake_refresh(struct chan_endpoint *cep, const struct chan_refresh *op)
{
	int error;

	pthread_mutex_lock(&fake_mutex);
	error = fake_failure(FAKE_REFRESH);
	if (error == 0)
		error = fake_do_refresh(fake_find(cep->id), op);
	pthread_mutex_unlock(&fake_mutex);
	return error;
}

/* ---- events ---- */

static int fake_notify(struct chan_endpoint *cep, uint32_t peers)
{
	struct fake_ep *ep;

	pthread_mutex_lock(&fake_mutex);
	ep = fake_find(cep->id);
	for (unsigned i = 0; i < CHAN_MAX_PEERS; i++)
		if ((peers >> i & 1) && ep->link[i].state == LINK_MAPPED && !ep->link[i].gone)
			fake_raise(ep->link[i].peer);
	pthread_mutex_unlock(&fake_mutex);
	return 0;
}

static bool fake_take(struct chan_endpoint *cep)
{
	uint64_t count;

	return read(cep->fd, &count, sizeof(count)) == sizeof(count);
}

static int fake_wait(struct chan_endpoint *cep, uint64_t deadline)
{
	struct pollfd pfd = {.fd = cep->fd, .events = POLLIN};
	struct timespec ts, *timeout = NULL;
	uint64_t now = fake_clock(), left = deadline > now ? deadline - now : 0;

	if (deadline != CHAN_FOREVER) {
		ts = (struct timespec){
		    .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
		timeout = &ts;
	}
	if (ppoll(&pfd, 1, timeout, NULL) == 0)
		return -ETIME;
	fake_take(cep);
	return 0;
}

static uint64_t fake_now(void *ctx)
{
	(void)ctx;
	return fake_clock();
}

const struct chan_transport *chan_default_transport(void)
{
	static const struct chan_transport transport = {
	    .place = fake_place,
	    .unplace = fake_unplace,
	    .create = fake_create,
	    .connect = fake_connect,
	    .accept = fake_accept,
	    .query = fake_query,
	    .seal = fake_seal,
	    .refresh = fake_refresh,
	    .reap = fake_reap,
	    .notify = fake_notify,
	    .drop = fake_drop,
	    .close = fake_close,
	    .wait = fake_wait,
	    .take = fake_take,
	    .now_ns = fake_now,
	    .alloc = fake_alloc,
	    .free = fake_free,
	};

	return &transport;
}

/* ---- for tests ---- */

void fake_start(unsigned flags)
{
	fake_flags = flags;
	call_takes = frame_takes = 0;
	memset(calls, 0, sizeof(calls));
	memset(failing, 0, sizeof(failing));
}

unsigned fake_end(void)
{
	unsigned left = (unsigned)mappings;

	for (unsigned i = 0; i < FAKE_ENDPOINTS; i++)
		left += fake_eps[i].id != 0;
	if (left != 0)
		fprintf(stderr, "fake: %d mappings and %u endpoints left\n", mappings,
		    left - (unsigned)mappings);
	return left;
}

void fake_fail(enum fake_call call, unsigned n, int error)
{
	pthread_mutex_lock(&fake_mutex);
	failing[call].n = n;
	failing[call].error = error;
	pthread_mutex_unlock(&fake_mutex);
}

void fake_slow(uint64_t call_ns, uint64_t frame_ns)
{
	call_takes = call_ns;
	frame_takes = frame_ns;
}

uint64_t fake_calls(enum fake_call call)
{
	return calls[call];
}
