/* SPDX-License-Identifier: BSD-2-Clause */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sock.h"
#include "lib/spin.h"
#include "sandbox.h"

#define PATIENCE_MS 5000

/* Rounds without a look at the descriptors. */
#define BLIND 64u

enum order_kind { ORDER_CONNECT = 1, ORDER_DISCONNECT };

struct order {
	enum order_kind kind;
	struct vbd_front front; /* of ORDER_CONNECT */
};

/* To each order, and one at the start. */
struct answer {
	int32_t error;
	struct failure f; /* if there is an error */
};

/* ---- the child ---- */

static bool work(void *vbd)
{
	return vbd_work(vbd);
}

/* While the kernel works for us it shall have the processor. */
static bool wait_work(struct vbd *v, struct spin *spin)
{
	return v->under_way > 0 ? vbd_work(v) : spin_look(spin, work, v);
}

/* => must it sleep before there is anything to do? */
static bool serve_disk(struct vbd *v, struct spin *spin)
{
	for (unsigned i = 0; i < BLIND; i++)
		if (!vbd_serve(v) && !wait_work(v, spin))
			return !vbd_rest(v);
	return false;
}

static int answer(int fd, int error, const struct failure *f)
{
	struct answer a = {.error = error};

	if (error != 0)
		a.f = *f;
	return sock_send(fd, &a, sizeof(a), NULL, 0);
}

/* => our parent is there, and has sense */
static bool obey(struct vbd *v, int fd)
{
	struct order o;
	struct failure f;
	size_t len;
	int error = 0;

	if (sock_recv(fd, &o, sizeof(o), &len, NULL, 0, NULL) != 0 || len != sizeof(o))
		return false;
	if (o.kind == ORDER_CONNECT)
		error = vbd_connect(v, &o.front, &f);
	else
		vbd_disconnect(v);
	return answer(fd, error, &f) == 0;
}

static void serve(struct vbd *v, int fd)
{
	struct pollfd p[] = {
	    {.fd = fd, .events = POLLIN},
	    {.fd = xenevtchn_fd(v->events), .events = POLLIN},
	    {.fd = io_fd(&v->io), .events = POLLIN},
	};
	struct spin spin = {0};
	bool sleep;

	for (;;) {
		sleep = serve_disk(v, &spin);
		if (poll(p, sizeof(p) / sizeof(p[0]), sleep ? -1 : 0) < 0 && errno != EINTR)
			return;
		if (sleep && v->under_way == 0)
			spin_slept(&spin);
		/* When the cell is gone, our parent ends, and we with it. */
		if (p[1].revents != 0 && !vbd_event(v))
			p[1].fd = -1;
		if (p[0].revents != 0 && !obey(v, fd))
			return;
	}
}

static _Noreturn void be_server(
    int fd, const struct disk *disk, uint32_t domid, pid_t parent, struct failure *f)
{
	static struct vbd vbd;
	int error = vbd_open(&vbd, disk, domid, f);

	vbd.patience_ms = PATIENCE_MS;
	if (error == 0)
		error = sandbox_enter(domid, parent, f);
	if (answer(fd, error, f) == 0 && error == 0)
		serve(&vbd, fd);
	_exit(1);
}

/* ---- its parent ---- */

static int gone(struct failure *f)
{
	return failure_set(f, -EPIPE, "the process that serves the disk has ended");
}

/* What the child says may be its guest's words. */
static int take_answer(const struct server *s, struct failure *f)
{
	struct answer a;
	size_t len;

	if (sock_recv(s->fd, &a, sizeof(a), &len, NULL, 0, NULL) != 0 || len != sizeof(a) ||
	    a.error > 0)
		return gone(f);
	a.f.text[sizeof(a.f.text) - 1] = '\0';
	*f = a.f;
	return a.error;
}

static int await_answer(const struct server *s, struct failure *f)
{
	struct pollfd p[] = {
	    {.fd = s->guest, .events = POLLIN},
	    {.fd = s->fd, .events = POLLIN},
	};

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return failure_sys(f, -errno, "poll");
	if (p[0].revents != 0)
		return failure_set(f, -ESRCH, "the guest has ended");
	return take_answer(s, f);
}

static int give_order(const struct server *s, const struct order *o, struct failure *f)
{
	return sock_send(s->fd, o, sizeof(*o), NULL, 0) == 0 ? await_answer(s, f) : gone(f);
}

int server_connect(struct server *s, const struct vbd_front *front, struct failure *f)
{
	return give_order(s, &(struct order){.kind = ORDER_CONNECT, .front = *front}, f);
}

int server_disconnect(struct server *s, struct failure *f)
{
	return give_order(s, &(struct order){.kind = ORDER_DISCONNECT}, f);
}

int server_start(struct server *s, const struct disk *disk, uint32_t domid,
    void (*leave)(void *arg), void *arg, struct failure *f)
{
	pid_t parent = getpid(), child;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return failure_sys(f, -errno, "cannot make a socket");
	child = fork();
	if (child == 0) {
		close(pair[0]);
		leave(arg);
		be_server(pair[1], disk, domid, parent, f);
	}
	if (child < 0)
		failure_sys(f, -errno, "cannot start a process");
	close(pair[1]);
	s->fd = pair[0];
	if (child > 0)
		return await_answer(s, f);
	close(pair[0]);
	return -EAGAIN;
}
