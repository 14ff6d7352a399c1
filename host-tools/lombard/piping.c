/* SPDX-License-Identifier: BSD-2-Clause */
#include "piping.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli.h"
#include "exit_event.h"
#include "signals.h"
#include "xenctl.h"

/*
 * The file is lent in segments, one after the other: the cell keeps what it has read of a file for
 * as long as any of it is lent.
 */
#define SEGMENT_PAGES 65536U

/* Messages under way: while one is read others are written, and their memory is written again. */
#define ARENA_MESSAGES 4U
#define ARENA_LEAST (16U << 20)
#define WINDOWS_BESIDE_ARENA (64U << 20) /* a piece of the file, the other's area, alignment */

#define LINE_LEN 256

enum { SOURCE, SINK, NR_ENDS };

/* One of the guests. */
struct end {
	const char *role;
	char name[32];
	struct client c;  /* the guest ends with it */
	bool connected;	  /* c is open */
	json_int_t domid; /* 0 until it is launched */
	bool ended;
	int console; /* -1 when nothing more will come */
	char line[LINE_LEN];
	size_t fill;
};

struct piping {
	const struct pipe_job *job;
	struct client *control;
	struct xenctl xen;
	struct progress *progress;
	struct pipe_result *result;
	struct end ends[NR_ENDS];
	char channel[32];
	uint64_t tag;	     /* of the segment that is lent, or of the next one */
	json_int_t loan;     /* 0: none */
	uint64_t next_page;  /* of the file: first one that was not lent */
	unsigned words_seen; /* bit i: number_words[i] */
	bool stopped;
	bool cell_gone;
	int error; /* the first one */
};

/* ---- the end, if it must be ---- */

/* Hang up: a guest that still runs ends with its connection. */
static void lose_guests(struct piping *p)
{
	for (struct end *e = p->ends; e < p->ends + NR_ENDS; e++) {
		if (e->connected)
			client_close(&e->c);
		e->connected = false;
		e->ended = true;
	}
}

/* What becomes of them shows in the exit events. */
static int stop_each(struct piping *p)
{
	static const char what[] = "stop the guests";
	int err = xenctl_open(&p->xen, what);

	for (struct end *e = p->ends; !err && e < p->ends + NR_ENDS; e++)
		if (e->domid && !e->ended)
			err = xenctl_destroy(&p->xen, (uint32_t)e->domid);
	return err;
}

static void stop_guests(struct piping *p)
{
	if (p->stopped || p->cell_gone)
		return;
	p->stopped = true;
	/* It was told if it could not be opened; either way they end. */
	if (stop_each(p))
		lose_guests(p);
}

static void note_error(struct piping *p, int err)
{
	if (!p->error)
		p->error = err;
}

static void fail(struct piping *p, int err)
{
	note_error(p, err);
	stop_guests(p);
}

static void protest(struct piping *p, const struct end *e, const char *why)
{
	progress_end(p->progress);
	cli_error("cannot pipe %s: %s was not understood: %s", p->job->file, e->name, why);
	fail(p, -EPROTO);
}

/* ---- lending ---- */

static void lend_segment(struct piping *p)
{
	static const char what[] = "lend the file to the source";
	json_t *answer;
	int err;

	if (p->next_page * CLI_PAGE_SIZE >= p->job->bytes)
		return;
	err = client_call_fds(p->control, what,
	    json_pack("{s:s, s:I, s:s, s:I, s:I, s:I}", "op", "lend", "to", p->ends[SOURCE].domid,
		"kind", "page", "tag", (json_int_t)p->tag, "first", (json_int_t)p->next_page,
		"pages", (json_int_t)SEGMENT_PAGES),
	    &p->job->fd, 1, &answer);
	if (!err)
		err = client_unpack(what, answer, "{s:I}", "id", &p->loan);
	json_decref(answer);
	p->next_page += SEGMENT_PAGES;
	if (err)
		fail(p, err);
}

/* It may have ended by itself, with the source. */
static int check_returned(const char *what, const json_t *answer)
{
	return json_integer_value(json_object_get(answer, "errno")) == ENOENT
		   ? 0
		   : client_check(what, answer);
}

static void return_segment(struct piping *p)
{
	static const char what[] = "recall the file";
	json_int_t loan = p->loan;
	json_t *answer = NULL;
	int err;

	p->loan = 0;
	if (!loan || p->cell_gone)
		return;
	err = client_send(
	    p->control, what, json_pack("{s:s, s:I}", "op", "return", "id", loan), NULL, 0);
	if (!err)
		err = client_recv(p->control, what, &answer);
	if (!err)
		err = check_returned(what, answer);
	json_decref(answer);
	if (err)
		fail(p, err);
}

static void segment_read(struct piping *p, const struct end *e, uint64_t tag)
{
	if (!p->loan || tag != p->tag) {
		protest(p, e, "it has read what was not lent");
		return;
	}
	return_segment(p);
	p->tag++;
	if (!p->error)
		lend_segment(p);
}

/* ---- what the guests say ---- */

/* Each is said once. */
static const struct {
	const char *word;
	size_t offset;
} number_words[] = {
    {"sent", offsetof(struct pipe_result, sent)},
    {"lent", offsetof(struct pipe_result, lent)},
    {"copied", offsetof(struct pipe_result, copied)},
    {"shared", offsetof(struct pipe_result, shared)},
    {"frame", offsetof(struct pipe_result, frame)},
    {"received", offsetof(struct pipe_result, received)},
    {"bytes", offsetof(struct pipe_result, bytes)},
    {"hash", offsetof(struct pipe_result, hash)},
    {"nanoseconds", offsetof(struct pipe_result, nanoseconds)},
};

#define NR_WORDS (sizeof(number_words) / sizeof(number_words[0]))

static void take_number(struct piping *p, const struct end *e, const char *word, uint64_t value)
{
	if (strcmp(word, "read") == 0) {
		segment_read(p, e, value);
		return;
	}
	if (strcmp(word, "at") == 0) {
		progress_show(p->progress, "streaming", value);
		return;
	}
	for (size_t i = 0; i < NR_WORDS; i++) {
		if (strcmp(word, number_words[i].word) != 0)
			continue;
		memcpy((char *)p->result + number_words[i].offset, &value, sizeof(value));
		p->words_seen |= 1U << i;
		return;
	}
	protest(p, e, word);
}

static void take_line(struct piping *p, struct end *e)
{
	char word[LINE_LEN];
	uint64_t value;
	int end = -1;

	e->line[e->fill] = '\0';
	e->fill = 0;
	if (sscanf(e->line, "pipe: %255[a-z] %" SCNu64 "%n", word, &value, &end) == 2 && end >= 0 &&
	    e->line[end] == '\0') {
		take_number(p, e, word, value);
		return;
	}
	progress_end(p->progress);
	cli_error("%s: %s", e->name, e->line);
}

static void read_console(struct piping *p, struct end *e)
{
	char text[4096];
	ssize_t n = read(e->console, text, sizeof(text));

	if (n < 0 && errno == EINTR)
		return;
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] != '\n')
			e->line[e->fill++] = text[i];
		if (text[i] == '\n' || e->fill == sizeof(e->line) - 1)
			take_line(p, e);
	}
	if (n > 0)
		return;
	if (e->fill)
		take_line(p, e);
	close(e->console);
	e->console = -1;
}

/*
 * A guest that gives up may do so because the other one has died, of which we hear a moment later:
 * so the other one gets that moment to end by itself.
 */
static void take_exit(struct piping *p, struct end *e, const struct exit_event *event)
{
	bool gave_up = strcmp(event->reason, "poweroff") == 0;

	e->ended = true;
	if ((gave_up && event->status == 0) ||
	    (p->stopped && strcmp(event->reason, "stopped") == 0))
		return;
	progress_end(p->progress);
	cli_error("cannot pipe %s: the guest %s ended too early: %s, status %d%s%s", p->job->file,
	    e->name, event->reason, event->status, *event->message ? ": " : "", event->message);
	note_error(p, -ECANCELED);
	if (!gave_up)
		stop_guests(p);
}

/* Nothing but the exit event is to come on a guest's connection. */
static void read_packet(struct piping *p, struct end *e)
{
	static const char what[] = "follow the guest";
	struct exit_event event;
	json_t *packet;
	int err = client_recv(&e->c, what, &packet);

	if (!err)
		err = exit_event_parse(what, packet, &event);
	if (!err) {
		take_exit(p, e, &event);
	} else {
		p->cell_gone = err == -EPIPE;
		lose_guests(p);
		fail(p, err);
	}
	json_decref(packet);
}

/* ---- running ---- */

static bool busy(const struct piping *p)
{
	for (const struct end *e = p->ends; e < p->ends + NR_ENDS; e++)
		if ((e->domid && !e->ended) || e->console >= 0)
			return true;
	return false;
}

/* Wait for one thing.  False: no more patience. */
static bool follow_once(struct piping *p, const sigset_t *unblocked)
{
	const struct timespec moment = {.tv_sec = 1};
	struct pollfd pfd[NR_ENDS + NR_ENDS]; /* consoles, connections */
	int n;

	if (signals_seen() > 1) {
		cli_error("the guests have not stopped yet; leaving all the same");
		return false;
	}
	if (signals_seen() && !p->stopped) {
		progress_end(p->progress);
		fail(p, -EINTR);
	}
	for (int i = 0; i < NR_ENDS; i++) {
		const struct end *e = &p->ends[i];

		pfd[i] = (struct pollfd){.fd = e->console, .events = POLLIN};
		pfd[NR_ENDS + i] = (struct pollfd){
		    .fd = e->domid && !e->ended ? e->c.fd : -1, .events = POLLIN};
	}
	n = ppoll(
	    pfd, sizeof(pfd) / sizeof(pfd[0]), p->error && !p->stopped ? &moment : NULL, unblocked);
	if (n < 0)
		return errno == EINTR;
	if (n == 0)
		stop_guests(p);
	for (int i = 0; i < NR_ENDS; i++) {
		if (pfd[i].revents)
			read_console(p, &p->ends[i]);
		if (pfd[NR_ENDS + i].revents && !p->ends[i].ended)
			read_packet(p, &p->ends[i]);
	}
	return true;
}

static int source_cmdline(const struct piping *p, uint64_t arena, char **line)
{
	const struct pipe_job *job = p->job;
	int n = asprintf(line,
	    "source channel=%s bytes=%" PRIu64 " message=%" PRIu64 " shared=%d arena=%" PRIu64
	    " tag=%" PRIu64,
	    p->channel, job->bytes, job->message, job->shared, arena, p->tag);

	return n < 0 ? -ENOMEM : 0;
}

static int sink_cmdline(const struct piping *p, char **line)
{
	int n = asprintf(line, "sink channel=%s progress=%d", p->channel, p->progress->wanted);

	return n < 0 ? -ENOMEM : 0;
}

/* Room for the messages under way, in whole frames of 2 MiB. */
static uint64_t arena_bytes(const struct pipe_job *job)
{
	const uint64_t frame = 2U << 20;
	uint64_t bytes = (job->message + frame - 1) / frame * frame * ARENA_MESSAGES;

	return bytes > ARENA_LEAST ? bytes : ARENA_LEAST;
}

static int run_guest(
    struct piping *p, struct end *e, const char *cmdline, uint64_t windows, const int fds[3])
{
	const struct pipe_job *job = p->job;
	json_t *answer;
	char *what;
	int err;

	if (asprintf(&what, "run the %s", e->role) < 0) {
		cli_error("cannot run the %s: memory is short", e->role);
		return -ENOMEM;
	}
	err = client_call_fds(&e->c, what,
	    json_pack("{s:s, s:s, s:I, s:I, s:i, s:s, s:s, s:b}", "op", "run", "name", e->name,
		"memory", (json_int_t)job->memory, "windows", (json_int_t)windows, "vcpus", 1,
		"image", job->image, "cmdline", cmdline, "detach", 0),
	    fds, 3, &answer);
	if (!err)
		err = client_unpack(what, answer, "{s:I}", "domid", &e->domid);
	json_decref(answer);
	free(what);
	return err;
}

/* A guest whose console we read. */
static int launch(struct piping *p, struct end *e, const char *cmdline, uint64_t windows)
{
	int ends[2], null, err;

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		err = -errno;
		cli_error(
		    "cannot pipe %s: no console for a guest: %s", p->job->file, strerror(-err));
		goto out_null;
	}
	e->console = ends[0];
	err = client_open(&e->c, p->control->path);
	if (err)
		goto out_pipe;
	e->connected = true;
	err = run_guest(p, e, cmdline, windows, (int[]){p->job->image_fd, null, ends[1]});
out_pipe:
	close(ends[1]);
out_null:
	if (null >= 0)
		close(null);
	return err;
}

static int launch_both(struct piping *p)
{
	uint64_t arena = arena_bytes(p->job), windows = arena + WINDOWS_BESIDE_ARENA;
	char *source = NULL, *sink = NULL;
	int err;

	err = source_cmdline(p, arena, &source);
	if (!err)
		err = sink_cmdline(p, &sink);
	if (err)
		cli_error("cannot pipe %s: memory is short", p->job->file);
	if (!err)
		err = launch(p, &p->ends[SOURCE], source, windows);
	if (!err)
		err = launch(p, &p->ends[SINK], sink, windows);
	free(source);
	free(sink);
	return err;
}

/* Neither another guest's offer nor another's channel shall be taken for ours: be unguessable. */
static int choose_names(struct piping *p)
{
	uint64_t random;
	int err = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
		err = -errno;
		cli_error("cannot pipe %s: no random number: %s", p->job->file, strerror(-err));
		return err;
	}
	snprintf(p->channel, sizeof(p->channel), "pipe-%016" PRIx64, random);
	p->tag = random >> 2; /* JSON's integers are signed, and there is one for each segment */
	for (struct end *e = p->ends; e < p->ends + NR_ENDS; e++)
		snprintf(e->name, sizeof(e->name), "%s-%ld", e->role, (long)getpid());
	return 0;
}

static int check_complete(const struct piping *p)
{
	if (p->words_seen == (1U << NR_WORDS) - 1)
		return 0;
	cli_error("cannot pipe %s: the guests did not say how it went", p->job->file);
	return -EPROTO;
}

int piping_run(struct client *control, const struct pipe_job *job, struct progress *progress,
    struct pipe_result *result)
{
	struct piping p = {
	    .job = job,
	    .control = control,
	    .progress = progress,
	    .result = result,
	    .ends = {[SOURCE] = {.role = "source", .console = -1},
		[SINK] = {.role = "sink", .console = -1}},
	};
	sigset_t unblocked;
	int err = choose_names(&p);

	if (err)
		return err;
	xenctl_init(&p.xen, control->path);
	signals_catch(&unblocked);
	err = launch_both(&p);
	if (err)
		fail(&p, err);
	else
		lend_segment(&p);
	while (busy(&p) && follow_once(&p, &unblocked))
		continue;
	return_segment(&p);
	progress_end(progress);
	lose_guests(&p);
	for (struct end *e = p.ends; e < p.ends + NR_ENDS; e++)
		if (e->console >= 0)
			close(e->console);
	signals_release(&unblocked);
	xenctl_close(&p.xen);
	return p.error ? p.error : check_complete(&p);
}
