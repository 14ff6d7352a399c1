/* SPDX-License-Identifier: BSD-2-Clause */
#include "find.h"

#include <errno.h>

#include "cli.h"

static int take(const char *what, json_t *answer, struct found *f)
{
	json_int_t domid, pauses, memory;
	int err, program, ended;

	err = client_unpack(what, answer, "{s:[{s:I, s:s, s:b, s:b, s:I, s:I}]}", "guests", "domid",
	    &domid, "name", &f->name, "program", &program, "ended", &ended, "pauses", &pauses,
	    "memory", &memory);
	if (err)
		return err;
	f->domid = (uint32_t)domid;
	f->program = program;
	f->ended = ended;
	f->pauses = (unsigned)pauses;
	f->memory = (uint64_t)memory;
	return 0;
}

int find_guest(struct client *c, const char *what, const char *guest, struct found *f)
{
	int err;

	*f = (struct found){0};
	err = client_call(
	    c, what, json_pack("{s:s, s:o}", "op", "list", "guest", cli_guest(guest)), &f->answer);
	if (err)
		return err;
	err = take(what, f->answer, f);
	if (err)
		find_drop(f);
	return err;
}

void find_drop(struct found *f)
{
	json_decref(f->answer);
	f->answer = NULL;
}
