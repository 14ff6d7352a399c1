/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "xen/public.h"

#define CHUNK 4096 /* copied at a time, whatever length the guest names */

/* => 0, or -errno when nobody will ever read this */
static int write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			poll(&p, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		} else if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* A console that nobody reads any more is no reason to stop a guest. */
static int64_t console_write(struct vmm *vm, const struct hypercall *h)
{
	uint64_t left = h->arg[1], gva = h->arg[2];
	char buf[CHUNK];

	while (left > 0) {
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);
		int out = atomic_load(&vm->console_out);
		int ret = gmem_copy_in(&vm->mem, &h->paging, buf, gva, n);

		if (ret)
			return ret;
		if (out >= 0 && write_all(out, buf, n))
			atomic_store(&vm->console_out, -1);
		left -= n;
		gva += n;
	}
	return 0;
}

/* What is there now, 0 bytes if nothing: Xen's console never waits. */
static int64_t console_read(struct vmm *vm, const struct hypercall *h)
{
	struct pollfd p = {.fd = vm->console_in, .events = POLLIN};
	char buf[CHUNK];
	ssize_t n;
	int ret;

	if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN))
		return 0;
	n = read(vm->console_in, buf, h->arg[1] < sizeof(buf) ? h->arg[1] : sizeof(buf));
	if (n <= 0)
		return 0;
	ret = gmem_copy_out(&vm->mem, &h->paging, h->arg[2], buf, (size_t)n);
	return ret ? ret : n;
}

int64_t console_op(struct vmm *vm, const struct hypercall *h)
{
	switch (h->arg[0]) {
	case CONSOLEIO_write:
		return console_write(vm, h);
	case CONSOLEIO_read:
		return console_read(vm, h);
	default:
		return -ENOSYS;
	}
}
