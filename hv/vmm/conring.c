/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/conring.h"

#include <stdint.h>
#include <string.h>
#include <xen/io/console.h>

_Static_assert(sizeof(((struct xencons_interface *)0)->out) == CONRING_OUT, "Xen's header says so");

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The other side's index: what it has written is seen once this is. */
static uint32_t load(const XENCONS_RING_IDX *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

/* Ours: what was read or written before is done when the other side sees this. */
static void store(XENCONS_RING_IDX *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_SEQ_CST);
}

size_t conring_peek(const struct xencons_interface *ring, char *buf, size_t room, uint32_t *at)
{
	uint32_t cons = load(&ring->out_cons), used = load(&ring->out_prod) - cons;
	uint32_t from = MASK_XENCONS_IDX(cons, ring->out);
	size_t n, first;

	*at = cons;
	if (used > sizeof(ring->out))
		return 0;
	n = min(used, room);
	first = min(n, sizeof(ring->out) - from);
	memcpy(buf, ring->out + from, first);
	memcpy(buf + first, ring->out, n - first);
	return n;
}

void conring_consume(struct xencons_interface *ring, uint32_t at)
{
	store(&ring->out_cons, at);
}

size_t conring_put(struct xencons_interface *ring, const char *buf, size_t len)
{
	uint32_t prod = load(&ring->in_prod), used = prod - load(&ring->in_cons);
	uint32_t to = MASK_XENCONS_IDX(prod, ring->in);
	size_t n, first;

	if (used > sizeof(ring->in))
		return 0;
	n = min(len, sizeof(ring->in) - used);
	first = min(n, sizeof(ring->in) - to);
	memcpy(ring->in + to, buf, first);
	memcpy(ring->in, buf + first, n - first);
	store(&ring->in_prod, prod + (uint32_t)n);
	return n;
}
