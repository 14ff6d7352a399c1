/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on guests: run, wait, list; and channel, by which a host program becomes one, and dismiss, which
 * turns it out.  What Xen has words for, clients do as Xen's tools do it (op_xen.c).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/session.h"

/* Window area of a host program that does not say how much it wants: address space, no memory. */
#define PROGRAM_WINDOWS ((uint64_t)16 << 30)

/* Where guests are named these are domids, or other words. */
static bool taken_p(const char *name)
{
	return (name[0] != '\0' && name[strspn(name, "0123456789")] == '\0') ||
	       strcmp(name, "any") == 0 || strcmp(name, "host") == 0;
}

/* => an empty one, too: it gets one of ours */
static bool name_p(const char *name)
{
	if (strlen(name) >= WIRE_NAME_LEN || taken_p(name))
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL)
			return false;
	return name[0] != '.' && name[0] != '-';
}

static int refuse_name(struct failure *f, const char *whose)
{
	return failure_set(f, -EINVAL,
	    "a %s's name has letters, digits, '.', '_' and '-', at most %d of them; it is no "
	    "number, "
	    "nor `any` or `host`",
	    whose, WIRE_NAME_LEN - 1);
}

static bool text_of(
    json_t *request, const char *key, size_t max, const char **text, int *error, struct failure *f)
{
	json_t *j = json_object_get(request, key);

	*text = "";
	if (j == NULL || json_is_null(j))
		return true;
	if (!json_is_string(j) || json_string_length(j) >= max ||
	    strlen(json_string_value(j)) != json_string_length(j)) {
		*error = failure_set(
		    f, -EINVAL, "\"%s\" must be a text of less than %zu bytes", key, max);
		return false;
	}
	*text = json_string_value(j);
	return true;
}

/* Sizes: whole pages, within what a guest can have. */
static int check_sizes(
    uint64_t memory, uint64_t windows, uint64_t vcpus, struct guest_config *cfg, struct failure *f)
{
	cfg->ram_pages = memory >> UVM_PAGE_SHIFT;
	cfg->window_pages = windows >> UVM_PAGE_SHIFT;
	cfg->vcpus = (uint32_t)vcpus;
	if (memory % UVM_PAGE_SIZE != 0 || windows % UVM_PAGE_SIZE != 0)
		return failure_set(f, -EINVAL, "sizes must be multiples of 4 KiB");
	if (cfg->ram_pages < GUEST_MIN_RAM_PAGES || cfg->ram_pages > GUEST_MAX_RAM_PAGES)
		return failure_set(f, -EINVAL, "a guest can have 2 MiB to 64 GiB of memory");
	if (cfg->window_pages < 1 || cfg->window_pages > GUEST_MAX_WINDOW_PAGES)
		return failure_set(f, -EINVAL, "a guest can have 4 KiB to 64 GiB of window area");
	if (vcpus < 1 || vcpus > WIRE_MAX_VCPUS)
		return failure_set(f, -EINVAL, "a guest can have 1 to 16 vCPUs");
	return 0;
}

static bool config_of(json_t *request, struct guest_config *cfg, int *error, struct failure *f)
{
	uint64_t memory = 64u << 20, windows = 256u << 20, vcpus = 1;

	if (!session_uint(request, "memory", &memory, error, f) ||
	    !session_uint(request, "windows", &windows, error, f) ||
	    !session_uint(request, "vcpus", &vcpus, error, f) ||
	    !text_of(request, "name", WIRE_NAME_LEN, &cfg->name, error, f) ||
	    !text_of(request, "image", WIRE_TEXT_LEN, &cfg->image_path, error, f) ||
	    !text_of(request, "initrd", WIRE_TEXT_LEN, &cfg->initrd_path, error, f) ||
	    !text_of(request, "cmdline", WIRE_CMDLINE_LEN, &cfg->cmdline, error, f))
		return false;
	if (!name_p(cfg->name)) {
		*error = refuse_name(f, "guest");
		return false;
	}
	cfg->lapic = json_is_true(json_object_get(request, "kernel"));
	*error = check_sizes(memory, windows, vcpus, cfg, f);
	return *error == 0;
}

/* A detached guest's console: nothing to read, a file to write: a new one, if the client has none. */
static int detached_console(struct guest_config *cfg, char *path, size_t len, struct failure *f)
{
	int error = 0;

	cfg->console_in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (cfg->console_in < 0)
		return failure_sys(f, -errno, "can't open /dev/null");
	if (cfg->console_out >= 0)
		return 0;
	error = cell_console(cfg->name, path, len, &cfg->console_out, f);
	if (error != 0)
		close(cfg->console_in);
	else
		cfg->console_path = path;
	return error;
}

/* The request's descriptors: stay the session's. */
static int take_fds(
    struct session *s, bool detach, bool log, struct guest_config *cfg, struct failure *f)
{
	bool initrd = cfg->initrd_path[0] != '\0';
	unsigned n = 0, consoles = (detach ? 0 : 2) + log;

	if (s->s_nfds != 1 + consoles + initrd || (!detach && s->s_waiting != NULL))
		return failure_set(f, -EINVAL, "`run` wants the image%s%s%s, once for a connection",
		    !detach ? ", the console's input and its output" : "", log ? ", the log" : "",
		    initrd ? ", and the initrd" : "");
	cfg->console_in = cfg->console_out = -1;
	cfg->image = s->s_fds[n++];
	if (!detach)
		cfg->console_in = s->s_fds[n++];
	if (!detach || log)
		cfg->console_out = s->s_fds[n++];
	cfg->log = !detach && log;
	if (cfg->log)
		cfg->console_log = s->s_fds[n++];
	if (initrd)
		cfg->initrd = s->s_fds[n];
	return 0;
}

json_t *op_run(struct session *s, json_t *request, int *error, struct failure *f)
{
	bool detach = json_is_true(json_object_get(request, "detach"));
	bool log = json_is_true(json_object_get(request, "log"));
	struct guest_config cfg = {0};
	char path[WIRE_TEXT_LEN];
	struct guest *g;
	json_t *fields;

	if (!config_of(request, &cfg, error, f))
		return NULL;
	cfg.paused = json_is_true(json_object_get(request, "paused"));
	*error = take_fds(s, detach, log, &cfg, f);
	if (*error == 0 && detach)
		*error = detached_console(&cfg, path, sizeof(path), f);
	if (*error != 0)
		return NULL;
	*error = guest_launch(&cfg, &g, f);
	if (detach) {
		close(cfg.console_in);
	}
	if (detach && !log) {
		close(cfg.console_out);
		if (*error != 0)
			cell_console_drop(path);
	}
	if (*error != 0)
		return NULL;
	pthread_mutex_lock(&g->g_mutex);
	fields = json_pack("{s:i, s:s, s:i, s:o, s:b}", "domid", (int)g->g_domid, "name", g->g_name,
	    "pid", (int)g->g_pid, "console", session_text(g->g_console), "raw", (int)g->g_lapic);
	pthread_mutex_unlock(&g->g_mutex);
	if (detach) {
		guest_put(g);
	} else {
		s->s_waiting = g;
		s->s_owns = true;
	}
	return fields;
}

static bool program_of(json_t *request, struct guest_config *cfg, int *error, struct failure *f)
{
	uint64_t windows = PROGRAM_WINDOWS;

	if (!session_uint(request, "windows", &windows, error, f) ||
	    !text_of(request, "name", WIRE_NAME_LEN, &cfg->name, error, f))
		return false;
	cfg->window_pages = windows >> UVM_PAGE_SHIFT;
	cfg->image_path = "(host program)";
	cfg->cmdline = "";
	if (!name_p(cfg->name))
		*error = refuse_name(f, "program");
	else if (windows % UVM_PAGE_SIZE != 0 || cfg->window_pages < 1 ||
		 cfg->window_pages > GUEST_MAX_WINDOW_PAGES)
		*error = failure_set(f, -EINVAL,
		    "a program can have 4 KiB to 64 GiB of window area, in multiples of 4 KiB");
	else
		return true;
	return false;
}

json_t *op_channel(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct guest_config cfg = {.image = -1, .console_in = -1, .console_out = -1};
	struct ucred peer = {.pid = 0};
	socklen_t len = sizeof(peer);
	struct guest *g;
	json_t *fields;

	_Static_assert(GUEST_NFDS <= SESSION_MAX_REPLY_FDS, "they are sent with the answer");
	if (!program_of(request, &cfg, error, f))
		return NULL;
	/* For people only; the pid may even be another's by now. */
	(void)getsockopt(s->s_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	*error = guest_attach(&cfg, peer.pid, s->s_reply_fds, &g, f);
	if (*error != 0)
		return NULL;
	s->s_nreply_fds = GUEST_NFDS;
	s->s_reply_closes = true;
	fields = json_pack("{s:i, s:s}", "domid", (int)g->g_domid, "name", g->g_name);
	guest_put(g);
	if (fields == NULL)
		*error = failure_set(f, -ENOMEM, "out of memory");
	return fields;
}

json_t *op_wait(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct guest *g = session_guest(request, "guest", error, f);

	if (g == NULL)
		return NULL;
	if (s->s_waiting != NULL) {
		guest_put(g);
		*error = failure_set(f, -EBUSY, "this connection waits for a guest already");
		return NULL;
	}
	s->s_waiting = g;
	s->s_owns = false;
	/* The answer is the exit event, when the time has come. */
	return json_null();
}

json_t *op_dismiss(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct guest *g = session_guest(request, "guest", error, f);
	json_t *fields = NULL;

	(void)s;
	if (g == NULL)
		return NULL;
	if (g->g_program) {
		guest_stop_wait(g);
		fields = session_exit(g);
	} else {
		*error = failure_set(f, -EINVAL,
		    "%s is no host program: a guest is stopped by libxenctrl's xc_domain_destroy",
		    g->g_name);
	}
	guest_put(g);
	return fields;
}

/* What Xen has no words for. */
static json_t *describe(struct guest *g)
{
	struct timespec now;
	json_t *j;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&g->g_mutex);
	j = json_pack("{s:i, s:s, s:i, s:b, s:b, s:b, s:i, s:I, s:o, s:o, s:i}", "domid",
	    (int)g->g_domid, "name", g->g_name, "pid", (int)g->g_pid, "program", g->g_program,
	    "starting", g->g_state == GUEST_STARTING, "ended", g->g_gone, "pauses",
	    (int)atomic_load(&g->g_pauses), "memory",
	    (json_int_t)(g->g_ram_pages << UVM_PAGE_SHIFT), "image", session_text(g->g_image),
	    "console", session_text(g->g_console), "age", (int)(now.tv_sec - g->g_born.tv_sec));
	pthread_mutex_unlock(&g->g_mutex);
	return j;
}

static void list_one(void *arg, struct guest *g)
{
	json_array_append_new(arg, describe(g));
}

json_t *op_list(struct session *s, json_t *request, int *error, struct failure *f)
{
	json_t *guests = json_array();
	struct guest *g;

	(void)s;
	if (json_object_get(request, "guest") == NULL) {
		guest_each(false, list_one, guests);
		return json_pack("{s:o}", "guests", guests);
	}
	g = session_guest(request, "guest", error, f);
	if (g == NULL) {
		json_decref(guests);
		return NULL;
	}
	list_one(guests, g);
	guest_put(g);
	return json_pack("{s:o}", "guests", guests);
}
