/* SPDX-License-Identifier: BSD-2-Clause */
#include "link.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xentoollog.h>

#include "lib/reach.h"
#include "lib/sock.h"

#define MAX_ANSWER 4096

/* What all processes that have this connection see. */
struct link_shared {
	pthread_mutex_t mutex;
	bool broken;
};

/* Both are sent and received as they are. */
_Static_assert(offsetof(struct link_request, u) == sizeof(struct xenwire_request), "no gap");
_Static_assert(offsetof(struct link_answer, u) == sizeof(struct xenwire_reply), "no gap");

/* => *stream: what came with the answer, or -1 */
static int introduce(int fd, const char *kind, int *stream)
{
	char text[MAX_ANSWER];
	unsigned nfds = 0;
	size_t len;
	int error, n = snprintf(text, sizeof(text), "{\"op\":\"xen\",\"kind\":\"%s\"}", kind);

	*stream = -1;
	error = sock_send(fd, text, (size_t)n, NULL, 0);
	if (error == 0)
		error = sock_recv(fd, text, sizeof(text), &len, stream, 1, &nfds);
	if (error == 0)
		error = reach_judge(text, len);
	if (error != 0 && nfds > 0)
		close(*stream);
	return error;
}

static int make_shared(struct link_shared **sp)
{
	pthread_mutexattr_t attr;
	struct link_shared *s = mmap(
	    NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return -errno;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	*sp = s;
	return 0;
}

/* Kinds that have a stream must bring one, others must not. */
static int check_stream(int *stream, int got)
{
	if ((stream != NULL) != (got >= 0)) {
		if (got >= 0)
			close(got);
		return -EPROTO;
	}
	if (stream != NULL)
		*stream = got;
	return 0;
}

int link_open(struct link *l, const char *kind, int *stream)
{
	struct link new = LINK_NONE;
	int got = -1, error;

	new.fd = reach_cell();
	if (new.fd < 0)
		return new.fd;
	error = make_shared(&new.shared);
	if (error == 0)
		error = introduce(new.fd, kind, &got);
	if (error == 0)
		error = check_stream(stream, got);
	if (error != 0)
		link_close(&new);
	else
		*l = new;
	return error;
}

void link_close(struct link *l)
{
	int saved = errno;

	if (l->shared != NULL)
		munmap(l->shared, sizeof(*l->shared));
	if (l->fd >= 0)
		close(l->fd);
	*l = LINK_NONE;
	errno = saved;
}

static int lock(struct link_shared *s)
{
	if (pthread_mutex_lock(&s->mutex) == EOWNERDEAD) {
		pthread_mutex_consistent(&s->mutex);
		s->broken = true;
	}
	return s->broken ? -EPIPE : 0;
}

/* => locked */
static int exchange(int socket, const struct link_request *req, size_t request_size, int fd,
    struct link_answer *a, size_t answer_element)
{
	size_t len;
	int error = sock_send(socket, req, request_size, &fd, fd >= 0);

	a->nfds = 0;
	if (error == 0)
		error = sock_recv(socket, a, offsetof(struct link_answer, fds), &len, a->fds,
		    XENWIRE_MAX_FDS, &a->nfds);
	if (error != 0)
		return error;
	if (len < sizeof(a->head) || a->head.n > XENWIRE_MAX_ELEMENTS ||
	    len != sizeof(a->head) + a->head.n * answer_element) {
		link_drop_fds(a);
		return -EPROTO;
	}
	return 0;
}

int64_t link_ask(struct link *l, const struct link_request *req, size_t request_element, int fd,
    struct link_answer *a, size_t answer_element)
{
	int error;

	a->head.n = a->nfds = 0;
	if (l->fd < 0)
		return -EPIPE;
	error = lock(l->shared);
	if (error == 0) {
		error = exchange(l->fd, req, sizeof(req->head) + req->head.n * request_element, fd,
		    a, answer_element);
		/* Whatever comes next could be the answer to this one. */
		if (error != 0)
			l->shared->broken = true;
	}
	pthread_mutex_unlock(&l->shared->mutex);
	if (error != 0)
		return error;
	if (a->head.value < 0)
		link_drop_fds(a);
	return a->head.value;
}

int64_t link_tell(struct link *l, const struct xenwire_request *req)
{
	struct link_request whole;
	struct link_answer a;
	int64_t value;

	whole.head = *req;
	value = link_ask(l, &whole, 0, -1, &a, 0);
	link_drop_fds(&a);
	return value;
}

void link_drop_fds(struct link_answer *a)
{
	int saved = errno;

	while (a->nfds > 0)
		close(a->fds[--a->nfds]);
	errno = saved;
}

static const char *advice(int error)
{
	switch (-error) {
	case ENOENT:
	case ECONNREFUSED:
		return "no cell is running there; start one with `lombard start`, or name another "
		       "one in LOMBARD_SOCKET";
	case EACCES:
	case EPERM:
		return "permission denied; use sudo, or join the group that owns the socket";
	case EPROTO:
	case EPROTOTYPE:
		return "it does not speak as a cell of this version does";
	default:
		return strerror(-error);
	}
}

void link_explain(struct xentoollog_logger *logger, const char *context, int error)
{
	const char *path = reach_path(), *why = advice(error);

	if (logger != NULL)
		xtl_log(
		    logger, XTL_ERROR, -1, context, "cannot reach the cell at %s: %s", path, why);
	else
		fprintf(stderr, "%s: cannot reach the cell at %s: %s\n", context, path, why);
}
