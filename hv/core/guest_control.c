/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What others than a guest's own thread want of its process, over the control socket.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/guest.h"
#include "lib/log.h"
#include "lib/sock.h"
#include "lib/sys.h"

/* How long a VMM may take.  Its vCPU may have to wait for a page that we bring ourselves. */
#define ANSWER_TIMEOUT_S 10

static int set_timeout(int fd)
{
	struct timeval tv = {.tv_sec = ANSWER_TIMEOUT_S};

	if (SYS(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv))) != 0 ||
	    SYS(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv))) != 0)
		return -errno;
	return 0;
}

/* => control locked.  Its process is gone, or as good as gone. */
static int lose(struct guest *g, int error)
{
	if (error != -EPIPE)
		guest_end_with(g, GUEST_END_KILLED, 126,
		    error == -EAGAIN ? "its process does not answer any more"
				     : "its process answers nonsense");
	return -ESRCH;
}

/*
 * => control locked.  One request and its answer: both begin with a header, which is filled here.
 * => the answer's status, or -ESRCH
 */
static int ask_fd(
    struct guest *g, void *msg, size_t len, const int *fd, void *answer, size_t size, uint32_t type)
{
	struct wire_hdr *asked = msg, *got = answer;
	size_t n;
	int error = set_timeout(g->g_control);

	if (error != 0)
		return error;
	asked->seq = ++g->g_control_seq;
	error = sock_send(g->g_control, msg, len, fd, fd != NULL);
	if (error == 0)
		error = sock_recv(g->g_control, answer, size, &n, NULL, 0, NULL);
	if (error == 0 &&
	    (n != size || got->type != type || got->seq != asked->seq || got->status > 0))
		error = -EPROTO;
	return error != 0 ? lose(g, error) : got->status;
}

/* => control locked */
static int ask(struct guest *g, void *msg, size_t len, void *answer, size_t size, uint32_t type)
{
	return ask_fd(g, msg, len, NULL, answer, size, type);
}

/* => control locked */
static int tell(struct guest *g, uint32_t type)
{
	struct wire_control msg = {.hdr = {.type = type}};
	struct wire_controlled answer = {.text = ""};

	int error = ask(g, &msg, sizeof(msg), &answer, sizeof(answer), WIRE_CONTROLLED);

	answer.text[sizeof(answer.text) - 1] = '\0';
	if (error != 0 && error != -ESRCH && answer.text[0] != '\0')
		log_warn("%s (domain %u) can't go on: %s", g->g_name, g->g_domid, answer.text);
	return error;
}

/* => control locked, and stays so on 0 only */
static int begin(struct guest *g)
{
	enum guest_state state;

	if (g->g_program)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&g->g_control_mutex);
	pthread_mutex_lock(&g->g_mutex);
	state = g->g_state;
	pthread_mutex_unlock(&g->g_mutex);
	if (state == GUEST_RUNNING && g->g_control >= 0)
		return 0;
	pthread_mutex_unlock(&g->g_control_mutex);
	return state == GUEST_STARTING ? -EAGAIN : -ESRCH;
}

static void end(struct guest *g)
{
	pthread_mutex_unlock(&g->g_control_mutex);
}

int guest_pause(struct guest *g)
{
	int error = begin(g);

	if (error != 0)
		return error;
	if (g->g_pauses >= GUEST_MAX_PAUSES)
		error = -EOVERFLOW;
	else if (g->g_pauses == 0)
		error = tell(g, WIRE_PAUSE);
	if (error == 0)
		g->g_pauses++;
	end(g);
	return error;
}

int guest_unpause(struct guest *g)
{
	int error = begin(g);

	if (error != 0)
		return error;
	if (g->g_pauses == 0)
		error = -EINVAL;
	else if (g->g_pauses == 1)
		error = tell(g, WIRE_UNPAUSE);
	if (error == 0)
		g->g_pauses--;
	end(g);
	return error;
}

/* => control locked.  What is done to a vCPU, or so many, while no instruction runs. */
static int while_paused(struct guest *g,
    int (*work)(struct guest *g, unsigned n, struct wire_vcpu *v), unsigned n, struct wire_vcpu *v)
{
	int error = g->g_pauses == 0 ? tell(g, WIRE_PAUSE) : 0, undone;

	if (error != 0)
		return error;
	error = work(g, n, v);
	undone = g->g_pauses == 0 ? tell(g, WIRE_UNPAUSE) : 0;
	return error != 0 ? error : undone;
}

static int get_state(struct guest *g, unsigned vcpu, struct wire_vcpu *v)
{
	struct wire_control msg = {.hdr = {.type = WIRE_GET_STATE}, .vcpu = vcpu};
	struct wire_state answer;
	int error = ask(g, &msg, sizeof(msg), &answer, sizeof(answer), WIRE_STATE);

	if (error == 0)
		*v = answer.state;
	return error;
}

int guest_get_state(struct guest *g, unsigned vcpu, struct wire_vcpu *v)
{
	int error = begin(g);

	if (error != 0)
		return error;
	error = while_paused(g, get_state, vcpu, v);
	end(g);
	return error;
}

static int get_states(struct guest *g, unsigned vcpus, struct wire_vcpu *v)
{
	int error = 0;

	for (unsigned i = 0; i < vcpus && error == 0; i++)
		error = get_state(g, i, &v[i]);
	return error;
}

int guest_get_states(struct guest *g, struct wire_vcpu *v)
{
	int error = begin(g);

	if (error != 0)
		return error;
	error = while_paused(g, get_states, g->g_vcpus, v);
	end(g);
	return error;
}

static int set_state(struct guest *g, unsigned vcpu, struct wire_vcpu *v)
{
	struct wire_set_state msg = {.hdr = {.type = WIRE_SET_STATE}, .vcpu = vcpu, .state = *v};
	struct wire_controlled answer;

	return ask(g, &msg, sizeof(msg), &answer, sizeof(answer), WIRE_CONTROLLED);
}

int guest_set_state(struct guest *g, unsigned vcpu, const struct wire_vcpu *v)
{
	struct wire_vcpu copy = *v;
	int error = begin(g);

	if (error != 0)
		return error;
	error = while_paused(g, set_state, vcpu, &copy);
	end(g);
	return error;
}

int guest_attach_console(struct guest *g, int fd, bool history)
{
	struct wire_attach msg = {.hdr = {.type = WIRE_ATTACH}, .history = history};
	struct wire_controlled answer;
	int error = begin(g);

	if (error != 0)
		return error;
	error = ask_fd(g, &msg, sizeof(msg), &fd, &answer, sizeof(answer), WIRE_CONTROLLED);
	end(g);
	return error;
}

void guest_control_close(struct guest *g)
{
	pthread_mutex_lock(&g->g_control_mutex);
	if (g->g_control >= 0)
		close(g->g_control);
	g->g_control = -1;
	pthread_mutex_unlock(&g->g_control_mutex);
}
