/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console over its ring (Xen public/io/console.h).  The other side's
 * index is read once, and checked.
 */
#include "lombard-guest.h"
#include "start.h"

#include <xen/hvm/params.h>
#include <xen/io/console.h>

static struct xencons_interface *ring;
static uint32_t port;
static uint32_t out_prod, in_cons;

int consring_open(void)
{
	void *page;
	int err;

	if (ring != NULL)
		return 0;
	err = hvm_ring(HVM_PARAM_CONSOLE_PFN, HVM_PARAM_CONSOLE_EVTCHN, &page, &port);
	if (err != 0)
		return err;
	ring = page;
	out_prod = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE);
	in_cons = __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
	return 0;
}

uint32_t consring_port(void)
{
	return port;
}

/* As much as there is room for.  *done: 0: nobody has taken what is there. */
static int write_some(const char *p, size_t len, size_t *done)
{
	uint32_t used = out_prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE);
	uint32_t n = (uint32_t)sizeof(ring->out) - used;

	if (used > sizeof(ring->out))
		return -XEN_EIO;
	*done = n < len ? n : len;
	for (size_t i = 0; i < *done; i++)
		ring->out[MASK_XENCONS_IDX(out_prod + i, ring->out)] = p[i];
	out_prod += (uint32_t)*done;
	__atomic_store_n(&ring->out_prod, out_prod, __ATOMIC_SEQ_CST);
	return 0;
}

int consring_write(const char *text, size_t len, uint64_t deadline)
{
	int err = consring_open();
	size_t n;

	while (err == 0 && len > 0) {
		err = write_some(text, len, &n);
		if (err != 0)
			break;
		text += n;
		len -= n;
		(void)event_send(port);
		if (len > 0)
			err = event_wait(&port, 1, deadline, NULL);
	}
	return err;
}

int consring_flush(uint64_t deadline)
{
	int err = consring_open();

	while (err == 0 && __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE) != out_prod)
		err = event_wait(&port, 1, deadline, NULL);
	return err;
}

int consring_read(char *buf, size_t room, size_t *len)
{
	int err = consring_open();
	uint32_t n;

	if (err != 0)
		return err;
	n = __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE) - in_cons;
	if (n > sizeof(ring->in))
		return -XEN_EIO;
	*len = n < room ? n : room;
	for (size_t i = 0; i < *len; i++)
		buf[i] = ring->in[MASK_XENCONS_IDX(in_cons + i, ring->in)];
	in_cons += (uint32_t)*len;
	__atomic_store_n(&ring->in_cons, in_cons, __ATOMIC_SEQ_CST);
	if (*len > 0)
		(void)event_send(port);
	return 0;
}
