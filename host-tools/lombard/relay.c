/* SPDX-License-Identifier: BSD-2-Clause */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli.h"

#define WRITE_MAX 4096 /* a pipe that has room takes so much without waiting */

enum { AT_IN, AT_OUT, AT_STREAM };

void relay_open(struct relay *r, int stream, int escape, int log)
{
	*r = (struct relay){
	    .stream = stream, .escape = escape, .log = log, .terminal = isatty(STDIN_FILENO) == 1};
}

void relay_close(struct relay *r)
{
	if (r->stream >= 0)
		close(r->stream);
	r->stream = -1;
}

void relay_watch(const struct relay *r, struct pollfd p[RELAY_NPOLL])
{
	bool in = !r->in_over && r->stream >= 0 && (r->terminal || r->nin < sizeof(r->in));

	p[AT_IN] = (struct pollfd){.fd = in ? STDIN_FILENO : -1, .events = POLLIN};
	p[AT_OUT] = (struct pollfd){.fd = r->nout > 0 ? STDOUT_FILENO : -1, .events = POLLOUT};
	p[AT_STREAM] = (struct pollfd){.fd = -1};
	if (r->stream < 0)
		return;
	p[AT_STREAM].events = (short)((r->nout == 0 ? POLLIN : 0) | (r->nin > 0 ? POLLOUT : 0));
	if (p[AT_STREAM].events)
		p[AT_STREAM].fd = r->stream;
}

static void bell(void)
{
	(void)!write(STDERR_FILENO, "\a", 1);
}

/* Keys up to the one that ends it.  => did that come? */
static bool take_keys(struct relay *r, const char *keys, size_t n)
{
	const char *end = r->terminal && r->escape >= 0 ? memchr(keys, r->escape, n) : NULL;
	size_t room = sizeof(r->in) - r->nin;

	if (end)
		n = (size_t)(end - keys);
	if (n > room) {
		n = room;
		bell();
	}
	memcpy(r->in + r->nin, keys, n);
	r->nin += n;
	return end != NULL;
}

/* No more input: the guest goes on, and so do we. */
static void end_input(struct relay *r)
{
	r->in_over = true;
	if (r->nin == 0 && r->stream >= 0)
		shutdown(r->stream, SHUT_WR);
}

/* => is it the end for the user? */
static bool read_keys(struct relay *r)
{
	char keys[sizeof(r->in)];
	size_t room = r->terminal ? sizeof(keys) : sizeof(r->in) - r->nin;
	ssize_t n = read(STDIN_FILENO, keys, room);

	if (n > 0)
		return take_keys(r, keys, (size_t)n);
	if (n == 0 || (errno != EINTR && errno != EAGAIN))
		end_input(r);
	return false;
}

static void send_keys(struct relay *r)
{
	ssize_t n = send(r->stream, r->in, r->nin, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = (ssize_t)r->nin;
	if (n <= 0)
		return;
	r->nin -= (size_t)n;
	memmove(r->in, r->in + n, r->nin);
	if (r->in_over)
		end_input(r);
}

static void write_log(struct relay *r, const char *buf, size_t len)
{
	while (len > 0 && r->log >= 0) {
		ssize_t n = write(r->log, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			cli_error("cannot write the log: %s; it ends here", strerror(errno));
			r->log = -1;
			return;
		}
		buf += n;
		len -= (size_t)n;
	}
}

static void receive(struct relay *r)
{
	ssize_t n = recv(r->stream, r->out, sizeof(r->out), MSG_DONTWAIT);

	if (n > 0) {
		r->out_at = 0;
		r->nout = (size_t)n;
		write_log(r, r->out, r->nout);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		relay_close(r);
	}
	if (r->out_over)
		r->nout = 0;
}

static void write_out(struct relay *r, const sigset_t *unblocked)
{
	size_t len = r->nout < WRITE_MAX ? r->nout : WRITE_MAX;
	sigset_t blocked;
	ssize_t n;

	/* A terminal may take its time even so. */
	sigprocmask(SIG_SETMASK, unblocked, &blocked);
	n = write(STDOUT_FILENO, r->out + r->out_at, len);
	if (n < 0 && errno != EINTR && errno != EAGAIN) {
		r->out_over = true;
		r->nout = 0;
	}
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	if (n > 0) {
		r->out_at += (size_t)n;
		r->nout -= (size_t)n;
	}
}

enum relay_state relay_serve(
    struct relay *r, const struct pollfd p[RELAY_NPOLL], const sigset_t *unblocked)
{
	if (p[AT_IN].revents && read_keys(r))
		return RELAY_DETACH;
	if (r->stream >= 0 && r->nin > 0 && (p[AT_STREAM].revents & (POLLOUT | POLLERR)))
		send_keys(r);
	if (r->stream >= 0 && r->nout == 0 && (p[AT_STREAM].revents & ~POLLOUT))
		receive(r);
	else if (r->nout > 0 && p[AT_OUT].revents)
		write_out(r, unblocked);
	return r->stream < 0 && r->nout == 0 ? RELAY_OVER : RELAY_ON;
}

int relay_log(const char *path, int *fd)
{
	int err;

	*fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	err = -errno;
	cli_error("cannot open the log %s: %s", path, strerror(-err));
	return err;
}

bool relay_parse_escape(const char *text, int *escape)
{
	if (strcmp(text, "none") == 0)
		*escape = -1;
	else if (text[0] == '^' && text[1] >= '@' && text[1] <= '_' && text[2] == '\0')
		*escape = text[1] - '@';
	else if (text[0] == '^' && text[1] >= 'a' && text[1] <= 'z' && text[2] == '\0')
		*escape = text[1] - '`';
	else if (text[0] != '\0' && text[1] == '\0')
		*escape = (unsigned char)text[0];
	else
		return false;
	return true;
}
