/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: what the core wants of a running guest.
 *
 * One request at a time.  An answer that has to wait for the vCPU thread is given when that says so
 * (gate.told): this thread never sleeps anywhere but in poll, where it sees the core's end.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/sock.h"
#include "vmm/vmm.h"

struct request {
	bool waiting; /* for the vCPU */
	struct wire_control msg;
};

static void reply(struct request *rq, int status)
{
	struct wire_controlled answer = {
	    .hdr = {.type = WIRE_CONTROLLED, .status = status, .seq = rq->msg.hdr.seq}};

	rq->waiting = false;
	if (sock_send(WIRE_FD_CONTROL, &answer, sizeof(answer), NULL, 0))
		link_lost();
}

/* Answer, if the vCPU has come as far as the request wants it. */
static void proceed(struct vmm *vm, struct request *rq)
{
	if (rq->waiting && gate_outside_p(vm))
		reply(rq, 0);
}

static void begin(struct vmm *vm, struct request *rq)
{
	switch (rq->msg.hdr.type) {
	case WIRE_PAUSE:
		gate_close(vm);
		rq->waiting = true;
		break;
	case WIRE_UNPAUSE:
		gate_open(vm);
		reply(rq, 0);
		break;
	default:
		reply(rq, -ENOSYS);
		break;
	}
}

static void take_request(struct vmm *vm, struct request *rq)
{
	size_t len;
	int ret = sock_recv(WIRE_FD_CONTROL, &rq->msg, sizeof(rq->msg), &len, NULL, 0, NULL);

	if (!ret && len != sizeof(rq->msg))
		ret = -EPROTO;
	if (ret) {
		if (ret != -EPIPE)
			fprintf(
			    stderr, "lombard-vmm: control channel: %s\n", strerrordesc_np(-ret));
		link_lost();
	}
	begin(vm, rq);
}

_Noreturn void control_serve(struct vmm *vm)
{
	struct pollfd p[] = {
	    {.fd = WIRE_FD_REQUEST, .events = POLLRDHUP},
	    {.fd = WIRE_FD_CONTROL, .events = POLLIN},
	    {.fd = vm->gate.told, .events = POLLIN},
	};
	struct request rq = {.waiting = false};
	uint64_t count;

	for (;;) {
		if (poll(p, 3, -1) < 0)
			continue;
		if (p[0].revents)
			link_lost();
		/* Before the look at the vCPU, so that nothing it says afterwards is missed. */
		if (p[2].revents)
			(void)!read(vm->gate.told, &count, sizeof(count));
		if (p[1].revents)
			take_request(vm, &rq);
		proceed(vm, &rq);
	}
}
