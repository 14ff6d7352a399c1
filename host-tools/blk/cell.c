/* SPDX-License-Identifier: BSD-2-Clause */
#include "cell.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/reach.h"
#include "lib/sock.h"

#define MAX_ANSWER (4u << 20) /* as the cell's own bound */

/* => *answer is `ok` and for json_decref */
static int ask(int fd, json_t *request, char *room, json_t **answer)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len;
	int error = text != NULL ? sock_send(fd, text, strlen(text), NULL, 0) : -ENOMEM;

	free(text);
	json_decref(request);
	if (error == 0)
		error = sock_recv(fd, room, MAX_ANSWER, &len, NULL, 0, NULL);
	if (error == 0)
		error = reach_judge(room, len);
	if (error == 0)
		*answer = json_loadb(room, len, 0, NULL);
	return error != 0 ? error : *answer != NULL ? 0 : -EPROTO;
}

static const char *text_of(json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text != NULL ? text : "";
}

static int find_store(struct cell *c, char *room, struct failure *f)
{
	json_t *answer;
	int error = ask(c->fd, json_pack("{s:s, s:b}", "op", "xenstore", "wait", 1), room, &answer);

	if (error != 0)
		return failure_sys(f, error, "cannot ask the cell for its xenstore");
	if (strcmp(text_of(answer, "state"), "running") == 0)
		snprintf(c->directory, sizeof(c->directory), "%s", text_of(answer, "directory"));
	else if (strcmp(text_of(answer, "state"), "ended") == 0)
		error = failure_set(f, -ENOENT, "%s", text_of(answer, "message"));
	else
		error = failure_set(f, -ENOENT,
		    "the cell has no xenstore, which disks need: `lombard start --xenstore`");
	json_decref(answer);
	return error;
}

/* A domid or a name, which is no number. */
static json_t *guest_key(const char *what)
{
	char *end;
	unsigned long domid = strtoul(what, &end, 10);

	return *what >= '0' && *what <= '9' && *end == '\0' && domid <= UINT32_MAX
		   ? json_integer((json_int_t)domid)
		   : json_string(what);
}

/* One that has ended is remembered, but has no disks any more. */
static int find_guest(struct cell *c, const char *what, char *room, struct failure *f)
{
	json_t *answer = NULL, *guest;
	int error = ask(
	    c->fd, json_pack("{s:s, s:o}", "op", "list", "guest", guest_key(what)), room, &answer);

	if (error != 0 && error != -ESRCH)
		return failure_sys(f, error, "cannot ask the cell for its guests");
	guest = json_array_get(json_object_get(answer, "guests"), 0);
	if (guest != NULL && !json_is_true(json_object_get(guest, "ended"))) {
		c->domid = (uint32_t)json_integer_value(json_object_get(guest, "domid"));
		snprintf(c->name, sizeof(c->name), "%s", text_of(guest, "name"));
	} else {
		error = failure_set(
		    f, -ESRCH, "there is no guest %s: `lombard list` shows which there are", what);
	}
	json_decref(answer);
	return error;
}

/* There is no answer before the guest ends: then the descriptor becomes readable. */
static int await_end(struct cell *c, struct failure *f)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"op\":\"wait\",\"guest\":%u}", c->domid);
	int error = sock_send(c->fd, text, (size_t)n, NULL, 0);

	return error != 0 ? failure_sys(f, error, "cannot wait for the guest's end") : 0;
}

int cell_open(struct cell *c, const char *guest, struct failure *f)
{
	char *room = malloc(MAX_ANSWER);
	int error = room != NULL ? 0 : failure_sys(f, -ENOMEM, "the cell's answers");

	if (error == 0) {
		c->fd = reach_cell();
		if (c->fd < 0)
			error = failure_sys(f, c->fd, "cannot reach the cell at %s", reach_path());
	}
	if (error == 0)
		error = find_store(c, room, f);
	if (error == 0)
		error = find_guest(c, guest, room, f);
	if (error == 0)
		error = await_end(c, f);
	free(room);
	return error;
}
