/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef HV_CORE_SESSION_H
#define HV_CORE_SESSION_H
/*
 * Clients of the cell: one connection, one thread each (docs/control-protocol.md).
 */
#include <jansson.h>

#include "core/cell.h"
#include "core/guest.h"
#include "uvm/uvm_ledger.h"
#include "xen/client.h"

#define SESSION_MAX_FDS 4
#define SESSION_MAX_REPLY_FDS 64

/* Loans of guest memory to the host that live as long as the client's connection. */
struct session_loan {
	LIST_ENTRY(session_loan) sl_all;
	uint64_t sl_id;
	uint32_t sl_lender;	      /* the guest whose offer it is, if this client had it made */
	struct uvm_hostloan *sl_held; /* pages that the client may have mapped, or NULL */
};

struct session {
	LIST_ENTRY(session) s_all;
	int s_fd;
	struct guest *s_waiting; /* reference: tell the client when it ends; or NULL */
	bool s_owns;		 /* ... and stop it when the client goes away */
	LIST_HEAD(, session_loan) s_loans;
	struct xen_client *s_xen; /* what it has become by `xen`, or NULL: no JSON from then on */
	/* The request being answered. */
	int s_fds[SESSION_MAX_FDS];
	unsigned s_nfds;
	int s_reply_fds[SESSION_MAX_REPLY_FDS];
	unsigned s_nreply_fds;
	bool s_reply_closes; /* they are closed once they have been sent */
};

/*
 * An operation: reads its request, returns the answer's fields (a new object, "ok" is added), or
 * NULL with *f and *error set; null: no answer now.  The request's descriptors are closed
 * afterwards.
 */
typedef json_t *session_op(struct session *s, json_t *request, int *error, struct failure *f);

session_op op_run, op_wait, op_list, op_stats, op_lend, op_return, op_loans, op_map, op_channel,
    op_dismiss, op_xen, op_xenstore, op_console, op_detach;

/* session_guest: the living or remembered guest that request[key] names, with a reference. */
struct guest *session_guest(json_t *request, const char *key, int *error, struct failure *f);

/* session_uint: an optional whole number; false (and *error, *f) when it is something else. */
bool session_uint(json_t *request, const char *key, uint64_t *value, int *error, struct failure *f);

/*
 * session_text: a text from outside as JSON.  Bytes that are no UTF-8, as in a file's name or a
 * sentence that was cut, are written as \xNN: without them JSON has no place for it at all.
 * => NULL: out of memory
 */
json_t *session_text(const char *text);

/* session_exit: the fields of an exit event.  => the guest has ended */
json_t *session_exit(struct guest *g);

/* session_end_loans: give back all that the client holds or had lent to it. */
void session_end_loans(struct session *s);

/*
 * sessions_accept: take in a client that connects to the listening socket.
 * => false: we are short of descriptors or memory, and the client still waits: try again later
 * sessions_stop: hang up on all, and wait until their threads are done.
 */
bool sessions_accept(int listener);
unsigned sessions_count(void);
void sessions_stop(void);

#endif
