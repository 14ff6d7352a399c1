/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/program.h"

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/now.h"
#include "lib/sys.h"

#define NSEC_PER_SEC UINT64_C(1000000000)

int program_wait(int fd, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
	struct timespec ts = {
	    .tv_sec = (time_t)(left / NSEC_PER_SEC), .tv_nsec = (long)(left % NSEC_PER_SEC)};
	int n = ppoll(&p, 1, deadline != UINT64_MAX ? &ts : NULL, NULL);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n == 0 ? -ETIME : 0;
}

uint64_t program_now_ns(void *ctx)
{
	(void)ctx;
	return now_ns();
}

void *program_alloc(void *ctx, size_t bytes)
{
	void *memory = SYS_MMAP(mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

	(void)ctx;
	return memory != MAP_FAILED ? memory : NULL;
}

void program_free(void *ctx, void *memory, size_t bytes)
{
	(void)ctx;
	munmap(memory, bytes);
}
