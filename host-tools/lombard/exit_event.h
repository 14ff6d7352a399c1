/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_EXIT_EVENT_H
#define LOMBARD_CLI_EXIT_EVENT_H
#include <jansson.h>
#include <stdbool.h>

/* How a guest ended.  Texts are borrowed from the JSON object. */
struct exit_event {
	json_int_t domid;
	const char *name;
	const char *reason;
	const char *message; /* may be empty */
	int status;	     /* 0..255 */
};

bool exit_event_p(const json_t *packet);

/* From an exit event or an answer with its fields; errors as client_unpack(). */
int exit_event_parse(const char *what, json_t *packet, struct exit_event *event);

/* One line on stdout: who ended, why, with which status. */
void exit_event_print(const struct exit_event *event);

#endif
