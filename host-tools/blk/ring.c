/* SPDX-License-Identifier: BSD-2-Clause */
#include "ring.h"

static struct ring_note *note_of(const struct ring *r)
{
	return (struct ring_note *)((char *)r->shared + RING_NOTE_AT);
}

static uint32_t load(const uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

/* Each store is seen after those before it: by the guest, and by whoever comes after a kill. */
static void store(uint32_t *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

static uint32_t entries(unsigned pages)
{
	uint32_t room = (pages * (size_t)BLK_PAGE - offsetof(struct blkif_sring, ring)) /
			sizeof(union blkif_sring_entry),
		 n = 1;

	while (2 * n <= room)
		n *= 2;
	return n;
}

/* At the place of request number rsp_prod; then it is the guest's. */
static void give(struct ring *r, uint64_t id, uint8_t operation, int16_t status)
{
	volatile struct blkif_response *rsp = &r->shared->ring[r->rsp_prod & (r->size - 1)].rsp;

	rsp->id = id;
	rsp->operation = operation;
	rsp->status = status;
	store(&r->shared->rsp_prod, ++r->rsp_prod);
	store(&note_of(r)->magic, 0);
}

bool ring_attach(struct ring *r, void *shared, unsigned pages)
{
	struct ring_note *note;

	r->shared = shared;
	r->size = entries(pages);
	r->rsp_prod = load(&r->shared->rsp_prod);
	if (load(&r->shared->req_prod) - r->rsp_prod > r->size)
		return false;
	r->rsp_told = r->rsp_prod;
	note = note_of(r);
	if (load(&note->magic) == RING_NOTE && note->index == r->rsp_prod &&
	    load(&r->shared->req_prod) != r->rsp_prod)
		give(r, note->id, note->operation, note->status);
	else
		store(&note->magic, 0);
	r->req_cons = r->rsp_prod;
	return true;
}

enum ring_next ring_next(struct ring *r, union blk_entry *copy, uint32_t *index)
{
	uint32_t req_prod = load(&r->shared->req_prod);

	if (req_prod - r->rsp_prod > r->size || req_prod - r->req_cons > r->size)
		return RING_LIES;
	if (req_prod == r->req_cons)
		return RING_EMPTY;
	*index = r->req_cons++;
	memcpy(copy, &r->shared->ring[*index & (r->size - 1)], sizeof(*copy));
	/* What is looked at afterwards is the copy. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return RING_REQUEST;
}

bool ring_any(const struct ring *r)
{
	return load(&r->shared->req_prod) != r->req_cons;
}

bool ring_more(struct ring *r)
{
	if (ring_any(r))
		return true;
	store(&r->shared->req_event, r->req_cons + 1);
	/* Either the guest sees that it must send an event, or we see its request. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_any(r);
}

void ring_answer(struct ring *r, uint64_t id, uint8_t operation, int16_t status)
{
	struct ring_note *note = note_of(r);

	note->index = r->rsp_prod;
	note->id = id;
	note->operation = operation;
	note->status = status;
	store(&note->magic, RING_NOTE);
	give(r, id, operation, status);
}

bool ring_push(struct ring *r)
{
	uint32_t told = r->rsp_told;

	r->rsp_told = r->rsp_prod;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return r->rsp_prod - load(&r->shared->rsp_event) < r->rsp_prod - told;
}
