/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sock.h"
#include "lib/sys.h"
#include "lib/version.h"

#define MAX_REQUEST 65536u
#define MAX_SESSIONS 1024u
#define SEND_BUFFER (4 << 20) /* a whole answer is one packet */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gone = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(, session) sessions = LIST_HEAD_INITIALIZER(sessions);
static unsigned nsessions;

/* Bytes of the character at p, which is not NUL; 0: it is none in UTF-8. */
static size_t char_len(const char *p)
{
	json_t *j = NULL;
	size_t n = 0;

	while (j == NULL && n < 4 && p[n] != '\0')
		j = json_stringn(p, ++n);
	if (j == NULL)
		return 0;
	json_decref(j);
	return n;
}

json_t *session_text(const char *text)
{
	static const char escape_len = 4; /* \xNN */
	json_t *j = json_string(text);
	char *buf, *to;
	size_t n;

	if (j != NULL)
		return j;
	buf = to = SYS_ALLOC(malloc(strlen(text) * escape_len + 1));
	if (buf == NULL)
		return NULL;
	for (; *text != '\0'; text += n) {
		n = char_len(text);
		if (n > 0) {
			to = mempcpy(to, text, n);
		} else {
			to += sprintf(to, "\\x%02x", (unsigned char)*text);
			n = 1;
		}
	}
	*to = '\0';
	j = json_string(buf);
	free(buf);
	return j;
}

static json_t *op_hello(struct session *s, json_t *request, int *error, struct failure *f)
{
	(void)s;
	(void)request;
	(void)error;
	(void)f;
	return json_pack("{s:s, s:i, s:o, s:b}", "version", LOMBARD_VERSION, "pid", (int)getpid(),
	    "socket", session_text(cell_socket()), "kvm", access("/dev/kvm", R_OK | W_OK) == 0);
}

static json_t *op_shutdown(struct session *s, json_t *request, int *error, struct failure *f)
{
	(void)s;
	(void)request;
	(void)error;
	(void)f;
	guest_stop_all();
	return json_object();
}

static const struct {
	const char *name;
	session_op *call;
} operations[] = {
    {"hello", op_hello},
    {"run", op_run},
    {"wait", op_wait},
    {"console", op_console},
    {"detach", op_detach},
    {"list", op_list},
    {"stats", op_stats},
    {"lend", op_lend},
    {"return", op_return},
    {"loans", op_loans},
    {"map", op_map},
    {"channel", op_channel},
    {"dismiss", op_dismiss},
    {"xen", op_xen},
    {"xenstore", op_xenstore},
    {"shutdown", op_shutdown},
};

bool session_uint(json_t *request, const char *key, uint64_t *value, int *error, struct failure *f)
{
	json_t *j = json_object_get(request, key);

	if (j == NULL || json_is_null(j))
		return true;
	if (!json_is_integer(j) || json_integer_value(j) < 0) {
		*error = failure_set(
		    f, -EINVAL, "\"%s\" must be a whole number, not negative", key);
		return false;
	}
	*value = (uint64_t)json_integer_value(j);
	return true;
}

struct guest *session_guest(json_t *request, const char *key, int *error, struct failure *f)
{
	json_t *j = json_object_get(request, key);
	struct guest *g = NULL;

	if (json_is_integer(j) && json_integer_value(j) > 0 && json_integer_value(j) <= UINT16_MAX)
		g = guest_find((uint32_t)json_integer_value(j));
	else if (json_is_string(j))
		g = guest_find_name(json_string_value(j));
	if (g == NULL)
		*error = failure_set(
		    f, -ESRCH, "there is no such guest: `lombard list` shows which there are");
	return g;
}

static void forget_reply_fds(struct session *s)
{
	for (unsigned i = 0; s->s_reply_closes && i < s->s_nreply_fds; i++)
		close(s->s_reply_fds[i]);
	s->s_nreply_fds = 0;
	s->s_reply_closes = false;
}

/* Send a packet and drop it.  False: the client is gone. */
static bool send_json(struct session *s, json_t *packet)
{
	char *text;
	int error;

	if (json_is_null(packet))
		return true;
	text = packet != NULL ? json_dumps(packet, JSON_COMPACT) : NULL;
	json_decref(packet);
	error = text == NULL
		    ? -ENOMEM
		    : sock_send(s->s_fd, text, strlen(text), s->s_reply_fds, s->s_nreply_fds);
	forget_reply_fds(s);
	free(text);
	return error == 0;
}

static json_t *refusal(int error, const struct failure *f)
{
	return json_pack(
	    "{s:b, s:i, s:o}", "ok", 0, "errno", -error, "error", session_text(f->text));
}

static bool asks_p(json_t *request, const char *what)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	return op != NULL && strcmp(op, what) == 0;
}

static json_t *answer(struct session *s, json_t *request)
{
	struct failure f = {.text = "out of memory"};
	int error = -ENOMEM;
	json_t *fields;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (!asks_p(request, operations[i].name))
			continue;
		fields = operations[i].call(s, request, &error, &f);
		if (fields == NULL) {
			forget_reply_fds(s);
			return refusal(error, &f);
		}
		if (json_is_null(fields))
			return fields;
		json_object_set_new(fields, "ok", json_true());
		return fields;
	}
	failure_set(&f, -ENOSYS, "this lombardd knows no such operation");
	return refusal(-ENOSYS, &f);
}

static void close_request_fds(struct session *s)
{
	for (unsigned i = 0; i < s->s_nfds; i++)
		if (s->s_fds[i] >= 0)
			close(s->s_fds[i]);
	s->s_nfds = 0;
}

/* Take one request and answer it.  False: hang up. */
static bool serve_request(struct session *s, char *buf, bool *ends_cell)
{
	json_error_t jerror;
	json_t *request;
	size_t len;
	bool ok;
	int error = sock_recv(
	    s->s_fd, buf, MAX_REQUEST, &len, s->s_fds, SESSION_MAX_FDS, &s->s_nfds);

	if (error != 0)
		return false;
	request = json_loadb(buf, len, JSON_REJECT_DUPLICATES, &jerror);
	if (!json_is_object(request)) {
		/* Who does not speak JSON would not understand an answer. */
		json_decref(request);
		close_request_fds(s);
		return false;
	}
	ok = send_json(s, answer(s, request));
	*ends_cell = asks_p(request, "shutdown");
	json_decref(request);
	close_request_fds(s);
	return ok;
}

/* The guest's mutex, though nothing of this changes any more: its descriptor alone orders no memory. */
json_t *session_exit(struct guest *g)
{
	json_t *event;

	pthread_mutex_lock(&g->g_mutex);
	event = json_pack("{s:s, s:i, s:s, s:s, s:i, s:o}", "event", "exit", "domid",
	    (int)g->g_domid, "name", g->g_name, "reason", guest_end_name(g->g_end), "status",
	    g->g_status, "message", session_text(g->g_message));
	pthread_mutex_unlock(&g->g_mutex);
	return event;
}

/* The guest that the client waits for has ended. */
static bool report_end(struct session *s)
{
	struct guest *g = s->s_waiting;
	bool ok = send_json(s, session_exit(g));

	s->s_waiting = NULL;
	guest_put(g);
	return ok;
}

static void serve(struct session *s, char *buf)
{
	struct pollfd p[2] = {{.fd = s->s_fd, .events = POLLIN}, {.events = POLLIN}};
	bool ends_cell = false;

	for (;;) {
		p[1].fd = s->s_waiting != NULL ? s->s_waiting->g_ended_fd : -1;
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (s->s_waiting != NULL && (p[1].revents & POLLIN) && !report_end(s))
			return;
		if (p[0].revents != 0 && !serve_request(s, buf, &ends_cell))
			return;
		if (ends_cell)
			cell_end();
		if (s->s_xen != NULL) {
			xen_client_serve(s->s_xen);
			return;
		}
	}
}

static void session_free(struct session *s)
{
	if (s->s_waiting != NULL) {
		if (s->s_owns)
			guest_stop(s->s_waiting);
		guest_put(s->s_waiting);
	}
	session_end_loans(s);
	if (s->s_xen != NULL)
		xen_client_close(s->s_xen);
	pthread_mutex_lock(&mutex);
	LIST_REMOVE(s, s_all);
	nsessions--;
	pthread_cond_broadcast(&gone);
	pthread_mutex_unlock(&mutex);
	close(s->s_fd);
	free(s);
}

static void *session_main(void *arg)
{
	struct session *s = arg;
	char *buf = SYS_ALLOC(malloc(MAX_REQUEST));

	if (buf != NULL)
		serve(s, buf);
	free(buf);
	session_free(s);
	return NULL;
}

bool sessions_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), size = SEND_BUFFER;
	struct session *s;
	pthread_t thread;
	bool full;

	if (fd < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
	s = SYS_ALLOC(calloc(1, sizeof(*s)));
	pthread_mutex_lock(&mutex);
	full = s == NULL || nsessions >= MAX_SESSIONS;
	if (!full) {
		s->s_fd = fd;
		LIST_INIT(&s->s_loans);
		LIST_INSERT_HEAD(&sessions, s, s_all);
		nsessions++;
	}
	pthread_mutex_unlock(&mutex);
	if (full) {
		close(fd);
		free(s);
		return true;
	}
	/* Without the privilege the kernel's default must do: long answers may fail then. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (pthread_create(&thread, NULL, session_main, s) != 0)
		session_free(s);
	else
		pthread_detach(thread);
	return true;
}

unsigned sessions_count(void)
{
	unsigned n;

	pthread_mutex_lock(&mutex);
	n = nsessions;
	pthread_mutex_unlock(&mutex);
	return n;
}

void sessions_stop(void)
{
	struct session *s;

	pthread_mutex_lock(&mutex);
	LIST_FOREACH (s, &sessions, s_all)
		shutdown(s->s_fd, SHUT_RDWR);
	while (nsessions > 0)
		pthread_cond_wait(&gone, &mutex);
	pthread_mutex_unlock(&mutex);
}
