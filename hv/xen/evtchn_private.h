/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_EVTCHN_PRIVATE_H
#define HV_XEN_EVTCHN_PRIVATE_H
/* What evtchn.c (ports, guests' ends) and evtchn_host.c (the host's ends) share. */
#include <pthread.h>
#include <stdbool.h>

#include "xen/evtchn.h"
#include "xen/public.h"

enum port_state { PORT_FREE, PORT_UNBOUND, PORT_INTERDOMAIN, PORT_VIRQ, PORT_IPI, PORT_CORE };

struct evtchn_port {
	enum port_state state;
	uint32_t remote; /* UNBOUND, INTERDOMAIN: domid */
	uint32_t peer;	 /* INTERDOMAIN: its port; VIRQ: the virq */
	uint32_t vcpu;	 /* whom it notifies; 0 of the host */

	/* Of the host only. */
	struct evtchn_handle *owner; /* NULL: nobody is told of its events */
	uint32_t holds;		     /* by those who will send by it once more */
	bool masked;   /* the owner was told, or soon will be, and has not unmasked it */
	bool pending;  /* an event came while it was masked */
	bool queued;   /* in the owner's backlog */
	uint32_t next; /* in the backlog; 0: none */
};

extern pthread_mutex_t evtchn_mutex;
extern struct evtchn_domain evtchn_host;

/* evtchn_run: one operation, whose arg has len bytes, by a table of operations.  => as evtchn_op */
typedef int evtchn_dispatch(struct evtchn_domain *ed, uint32_t cmd, void *arg);
int evtchn_run(
    evtchn_dispatch *call, struct evtchn_domain *ed, uint32_t cmd, void *arg, uint32_t len);

/* All below: => evtchn_mutex held */

struct evtchn_domain *evtchn_domain_of(struct evtchn_domain *self, uint32_t domid);

/* evtchn_port_of: NULL: there is no such port in use */
struct evtchn_port *evtchn_port_of(struct evtchn_domain *ed, uint32_t port);

/* 0, or a negative Xen error, as evtchn_op. */
int evtchn_new_port(struct evtchn_domain *ed, enum port_state state, uint32_t remote, uint32_t peer,
    uint32_t *port);
int evtchn_bind_interdomain(struct evtchn_domain *ed, struct evtchn_bind_interdomain *op);
int evtchn_bind_virq(struct evtchn_domain *ed, struct evtchn_bind_virq *op);
int evtchn_close_port(struct evtchn_domain *ed, uint32_t port);
void evtchn_close_ports(struct evtchn_domain *ed); /* all but those that the core has bound */
int evtchn_send_event(struct evtchn_domain *ed, uint32_t port);
int evtchn_get_status(struct evtchn_domain *self, struct evtchn_status *op);

/* evtchn_host_raise: an event for a port of the host. */
void evtchn_host_raise(struct evtchn_port *p, uint32_t port);

#endif
