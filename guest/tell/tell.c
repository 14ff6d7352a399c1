/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tell: creates a channel, waits for those who want to hear, and sends them what it is told to.
 * An example: one source text for guests and for host programs.  See docs/channels.md, Try it.
 *
 *	tell NAME [count=N] [bytes=SIZE] [peers=N] [strength=sealed|shared] [lend=SIZE]
 *	tell NAME [peers=N] ... say WORD...
 *
 * It sends `count` messages (100) of `bytes` bytes (65536); or each WORD as a message.  A message
 * goes to all `peers` peers (1) at once.  Sealed ones of at least `lend` bytes are lent, shorter
 * ones copied; what pays on this machine, if not said.  The last line says how many messages and
 * bytes were sent, and the XXH64 of all bytes in their order.
 */
#include "example.h"

#include <lombard-chan.h>

/* Longer messages get an arena of their own size. */
#define SHORT_BYTES ((size_t)4 << 20)

static void check(int err, const char *what)
{
	if (err != 0)
		die("tell: can't %s: error %d", what, err);
}

static void fill(void *buf, size_t len, uint64_t number)
{
	uint64_t word;

	for (size_t i = 0; i < len; i += sizeof(word)) {
		word = (number << 32 | (i + 1)) * 0x9e3779b97f4a7c15U;
		memcpy((char *)buf + i, &word, len - i < sizeof(word) ? len - i : sizeof(word));
	}
}

/*
 * One message: a buffer in the channel's memory, written in place, sent.  When it is lent, nobody
 * copies it: every peer reads these very pages, and if we wrote to them now, we would get others.
 */
static void tell(
    struct chan *ch, const char *word, size_t len, unsigned strength, XXH64_state_t *hash)
{
	static uint64_t number;
	void *buf;

	check(chan_alloc(ch, len, CHAN_FOREVER, &buf), "get a buffer");
	if (word != NULL)
		memcpy(buf, word, len);
	else
		fill(buf, len, number);
	XXH64_update(hash, buf, len);
	check(chan_send(ch, buf, len, strength, number), "send");
	number++;
}

static void report(struct chan *ch, const XXH64_state_t *hash)
{
	struct chan_info info;

	check(chan_info(ch, &info), "ask how it went");
	printf("tell: messages=%llu bytes=%llu xxh64=%016llx lent=%llu copied=%llu shared=%llu\n",
	    (unsigned long long)info.sent, (unsigned long long)info.sent_bytes,
	    (unsigned long long)XXH64_digest(hash), (unsigned long long)info.lent,
	    (unsigned long long)info.copied, (unsigned long long)info.shared);
}

static unsigned strength_of(int argc, char **argv)
{
	const char *word = arg_find(argc, argv, "strength");

	if (word != NULL && strcmp(word, "sealed") != 0 && strcmp(word, "shared") != 0)
		die("tell: strength=%s: sealed or shared", word);
	return word != NULL && strcmp(word, "shared") == 0 ? CHAN_SEND_SHARED : CHAN_SEND_SEALED;
}

/* How many words stand before `say`, or are there at all. */
static int options_end(int argc, char **argv)
{
	int end = 1;

	while (end < argc && strcmp(argv[end], "say") != 0)
		end++;
	return end;
}

int main(int argc, char **argv)
{
	int end = options_end(argc, argv);
	unsigned strength = strength_of(end, argv);
	uint64_t count = arg_u64(end, argv, "count", 100);
	size_t bytes = arg_u64(end, argv, "bytes", 65536);
	const struct chan_options options = {
	    .max_peers = (unsigned)arg_u64(end, argv, "peers", 1),
	    .lend_from = arg_u64(end, argv, "lend", 0),
	    /* Messages under way, and two more.  0: what is usual, 16 MiB. */
	    .arena_bytes = bytes > SHORT_BYTES ? 4 * bytes : 0,
	};
	XXH64_state_t hash;
	struct chan *ch;

	if (end < 2)
		die("usage: tell NAME [count=N] [bytes=SIZE] [peers=N] [strength=sealed|shared] "
		    "[lend=SIZE] [say WORD...]");
	XXH64_reset(&hash, 0);
	check(chan_create(argv[1], &options, &ch), "create the channel");
	for (unsigned i = 0; i < options.max_peers; i++)
		check(chan_accept(ch, CHAN_FOREVER, NULL), "accept a peer");
	for (int i = end + 1; i < argc; i++)
		tell(ch, argv[i], strlen(argv[i]), strength, &hash);
	for (uint64_t i = 0; end == argc && i < count; i++)
		tell(ch, NULL, bytes, strength, &hash);
	report(ch, &hash);
	/* Says that nothing more will come.  What was sent can be read all the same. */
	chan_close(ch);
	return 0;
}
