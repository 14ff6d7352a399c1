/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on guests' consoles: console, detach.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/session.h"
#include "lib/sys.h"

static int refuse_console(const struct guest *g, int error, struct failure *f)
{
	switch (error) {
	case -EUSERS:
		return failure_set(
		    f, error, "%s has as many clients at its console as can be", g->g_name);
	case -EAGAIN:
		return failure_set(f, error, "%s is still being started", g->g_name);
	case -EOPNOTSUPP:
		return failure_set(f, error, "%s is a host program, and has no console", g->g_name);
	case -ESRCH:
		return failure_set(f, error, "%s has ended", g->g_name);
	default:
		return failure_sys(f, error, "the console of %s can't be had", g->g_name);
	}
}

static json_t *name_fields(const struct guest *g)
{
	return json_pack(
	    "{s:i, s:s, s:b}", "domid", (int)g->g_domid, "name", g->g_name, "raw", (int)g->g_lapic);
}

/* The client gets one end of a stream, its guest's process the other: the core is not in between. */
json_t *op_console(struct session *s, json_t *request, int *error, struct failure *f)
{
	bool history = !json_is_false(json_object_get(request, "history"));
	struct guest *g = session_guest(request, "guest", error, f);
	json_t *fields;
	int ends[2];

	if (g == NULL)
		return NULL;
	if (SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) != 0) {
		*error = failure_sys(f, -errno, "can't make a socket");
		guest_put(g);
		return NULL;
	}
	*error = guest_attach_console(g, ends[1], history);
	close(ends[1]);
	fields = *error == 0 ? name_fields(g) : NULL;
	if (*error != 0)
		(void)refuse_console(g, *error, f);
	else if (fields == NULL)
		*error = failure_set(f, -ENOMEM, "out of memory");
	guest_put(g);
	if (fields == NULL) {
		close(ends[0]);
		return NULL;
	}
	s->s_reply_fds[0] = ends[0];
	s->s_nreply_fds = 1;
	s->s_reply_closes = true;
	return fields;
}

json_t *op_detach(struct session *s, json_t *request, int *error, struct failure *f)
{
	json_t *fields;

	(void)request;
	if (s->s_waiting == NULL || !s->s_owns) {
		*error = failure_set(f, -EINVAL, "this connection runs no guest in the foreground");
		return NULL;
	}
	fields = name_fields(s->s_waiting);
	if (fields == NULL) {
		*error = failure_set(f, -ENOMEM, "out of memory");
		return NULL;
	}
	guest_put(s->s_waiting);
	s->s_waiting = NULL;
	s->s_owns = false;
	return fields;
}
