/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_XEN_EVTCHN_H
#define HV_XEN_EVTCHN_H
/*
 * Event channels between domains, two-level ABI (Xen public/event_channel.h, public/xen.h).
 *
 * The pending bit of a port lies in the guest's shared info page, which the guest places in its own
 * memory; until it has, bits are kept here.  One lock covers all channels of the cell: operations
 * are short and touch two domains.  No function blocks; all may be called from any thread.
 *
 * The host is domain 0.  Its ports belong to the handles of programs (evtchn_handle_*), which are
 * told of events by a stream socket.
 */
#include <bsd/sys/queue.h>
#include <stdbool.h>
#include <stdint.h>

struct evtchn_handle;
struct evtchn_port;

#define EVTCHN_HOST 0u /* its domid */

#define EVTCHN_MAX_VCPUS 16u /* of one domain */

/* Whom a port notifies. */
struct evtchn_vcpu {
	int ev_upcall; /* told when upcall_pending becomes 1; the owner's, as ed_eventfd; or -1 */
	void *ev_info; /* struct vcpu_info where the guest has registered it; NULL: in ed_shared */
};

struct evtchn_domain {
	LIST_ENTRY(evtchn_domain) ed_all;
	LIST_ENTRY(evtchn_domain) ed_listeners; /* while ed_nvirqs > 0 */
	uint32_t ed_nvirqs;			/* ports bound to one */
	uint32_t ed_domid;
	int ed_eventfd; /* told of pending ports; the owner closes it after removal */
	uint32_t ed_nports;
	struct evtchn_port *ed_ports; /* by number; 0 is never used */
	void *ed_shared;	      /* struct shared_info in the guest, or NULL */
	uint64_t ed_early[64];	      /* pending bits until ed_shared is known */
	uint32_t ed_nvcpus;
	struct evtchn_vcpu ed_vcpus[EVTCHN_MAX_VCPUS];
};

/*
 * evtchn_domain_add: a domain whose vCPUs take no upcalls: its eventfd is told of every port that
 *	becomes pending.  0, -ENOMEM, or -EINVAL: no such number of vCPUs
 * evtchn_domain_remove: its channels close on both sides.
 */
int evtchn_domain_add(struct evtchn_domain *ed, uint32_t domid, int eventfd, uint32_t nvcpus);
void evtchn_domain_remove(struct evtchn_domain *ed);

/*
 * evtchn_set_upcalls: its vCPUs do take upcalls: an eventfd for each, the owner's as ed_eventfd.  That
 *	is told of events by which no upcall becomes pending, only.
 */
void evtchn_set_upcalls(struct evtchn_domain *ed, const int *fds);

/* evtchn_set_shared: the shared info page is here now (core's address, wired), or nowhere. */
void evtchn_set_shared(struct evtchn_domain *ed, void *shared);

/*
 * evtchn_set_vcpu_info: a vCPU's vcpu_info is here from now on (core's address, 8-aligned, wired until
 *	the domain is removed): what was in the old one is copied, and as Xen does it all ports are to
 *	be looked at.
 * => vcpu < ed_nvcpus; 0, or -EINVAL: it has been registered before
 */
int evtchn_set_vcpu_info(struct evtchn_domain *ed, uint32_t vcpu, void *info);

/*
 * evtchn_op: EVTCHNOP_* by a guest on its own channels.
 * => arg: the operation's structure, len bytes, already copied from the guest; results go into it
 * => 0, or Xen's negative error: -ENOSYS for operations that are not there, -EINVAL for a bad
 *    length or port, -ESRCH for an unknown domain, -ENOSPC, -ENOMEM, -EPERM
 */
int evtchn_op(struct evtchn_domain *ed, uint32_t cmd, void *arg, uint32_t len);

/* evtchn_op_size: of an operation's structure; 0: there is no such operation. */
uint32_t evtchn_op_size(uint32_t cmd);

/*
 * evtchn_host_op: EVTCHNOP_* by a host program, as evtchn_op.  alloc_unbound and reset for guests,
 * status for everybody, send by any port of the host.  -EPERM for the others: ports of the host are
 * made and closed by handles.
 */
int evtchn_host_op(uint32_t cmd, void *arg, uint32_t len);

/*
 * evtchn_handle_open: fd: a stream socket, the caller's, open until evtchn_handle_close has
 * returned.  0, -ENOMEM, -EMFILE.  The number of a port (uint32_t) is written there when an event
 * comes, and the port is masked; the number is read from there to unmask it, or with
 * XENWIRE_EVENT_SEND to send an event by it.  An event for a masked port is delivered when it is unmasked.
 *
 * evtchn_handle_close: its ports close, but for those that are held (evtchn_host_hold): they stay
 * until they have been put.
 */
int evtchn_handle_open(int fd, struct evtchn_handle **hp);
void evtchn_handle_close(struct evtchn_handle *h);

/* A descriptor that is readable when evtchn_handle_serve has something to do. */
int evtchn_handle_fd(const struct evtchn_handle *h);
void evtchn_handle_serve(struct evtchn_handle *h);

/*
 * 0 or Xen's negative error, as evtchn_op.  _virq: VIRQ_DOM_EXC, _TBUF, _CON_RING, _ENOMEM, each for
 * one port at a time (-EEXIST).  _unbind, _notify: -ENOTCONN: not a port of this handle, as Linux says.
 */
int evtchn_handle_unbound(struct evtchn_handle *h, uint32_t domid, uint32_t *port);
int evtchn_handle_interdomain(
    struct evtchn_handle *h, uint32_t domid, uint32_t remote_port, uint32_t *port);
int evtchn_handle_virq(struct evtchn_handle *h, uint32_t virq, uint32_t *port);
int evtchn_handle_unbind(struct evtchn_handle *h, uint32_t port);
int evtchn_handle_notify(struct evtchn_handle *h, uint32_t port);

/*
 * evtchn_host_hold: keep a port of the host open, whatever becomes of its handle, for an event that
 * has to be sent at the end of something else.  0 or -EINVAL.  evtchn_host_put: send it, and let the
 * port go.
 */
int evtchn_host_hold(uint32_t port);
void evtchn_host_put(uint32_t port);

/*
 * Ports whose other end is the core itself.  The guest can neither send nor close there; for
 * EVTCHNOP_status it is Xen's end (DOMID_XEN).
 *
 * evtchn_core_alloc: a new one.  0, -ENOSPC or -ENOMEM
 * evtchn_core_raise: make it, or one that waits, pending.  evtchn_core_close: it is free for other uses.  Both do nothing
 * when the domain has been removed.
 */
int evtchn_core_alloc(struct evtchn_domain *ed, uint32_t *port);
void evtchn_core_raise(struct evtchn_domain *ed, uint32_t port);
void evtchn_core_close(struct evtchn_domain *ed, uint32_t port);

/* evtchn_waiting_p: is it a port of the guest's that nobody has bound to?  The core may raise it. */
bool evtchn_waiting_p(struct evtchn_domain *ed, uint32_t port);

/*
 * evtchn_stand_in: a port of the guest that waits for a program of the host to bind to it: until one
 * has, and after it has gone, the core can stand in for it.  raise: make it pending, if it is so.
 * => 0; -EBUSY: it is bound; -EINVAL: it is no such port
 */
int evtchn_stand_in(struct evtchn_domain *ed, uint32_t port, bool raise);

/*
 * evtchn_virq: raise a virtual interrupt in one domain (EVTCHN_HOST too), or in all with EVTCHN_ALL.
 */
#define EVTCHN_ALL UINT32_MAX
void evtchn_virq(uint32_t domid, uint32_t virq);

#endif
