/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pause and unpause, which differ in one word.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "client.h"
#include "find.h"
#include "xenctl.h"

static const char pause_doc[] =
    "Make guests stand still: when the command is done, none of their instructions runs.\vA guest "
    "is named by its domid or its name.  Pauses count: a guest runs again when it was unpaused as "
    "often as it was paused.";

static const char unpause_doc[] =
    "Take back one pause of each guest.\vA guest is named by its domid or its name.  It runs again "
    "when it was unpaused as often as it was paused.";

/* One of the two. */
struct change {
	const char *verb;
	int (*call)(struct xenctl *x, uint32_t domid);
	unsigned usual; /* pauses that need no word */
	struct client c;
	struct xenctl x;
};

static void refuse(const struct change *ch, const char *what, const struct found *g, int err)
{
	switch (err) {
	case -ESRCH:
		cli_error("cannot %s: %s has ended", what, g->name);
		break;
	case -EAGAIN:
		cli_error("cannot %s: %s is still being started", what, g->name);
		break;
	case -EINVAL:
		cli_error("cannot %s: %s is not paused", what, g->name);
		break;
	case -EOVERFLOW:
		cli_error("cannot %s: %s is paused %u times already, which is the most", what,
		    g->name, g->pauses);
		break;
	case -EOPNOTSUPP:
		cli_error("cannot %s: %s is a host program, and has no vCPU", what, g->name);
		break;
	default:
		xenctl_explain(&ch->x, what, err);
	}
}

/* How often it is paused now; others may have changed that again, and it may have ended. */
static int say_pauses(struct change *ch, const char *what, uint32_t domid)
{
	struct found now;
	char number[16];

	snprintf(number, sizeof(number), "%u", domid);
	if (find_guest(&ch->c, what, number, &now))
		return CLI_FAILED;
	if (!now.ended && now.pauses != ch->usual)
		printf("%s: paused %u times\n", now.name, now.pauses);
	find_drop(&now);
	return CLI_OK;
}

static int change_found(struct change *ch, const char *what, const struct found *g)
{
	int err;

	if (g->program || g->ended) {
		refuse(ch, what, g, g->program ? -EOPNOTSUPP : -ESRCH);
		return CLI_FAILED;
	}
	if (xenctl_open(&ch->x, what))
		return CLI_FAILED;
	err = ch->call(&ch->x, g->domid);
	if (err) {
		refuse(ch, what, g, err);
		return CLI_FAILED;
	}
	return say_pauses(ch, what, g->domid);
}

static int change_one(struct change *ch, const char *guest)
{
	int status = CLI_FAILED;
	struct found g;
	char *what;

	if (asprintf(&what, "%s %s", ch->verb, guest) < 0)
		return CLI_FAILED;
	if (find_guest(&ch->c, what, guest, &g) == 0) {
		status = change_found(ch, what, &g);
		find_drop(&g);
	}
	free(what);
	return status;
}

static int change_all(struct cli *cli, const char *doc, struct change *ch, int argc, char **argv)
{
	struct cli_guests guests;
	int status = CLI_OK;

	cli_parse_guests(cli, CLI_PLAIN, doc, &guests, argc, argv);
	if (client_open(&ch->c, cli->socket))
		return CLI_FAILED;
	xenctl_init(&ch->x, cli->socket);
	for (int i = 0; i < guests.n; i++)
		if (change_one(ch, guests.names[i]))
			status = CLI_FAILED;
	xenctl_close(&ch->x);
	client_close(&ch->c);
	return status;
}

int cmd_pause(struct cli *cli, int argc, char **argv)
{
	struct change ch = {.verb = "pause", .call = xenctl_pause, .usual = 1};

	return change_all(cli, pause_doc, &ch, argc, argv);
}

int cmd_unpause(struct cli *cli, int argc, char **argv)
{
	struct change ch = {.verb = "unpause", .call = xenctl_unpause, .usual = 0};

	return change_all(cli, unpause_doc, &ch, argc, argv);
}
