/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket: what the core wants of a running guest.
 *
 * One request at a time.  An answer that has to wait for vCPU threads is given when they say so
 * (gate.told): this thread never sleeps anywhere but in poll, where it sees the core's end.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/count.h"
#include "lib/now.h"
#include "lib/sock.h"
#include "vmm/vmm.h"

/* How long a hypercall may take before somebody who asks for the vCPU's state is told as it is. */
#define PATIENCE_MS 1000

struct request {
	bool waiting; /* for vCPUs */
	int64_t since;
	union {
		struct wire_hdr hdr;
		struct wire_control control;
		struct wire_set_state set_state;
		struct wire_attach attach;
	} msg;
	int fd;		    /* that came with it; -1: none */
	struct failure why; /* for messages; "": the status says it all */
};

static void send_or_end(const void *msg, size_t len)
{
	if (sock_send(WIRE_FD_CONTROL, msg, len, NULL, 0))
		link_lost();
}

static void reply(struct request *rq, int status)
{
	struct wire_controlled answer = {
	    .hdr = {.type = WIRE_CONTROLLED, .status = status, .seq = rq->msg.hdr.seq}};

	rq->waiting = false;
	memcpy(answer.text, rq->why.text, sizeof(answer.text));
	send_or_end(&answer, sizeof(answer));
}

/* The vCPU that a state is of, or NULL: there is none of that number. */
static struct vcpu *vcpu_of(struct vmm *vm, const struct request *rq)
{
	uint32_t id = rq->msg.hdr.type == WIRE_GET_STATE ? rq->msg.control.vcpu
							 : rq->msg.set_state.vcpu;

	return id < vm->cfg.vcpus ? &vm->vcpus[id] : NULL;
}

/* status: why it can't be told */
static void reply_state(const struct vcpu *v, struct request *rq, int status)
{
	struct wire_state answer = {.hdr = {.type = WIRE_STATE, .seq = rq->msg.hdr.seq}};

	rq->waiting = false;
	answer.hdr.status = status ? status : state_get(v, &answer.state);
	send_or_end(&answer, sizeof(answer));
}

/* The vCPUs are outside; a parked one's state is complete. */
static void proceed_with_state(struct vmm *vm, struct request *rq)
{
	struct vcpu *v = vcpu_of(vm, rq);
	bool parked = atomic_load(&v->parked);

	if (!parked && now_ms() - rq->since < PATIENCE_MS)
		return;
	if (rq->msg.hdr.type == WIRE_GET_STATE)
		reply_state(v, rq, 0);
	else
		reply(rq, parked ? state_set(v, &rq->msg.set_state.state) : -EBUSY);
}

/* Answer, if the vCPUs have come as far as the request wants them. */
static void proceed(struct vmm *vm, struct request *rq)
{
	if (!rq->waiting || !gate_outside_p(vm))
		return;
	if (rq->msg.hdr.type == WIRE_PAUSE)
		reply(rq, 0);
	else
		proceed_with_state(vm, rq);
}

static void begin_state(struct vmm *vm, struct request *rq)
{
	rq->waiting = gate_closed_p(vm) && vcpu_of(vm, rq);
	rq->since = now_ms();
	if (!rq->waiting && rq->msg.hdr.type == WIRE_GET_STATE)
		reply_state(NULL, rq, -EINVAL);
	else if (!rq->waiting)
		reply(rq, -EINVAL);
}

/* The descriptor is the console's, or still the request's. */
static int attach(struct vmm *vm, struct request *rq)
{
	int ret;

	if (rq->fd < 0)
		return -EPROTO;
	ret = console_attach(&vm->console, rq->fd, rq->msg.attach.history);
	if (!ret)
		rq->fd = -1;
	return ret;
}

/* What tools have built is looked at before it runs for the first time. */
static int unpause(struct vmm *vm, struct request *rq)
{
	int ret = vm->cfg.built && !vm->adopted ? adopt(vm, &rq->why) : 0;

	if (ret)
		return ret;
	vm->adopted = true;
	gate_open(vm);
	return 0;
}

static void begin(struct vmm *vm, struct request *rq)
{
	rq->why.text[0] = '\0';
	switch (rq->msg.hdr.type) {
	case WIRE_PAUSE:
		gate_close(vm);
		rq->waiting = true;
		break;
	case WIRE_UNPAUSE:
		reply(rq, unpause(vm, rq));
		break;
	case WIRE_GET_STATE:
	case WIRE_SET_STATE:
		begin_state(vm, rq);
		break;
	case WIRE_ATTACH:
		reply(rq, attach(vm, rq));
		break;
	default:
		reply(rq, -ENOSYS);
		break;
	}
}

static size_t size_of(uint32_t type)
{
	switch (type) {
	case WIRE_SET_STATE:
		return sizeof(struct wire_set_state);
	case WIRE_ATTACH:
		return sizeof(struct wire_attach);
	default:
		return sizeof(struct wire_control);
	}
}

static void take_request(struct vmm *vm, struct request *rq)
{
	unsigned nfds;
	size_t len;
	int ret;

	rq->fd = -1;
	ret = sock_recv(WIRE_FD_CONTROL, &rq->msg, sizeof(rq->msg), &len, &rq->fd, 1, &nfds);
	if (!ret && (len < sizeof(rq->msg.hdr) || len != size_of(rq->msg.hdr.type)))
		ret = -EPROTO;
	if (ret) {
		if (ret != -EPIPE)
			fprintf(
			    stderr, "lombard-vmm: control channel: %s\n", strerrordesc_np(-ret));
		link_lost();
	}
	begin(vm, rq);
	if (rq->fd >= 0)
		close(rq->fd);
}

_Noreturn void control_serve(struct vmm *vm)
{
	struct pollfd p[] = {
	    {.fd = WIRE_FD_REQUEST, .events = POLLRDHUP},
	    {.fd = WIRE_FD_CONTROL, .events = POLLIN},
	    {.fd = vm->gate.told, .events = POLLIN},
	};
	static struct request rq;
	static struct halt halt;

	for (;;) {
		if (poll(p, 3, rq.waiting ? PATIENCE_MS / 4 : halt_patience(vm, &halt)) < 0)
			continue;
		if (p[0].revents)
			link_lost();
		/* Before the look at the vCPU, so that nothing it says afterwards is missed. */
		if (p[2].revents)
			count_off(vm->gate.told);
		if (p[1].revents) {
			halt_leave(vm, &halt);
			take_request(vm, &rq);
		}
		proceed(vm, &rq);
		halt_look(vm, &halt);
	}
}
