/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations for Xen's tools.  xen: the connection becomes a handle of one of the Xen libraries;
 * xenstore: how the cell's xenstore stands.
 */
#include <errno.h>

#include "core/session.h"
#include "core/xenstore.h"

json_t *op_xen(struct session *s, json_t *request, int *error, struct failure *f)
{
	const char *kind = json_string_value(json_object_get(request, "kind"));
	int fd;

	if (kind == NULL || s->s_waiting != NULL) {
		*error = failure_set(
		    f, -EINVAL, "`xen` wants a \"kind\", on a connection that waits for no guest");
		return NULL;
	}
	*error = xen_client_open(kind, s->s_fd, &s->s_xen, &fd);
	if (*error != 0) {
		*error = failure_sys(f, *error, "no handle of the kind %s", kind);
		return NULL;
	}
	if (fd >= 0) {
		s->s_reply_fds[0] = fd;
		s->s_nreply_fds = 1;
		s->s_reply_closes = true;
	}
	return json_object();
}

json_t *op_xenstore(struct session *s, json_t *request, int *error, struct failure *f)
{
	static const char *const names[] = {
	    [XENSTORE_NONE] = "none",
	    [XENSTORE_STARTING] = "starting",
	    [XENSTORE_RUNNING] = "running",
	    [XENSTORE_ENDED] = "ended",
	};
	struct failure why = {.text = ""};
	enum xenstore_state state = xenstore_status(
	    json_is_true(json_object_get(request, "wait")), &why);

	(void)s;
	(void)error;
	(void)f;
	return json_pack("{s:s, s:s, s:s}", "state", names[state], "directory",
	    xenstore_directory(), "message", why.text);
}
