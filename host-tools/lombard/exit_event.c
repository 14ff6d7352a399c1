/* SPDX-License-Identifier: BSD-2-Clause */
#include "exit_event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "table.h"

bool exit_event_p(const json_t *packet)
{
	return strcmp(client_text(packet, "event"), "exit") == 0;
}

int exit_event_parse(const char *what, json_t *packet, struct exit_event *event)
{
	json_int_t status;
	int err;

	err = client_unpack(what, packet, "{s:I, s:s, s:s, s:I}", "domid", &event->domid, "name",
	    &event->name, "reason", &event->reason, "status", &status);
	if (err)
		return err;
	event->message = client_text(packet, "message");
	if (status < 0 || status > 255) {
		cli_error("cannot %s: the cell's answer was not understood (exit status %lld)",
		    what, (long long)status);
		return -EPROTO;
	}
	event->status = (int)status;
	return 0;
}

void exit_event_print(const struct exit_event *event)
{
	char *line;

	if (asprintf(&line, "%s: %s, status %d%s%s", event->name, event->reason, event->status,
		*event->message ? ": " : "", event->message) < 0)
		return;
	text_make_printable(line);
	puts(line);
	free(line);
}
