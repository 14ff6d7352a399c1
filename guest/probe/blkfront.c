/* SPDX-License-Identifier: BSD-2-Clause */
#include "blkfront.h"

#define DISK "device/vbd/51712"
#define PAUSE (SECOND / 500)

static char backend[256];

static void *need_pages(size_t pages)
{
	void *p = page_alloc(pages);

	if (p == NULL)
		fail(80, "out of memory");
	return p;
}

/* Decimal digits behind the text that is there. */
static void append_number(char *text, size_t room, uint64_t number)
{
	char digits[24];
	size_t n = 0, len = strlen(text);

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	if (len + n + 1 > room)
		fail(81, "no room for a number");
	while (n > 0)
		text[len++] = digits[--n];
	text[len] = '\0';
}

static void append(char *text, size_t room, const char *more)
{
	size_t len = strlen(text);

	if (len + strlen(more) + 1 > room)
		fail(81, "no room for %s", more);
	memcpy(text + len, more, strlen(more) + 1);
}

static void put(const char *name, uint64_t number)
{
	char path[64] = DISK "/", value[24] = "";

	append(path, sizeof(path), name);
	append_number(value, sizeof(value), number);
	expect(82, path, xenstore_write(0, path, value, strlen(value)), 0);
}

uint64_t front_number(const char *name, uint64_t fallback)
{
	char path[320] = "", value[64];

	if (backend[0] == '\0')
		expect(83, "backend",
		    xenstore_read(0, DISK "/backend", backend, sizeof(backend), NULL), 0);
	append(path, sizeof(path), backend);
	append(path, sizeof(path), "/");
	append(path, sizeof(path), name);
	if (xenstore_read(0, path, value, sizeof(value), NULL) != 0)
		return fallback;
	return strtoull(value, NULL, 10);
}

bool front_told(const char *name)
{
	char path[64] = DISK "/", value[24];

	append(path, sizeof(path), name);
	return xenstore_read(0, path, value, sizeof(value), NULL) == 0;
}

void front_await(enum xenbus_state state)
{
	uint64_t end = time_after(PATIENCE), now;

	while ((now = front_number("state", 0)) != state) {
		if (time_ns() > end)
			fail(84, "the backend's state is %llu, not %u", (unsigned long long)now,
			    state);
		time_sleep(PAUSE);
	}
}

void front_say(enum xenbus_state state)
{
	put("state", state);
}

/* ---- connecting ---- */

static void make_ring(struct front *f)
{
	unsigned int pages = 1u << f->order;

	f->shared = need_pages(pages);
	f->size = 1;
	while (2 * f->size * sizeof(f->shared->ring[0]) <=
	       pages * PAGE_SIZE - offsetof(struct blkif_sring, ring))
		f->size *= 2;
	f->shared->req_event = f->shared->rsp_event = 1;
	f->req_prod = f->rsp_cons = 0;
	for (unsigned int i = 0; i < pages; i++)
		expect(85, "grant",
		    grant_page((char *)f->shared + i * PAGE_SIZE, 0, true, &f->refs[i]), 0);
	expect(86, "port", event_alloc(0, &f->port), 0);
}

static void make_ios(struct front *f)
{
	for (unsigned int i = 0; i < FRONT_MAX_IOS; i++) {
		f->ios[i].busy = false;
		if (f->ios[i].data != NULL)
			continue;
		f->ios[i].data = need_pages(FRONT_PAGES);
		f->ios[i].listed = need_pages(1);
	}
}

static void grant_all(struct front_io *io)
{
	for (unsigned int i = 0; i < FRONT_PAGES; i++)
		expect(87, "grant", grant_page(io->data + i * PAGE_SIZE, 0, true, &io->refs[i]), 0);
	expect(87, "grant", grant_page(io->listed, 0, true, &io->listed_ref), 0);
	io->npages = FRONT_PAGES;
}

/* Who keeps its pages granted, says so: then the backend may keep them mapped. */
void front_offer(struct front *f, RING_IDX req_prod)
{
	make_ring(f);
	make_ios(f);
	f->shared->req_prod = req_prod;
	for (unsigned int i = 0; f->persistent && i < FRONT_MAX_IOS; i++)
		grant_all(&f->ios[i]);
	if (f->order > 0) {
		put("ring-page-order", f->order);
		for (unsigned int i = 0; i < 1u << f->order; i++) {
			char name[16] = "ring-ref";

			append_number(name, sizeof(name), i);
			put(name, f->refs[i]);
		}
	} else {
		expect(88, "no order", xenstore_write(0, DISK "/ring-page-order", "0", 1), 0);
		put("ring-ref", f->refs[0]);
	}
	put("event-channel", f->port);
	put("feature-persistent", f->persistent);
	expect(88, "protocol", xenstore_write(0, DISK "/protocol", "x86_64-abi", 10), 0);
	front_say(XenbusStateInitialised);
}

void front_connect(struct front *f)
{
	front_await(XenbusStateInitWait);
	if (f->order > front_number("max-ring-page-order", 0))
		fail(89, "a ring of this order is not offered");
	front_offer(f, 0);
	front_await(XenbusStateConnected);
	f->sectors = front_number("sectors", 0);
	f->read_only = front_number("info", 0) & VDISK_READONLY;
	f->discards = front_number("feature-discard", 0) != 0;
	if (f->indirect && front_number("feature-max-indirect-segments", 0) < FRONT_PAGES)
		fail(89, "indirect segments are not offered");
	front_say(XenbusStateConnected);
}

static void revoke_all(struct front_io *io)
{
	for (unsigned int i = 0; i < io->npages; i++)
		expect(90, "revoke", grant_revoke(io->refs[i]), 0);
	if (io->npages > 0)
		expect(90, "revoke", grant_revoke(io->listed_ref), 0);
	io->npages = 0;
}

void front_close(struct front *f)
{
	front_say(XenbusStateClosing);
	front_await(XenbusStateClosing);
	front_forget(f);
}

/* Nothing is mapped by the backend any more once it is Closed. */
void front_forget(struct front *f)
{
	front_say(XenbusStateClosed);
	front_await(XenbusStateClosed);
	for (unsigned int i = 0; i < FRONT_MAX_IOS; i++)
		revoke_all(&f->ios[i]);
	for (unsigned int i = 0; i < 1u << f->order; i++)
		expect(91, "revoke", grant_revoke(f->refs[i]), 0);
	expect(92, "close", event_close(f->port), 0);
	page_free(f->shared, 1u << f->order);
}

/* ---- requests ---- */

/* Responses come by our numbers of the requests, each once. */
static void take_responses(struct front *f)
{
	RING_IDX prod = __atomic_load_n(&f->shared->rsp_prod, __ATOMIC_ACQUIRE);

	while (f->rsp_cons != prod) {
		const struct blkif_response *rsp = &f->shared->ring[f->rsp_cons++ & (f->size - 1)]
							.rsp;
		struct front_io *io = &f->ios[rsp->id % FRONT_MAX_IOS];

		if (rsp->id >= FRONT_MAX_IOS || !io->busy || io->done)
			fail(93, "response %u is for number %llu", f->rsp_cons - 1,
			    (unsigned long long)rsp->id);
		expect(94, "its operation", rsp->operation, io->operation);
		io->status = rsp->status;
		io->done = true;
	}
}

/* Another response than those that were taken: looking once more here would take the awaited one. */
static void wait_any(struct front *f)
{
	__atomic_store_n(&f->shared->rsp_event, f->rsp_cons + 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&f->shared->rsp_prod, __ATOMIC_SEQ_CST) != f->rsp_cons)
		return;
	f->slept++;
	expect(95, "a response", event_wait(&f->port, 1, time_after(PATIENCE), NULL), 0);
}

struct front_io *front_get(struct front *f)
{
	for (unsigned int i = 0; i < FRONT_MAX_IOS; i++)
		if (!f->ios[i].busy)
			return &f->ios[i];
	fail(96, "all are in use");
}

void front_raw(struct front *f, struct front_io *io, const void *request, uint8_t operation)
{
	memcpy(
	    &f->shared->ring[f->req_prod++ & (f->size - 1)], request, sizeof(struct blkif_request));
	io->operation = operation;
	io->busy = true;
	io->done = false;
}

/* Nobody may be at the other end, if the backend was killed: who comes will look. */
void front_publish(struct front *f)
{
	RING_IDX old = f->shared->req_prod;

	__atomic_store_n(&f->shared->req_prod, f->req_prod, __ATOMIC_SEQ_CST);
	if (f->req_prod - __atomic_load_n(&f->shared->req_event, __ATOMIC_SEQ_CST) <
	    f->req_prod - old) {
		f->sent++;
		(void)event_send(f->port);
	}
}

static void grant_some(struct front_io *io, unsigned int pages, bool writable)
{
	for (unsigned int i = 0; i < pages; i++)
		expect(87, "grant", grant_page(io->data + i * PAGE_SIZE, 0, writable, &io->refs[i]),
		    0);
	expect(87, "grant", grant_page(io->listed, 0, false, &io->listed_ref), 0);
	io->npages = pages;
}

/* Whole pages, but for the last one. */
static void list_segments(
    const struct front_io *io, unsigned int sectors, struct blkif_request_segment *seg)
{
	for (unsigned int i = 0; sectors > 0; i++) {
		unsigned int n = sectors < FRONT_PAGE_SECTORS ? sectors : FRONT_PAGE_SECTORS;

		seg[i] = (struct blkif_request_segment){
		    .gref = io->refs[i], .first_sect = 0, .last_sect = (uint8_t)(n - 1)};
		sectors -= n;
	}
}

void front_queue(
    struct front *f, struct front_io *io, uint8_t operation, uint64_t sector, unsigned int sectors)
{
	unsigned int pages = (sectors + FRONT_PAGE_SECTORS - 1) / FRONT_PAGE_SECTORS;
	union {
		struct blkif_request rw;
		struct blkif_request_indirect indirect;
	} e = {0};

	if (!f->persistent)
		grant_some(io, pages, operation == BLKIF_OP_READ);
	if (f->indirect) {
		list_segments(io, sectors, io->listed);
		e.indirect = (struct blkif_request_indirect){.operation = BLKIF_OP_INDIRECT,
		    .indirect_op = operation,
		    .nr_segments = (uint16_t)pages,
		    .id = (uint64_t)(io - f->ios),
		    .sector_number = sector,
		    .indirect_grefs = {io->listed_ref}};
	} else {
		e.rw = (struct blkif_request){.operation = operation,
		    .nr_segments = (uint8_t)pages,
		    .id = (uint64_t)(io - f->ios),
		    .sector_number = sector};
		list_segments(io, sectors, e.rw.seg);
	}
	front_raw(f, io, &e, operation);
}

void front_start(
    struct front *f, struct front_io *io, uint8_t operation, uint64_t sector, unsigned int sectors)
{
	front_queue(f, io, operation, sector, sectors);
	front_publish(f);
}

void front_simple(
    struct front *f, struct front_io *io, uint8_t operation, uint64_t sector, uint64_t sectors)
{
	union {
		struct blkif_request rw;
		struct blkif_request_discard discard;
	} e = {0};

	e.discard = (struct blkif_request_discard){.operation = operation,
	    .id = (uint64_t)(io - f->ios),
	    .sector_number = sector,
	    .nr_sectors = sectors};
	front_raw(f, io, &e, operation);
	front_publish(f);
}

/* Pages that were granted for one request are ours again when its response is there. */
int front_wait(struct front *f, struct front_io *io)
{
	take_responses(f);
	while (!io->done) {
		wait_any(f);
		take_responses(f);
	}
	if (!f->persistent)
		revoke_all(io);
	io->busy = false;
	return io->status;
}
