/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vchan: a stream to a program of the host that speaks libxenvchan's protocol, or to another guest.
 * Whatever comes in goes out again.
 *
 *	serve=PATH	offer the stream there (data/NAME is ours to write)
 *	connect=PATH	or: use one that is served there, a whole path
 *	peer=DOMID	the other side (0: the host)
 *	seconds=N	for the peer to come, and for each wait after that (60)
 *
 * Says what happens; exits 0 when the peer has gone.
 */
#include <lombard-guest.h>

#define SECOND 1000000000ULL
#define CHUNK 4096u

static char buf[CHUNK];

/* All of it, as long as the peer is there. */
static void send_all(struct vchan *v, const char *p, size_t len, uint64_t patience)
{
	while (len > 0) {
		size_t n = vchan_write(v, p, len);

		p += n;
		len -= n;
		if (n > 0)
			continue;
		if (vchan_state(v) != VCHAN_OPEN)
			return;
		if (vchan_wait(v, time_after(patience)) != 0)
			die("vchan: the peer does not read");
	}
}

/* What was written before the peer went is still read; who can't be answered is not. */
static uint64_t echo(struct vchan *v, uint64_t patience)
{
	enum vchan_state state;
	uint64_t total = 0;
	size_t n;

	for (;;) {
		state = vchan_state(v);
		n = vchan_read(v, buf, sizeof(buf));
		total += n;
		if (n > 0)
			send_all(v, buf, n, patience);
		else if (state != VCHAN_OPEN)
			return total;
		else if (vchan_wait(v, time_after(patience)) != 0)
			die("vchan: nothing came");
	}
}

static void await_client(struct vchan *v, uint64_t patience)
{
	while (vchan_state(v) == VCHAN_WAITING)
		if (vchan_wait(v, time_after(patience)) != 0)
			die("vchan: no client came");
	puts("vchan: open");
}

/* Until there is a server, and it lets us in. */
static int connect(struct vchan *v, uint16_t peer, const char *path, uint64_t patience)
{
	uint64_t end = time_after(patience);
	int err;

	for (;;) {
		err = vchan_connect(v, peer, path);
		if ((err != -XEN_ENOENT && err != -XEN_EACCES) || time_ns() >= end)
			return err;
		time_sleep(SECOND / 20);
	}
}

int main(int argc, char **argv)
{
	const char *serve = arg_find(argc, argv, "serve"), *path = arg_find(argc, argv, "connect");
	uint16_t peer = (uint16_t)arg_u64(argc, argv, "peer", 0);
	uint64_t patience = arg_u64(argc, argv, "seconds", 60) * SECOND, total;
	struct vchan v;
	int err;

	if ((serve == NULL) == (path == NULL))
		die("usage: vchan serve=PATH | connect=PATH [peer=DOMID] [seconds=N]");
	err = serve != NULL ? vchan_serve(&v, peer, serve) : connect(&v, peer, path, patience);
	if (err != 0)
		die("vchan: error %d", err);
	puts(serve != NULL ? "vchan: serving" : "vchan: connected");
	await_client(&v, patience);
	total = echo(&v, patience);
	if (vchan_state(&v) == VCHAN_BROKEN)
		die("vchan: the peer has written nonsense");
	vchan_close(&v);
	printf("vchan: closed after %llu bytes\n", (unsigned long long)total);
	return 0;
}
