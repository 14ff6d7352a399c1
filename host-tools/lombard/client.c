/* SPDX-License-Identifier: BSD-2-Clause */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"

/* Room for the answers about some thousands of guests, and far above a packet's default limit. */
#define MAX_PACKET (4U << 20)

static int make_address(const char *path, struct sockaddr_un *addr)
{
	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(addr->sun_path, path, strlen(path) + 1);
	return 0;
}

int client_try_open(struct client *c, const char *path)
{
	struct sockaddr_un addr;
	int err;

	err = make_address(path, &addr);
	if (err)
		return err;
	*c = (struct client){.path = path};
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	c->buf = malloc(MAX_PACKET);
	if (!c->buf) {
		err = -ENOMEM;
		goto out_close;
	}
	if (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	err = -errno;
	free(c->buf);
out_close:
	close(c->fd);
	return err;
}

static const char *open_advice(int err)
{
	switch (-err) {
	case ENOENT:
	case ECONNREFUSED:
		return "; start one with `lombard start`";
	case EACCES:
	case EPERM:
		return "; use sudo, or join the group that owns the socket";
	case ENAMETOOLONG:
		return "; a socket's path has at most 107 bytes: name a shorter one with --socket";
	case EPROTOTYPE:
		return "; that socket is not a cell's: name another one with --socket";
	default:
		return "";
	}
}

void client_explain_open(const char *path, int err)
{
	const char *reason = strerror(-err);

	if (err == -ENOENT || err == -ECONNREFUSED)
		reason = "no cell is running there";
	cli_error("cannot reach the cell at %s: %s%s", path, reason, open_advice(err));
}

int client_open(struct client *c, const char *path)
{
	int err = client_try_open(c, path);

	if (err)
		client_explain_open(path, err);
	return err;
}

static void drop_fds(struct client *c)
{
	while (c->nfds)
		close(c->fds[--c->nfds]);
}

void client_close(struct client *c)
{
	drop_fds(c);
	close(c->fd);
	free(c->buf);
}

/* A closed connection means one thing only: the cell ended. */
void client_explain_io(const char *path, const char *what, int err)
{
	if (err == -EPIPE)
		cli_error("cannot %s: the cell at %s ended; see %s.log, or start another one with "
			  "`lombard start`",
		    what, path, path);
	else
		cli_error(
		    "cannot %s: talking to the cell at %s failed: %s", what, path, strerror(-err));
}

static int explain_io(const struct client *c, const char *what, int err)
{
	client_explain_io(c->path, what, err);
	return err;
}

int client_send(struct client *c, const char *what, json_t *request, const int *fds, unsigned nfds)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int err;

	json_decref(request);
	if (!text) {
		cli_error("cannot %s: an argument is not UTF-8 text, or memory is short", what);
		return -EILSEQ;
	}
	err = sock_send(c->fd, text, strlen(text), fds, nfds);
	free(text);
	return err ? explain_io(c, what, err) : 0;
}

static int not_understood(const char *what, const char *why)
{
	cli_error("cannot %s: the cell's answer was not understood (%s); are lombard and lombardd "
		  "of one version?",
	    what, why);
	return -EPROTO;
}

int client_recv(struct client *c, const char *what, json_t **packet)
{
	json_error_t error;
	size_t len;
	int err;

	*packet = NULL;
	drop_fds(c);
	err = sock_recv(c->fd, c->buf, MAX_PACKET, &len, c->fds, SOCK_MAX_FDS, &c->nfds);
	if (err) {
		c->nfds = 0;
		return explain_io(c, what, err);
	}
	*packet = json_loadb(c->buf, len, JSON_REJECT_DUPLICATES, &error);
	if (!*packet)
		return not_understood(what, error.text);
	if (!json_is_object(*packet)) {
		json_decref(*packet);
		*packet = NULL;
		return not_understood(what, "it is no JSON object");
	}
	return 0;
}

int client_check(const char *what, const json_t *answer)
{
	const json_t *ok = json_object_get(answer, "ok");
	json_int_t number = json_integer_value(json_object_get(answer, "errno"));
	const char *sentence = client_text(answer, "error");

	if (!json_is_boolean(ok))
		return not_understood(what, "\"ok\" is missing");
	if (json_is_true(ok))
		return 0;
	if (number < 1 || number > 4095)
		number = EPROTO;
	cli_error("cannot %s: %s", what, *sentence ? sentence : strerror((int)number));
	return -(int)number;
}

int client_call_fds(struct client *c, const char *what, json_t *request, const int *fds,
    unsigned nfds, json_t **answer)
{
	int err;

	*answer = NULL;
	err = client_send(c, what, request, fds, nfds);
	if (err)
		return err;
	err = client_recv(c, what, answer);
	if (err)
		return err;
	err = client_check(what, *answer);
	if (err) {
		json_decref(*answer);
		*answer = NULL;
	}
	return err;
}

int client_call(struct client *c, const char *what, json_t *request, json_t **answer)
{
	return client_call_fds(c, what, request, NULL, 0, answer);
}

int client_unpack(const char *what, json_t *obj, const char *fmt, ...)
{
	json_error_t error;
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = json_vunpack_ex(obj, &error, 0, fmt, ap);
	va_end(ap);
	return err ? not_understood(what, error.text) : 0;
}

const char *client_text(const json_t *obj, const char *key)
{
	const char *text = json_string_value(json_object_get(obj, key));

	return text ? text : "";
}

int client_ask(const char *path, const char *what, json_t *request, json_t **answer)
{
	struct client c;
	int err;

	*answer = NULL;
	err = client_open(&c, path);
	if (err) {
		json_decref(request);
		return err;
	}
	err = client_call(&c, what, request, answer);
	client_close(&c);
	return err;
}
