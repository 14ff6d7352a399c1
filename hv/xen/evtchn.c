/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/evtchn_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/count.h"
#include "lib/sys.h"
#include "xen/evtchn_raise.h"

#define FIRST_PORTS 64u
#define MAX_PORTS EVTCHN_PORTS

pthread_mutex_t evtchn_mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, evtchn_domain) domains = LIST_HEAD_INITIALIZER(domains);
/* Those with a virq bound: an offer to everybody costs nothing for the guests that do not listen.
 */
static LIST_HEAD(, evtchn_domain) listeners = LIST_HEAD_INITIALIZER(listeners);

/* Everything below, up to the operations of guests, is called with the mutex held. */

struct evtchn_domain *evtchn_domain_of(struct evtchn_domain *self, uint32_t domid)
{
	struct evtchn_domain *ed;

	if (domid == DOMID_SELF || domid == self->ed_domid)
		return self;
	if (domid == EVTCHN_HOST)
		return &evtchn_host;
	LIST_FOREACH (ed, &domains, ed_all)
		if (ed->ed_domid == domid)
			return ed;
	return NULL;
}

struct evtchn_port *evtchn_port_of(struct evtchn_domain *ed, uint32_t port)
{
	struct evtchn_port *p;

	if (port == 0 || port >= ed->ed_nports)
		return NULL;
	p = &ed->ed_ports[port];
	return p->state == PORT_FREE ? NULL : p;
}

/* The pending word is the guest's memory: it may do to it whatever it likes. */
static _Atomic uint64_t *pending_word(struct evtchn_domain *ed, uint32_t port)
{
	struct shared_info *si = ed->ed_shared;

	return (_Atomic uint64_t *)(si != NULL ? (uint64_t *)&si->evtchn_pending[port / 64]
					       : &ed->ed_early[port / 64]);
}

/* => there is a shared info page */
static struct vcpu_info *info_of(struct evtchn_domain *ed, uint32_t vcpu)
{
	struct shared_info *si = ed->ed_shared;

	_Static_assert(EVTCHN_MAX_VCPUS <= XEN_LEGACY_MAX_VCPUS, "each has a place of its own");
	return ed->ed_vcpus[vcpu].ev_info != NULL ? ed->ed_vcpus[vcpu].ev_info
						  : &si->vcpu_info[vcpu];
}

/*
 * What follows from how far an event got.  A poller waits for the bit, masked or not; an upcall ends
 * polls, too.
 */
static void tell(struct evtchn_domain *ed, uint32_t vcpu, enum evtchn_raised how)
{
	int upcall = ed->ed_vcpus[vcpu].ev_upcall;

	if (how == EVTCHN_UPCALL && upcall >= 0)
		count_up(upcall);
	else if (how != EVTCHN_WAS_PENDING)
		count_up(ed->ed_eventfd);
}

static void raise_guest(struct evtchn_domain *ed, uint32_t port)
{
	uint32_t vcpu = ed->ed_ports[port].vcpu;
	uint64_t bit = evtchn_bit(port);

	if (ed->ed_shared != NULL)
		tell(ed, vcpu, evtchn_raise(ed->ed_shared, info_of(ed, vcpu), port));
	else if ((atomic_fetch_or(pending_word(ed, port), bit) & bit) == 0)
		count_up(ed->ed_eventfd);
}

static void set_pending(struct evtchn_domain *ed, uint32_t port)
{
	if (ed == &evtchn_host)
		evtchn_host_raise(&ed->ed_ports[port], port);
	else
		raise_guest(ed, port);
}

static void clear_pending(struct evtchn_domain *ed, uint32_t port)
{
	atomic_fetch_and(pending_word(ed, port), ~evtchn_bit(port));
}

static int grow(struct evtchn_domain *ed)
{
	uint32_t n = ed->ed_nports == 0 ? FIRST_PORTS : 2 * ed->ed_nports;
	struct evtchn_port *ports;

	if (n > MAX_PORTS)
		return -ENOSPC;
	ports = SYS_ALLOC(realloc(ed->ed_ports, n * sizeof(*ports)));
	if (ports == NULL)
		return -ENOMEM;
	memset(ports + ed->ed_nports, 0, (n - ed->ed_nports) * sizeof(*ports));
	ed->ed_ports = ports;
	ed->ed_nports = n;
	return 0;
}

int evtchn_new_port(
    struct evtchn_domain *ed, enum port_state state, uint32_t remote, uint32_t peer, uint32_t *port)
{
	uint32_t i = 1;
	int error;

	while (i < ed->ed_nports && ed->ed_ports[i].state != PORT_FREE)
		i++;
	if (i >= ed->ed_nports) {
		error = grow(ed);
		if (error != 0)
			return error;
	}
	ed->ed_ports[i] = (struct evtchn_port){.state = state, .remote = remote, .peer = peer};
	clear_pending(ed, i);
	*port = i;
	return 0;
}

static int alloc_unbound(struct evtchn_domain *ed, struct evtchn_alloc_unbound *op)
{
	uint32_t remote = op->remote_dom == DOMID_SELF ? ed->ed_domid : op->remote_dom;

	/* Only a domain's own side: guests do not manage each other. */
	if (op->dom != DOMID_SELF && op->dom != ed->ed_domid)
		return -EPERM;
	return evtchn_new_port(ed, PORT_UNBOUND, remote, 0, &op->port);
}

int evtchn_bind_interdomain(struct evtchn_domain *ed, struct evtchn_bind_interdomain *op)
{
	struct evtchn_domain *peer = evtchn_domain_of(ed, op->remote_dom);
	struct evtchn_port *p;
	uint32_t remote_port = op->remote_port;
	int error;

	if (peer == NULL)
		return -ESRCH;
	p = evtchn_port_of(peer, remote_port);
	if (p == NULL || p->state != PORT_UNBOUND || p->remote != ed->ed_domid)
		return -EINVAL;
	error = evtchn_new_port(ed, PORT_INTERDOMAIN, peer->ed_domid, remote_port, &op->local_port);
	if (error != 0)
		return error;
	/* Look again: with ourselves as the peer the table may have moved. */
	p = evtchn_port_of(peer, remote_port);
	p->state = PORT_INTERDOMAIN;
	p->remote = ed->ed_domid;
	p->peer = op->local_port;
	/* The peer may have sent before we were there. */
	set_pending(ed, op->local_port);
	return 0;
}

/* Those of which each vCPU has its own (Xen public/xen.h: "V."). */
static bool virq_per_vcpu_p(uint32_t virq)
{
	return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF ||
	       virq == VIRQ_XENPMU;
}

static bool virq_bound_p(const struct evtchn_domain *ed, uint32_t virq, uint32_t vcpu)
{
	for (uint32_t i = 1; i < ed->ed_nports; i++) {
		const struct evtchn_port *p = &ed->ed_ports[i];

		/* A global one may notify another vCPU by now. */
		if (p->state == PORT_VIRQ && p->peer == virq &&
		    (p->vcpu == vcpu || !virq_per_vcpu_p(virq)))
			return true;
	}
	return false;
}

int evtchn_bind_virq(struct evtchn_domain *ed, struct evtchn_bind_virq *op)
{
	int error;

	if (op->virq >= NR_VIRQS || (op->vcpu != 0 && !virq_per_vcpu_p(op->virq)))
		return -EINVAL;
	if (op->vcpu >= ed->ed_nvcpus)
		return -ENOENT;
	if (virq_bound_p(ed, op->virq, op->vcpu))
		return -EEXIST;
	error = evtchn_new_port(ed, PORT_VIRQ, 0, op->virq, &op->port);
	if (error != 0)
		return error;
	ed->ed_ports[op->port].vcpu = op->vcpu;
	if (ed->ed_nvirqs++ == 0)
		LIST_INSERT_HEAD(&listeners, ed, ed_listeners);
	return 0;
}

static int bind_ipi(struct evtchn_domain *ed, struct evtchn_bind_ipi *op)
{
	int error;

	if (op->vcpu >= ed->ed_nvcpus)
		return -ENOENT;
	error = evtchn_new_port(ed, PORT_IPI, 0, 0, &op->port);
	if (error == 0)
		ed->ed_ports[op->port].vcpu = op->vcpu;
	return error;
}

/* Events that are pending already stay where they are. */
static int bind_vcpu(struct evtchn_domain *ed, const struct evtchn_bind_vcpu *op)
{
	struct evtchn_port *p = evtchn_port_of(ed, op->port);

	if (op->vcpu >= ed->ed_nvcpus)
		return -ENOENT;
	if (p == NULL || p->state == PORT_IPI ||
	    (p->state == PORT_VIRQ && virq_per_vcpu_p(p->peer)))
		return -EINVAL;
	p->vcpu = op->vcpu;
	return 0;
}

int evtchn_close_port(struct evtchn_domain *ed, uint32_t port)
{
	struct evtchn_port *p = evtchn_port_of(ed, port), *q;
	struct evtchn_domain *peer;

	if (p == NULL)
		return -EINVAL;
	if (p->state == PORT_INTERDOMAIN) {
		peer = evtchn_domain_of(ed, p->remote);
		q = peer != NULL ? evtchn_port_of(peer, p->peer) : NULL;
		if (q != NULL && q->state == PORT_INTERDOMAIN && q->remote == ed->ed_domid &&
		    q->peer == port) {
			q->state = PORT_UNBOUND;
			q->remote = ed->ed_domid;
		}
	}
	if (p->state == PORT_VIRQ && --ed->ed_nvirqs == 0)
		LIST_REMOVE(ed, ed_listeners);
	*p = (struct evtchn_port){0};
	clear_pending(ed, port);
	return 0;
}

void evtchn_close_ports(struct evtchn_domain *ed)
{
	for (uint32_t i = 1; i < ed->ed_nports; i++)
		if (ed->ed_ports[i].state != PORT_CORE)
			(void)evtchn_close_port(ed, i);
}

int evtchn_send_event(struct evtchn_domain *ed, uint32_t port)
{
	struct evtchn_port *p = evtchn_port_of(ed, port);
	struct evtchn_domain *peer;

	if (p == NULL || p->state == PORT_VIRQ || p->state == PORT_CORE)
		return -EINVAL;
	if (p->state == PORT_IPI) {
		set_pending(ed, port);
		return 0;
	}
	/* Sending to nobody is no error: the peer may have gone. */
	peer = p->state == PORT_INTERDOMAIN ? evtchn_domain_of(ed, p->remote) : NULL;
	if (peer != NULL && evtchn_port_of(peer, p->peer) != NULL)
		set_pending(peer, p->peer);
	return 0;
}

static int unmask(struct evtchn_domain *ed, uint32_t port)
{
	struct evtchn_port *p = evtchn_port_of(ed, port);

	if (p == NULL)
		return -EINVAL;
	if (ed->ed_shared != NULL)
		tell(ed, p->vcpu, evtchn_unmask(ed->ed_shared, info_of(ed, p->vcpu), port));
	return 0;
}

static void fill_status(const struct evtchn_port *p, struct evtchn_status *op)
{
	op->vcpu = p->vcpu;
	switch (p->state) {
	case PORT_FREE:
		op->status = EVTCHNSTAT_closed;
		break;
	case PORT_UNBOUND:
		op->status = EVTCHNSTAT_unbound;
		op->u.unbound.dom = (domid_t)p->remote;
		break;
	case PORT_INTERDOMAIN:
		op->status = EVTCHNSTAT_interdomain;
		op->u.interdomain.dom = (domid_t)p->remote;
		op->u.interdomain.port = p->peer;
		break;
	case PORT_CORE:
		op->status = EVTCHNSTAT_interdomain;
		op->u.interdomain.dom = DOMID_XEN;
		op->u.interdomain.port = 0;
		break;
	case PORT_VIRQ:
		op->status = EVTCHNSTAT_virq;
		op->u.virq = p->peer;
		break;
	case PORT_IPI:
		op->status = EVTCHNSTAT_ipi;
		break;
	}
}

int evtchn_get_status(struct evtchn_domain *self, struct evtchn_status *op)
{
	struct evtchn_domain *ed = evtchn_domain_of(self, op->dom);
	struct evtchn_port *p;

	if (ed == NULL)
		return -ESRCH;
	if (ed != self && self != &evtchn_host)
		return -EPERM;
	/* Host programs ask for one port after another until there is no more. */
	if (op->port >= (self == &evtchn_host ? ed->ed_nports : MAX_PORTS))
		return -EINVAL;
	p = evtchn_port_of(ed, op->port);
	fill_status(p != NULL ? p : &(const struct evtchn_port){.state = PORT_FREE}, op);
	return 0;
}

/* By the guest: what the core has bound is not its to close. */
static int close_op(struct evtchn_domain *ed, uint32_t port)
{
	struct evtchn_port *p = evtchn_port_of(ed, port);

	return p == NULL || p->state == PORT_CORE ? -EINVAL : evtchn_close_port(ed, port);
}

/* Events that are pending in its ports are lost with them, as with Xen; masks are the guest's. */
static int reset(struct evtchn_domain *self, const struct evtchn_reset *op)
{
	struct evtchn_domain *ed = evtchn_domain_of(self, op->dom);

	if (ed == NULL)
		return -ESRCH;
	if (ed != self)
		return -EPERM;
	evtchn_close_ports(ed);
	return 0;
}

uint32_t evtchn_op_size(uint32_t cmd)
{
	switch (cmd) {
	case EVTCHNOP_alloc_unbound:
		return sizeof(struct evtchn_alloc_unbound);
	case EVTCHNOP_bind_interdomain:
		return sizeof(struct evtchn_bind_interdomain);
	case EVTCHNOP_bind_virq:
		return sizeof(struct evtchn_bind_virq);
	case EVTCHNOP_bind_ipi:
		return sizeof(struct evtchn_bind_ipi);
	case EVTCHNOP_bind_vcpu:
		return sizeof(struct evtchn_bind_vcpu);
	case EVTCHNOP_close:
		return sizeof(struct evtchn_close);
	case EVTCHNOP_send:
		return sizeof(struct evtchn_send);
	case EVTCHNOP_unmask:
		return sizeof(struct evtchn_unmask);
	case EVTCHNOP_status:
		return sizeof(struct evtchn_status);
	case EVTCHNOP_reset:
		return sizeof(struct evtchn_reset);
	default:
		return 0;
	}
}

static int dispatch(struct evtchn_domain *ed, uint32_t cmd, void *arg)
{
	switch (cmd) {
	case EVTCHNOP_alloc_unbound:
		return alloc_unbound(ed, arg);
	case EVTCHNOP_bind_interdomain:
		return evtchn_bind_interdomain(ed, arg);
	case EVTCHNOP_bind_virq:
		return evtchn_bind_virq(ed, arg);
	case EVTCHNOP_bind_ipi:
		return bind_ipi(ed, arg);
	case EVTCHNOP_bind_vcpu:
		return bind_vcpu(ed, arg);
	case EVTCHNOP_close:
		return close_op(ed, ((struct evtchn_close *)arg)->port);
	case EVTCHNOP_send:
		return evtchn_send_event(ed, ((struct evtchn_send *)arg)->port);
	case EVTCHNOP_unmask:
		return unmask(ed, ((struct evtchn_unmask *)arg)->port);
	case EVTCHNOP_status:
		return evtchn_get_status(ed, arg);
	case EVTCHNOP_reset:
		return reset(ed, arg);
	default:
		return -ENOSYS;
	}
}

int evtchn_run(
    evtchn_dispatch *call, struct evtchn_domain *ed, uint32_t cmd, void *arg, uint32_t len)
{
	uint32_t size = evtchn_op_size(cmd);
	int error;

	if (size == 0)
		return -ENOSYS;
	if (len != size)
		return -EINVAL;
	pthread_mutex_lock(&evtchn_mutex);
	error = call(ed, cmd, arg);
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

int evtchn_op(struct evtchn_domain *ed, uint32_t cmd, void *arg, uint32_t len)
{
	return evtchn_run(dispatch, ed, cmd, arg, len);
}

int evtchn_domain_add(struct evtchn_domain *ed, uint32_t domid, int eventfd, uint32_t nvcpus)
{
	int error;

	if (nvcpus == 0 || nvcpus > EVTCHN_MAX_VCPUS)
		return -EINVAL;
	memset(ed, 0, sizeof(*ed));
	ed->ed_domid = domid;
	ed->ed_eventfd = eventfd;
	ed->ed_nvcpus = nvcpus;
	for (uint32_t i = 0; i < EVTCHN_MAX_VCPUS; i++)
		ed->ed_vcpus[i].ev_upcall = -1;
	pthread_mutex_lock(&evtchn_mutex);
	error = grow(ed);
	if (error == 0)
		LIST_INSERT_HEAD(&domains, ed, ed_all);
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

void evtchn_set_upcalls(struct evtchn_domain *ed, const int *fds)
{
	pthread_mutex_lock(&evtchn_mutex);
	for (uint32_t i = 0; i < ed->ed_nvcpus; i++)
		ed->ed_vcpus[i].ev_upcall = fds[i];
	pthread_mutex_unlock(&evtchn_mutex);
}

void evtchn_domain_remove(struct evtchn_domain *ed)
{
	pthread_mutex_lock(&evtchn_mutex);
	for (uint32_t i = 1; i < ed->ed_nports; i++)
		(void)evtchn_close_port(ed, i);
	LIST_REMOVE(ed, ed_all);
	free(ed->ed_ports);
	ed->ed_ports = NULL;
	ed->ed_nports = 0;
	pthread_mutex_unlock(&evtchn_mutex);
}

/*
 * Raise what was pending in the old page, and tell everybody once: these may be all ports there are, and
 * the guest can have them moved as often as it likes.  Ports that it has made up are its first vCPU's.
 */
static void raise_again(struct evtchn_domain *ed, const uint64_t bits[64])
{
	enum evtchn_raised how, most[EVTCHN_MAX_VCPUS] = {EVTCHN_WAS_PENDING};

	for (uint32_t port = 0; port < EVTCHN_PORTS; port++) {
		uint32_t vcpu = port < ed->ed_nports ? ed->ed_ports[port].vcpu : 0;

		if ((bits[port / 64] & evtchn_bit(port)) == 0)
			continue;
		how = evtchn_raise(ed->ed_shared, info_of(ed, vcpu), port);
		if (how > most[vcpu])
			most[vcpu] = how;
	}
	for (uint32_t i = 0; i < ed->ed_nvcpus; i++)
		tell(ed, i, most[i]);
}

void evtchn_set_shared(struct evtchn_domain *ed, void *shared)
{
	uint64_t bits[64];

	pthread_mutex_lock(&evtchn_mutex);
	/* Events that came before the page did, or while it was elsewhere. */
	for (uint32_t i = 0; i < 64; i++)
		bits[i] = atomic_exchange(pending_word(ed, i * 64), 0);
	ed->ed_shared = shared;
	if (shared != NULL)
		raise_again(ed, bits);
	else
		memcpy(ed->ed_early, bits, sizeof(bits));
	pthread_mutex_unlock(&evtchn_mutex);
}

int evtchn_set_vcpu_info(struct evtchn_domain *ed, uint32_t vcpu, void *info)
{
	struct evtchn_vcpu *ev = &ed->ed_vcpus[vcpu];
	struct shared_info *si;

	pthread_mutex_lock(&evtchn_mutex);
	if (ev->ev_info != NULL) {
		pthread_mutex_unlock(&evtchn_mutex);
		return -EINVAL;
	}
	si = ed->ed_shared;
	if (si != NULL)
		memcpy(info, &si->vcpu_info[vcpu], sizeof(struct vcpu_info));
	else
		memset(info, 0, sizeof(struct vcpu_info));
	ev->ev_info = info;
	evtchn_select_all(info);
	tell(ed, vcpu, EVTCHN_UPCALL);
	pthread_mutex_unlock(&evtchn_mutex);
	return 0;
}

int evtchn_core_alloc(struct evtchn_domain *ed, uint32_t *port)
{
	int error;

	pthread_mutex_lock(&evtchn_mutex);
	error = evtchn_new_port(ed, PORT_CORE, 0, 0, port);
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

void evtchn_core_raise(struct evtchn_domain *ed, uint32_t port)
{
	pthread_mutex_lock(&evtchn_mutex);
	if (evtchn_port_of(ed, port) != NULL)
		set_pending(ed, port);
	pthread_mutex_unlock(&evtchn_mutex);
}

void evtchn_core_close(struct evtchn_domain *ed, uint32_t port)
{
	pthread_mutex_lock(&evtchn_mutex);
	(void)evtchn_close_port(ed, port);
	pthread_mutex_unlock(&evtchn_mutex);
}

bool evtchn_waiting_p(struct evtchn_domain *ed, uint32_t port)
{
	struct evtchn_port *p;
	bool waiting;

	pthread_mutex_lock(&evtchn_mutex);
	p = evtchn_port_of(ed, port);
	waiting = p != NULL && p->state == PORT_UNBOUND;
	pthread_mutex_unlock(&evtchn_mutex);
	return waiting;
}

int evtchn_stand_in(struct evtchn_domain *ed, uint32_t port, bool raise)
{
	struct evtchn_port *p;
	int error = -EINVAL;

	pthread_mutex_lock(&evtchn_mutex);
	p = evtchn_port_of(ed, port);
	if (p != NULL && p->remote == EVTCHN_HOST && p->state == PORT_INTERDOMAIN)
		error = -EBUSY;
	else if (p != NULL && p->remote == EVTCHN_HOST && p->state == PORT_UNBOUND)
		error = 0;
	if (error == 0 && raise)
		set_pending(ed, port);
	pthread_mutex_unlock(&evtchn_mutex);
	return error;
}

void evtchn_virq(uint32_t domid, uint32_t virq)
{
	struct evtchn_domain *ed;

	pthread_mutex_lock(&evtchn_mutex);
	LIST_FOREACH (ed, &listeners, ed_listeners) {
		if (domid != EVTCHN_ALL && ed->ed_domid != domid)
			continue;
		for (uint32_t i = 1; i < ed->ed_nports; i++)
			if (ed->ed_ports[i].state == PORT_VIRQ && ed->ed_ports[i].peer == virq)
				set_pending(ed, i);
	}
	pthread_mutex_unlock(&evtchn_mutex);
}
