/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/xs_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
/* After errno.h: it makes a table of errors by name. */
#include <xen/io/xs_wire.h>

#define ANSWER_TIMEOUT_S 5
#define NUMBER_LEN 24

struct xs_client {
	int xs_fd;
	bool xs_lost;
	uint32_t xs_last_id;
	char xs_body[XENSTORE_PAYLOAD_MAX + 1]; /* of the last answer, and a NUL */
};

bool xs_lost(const struct xs_client *xs)
{
	return xs->xs_lost;
}

static int set_timeouts(int fd)
{
	struct timeval tv = {.tv_sec = ANSWER_TIMEOUT_S};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) != 0)
		return -errno;
	return 0;
}

static int connect_there(int fd, const char *directory)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int n = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/socket", directory);

	if (n < 0 || (size_t)n >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	return connect(fd, (struct sockaddr *)&sun, sizeof(sun)) != 0 ? -errno : 0;
}

int xs_open(const char *directory, struct xs_client **xsp)
{
	struct xs_client *xs = calloc(1, sizeof(*xs));
	int error;

	if (xs == NULL)
		return -ENOMEM;
	xs->xs_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	error = xs->xs_fd >= 0 ? set_timeouts(xs->xs_fd) : -errno;
	if (error == 0)
		error = connect_there(xs->xs_fd, directory);
	if (error != 0)
		xs_close(xs);
	else
		*xsp = xs;
	return error;
}

void xs_close(struct xs_client *xs)
{
	if (xs->xs_fd >= 0)
		close(xs->xs_fd);
	free(xs);
}

static int send_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -errno;
	}
	return 0;
}

static int recv_all(int fd, char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		n = recv(fd, p, len, 0);
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -errno;
	}
	return 0;
}

static int send_request(
    struct xs_client *xs, struct xsd_sockmsg *head, const struct iovec *parts, unsigned n)
{
	int error;

	for (unsigned i = 0; i < n; i++)
		head->len += (uint32_t)parts[i].iov_len;
	if (head->len > XENSTORE_PAYLOAD_MAX)
		return -E2BIG;
	error = send_all(xs->xs_fd, (const char *)head, sizeof(*head));
	for (unsigned i = 0; error == 0 && i < n; i++)
		error = send_all(xs->xs_fd, parts[i].iov_base, parts[i].iov_len);
	return error;
}

static int recv_answer(struct xs_client *xs, struct xsd_sockmsg *head)
{
	int error = recv_all(xs->xs_fd, (char *)head, sizeof(*head));

	if (error == 0 && head->len > XENSTORE_PAYLOAD_MAX)
		error = -EPROTO;
	if (error == 0)
		error = recv_all(xs->xs_fd, xs->xs_body, head->len);
	if (error == 0)
		xs->xs_body[head->len] = '\0';
	return error;
}

/* EAGAIN is what xenstored says of transactions, and what sockets say of time: here it is the latter. */
static int error_of(const char *name)
{
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (strcmp(name, xsd_errors[i].errstring) == 0)
			return xsd_errors[i].errnum == EAGAIN ? -EBUSY : -xsd_errors[i].errnum;
	return -EINVAL;
}

/* One request and its answer, which is in xs_body. */
static int ask(
    struct xs_client *xs, uint32_t type, uint32_t tx, const struct iovec *parts, unsigned n)
{
	struct xsd_sockmsg head = {.type = type, .req_id = ++xs->xs_last_id, .tx_id = tx}, answer;
	int error = send_request(xs, &head, parts, n);

	if (error == 0)
		error = recv_answer(xs, &answer);
	if (error == 0 &&
	    (answer.req_id != head.req_id || (answer.type != type && answer.type != XS_ERROR)))
		error = -EPROTO;
	if (error != 0) {
		xs->xs_lost = true;
		return error;
	}
	return answer.type == XS_ERROR ? error_of(xs->xs_body) : 0;
}

static struct iovec text(const char *s)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)s, .iov_len = strlen(s) + 1};
}

int xs_begin(struct xs_client *xs, uint32_t *tx)
{
	struct iovec part = text("");
	int error = ask(xs, XS_TRANSACTION_START, 0, &part, 1);
	unsigned long number;
	char *end;

	if (error != 0)
		return error;
	number = strtoul(xs->xs_body, &end, 10);
	if (end == xs->xs_body || *end != '\0' || number == 0 || number > UINT32_MAX) {
		xs->xs_lost = true;
		return -EPROTO;
	}
	*tx = (uint32_t)number;
	return 0;
}

int xs_end(struct xs_client *xs, uint32_t tx, bool commit)
{
	struct iovec part = text(commit ? "T" : "F");

	return ask(xs, XS_TRANSACTION_END, tx, &part, 1);
}

int xs_write(struct xs_client *xs, uint32_t tx, const char *path, const char *value)
{
	struct iovec parts[2] = {text(path), text(value)};

	parts[1].iov_len--;
	return ask(xs, XS_WRITE, tx, parts, 2);
}

int xs_rm(struct xs_client *xs, uint32_t tx, const char *path)
{
	struct iovec part = text(path);

	return ask(xs, XS_RM, tx, &part, 1);
}

int xs_set_perms(
    struct xs_client *xs, uint32_t tx, const char *path, uint32_t owner, uint32_t reader)
{
	char first[NUMBER_LEN], second[NUMBER_LEN];
	struct iovec parts[3];

	snprintf(first, sizeof(first), "n%u", owner);
	snprintf(second, sizeof(second), "r%u", reader);
	parts[0] = text(path);
	parts[1] = text(first);
	parts[2] = text(second);
	return ask(xs, XS_SET_PERMS, tx, parts, owner != reader ? 3 : 2);
}

int xs_introduce(struct xs_client *xs, uint32_t domid, uint64_t gfn, uint32_t port)
{
	char numbers[3][NUMBER_LEN];
	struct iovec parts[3];

	snprintf(numbers[0], NUMBER_LEN, "%u", domid);
	snprintf(numbers[1], NUMBER_LEN, "%ju", (uintmax_t)gfn);
	snprintf(numbers[2], NUMBER_LEN, "%u", port);
	for (unsigned i = 0; i < 3; i++)
		parts[i] = text(numbers[i]);
	return ask(xs, XS_INTRODUCE, 0, parts, 3);
}
