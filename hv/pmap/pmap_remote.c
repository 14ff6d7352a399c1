/* SPDX-License-Identifier: BSD-2-Clause */
#include "pmap/pmap_remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/sock.h"
#include "lib/uffd.h"
#include "pmap/store_memfd.h"

/* What a process can have, if the kernel does not tell (its default). */
#define MAX_MAPPINGS 65530u

/* From how many mappings on a process counts as crowded: half of what it can have. */
static pthread_once_t crowd_once = PTHREAD_ONCE_INIT;
static uint64_t crowd;

static void find_crowd(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long most = 0;

	if (file != NULL) {
		if (fscanf(file, "%lu", &most) != 1)
			most = 0;
		fclose(file);
	}
	crowd = (most != 0 ? most : MAX_MAPPINGS) / 2;
}

static struct remote_pmap *remote_of(struct pmap *pm)
{
	return (struct remote_pmap *)((char *)pm - offsetof(struct remote_pmap, rp_pmap));
}

/* => the run lies in one area */
static void *hva_of(const struct remote_pmap *rp, uint64_t gfn, uint64_t npages)
{
	for (unsigned i = 0; i < REMOTE_AREAS; i++) {
		const struct remote_area *ra = &rp->rp_areas[i];

		if (gfn >= ra->ra_gfn && gfn + npages <= ra->ra_gfn + ra->ra_npages)
			return (void *)(uintptr_t)(ra->ra_hva + (gfn - ra->ra_gfn) * UVM_PAGE_SIZE);
	}
	uvm_panic(__FILE__, __LINE__, "gfn outside the guest");
}

bool remote_pmap_gfn(const struct remote_pmap *rp, uint64_t hva, uint64_t *gfn)
{
	for (unsigned i = 0; i < REMOTE_AREAS; i++) {
		const struct remote_area *ra = &rp->rp_areas[i];

		if (hva >= ra->ra_hva && (hva - ra->ra_hva) / UVM_PAGE_SIZE < ra->ra_npages) {
			*gfn = ra->ra_gfn + (hva - ra->ra_hva) / UVM_PAGE_SIZE;
			return true;
		}
	}
	return false;
}

/* The message's descriptor of a store, added if it is new; -1 when the message is full. */
static int fd_slot(int fds[WIRE_MAX_FDS], unsigned *nfds, const struct pmap_extent *ext)
{
	struct memfd_store *ms;
	int fd;

	if (ext->kind != PMAP_LENT && ext->kind != PMAP_ARENA)
		return 0;
	ms = memfd_store_of(ext->store);
	fd = ext->kind == PMAP_ARENA ? ms->ms_fd : ms->ms_ro_fd;
	for (unsigned i = 0; i < *nfds; i++)
		if (fds[i] == fd)
			return (int)i;
	if (*nfds == WIRE_MAX_FDS)
		return -1;
	fds[*nfds] = fd;
	return (int)(*nfds)++;
}

static const uint16_t wire_kind[] = {
    [PMAP_OWN] = WIRE_OWN,
    [PMAP_LENT] = WIRE_LENT,
    [PMAP_ARENA] = WIRE_ARENA,
    [PMAP_ZERO] = WIRE_ZERO,
    [PMAP_NONE] = WIRE_NONE,
};

/* Pack extents into one message; returns how many fit. */
static size_t pack(struct wire_map *msg, int fds[WIRE_MAX_FDS], unsigned *nfds,
    const struct pmap_extent *ext, size_t n)
{
	size_t i;
	int slot;

	*nfds = 0;
	for (i = 0; i < n && i < WIRE_MAX_EXTENTS; i++) {
		slot = fd_slot(fds, nfds, &ext[i]);
		if (slot < 0)
			break;
		KASSERT(ext[i].npages <= UINT32_MAX);
		msg->extents[i] = (struct wire_extent){.gfn = ext[i].gfn,
		    .index = ext[i].index,
		    .npages = (uint32_t)ext[i].npages,
		    .kind = wire_kind[ext[i].kind],
		    .fd = (uint16_t)slot};
	}
	msg->nextents = (uint32_t)i;
	return i;
}

static int lose(struct remote_pmap *rp)
{
	rp->rp_lost = true;
	return -ESRCH;
}

/* A process that answers nonsense is treated as one that is gone: its owner kills it. */
static int await_reply(struct remote_pmap *rp)
{
	struct wire_mapped reply;
	size_t len;
	int error;

	error = sock_recv(rp->rp_sock, &reply, sizeof(reply), &len, NULL, 0, NULL);
	if (error != 0 || len != sizeof(reply) || reply.hdr.type != WIRE_MAPPED ||
	    reply.hdr.seq != rp->rp_seq || reply.hdr.status > 0)
		return lose(rp);
	atomic_store_explicit(&rp->rp_mappings, reply.mappings, memory_order_relaxed);
	atomic_store_explicit(
	    &rp->rp_pmap.pm_crowded, reply.mappings >= crowd, memory_order_relaxed);
	if (reply.hdr.status != 0)
		rp->rp_error = reply.hdr.status;
	return reply.hdr.status;
}

/* => its turn in the dialogue */
static int enter(struct remote_pmap *rp, const struct pmap_extent *ext, size_t n, size_t *done)
{
	struct wire_map msg;
	int fds[WIRE_MAX_FDS], error;
	unsigned nfds;
	size_t count;

	for (*done = 0; *done < n; *done += count) {
		count = pack(&msg, fds, &nfds, ext + *done, n - *done);
		msg.hdr = (struct wire_hdr){.type = WIRE_MAP, .seq = ++rp->rp_seq};
		/* An answer to each, so that neither side's socket can fill up. */
		msg.want_reply = 1;
		error = sock_send(rp->rp_sock, &msg,
		    offsetof(struct wire_map, extents) + count * sizeof(msg.extents[0]), fds, nfds);
		error = error != 0 ? lose(rp) : await_reply(rp);
		if (error != 0)
			return error;
	}
	return 0;
}

static int remote_enter(struct pmap *pm, const struct pmap_extent *ext, size_t n, size_t *done)
{
	struct remote_pmap *rp = remote_of(pm);
	int error;

	pthread_mutex_lock(&rp->rp_turn);
	error = enter(rp, ext, n, done);
	pthread_mutex_unlock(&rp->rp_turn);
	return error;
}

static int remote_protect(struct pmap *pm, uint64_t gfn, uint64_t npages)
{
	struct remote_pmap *rp = remote_of(pm);
	int error = uffd_protect(rp->rp_uffd, hva_of(rp, gfn, npages), npages * UVM_PAGE_SIZE);

	/* Nobody can write in an address space that is gone. */
	return error == -ESRCH ? 0 : error;
}

static void remote_unprotect(struct pmap *pm, uint64_t gfn, uint64_t npages)
{
	struct remote_pmap *rp = remote_of(pm);
	int error = uffd_unprotect(rp->rp_uffd, hva_of(rp, gfn, npages), npages * UVM_PAGE_SIZE);

	/* What stays protected is looked at again at its next write: slower, not wrong. */
	if (error != 0 && error != -ESRCH)
		fprintf(stderr, "lombardd: can't un-protect gfn %#jx: %s\n", (uintmax_t)gfn,
		    strerrordesc_np(-error));
}

static void remote_wake(struct pmap *pm, uint64_t gfn)
{
	struct remote_pmap *rp = remote_of(pm);

	(void)uffd_wake(rp->rp_uffd, hva_of(rp, gfn, 1), UVM_PAGE_SIZE);
}

static const struct pmap_ops remote_ops = {
    .pmo_enter = remote_enter,
    .pmo_protect = remote_protect,
    .pmo_unprotect = remote_unprotect,
    .pmo_wake = remote_wake,
};

void remote_pmap_init(struct remote_pmap *rp, struct uvm_store *store, int sock)
{
	pthread_once(&crowd_once, find_crowd);
	memset(rp, 0, sizeof(*rp));
	pthread_mutex_init(&rp->rp_turn, NULL);
	rp->rp_pmap.pm_ops = &remote_ops;
	rp->rp_store = store;
	rp->rp_sock = sock;
	rp->rp_uffd = -1;
}
