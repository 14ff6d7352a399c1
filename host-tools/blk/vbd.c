/* SPDX-License-Identifier: BSD-2-Clause */
#include "vbd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <xentoollog.h>

#include "../xen/evtsend.h"
#include "../xen/gntfill.h"
#include "say.h"

#define BIND_PAUSE_MS 10u
#define AT_A_TIME 8u /* requests */

/* What goes wrong is told by us, and only a few times: a guest can make it go wrong. */
static void say_nothing(struct xentoollog_logger *logger, xentoollog_level level, int error,
    const char *context, const char *format, va_list ap)
{
	(void)logger;
	(void)level;
	(void)error;
	(void)context;
	(void)format;
	(void)ap;
}

static struct xentoollog_logger silent = {.vmessage = say_nothing};

/* From here on no other guest's pages can be had by this handle. */
static int open_grants(struct vbd *v, const struct disk *disk, struct failure *f)
{
	int error;

	v->grants.handle = xengnttab_open(&silent, 0);
	if (v->grants.handle == NULL)
		return failure_sys(f, -errno, "cannot use grants");
	error = gntfill_only(v->grants.handle, v->grants.domid);
	if (error != 0)
		return failure_sys(f, error, "cannot use the guest's grants");
	if (disk->share)
		error = gntfill_file(v->grants.handle, disk->fd);
	return error != 0 ? failure_sys(f, error, "the disk's file can't be shared") : 0;
}

int vbd_open(struct vbd *v, const struct disk *disk, uint32_t domid, struct failure *f)
{
	int fd, error;

	memset(v, 0, sizeof(*v));
	v->disk = disk;
	v->grants.domid = domid;
	v->events = xenevtchn_open(&silent, 0);
	if (v->events == NULL)
		return failure_sys(f, -errno, "cannot use event channels");
	/* From here on no other guest's ports can be had by it. */
	if (xenevtchn_restrict(v->events, (domid_t)domid) != 0)
		return failure_sys(f, -errno, "cannot use the guest's event channels");
	/* What is said to be pending may be gone: never to wait in there. */
	fd = xenevtchn_fd(v->events);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return failure_sys(f, -errno, "cannot use event channels");
	error = open_grants(v, disk, f);
	return error != 0 ? error : io_open(&v->io, disk->fd, BLK_MAX_RING_ENTRIES, f);
}

/* ---- requests ---- */

static void finish(struct vbd *v, struct vbd_slot *s, int status)
{
	if (s->state == VBD_UNDER_WAY)
		v->under_way--;
	grants_release(&v->grants, &s->use);
	s->status = (int16_t)status;
	s->state = VBD_DONE;
}

/* Up to the next page that was lent. */
static unsigned run_of(const struct vbd_slot *s)
{
	unsigned n = 0;

	while (n < s->niov && s->iov[n].iov_base != NULL)
		n++;
	return n;
}

static void start(struct vbd *v, struct vbd_slot *s)
{
	if (s->state != VBD_UNDER_WAY)
		v->under_way++;
	s->state = VBD_UNDER_WAY;
	io_start(&v->io, s->kind, s->iov, run_of(s), s->offset, s->left, (uint64_t)(s - v->slots));
}

/* The segments of an indirect request, from the guest's pages: all copied before any is looked at. */
static int read_indirect(struct vbd *v, struct blk_request *rq, struct grant_use *use)
{
	struct blkif_request_segment listed[BLK_MAX_SEGMENTS];
	void *pages[BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST];

	_Static_assert(BLK_MAX_SEGMENTS <= BLK_LISTED_PER_PAGE, "they stand in one page");
	if (grants_map(&v->grants, rq->indirect, 1, false, pages, use) != 0)
		return BLKIF_RSP_ERROR;
	memcpy(listed, pages[0], rq->nlisted * sizeof(listed[0]));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	grants_release(&v->grants, use);
	return request_add(rq, listed, rq->nlisted, &v->disk->limits);
}

/* Whole pages of the file that go into whole pages of the guest are lent, where that can be. */
static void lend_segments(struct vbd *v, const struct blk_request *rq, bool *lent)
{
	struct xenwire_fill fills[BLK_MAX_SEGMENTS];
	int32_t errors[BLK_MAX_SEGMENTS];
	unsigned at[BLK_MAX_SEGMENTS], n = 0;
	uint64_t offset = rq->offset;

	_Static_assert(BLK_MAX_SEGMENTS <= XENWIRE_MAX_FILL, "a request is a packet");
	for (unsigned i = 0; i < rq->nsegments; offset += rq->segments[i++].length) {
		if (rq->segments[i].length != BLK_PAGE || offset % BLK_PAGE != 0)
			continue;
		at[n] = i;
		fills[n++] = (struct xenwire_fill){
		    .ref = rq->segments[i].ref, .page = offset / BLK_PAGE};
	}
	if (n == 0 || gntfill_pages(v->grants.handle, fills, n, errors) != 0)
		return;
	for (unsigned i = 0; i < n; i++)
		lent[at[i]] = errors[i] == 0;
}

/* Where the file's bytes are to go, or come from; nowhere if the page was lent. */
static int map_segments(struct vbd *v, struct vbd_slot *s, const struct blk_request *rq)
{
	uint32_t refs[BLK_MAX_SEGMENTS];
	void *pages[BLK_MAX_SEGMENTS];
	unsigned at[BLK_MAX_SEGMENTS], n = 0;
	bool lent[BLK_MAX_SEGMENTS] = {false};

	if (v->disk->share && rq->kind == BLK_READ)
		lend_segments(v, rq, lent);
	for (unsigned i = 0; i < rq->nsegments; i++) {
		s->iovs[i] = (struct iovec){NULL, rq->segments[i].length};
		if (!lent[i]) {
			at[n] = i;
			refs[n++] = rq->segments[i].ref;
		}
	}
	if (grants_map(&v->grants, refs, n, rq->kind == BLK_READ, pages, &s->use) != 0)
		return BLKIF_RSP_ERROR;
	for (unsigned i = 0; i < n; i++)
		s->iovs[at[i]].iov_base = (char *)pages[i] + rq->segments[at[i]].offset;
	s->iov = s->iovs;
	s->niov = rq->nsegments;
	return BLKIF_RSP_OKAY;
}

static int prepare(struct vbd *v, struct vbd_slot *s, const union blk_entry *e)
{
	struct blk_request *rq = &v->request;
	int status = request_parse(e, &v->disk->limits, rq);

	s->id = rq->id;
	if (status == BLKIF_RSP_OKAY && rq->nindirect > 0)
		status = read_indirect(v, rq, &s->use);
	s->operation = rq->operation;
	s->kind = rq->kind;
	s->offset = rq->offset;
	s->left = rq->length;
	if (status == BLKIF_RSP_OKAY && rq->nsegments > 0)
		status = map_segments(v, s, rq);
	return status;
}

static bool moves_p(const struct vbd_slot *s)
{
	return s->kind == BLK_READ || s->kind == BLK_WRITE;
}

static void skip_lent(struct vbd_slot *s)
{
	for (; s->niov > 0 && s->iov->iov_base == NULL; s->iov++, s->niov--) {
		s->offset += s->iov->iov_len;
		s->left -= s->iov->iov_len;
	}
}

/* Go on with what is left of it, if anything is. */
static void go_on(struct vbd *v, struct vbd_slot *s)
{
	if (moves_p(s))
		skip_lent(s);
	if (moves_p(s) && s->left == 0)
		finish(v, s, BLKIF_RSP_OKAY);
	else
		start(v, s);
}

static void take(struct vbd *v, const union blk_entry *e, uint32_t index)
{
	struct vbd_slot *s = &v->slots[index & (v->ring.size - 1)];
	int status = prepare(v, s, e);

	if (status == BLKIF_RSP_OKAY) {
		go_on(v, s);
		return;
	}
	say_a_few(&v->said, "request %ju (operation %u, sector %ju) is refused",
	    (uintmax_t)e->rw.id, e->rw.operation, (uintmax_t)e->rw.sector_number);
	finish(v, s, status);
}

/* A part of it is done. */
static void advance(struct vbd_slot *s, uint64_t bytes)
{
	s->offset += bytes;
	s->left -= bytes;
	while (s->niov > 0 && bytes >= s->iov->iov_len) {
		bytes -= s->iov->iov_len;
		s->iov++;
		s->niov--;
	}
	if (bytes > 0) {
		s->iov->iov_base = (char *)s->iov->iov_base + bytes;
		s->iov->iov_len -= bytes;
	}
}

static void fail(struct vbd *v, struct vbd_slot *s, int error)
{
	static const char *const names[] = {[BLK_READ] = "read",
	    [BLK_WRITE] = "write",
	    [BLK_FLUSH] = "flush",
	    [BLK_DISCARD] = "discard"};

	say_a_few(&v->said, "cannot %s at byte %ju: %s", names[s->kind], (uintmax_t)s->offset,
	    error != 0 ? strerror(-error) : "the file ends there");
	finish(v, s, error == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR);
}

/* => result: as a system call's, but -errno */
static void proceed(struct vbd *v, struct vbd_slot *s, int result)
{
	if (result == -EAGAIN || result == -EINTR) {
		start(v, s);
		return;
	}
	if (result < 0 || (moves_p(s) && result == 0)) {
		fail(v, s, result);
		return;
	}
	if (!moves_p(s)) {
		finish(v, s, BLKIF_RSP_OKAY);
		return;
	}
	advance(s, (uint64_t)result);
	go_on(v, s);
}

static void submit(struct vbd *v)
{
	int error = io_submit(&v->io);

	if (error != 0)
		say_a_few(&v->said, "io_uring: %s", strerror(-error));
}

/* What is done, and what follows from it at once. */
static void reap(struct vbd *v)
{
	uint64_t tag;
	int result;

	submit(v);
	while (io_done(&v->io, false, &tag, &result)) {
		proceed(v, &v->slots[tag], result);
		submit(v);
	}
}

/* ---- the ring ---- */

/* The next responses in order, as far as they are there. */
static void answer(struct vbd *v)
{
	struct ring *r = &v->ring;
	bool any = false;

	while (r->rsp_prod != r->req_cons) {
		struct vbd_slot *s = &v->slots[r->rsp_prod & (r->size - 1)];

		if (s->state != VBD_DONE)
			break;
		s->state = VBD_FREE;
		ring_answer(r, s->id, s->operation, s->status);
		any = true;
	}
	if (any && ring_push(r))
		(void)evtsend(v->events, v->port);
}

static void stop(struct vbd *v)
{
	v->stopped = true;
	say_a_few(&v->said, "the indices in its ring can't be: the ring is stopped until the guest "
			    "makes another one");
}

/*
 * A few, so that the guest is told of the first responses while we are at the next.
 * => are there perhaps more?
 */
static bool take_requests(struct vbd *v)
{
	union blk_entry e;
	uint32_t index;

	for (unsigned i = 0; i < AT_A_TIME; i++) {
		switch (ring_next(&v->ring, &e, &index)) {
		case RING_REQUEST:
			take(v, &e, index);
			break;
		case RING_EMPTY:
			return false;
		case RING_LIES:
			stop(v);
			return false;
		}
	}
	return true;
}

bool vbd_serve(struct vbd *v)
{
	bool more;

	if (!v->connected)
		return false;
	more = !v->stopped && take_requests(v);
	reap(v);
	if (v->stopped)
		return false;
	answer(v);
	return more;
}

bool vbd_work(struct vbd *v)
{
	return v->connected && ((!v->stopped && ring_any(&v->ring)) || io_any(&v->io));
}

/* The guest sends events only for requests behind those that ring_more has said. */
bool vbd_rest(struct vbd *v)
{
	if (!v->connected)
		return false;
	if (!v->stopped && ring_more(&v->ring))
		return true;
	if (v->told)
		(void)xenevtchn_unmask(v->events, v->port);
	v->told = false;
	return false;
}

bool vbd_event(struct vbd *v)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(v->events);

	if (port >= 0)
		v->told = v->connected && (uint32_t)port == v->port;
	return port >= 0 || errno == EAGAIN || errno == EINTR;
}

/* ---- connecting ---- */

/* The cell may yet have to notice that who had the port before has died. */
static xenevtchn_port_or_error_t bind_patiently(struct vbd *v, uint32_t remote)
{
	const struct timespec pause = {.tv_nsec = BIND_PAUSE_MS * 1000000L};
	xenevtchn_port_or_error_t port;

	for (unsigned ms = 0;; ms += BIND_PAUSE_MS) {
		port = xenevtchn_bind_interdomain(v->events, v->grants.domid, remote);
		if (port >= 0 || errno != EINVAL || ms >= v->patience_ms)
			return port;
		nanosleep(&pause, NULL);
	}
}

static int bind_port(struct vbd *v, const struct vbd_front *front, struct failure *f)
{
	xenevtchn_port_or_error_t port = bind_patiently(v, front->port);

	if (port < 0)
		return failure_sys(f, -errno, "its event channel %u can't be bound", front->port);
	v->port = (uint32_t)port;
	return 0;
}

static int map_ring(struct vbd *v, const struct vbd_front *front, struct failure *f)
{
	uint32_t refs[BLK_MAX_RING_PAGES];
	void *pages;

	memcpy(refs, front->refs, sizeof(refs));
	pages = xengnttab_map_domain_grant_refs(
	    v->grants.handle, front->npages, v->grants.domid, refs, PROT_READ | PROT_WRITE);
	if (pages == NULL)
		return failure_sys(f, -errno, "its ring (reference %u) can't be mapped", refs[0]);
	if (ring_attach(&v->ring, pages, front->npages))
		return 0;
	(void)xengnttab_unmap(v->grants.handle, pages, front->npages);
	return failure_set(f, -EPROTO, "the indices in its ring can't be");
}

int vbd_connect(struct vbd *v, const struct vbd_front *front, struct failure *f)
{
	int error = bind_port(v, front, f);

	if (error != 0)
		return error;
	error = map_ring(v, front, f);
	if (error != 0) {
		(void)xenevtchn_unbind(v->events, v->port);
		return error;
	}
	v->npages = front->npages;
	/* Pages that stay mapped can't be lent. */
	v->grants.persistent = front->persistent && !v->disk->share;
	v->stopped = v->told = false;
	v->connected = true;
	/* Whoever was here before may have died before it told the guest of its last responses. */
	(void)xenevtchn_notify(v->events, v->port);
	return 0;
}

void vbd_disconnect(struct vbd *v)
{
	uint64_t tag;
	int result;

	if (!v->connected)
		return;
	while (v->under_way > 0) {
		submit(v);
		if (io_done(&v->io, true, &tag, &result))
			proceed(v, &v->slots[tag], result);
	}
	if (!v->stopped)
		answer(v);
	for (unsigned i = 0; i < BLK_MAX_RING_ENTRIES; i++)
		v->slots[i].state = VBD_FREE;
	grants_drop(&v->grants);
	(void)xengnttab_unmap(v->grants.handle, v->ring.shared, v->npages);
	(void)xenevtchn_unbind(v->events, v->port);
	v->connected = false;
}
