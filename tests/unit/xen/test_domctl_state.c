/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(CORE_SRCS) tests/unit/xen/callfake.c */
/* pkgs: $(lombardd_PKGS) */
/*
 * XEN_DOMCTL_* on a domain's vCPU, and guest_control.c below them: the guest's process is a thread of
 * this program that keeps to the dialogue, or does not.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sock.h"
#include "xen/callfake.h"
#include "xen/domain.h"
#include "xen/hvm_context.h"

#define AT 4096u
#define SIZE HVM_CONTEXT_SIZE(1, false)

TestSuite(domctl_state, .timeout = 60);

/* A process that answers as a VMM does; `lies` instead when it is set. */
struct fake_vmm {
	int sock;
	pthread_t thread;
	bool paused;
	unsigned pauses, sets; /* requests that came */
	int32_t set_status;    /* what it answers to WIRE_SET_STATE */
	uint32_t lies;	       /* type of its answers */
	uint32_t vcpu;	       /* that was last asked for */
	struct wire_vcpu state;
};

static void answer(struct fake_vmm *fv, const struct wire_set_state *rq)
{
	struct wire_controlled done = {.hdr = {.type = WIRE_CONTROLLED, .seq = rq->hdr.seq}};
	struct wire_state state = {
	    .hdr = {.type = WIRE_STATE, .seq = rq->hdr.seq}, .state = fv->state};

	if (rq->hdr.type == WIRE_SET_STATE)
		done.hdr.status = fv->set_status;
	if (rq->hdr.type == WIRE_SET_STATE && fv->set_status == 0)
		fv->state = rq->state;
	if (fv->lies != 0)
		done.hdr.type = state.hdr.type = fv->lies;
	if (rq->hdr.type == WIRE_GET_STATE)
		(void)sock_send(fv->sock, &state, sizeof(state), NULL, 0);
	else
		(void)sock_send(fv->sock, &done, sizeof(done), NULL, 0);
}

static void *serve(void *arg)
{
	struct fake_vmm *fv = arg;
	struct wire_set_state rq;
	size_t len;

	while (sock_recv(fv->sock, &rq, sizeof(rq), &len, NULL, 0, NULL) == 0) {
		switch (rq.hdr.type) {
		case WIRE_PAUSE:
			fv->pauses++;
			fv->paused = true;
			break;
		case WIRE_UNPAUSE:
			fv->paused = false;
			break;
		case WIRE_SET_STATE:
			fv->sets++;
			/* fall through */
		case WIRE_GET_STATE:
			cr_assert(fv->paused, "state of a guest that runs");
			fv->vcpu = rq.vcpu;
			break;
		default:
			cr_assert_fail("request %u", rq.hdr.type);
		}
		answer(fv, &rq);
	}
	return NULL;
}

static struct guest *start(struct fake_vmm *fv)
{
	struct guest *g = fake_guest("g", 0, 0);
	int pair[2];

	memset(fv, 0, sizeof(*fv));
	fv->state.rip = 0x1234;
	fv->state.cr3 = 0x5000;
	fv->state.efer = 0x500;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	g->g_control = pair[0];
	fv->sock = pair[1];
	cr_assert_eq(pthread_create(&fv->thread, NULL, serve, fv), 0);
	return g;
}

static void stop(struct fake_vmm *fv, struct guest *g)
{
	fake_end(g);
	cr_assert_eq(pthread_join(fv->thread, NULL), 0);
	close(fv->sock);
}

static int64_t control(uint32_t cmd, struct guest *g)
{
	struct xen_domctl op = {.cmd = 0};

	return fake_domctl(cmd, g->g_domid, &op);
}

static uint32_t flags_of(struct guest *g)
{
	struct xen_domctl_getdomaininfo info;

	xen_domain_info(g, &info);
	return info.flags;
}

Test(domctl_state, pauses_count)
{
	struct fake_vmm fv;
	struct guest *g = start(&fv);

	fake_reset(0);
	cr_assert_eq(control(XEN_DOMCTL_unpausedomain, g), -EINVAL);
	cr_assert_eq(flags_of(g) & XEN_DOMINF_paused, 0);
	for (unsigned i = 0; i < 255; i++)
		cr_assert_eq(control(XEN_DOMCTL_pausedomain, g), 0);
	cr_assert_eq(control(XEN_DOMCTL_pausedomain, g), -EOVERFLOW);
	cr_assert_eq(fv.pauses, 1);
	cr_assert_neq(flags_of(g) & XEN_DOMINF_paused, 0);
	for (unsigned i = 0; i < 254; i++)
		cr_assert_eq(control(XEN_DOMCTL_unpausedomain, g), 0);
	cr_assert(fv.paused);
	cr_assert_neq(flags_of(g) & XEN_DOMINF_paused, 0);
	cr_assert_eq(control(XEN_DOMCTL_unpausedomain, g), 0);
	cr_assert(!fv.paused);
	cr_assert_eq(flags_of(g) & XEN_DOMINF_paused, 0);
	cr_assert_eq(control(XEN_DOMCTL_unpausedomain, g), -EINVAL);
	stop(&fv, g);
}

Test(domctl_state, guests_that_can_not_be_asked)
{
	struct guest *g = fake_guest("g", 0, 0);
	struct guest *p = fake_program("p");
	struct wire_vcpu v;

	fake_reset(0);
	/* Its process is gone. */
	cr_assert_eq(control(XEN_DOMCTL_pausedomain, g), -ESRCH);
	g->g_state = GUEST_STARTING;
	cr_assert_eq(control(XEN_DOMCTL_pausedomain, g), -EAGAIN);
	g->g_state = GUEST_STOPPING;
	cr_assert_eq(control(XEN_DOMCTL_pausedomain, g), -ESRCH);
	cr_assert_eq(guest_pause(p), -EOPNOTSUPP);
	cr_assert_eq(guest_get_state(p, 0, &v), -EOPNOTSUPP);
	cr_assert_eq(control(XEN_DOMCTL_pausedomain, p), -ESRCH);
	fake_end(p);
	fake_end(g);
}

Test(domctl_state, a_process_that_lies_is_lost)
{
	static const uint32_t types[] = {WIRE_MAPPED, WIRE_STATE};

	for (size_t i = 0; i < 2; i++) {
		struct fake_vmm fv;
		struct guest *g = start(&fv);

		fv.lies = types[i];
		cr_assert_eq(guest_pause(g), -ESRCH);
		cr_assert_eq(g->g_state, GUEST_STOPPING);
		cr_assert_eq(strcmp(g->g_message, "its process answers nonsense"), 0);
		cr_assert_eq(g->g_pauses, 0);
		stop(&fv, g);
	}
}

static struct xen_domctl context_op(uint32_t size, uint64_t buffer)
{
	struct xen_domctl op = {.u.hvmcontext = {.size = size}};

	FAKE_HANDLE(op.u.hvmcontext.buffer, buffer);
	return op;
}

Test(domctl_state, context_sizes)
{
	struct fake_vmm fv;
	struct guest *g = start(&fv);
	struct xen_domctl op = context_op(0, 0);

	fake_reset(0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext, g->g_domid, &op), 0);
	cr_assert_eq(op.u.hvmcontext.size, SIZE);
	op = context_op(SIZE - 1, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext, g->g_domid, &op), -ENOSPC);
	op = context_op(SIZE, fake_address(FAKE_BYTES - 8));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext, g->g_domid, &op), -EFAULT);

	op = context_op(60000, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext, g->g_domid, &op), 0);
	cr_assert_eq(op.u.hvmcontext.size, SIZE);
	cr_assert(!fv.paused, "it goes on");
	stop(&fv, g);
}

Test(domctl_state, context_is_set)
{
	struct fake_vmm fv;
	struct guest *g = start(&fv);
	struct xen_domctl op = context_op(SIZE, fake_address(AT));
	struct wire_vcpu v = fv.state;
	const struct hvm_vcpus vs = {.hv_vcpu = &v, .hv_n = 1};

	fake_reset(0);
	v.rip = 0xabcd;
	(void)hvm_context_write(&vs, 1000, fake_at(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), 0);
	cr_assert_eq(fv.state.rip, 0xabcd);
	cr_assert(!fv.paused);
	/* Not whole, not there, too large: nothing is set. */
	op.u.hvmcontext.size = SIZE - 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), -EINVAL);
	op = context_op(0, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), -EINVAL);
	op = context_op(SIZE, 0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), -EFAULT);
	op = context_op(UINT32_MAX, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), -E2BIG);
	cr_assert_eq(fv.sets, 1);
	/* The VMM's word is handed on; a guest that was paused stays so. */
	fv.set_status = -EBUSY;
	cr_assert_eq(guest_pause(g), 0);
	op = context_op(SIZE, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), -EBUSY);
	cr_assert(fv.paused);
	cr_assert_eq(g->g_pauses, 1);
	stop(&fv, g);
}

/* Of several vCPUs: only those that are named are set, and all at one pause. */
Test(domctl_state, context_of_several)
{
	struct fake_vmm fv;
	struct guest *g = start(&fv);
	struct wire_vcpu v[2] = {fv.state, fv.state};
	const struct hvm_vcpus vs = {.hv_vcpu = v, .hv_n = 2, .hv_lapic = true};
	struct xen_domctl op = context_op(60000, fake_address(AT));

	fake_reset(0);
	g->g_vcpus = 2;
	g->g_lapic = true;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext, g->g_domid, &op), 0);
	cr_assert_eq(op.u.hvmcontext.size, HVM_CONTEXT_SIZE(2, true));
	cr_assert_eq(fv.pauses, 1);
	cr_assert_eq(fv.vcpu, 1);
	v[0].waiting = 1;
	v[1].rip = 0x777;
	op.u.hvmcontext.size = (uint32_t)hvm_context_write(&vs, 1000, fake_at(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sethvmcontext, g->g_domid, &op), 0);
	cr_assert_eq(fv.sets, 1);
	cr_assert_eq(fv.vcpu, 1);
	cr_assert_eq(fv.state.rip, 0x777);
	stop(&fv, g);
}

Test(domctl_state, partial_context)
{
	struct fake_vmm fv;
	struct guest *g = start(&fv);
	struct xen_domctl op = {.cmd = 0};
	struct xen_domctl_hvmcontext_partial *hp = &op.u.hvmcontext_partial;

	fake_reset(0);
	hp->type = HVM_SAVE_CODE(CPU);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext_partial, g->g_domid, &op), 0);
	cr_assert_eq(hp->bufsz, sizeof(struct hvm_hw_cpu));
	FAKE_HANDLE(hp->buffer, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext_partial, g->g_domid, &op), 0);
	cr_assert_eq(((struct hvm_hw_cpu *)fake_at(AT))->rip, 0x1234);
	hp->bufsz--;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext_partial, g->g_domid, &op), -ENOBUFS);
	hp->instance = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext_partial, g->g_domid, &op), -ENOENT);
	hp->type = HVM_SAVE_CODE(PIC);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_gethvmcontext_partial, g->g_domid, &op), -EINVAL);
	stop(&fv, g);
}

Test(domctl_state, vcpu_context)
{
	struct fake_vmm fv;
	struct guest *g = start(&fv);
	struct xen_domctl op = {.u.vcpucontext = {.vcpu = 0}};
	struct vcpu_guest_context ctx;

	fake_reset(0);
	FAKE_HANDLE(op.u.vcpucontext.ctxt, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpucontext, g->g_domid, &op), 0);
	memcpy(&ctx, fake_at(AT), sizeof(ctx));
	cr_assert_eq(ctx.user_regs.rip, 0x1234);
	cr_assert_eq(ctx.ctrlreg[3], 0x5000);
	cr_assert_eq(fv.vcpu, 0);
	op.u.vcpucontext.vcpu = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpucontext, g->g_domid, &op), -ESRCH);
	g->g_vcpus = 2;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getvcpucontext, g->g_domid, &op), 0);
	cr_assert_eq(fv.vcpu, 1);
	stop(&fv, g);
}

Test(domctl_state, frame_types)
{
	struct guest *g = fake_guest("g", 3, 0);
	struct xen_domctl op = {.cmd = 0};
	xen_pfn_t *gfns = fake_at(AT);

	fake_reset(0);
	uvm_world_enter();
	cr_assert_eq(uvm_map_enter_ram(g->g_map, 0, 16), 0);
	uvm_world_leave();
	gfns[0] = 0;
	gfns[1] = 15;
	gfns[2] = 16;
	gfns[3] = UINT64_MAX;
	op.u.getpageframeinfo3.num = 4;
	FAKE_HANDLE(op.u.getpageframeinfo3.array, fake_address(AT));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getpageframeinfo3, g->g_domid, &op), 0);
	cr_assert_eq(gfns[0], XEN_DOMCTL_PFINFO_NOTAB);
	cr_assert_eq(gfns[1], XEN_DOMCTL_PFINFO_NOTAB);
	cr_assert_eq(gfns[2], XEN_DOMCTL_PFINFO_XTAB);
	cr_assert_eq(gfns[3], XEN_DOMCTL_PFINFO_XTAB);
	op.u.getpageframeinfo3.num = 1025;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getpageframeinfo3, g->g_domid, &op), -E2BIG);
	op.u.getpageframeinfo3.num = 1024;
	FAKE_HANDLE(op.u.getpageframeinfo3.array, fake_address(FAKE_BYTES - 8));
	cr_assert_eq(fake_domctl(XEN_DOMCTL_getpageframeinfo3, g->g_domid, &op), -EFAULT);
	fake_end(g);
}

Test(domctl_state, triggers)
{
	struct guest *g = fake_guest("g", 0, 0);
	struct xen_domctl op = {.u.sendtrigger = {.trigger = XEN_DOMCTL_SENDTRIGGER_POWER}};

	fake_reset(0);
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sendtrigger, g->g_domid, &op), -EOPNOTSUPP);
	op.u.sendtrigger.vcpu = 1;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sendtrigger, g->g_domid, &op), -ESRCH);
	op.u.sendtrigger.trigger = 5;
	cr_assert_eq(fake_domctl(XEN_DOMCTL_sendtrigger, g->g_domid, &op), -ENOSYS);
	fake_end(g);
}
