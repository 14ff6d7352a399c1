/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_CLIENT_H
#define LOMBARD_CLI_CLIENT_H
/*
 * One connection to a cell: docs/control-protocol.md spoken from the client's side.
 *
 * Unless a function says otherwise it returns 0 or -errno, and has told the user on stderr what
 * could not be done, why, and what to do about it before it returns an error.  `what` completes
 * the sentence "cannot ...".
 */
#include <jansson.h>

#include "lib/sock.h"

struct client {
	int fd;
	const char *path;      /* borrowed; for messages */
	char *buf;	       /* the last packet */
	int fds[SOCK_MAX_FDS]; /* came with the last packet; closed when the next one is read */
	unsigned nfds;
};

/*
 * Connect.  Says nothing: -ENOENT or -ECONNREFUSED mean that no cell runs there.  After an error
 * there is nothing to close.
 */
int client_try_open(struct client *c, const char *path);

/* Connect to a cell that has to be there. */
int client_open(struct client *c, const char *path);

/* Tell the user why client_try_open() failed with `err` (negative). */
void client_explain_open(const char *path, int err);

/* Tell the user that a connection to the cell broke in the middle; -EPIPE: it was closed. */
void client_explain_io(const char *path, const char *what, int err);

void client_close(struct client *c);

/*
 * Send a request with descriptors, which stay the caller's.  Takes the reference to `request`;
 * NULL (json_pack failed: a text was not UTF-8, or memory was short) is reported like a failure to
 * send.
 */
int client_send(struct client *c, const char *what, json_t *request, const int *fds, unsigned nfds);

/* Wait for one packet, an answer or an event.  *packet is an object, the caller's to drop. */
int client_recv(struct client *c, const char *what, json_t **packet);

/* The error that an answer carries, or 0 when it is `ok`. */
int client_check(const char *what, const json_t *answer);

/* Ask and wait for the answer.  *answer is `ok`, the caller's to drop; NULL after an error. */
int client_call(struct client *c, const char *what, json_t *request, json_t **answer);
int client_call_fds(struct client *c, const char *what, json_t *request, const int *fds,
    unsigned nfds, json_t **answer);

/*
 * json_unpack() for what a peer sent: -EPROTO, told to the user, when a field is missing or has the
 * wrong type.  Texts are borrowed from the object.
 */
int client_unpack(const char *what, json_t *obj, const char *fmt, ...);

/* A text field that may be absent or null: then "". */
const char *client_text(const json_t *obj, const char *key);

/*
 * Connect, send the request of a subcommand, take the answer, hang up.  The common case: nothing
 * depends on the connection afterwards.
 */
int client_ask(const char *path, const char *what, json_t *request, json_t **answer);

#endif
