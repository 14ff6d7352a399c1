/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The source.  The file comes in segments, each a loan of its own with the next tag, so that the
 * host need not keep the whole file in memory: the command lends the next one when the line
 * `pipe: read TAG` has said that nothing of the last one is borrowed any more.
 *
 * Arguments: channel=NAME bytes=N (of the file) message=N (bytes) shared=0|1 arena=N (bytes) tag=N
 */
#include "pipe.h"

#define WINDOW_PAGES 1024U

/* Where we are in the file. */
struct reader {
	struct loan_query loan; /* the segment; id 0: none */
	uint64_t tag;		/* of the next segment */
	uint64_t loan_at;	/* bytes of the segment that were read */
	const char *window;	/* NULL: none is borrowed */
	uint64_t window_at;	/* bytes of the window that were read, ... */
	uint64_t window_len;	/* ... of so many */
};

/* Only the host's word counts: other guests could make offers, too. */
static void segment_open(struct reader *r)
{
	pipe_check(
	    loan_wait(r->tag, ~0ULL, LOAN_TO_PAGE, TIME_FOREVER, &r->loan), "wait for the file");
	if (r->loan.lender != LOAN_DOMID_HOST || r->loan.bytes == 0)
		die("source: loan %llu is no file of the host's", (unsigned long long)r->loan.id);
	r->loan_at = 0;
}

static void segment_close(struct reader *r)
{
	pipe_tell("read", r->tag);
	r->tag++;
	r->loan.id = 0;
}

static void window_open(struct reader *r)
{
	uint64_t first = r->loan_at / PAGE_SIZE, left = r->loan.nr_pages - first;
	uint32_t pages = left < WINDOW_PAGES ? (uint32_t)left : WINDOW_PAGES;
	void *window;

	pipe_check(
	    loan_borrow(r->loan.id, (uint32_t)first, pages, &window), "borrow from the file");
	left = r->loan.bytes - r->loan_at;
	r->window = window;
	r->window_at = 0;
	r->window_len = left < pages * PAGE_SIZE ? left : pages * PAGE_SIZE;
}

static void window_close(struct reader *r)
{
	pipe_check(loan_return((void *)(uintptr_t)r->window), "return a window");
	r->window = NULL;
	r->loan_at += r->window_len;
	if (r->loan_at == r->loan.bytes)
		segment_close(r);
}

/* The next len bytes of the file. */
static void reader_copy(struct reader *r, char *to, uint64_t len)
{
	while (len != 0) {
		uint64_t n;

		if (r->loan.id == 0)
			segment_open(r);
		if (r->window == NULL)
			window_open(r);
		n = r->window_len - r->window_at < len ? r->window_len - r->window_at : len;
		memcpy(to, r->window + r->window_at, n);
		to += n;
		len -= n;
		r->window_at += n;
		if (r->window_at == r->window_len)
			window_close(r);
	}
}

static void send_file(
    struct chan *ch, struct reader *r, uint64_t bytes, uint64_t message, unsigned strength)
{
	uint64_t number = 0;

	while (bytes != 0) {
		uint64_t len = bytes < message ? bytes : message;
		void *buf;

		pipe_check(chan_alloc(ch, len, CHAN_FOREVER, &buf), "get a buffer");
		reader_copy(r, buf, len);
		pipe_check(chan_send(ch, buf, len, strength, number), "send");
		number++;
		bytes -= len;
	}
}

static void report(struct chan *ch)
{
	struct chan_info info;

	pipe_check(chan_info(ch, &info), "ask how it went");
	pipe_tell("sent", info.sent);
	pipe_tell("lent", info.lent);
	pipe_tell("copied", info.copied);
	pipe_tell("shared", info.shared);
	pipe_tell("frame", info.frame_bytes);
}

int source_main(int argc, char **argv)
{
	const struct chan_options options = {.arena_bytes = arg_need(argc, argv, "arena")};
	uint64_t bytes = arg_need(argc, argv, "bytes");
	uint64_t message = arg_need(argc, argv, "message");
	unsigned strength = arg_u64(argc, argv, "shared", 0) != 0 ? CHAN_SEND_SHARED
								  : CHAN_SEND_SEALED;
	struct reader reader = {.tag = arg_need(argc, argv, "tag")};
	struct chan *ch;

	if (message == 0)
		die("source: message=0 would never get through the file");
	pipe_check(chan_create(pipe_need(argc, argv, "channel"), &options, &ch), "make a channel");
	pipe_check(chan_accept(ch, chan_after(PATIENCE), NULL), "wait for the sink");
	send_file(ch, &reader, bytes, message, strength);
	report(ch);
	chan_close(ch);
	return 0;
}
