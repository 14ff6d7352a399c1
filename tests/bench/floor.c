/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_floor: see floor.h.
 */
#include "floor.h"

#include <err.h>
#include <sys/socket.h>

#include "proto/wire.h"

static void answer(const void *buf, size_t len)
{
	if (send(FLOOR_FD, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		err(1, "send");
}

int main(void)
{
	static struct floor_times times;
	static struct wire_result result;
	struct wire_hypercall request;
	const char ready = FLOOR_READY;
	ssize_t n;

	floor_vm_build();
	answer(&ready, sizeof(ready));
	while ((n = recv(FLOOR_FD, &request, sizeof(request), 0)) > 0) {
		if (*(const char *)&request == FLOOR_ECHO) {
			answer(&result, sizeof(result));
		} else {
			floor_vm_breaks(&times);
			answer(&times, sizeof(times));
		}
	}
	if (n < 0)
		err(1, "recv");
	return 0;
}
