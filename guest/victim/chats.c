/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels with whoever is there: errors are nothing, as long as the library gives them. */
#include "victim.h"

#include <lombard-chan.h>
#include <start.h>

#define MESSAGE 9000u
#define STUCK 20u /* chats without room in our arena: then those who do not release are dropped */

static const struct chan_options opt = {.arena_bytes = 1 << 16,
    .max_peers = CHAN_MAX_PEERS,
    .flags = CHAN_BASE_FRAMES,
    .lend_from = 4096,
    .copy_bytes = 1 << 17};
static struct chan *ours;

void chats_init(void)
{
	must(chan_create("open", &opt, &ours), "make a channel");
}

/* A message's bytes can't change, whoever sent it; what is shared may. */
static void receive(struct chan *ch)
{
	struct chan_message msg;

	for (unsigned n = 0; n < 8 && chan_recv(ch, CHAN_NOW, &msg) == 0; n++) {
		uint64_t hash = xxh64(msg.data, msg.len);

		if (msg.strength != CHAN_SHARED && xxh64(msg.data, msg.len) != hash)
			die("victim: a message has changed");
		(void)chan_release(ch, &msg);
	}
}

static int send(struct chan *ch)
{
	void *buf;
	int err = chan_alloc(ch, MESSAGE, CHAN_NOW, &buf);

	if (err != 0)
		return err;
	memset(buf, 0x77, MESSAGE);
	err = chan_send(ch, buf, MESSAGE, CHAN_SEND_SEALED, 7);
	return err == 0 ? 0 : chan_free(ch, buf);
}

static bool call(uint16_t domid)
{
	char name[CHAN_NAME_LEN] = "fuzz-";
	struct chan *ch;

	number_text(name + 5, domid);
	if (chan_connect(name, &opt, CHAN_NOW, &ch) != 0)
		return false;
	(void)send(ch);
	receive(ch);
	chan_close(ch);
	return true;
}

static void serve(void)
{
	static unsigned stuck;
	unsigned peer;

	while (chan_accept(ours, CHAN_NOW, &peer) == 0)
		continue;
	stuck = send(ours) == -EAGAIN ? stuck + 1 : 0;
	if (stuck < STUCK)
		return;
	for (peer = 0; peer < CHAN_MAX_PEERS; peer++)
		(void)chan_drop(ours, peer);
	stuck = 0;
}

bool chat(uint16_t domid)
{
	bool called = call(domid);

	serve();
	receive(ours);
	return called;
}
