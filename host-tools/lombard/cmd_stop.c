/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"
#include "exit_event.h"
#include "find.h"
#include "xenctl.h"

static const char doc[] = "Stop guests at once, and wait until they are gone.\vA guest is named by "
			  "its domid or its name. "
			  " What it had lent keeps its bytes for its borrowers.";

struct stop {
	json_t *ends; /* where the exit events are gathered; NULL: print each */
	struct client c;
	struct xenctl x;
};

static int take_end(const char *what, json_t *answer, json_t *ends)
{
	struct exit_event event;

	if (exit_event_parse(what, answer, &event))
		return CLI_FAILED;
	if (!ends) {
		exit_event_print(&event);
		return CLI_OK;
	}
	json_object_del(answer, "ok");
	return json_array_append(ends, answer) ? CLI_FAILED : CLI_OK;
}

/* Host programs are none of Xen's business: the cell turns them out. */
static int dismiss(struct stop *s, const char *what, const struct found *g, json_t **end)
{
	return client_call(&s->c, what,
	    json_pack("{s:s, s:I}", "op", "dismiss", "guest", (json_int_t)g->domid), end);
}

/* Why and how it ended is more than Xen knows: the cell tells it, for a while after the end, too. */
static int ask_end(struct stop *s, const char *what, const struct found *g, json_t **end)
{
	int err = client_send(&s->c, what,
	    json_pack("{s:s, s:I}", "op", "wait", "guest", (json_int_t)g->domid), NULL, 0);

	if (!err)
		err = client_recv(&s->c, what, end);
	if (!err && !exit_event_p(*end))
		err = client_check(what, *end);
	return err;
}

static int destroy(struct stop *s, const char *what, const struct found *g, json_t **end)
{
	int err = 0;

	if (!g->ended) {
		err = xenctl_open(&s->x, what);
		if (err)
			return err;
		err = xenctl_destroy(&s->x, g->domid);
		if (err)
			return xenctl_explain(&s->x, what, err);
	}
	return ask_end(s, what, g, end);
}

static int stop_one(struct stop *s, const char *guest)
{
	int err, status = CLI_FAILED;
	json_t *end = NULL;
	struct found g;
	char *what;

	if (asprintf(&what, "stop %s", guest) < 0)
		return CLI_FAILED;
	if (find_guest(&s->c, what, guest, &g))
		goto out_what;
	err = g.program ? dismiss(s, what, &g, &end) : destroy(s, what, &g, &end);
	if (!err)
		status = take_end(what, end, s->ends);
	json_decref(end);
	find_drop(&g);
out_what:
	free(what);
	return status;
}

/* Those that could not be stopped are told, and are missing from the list. */
static int print_ends(json_t *ends)
{
	json_t *all = json_pack("{s:O}", "guests", ends);
	int status = all ? cli_print_json(all) : CLI_FAILED;

	json_decref(all);
	return status;
}

int cmd_stop(struct cli *cli, int argc, char **argv)
{
	struct cli_guests guests;
	struct stop s = {0};
	int status = CLI_OK;

	cli_parse_guests(cli, CLI_WITH_JSON, doc, &guests, argc, argv);
	if (client_open(&s.c, cli->socket))
		return CLI_FAILED;
	xenctl_init(&s.x, cli->socket);
	if (cli->json)
		s.ends = json_array();
	for (int i = 0; i < guests.n; i++)
		if (stop_one(&s, guests.names[i]))
			status = CLI_FAILED;
	if (cli->json && print_ends(s.ends))
		status = CLI_FAILED;
	json_decref(s.ends);
	xenctl_close(&s.x);
	client_close(&s.c);
	return status;
}
