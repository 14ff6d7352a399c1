/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pipe: `pipe source ...` and `pipe sink ...` are the two ends of `lombard pipe`.  The source reads
 * a file that the host lends it, and sends it through a channel; the sink hashes what arrives.
 */
#include "pipe.h"

static const char *role = "pipe";

void pipe_tell(const char *word, uint64_t number)
{
	printf("pipe: %s %llu\n", word, (unsigned long long)number);
}

void pipe_check(int err, const char *what)
{
	if (err == -EPIPE)
		die("%s: can't %s: the other guest is gone", role, what);
	if (err != 0)
		die("%s: can't %s: error %d", role, what, err);
}

const char *pipe_need(int argc, char **argv, const char *key)
{
	const char *text = arg_find(argc, argv, key);

	if (text == NULL)
		die("%s: the argument %s=TEXT is missing", role, key);
	return text;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		role = argv[1];
	if (strcmp(role, "source") == 0)
		return source_main(argc, argv);
	if (strcmp(role, "sink") == 0)
		return sink_main(argc, argv);
	die("usage: pipe source|sink ...; `lombard pipe` runs both");
}
