/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "client.h"
#include "file_hash.h"
#include "images.h"
#include "launch.h"
#include "piping.h"
#include "signals.h"
#include "units.h"

#define MAX_MESSAGE (64U << 20)

/* For the tables and bookkeeping of the largest channel that there can be. */
#define ENOUGH_MEMORY (UINT64_C(16) << 20)

struct pipe_options {
	const char *file;
	uint64_t message;
	uint64_t memory;
	bool shared, sealed;
};

/* The comparison: what the guests say, and what the host reads itself. */
struct verdict {
	struct pipe_result guests;
	uint64_t bytes, hash;
	bool equal;
};

enum { KEY_SHARED = 0x100, KEY_SEALED };

static const struct argp_option options[] = {
    {"size", 'S', "BYTES", 0, "Bytes of each message (2M); suffixes K, M", 0},
    {"sealed", KEY_SEALED, NULL, 0, "What was sent can't change any more (the default)", 0},
    {"shared", KEY_SHARED, NULL, 0, "Without protection: the guests trust each other", 0},
    {"memory", 'm', "SIZE", 0, "Memory of each guest (64M); suffixes K, M, G", 0},
    {0},
};

static uint64_t parse_size(const char *arg, const char *option, struct argp_state *state)
{
	uint64_t bytes = 0;

	if (units_parse_size(arg, &bytes) || !bytes)
		argp_error(state, "%s %s: give a number of bytes, as 4096 or 64M", option, arg);
	return bytes;
}

static void check(const struct pipe_options *o, struct argp_state *state)
{
	if (!o->file)
		argp_error(state, "which FILE?");
	if (o->shared && o->sealed)
		argp_error(state, "--shared or --sealed, not both");
	if (o->message > MAX_MESSAGE)
		argp_error(state, "--size: a message has at most 64M");
	if (o->memory % CLI_PAGE_SIZE)
		argp_error(state, "--memory: give a number of whole 4 KiB pages, as 64M");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pipe_options *o = state->input;

	switch (key) {
	case 'S':
		o->message = parse_size(arg, "--size", state);
		return 0;
	case 'm':
		o->memory = parse_size(arg, "--memory", state);
		return 0;
	case KEY_SHARED:
		o->shared = true;
		return 0;
	case KEY_SEALED:
		o->sealed = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "%s: one FILE at a time", arg);
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		check(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE",
    .doc = "Stream a file through a channel between two guests, and verify it.\vThe host lends "
	   "FILE to the guest `source`, which sends it to the guest `sink`, which hashes what it "
	   "reads.  The exit status is 0 only when that is the hash of the file.  When no cell is "
	   "running, one is started for the purpose.",
};

static int open_file(const char *path, int *fd, struct stat *st)
{
	int err;

	/* Not to wait for a FIFO's writer. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, st) < 0) {
		err = -errno;
		cli_error("cannot open %s: %s", path, strerror(-err));
	} else if (!S_ISREG(st->st_mode)) {
		err = -EINVAL;
		cli_error("cannot pipe %s: only a regular file can be lent", path);
	} else {
		return 0;
	}
	if (*fd >= 0)
		close(*fd);
	return err;
}

static bool changed_p(const struct stat *before, int fd)
{
	struct stat now;

	return fstat(fd, &now) < 0 || now.st_size != before->st_size ||
	       now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec;
}

/* The host's own look at the file, after the guests', which it shall not slow down. */
static int judge(
    const struct pipe_job *job, const struct stat *st, struct progress *progress, struct verdict *v)
{
	int err = file_hash(job->file, job->fd, progress, &v->bytes, &v->hash);

	if (err)
		return err;
	if (v->bytes != job->bytes || changed_p(st, job->fd)) {
		cli_error("cannot compare: %s has changed meanwhile", job->file);
		return -ESTALE;
	}
	v->equal = v->guests.bytes == v->bytes && v->guests.hash == v->hash &&
		   v->guests.received == v->guests.sent;
	return 0;
}

static double seconds_of(const struct verdict *v)
{
	return (double)v->guests.nanoseconds / 1e9;
}

static double speed_of(const struct verdict *v)
{
	return v->guests.nanoseconds ? (double)v->guests.bytes / seconds_of(v) : 0;
}

static int print_json(const struct pipe_job *job, const struct verdict *v)
{
	const struct pipe_result *g = &v->guests;
	char ours[17], theirs[17];
	json_t *answer;
	int status;

	snprintf(ours, sizeof(ours), "%016" PRIx64, v->hash);
	snprintf(theirs, sizeof(theirs), "%016" PRIx64, g->hash);
	answer = json_pack(
	    "{s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:s, s:s, s:b}",
	    "file", job->file, "bytes", (json_int_t)v->bytes, "message_bytes",
	    (json_int_t)job->message, "strength", job->shared ? "shared" : "sealed", "messages",
	    (json_int_t)g->sent, "lent", (json_int_t)g->lent, "copied", (json_int_t)g->copied,
	    "shared", (json_int_t)g->shared, "frame_bytes", (json_int_t)g->frame, "received",
	    (json_int_t)g->received, "received_bytes", (json_int_t)g->bytes, "seconds",
	    seconds_of(v), "bytes_per_second", (json_int_t)speed_of(v), "file_xxh64", ours,
	    "received_xxh64", theirs, "equal", (int)v->equal);
	if (!answer) {
		cli_error(
		    "cannot print JSON: the file's name is not UTF-8 text, or memory is short");
		return CLI_FAILED;
	}
	status = cli_print_json(answer);
	json_decref(answer);
	return status;
}

static void print_text(const struct pipe_job *job, const struct verdict *v)
{
	char message[UNITS_TEXT_LEN], frame[UNITS_TEXT_LEN];
	const struct pipe_result *g = &v->guests;

	printf("%s: %" PRIu64 " bytes in %.3f s, %.1f MB/s\n", job->file, g->bytes, seconds_of(v),
	    speed_of(v) / 1e6);
	printf("%" PRIu64 " %s messages of %s: %" PRIu64 " lent, %" PRIu64 " copied, %" PRIu64
	       " shared (frames of %s)\n",
	    g->sent, job->shared ? "shared" : "sealed", units_format_size(message, job->message),
	    g->lent, g->copied, g->shared, units_format_size(frame, g->frame));
	printf("xxh64 of the file %016" PRIx64 ", of what arrived %016" PRIx64 ": %s\n", v->hash,
	    g->hash, v->equal ? "equal" : "DIFFERENT");
}

static int report(struct cli *cli, const struct pipe_job *job, const struct verdict *v)
{
	int status = CLI_OK;

	if (cli->json)
		status = print_json(job, v);
	else
		print_text(job, v);
	if (v->equal)
		return status;
	cli_error("%s did not arrive as it is: %" PRIu64 " of %" PRIu64 " bytes in %" PRIu64
		  " of %" PRIu64 " messages, and the hashes %s",
	    job->file, v->guests.bytes, v->bytes, v->guests.received, v->guests.sent,
	    v->guests.hash == v->hash ? "agree" : "differ");
	return CLI_FAILED;
}

/* => job->fd is open */
static int pipe_file(struct cli *cli, struct pipe_job *job, const struct stat *st)
{
	struct verdict v = {0};
	struct progress progress;
	struct client control;
	int err;

	err = launch_or_open(&control, cli->socket, LAUNCH_UNTIL_IDLE);
	if (err)
		return CLI_FAILED;
	progress_start(&progress, job->bytes);
	err = piping_run(&control, job, &progress, &v.guests);
	client_close(&control);
	if (err == -EINTR && signals_seen())
		return 128 + signals_last();
	/* A guest gave up, maybe so soon that nothing could be lent to it. */
	if ((err == -ECANCELED || err == -ESRCH) && job->memory < ENOUGH_MEMORY)
		cli_error("its memory may have been too small: give it 16M or more (--memory)");
	if (!err)
		err = judge(job, st, &progress, &v);
	return err ? CLI_FAILED : report(cli, job, &v);
}

int cmd_pipe(struct cli *cli, int argc, char **argv)
{
	struct pipe_options o = {.message = 2U << 20, .memory = 64U << 20};
	int fd, image_fd, status = CLI_FAILED;
	struct stat st = {0};
	char *image;

	cli_parse(cli, CLI_WITH_JSON, &argp, &o, argc, argv);
	if (open_file(o.file, &fd, &st))
		return CLI_FAILED;
	if (images_open("pipe", &image, &image_fd) == 0) {
		struct pipe_job job = {
		    .file = o.file,
		    .fd = fd,
		    .bytes = (uint64_t)st.st_size,
		    .message = o.message,
		    .shared = o.shared,
		    .memory = o.memory,
		    .image = image,
		    .image_fd = image_fd,
		};

		status = pipe_file(cli, &job, &st);
		close(image_fd);
		free(image);
	}
	close(fd);
	return status;
}
