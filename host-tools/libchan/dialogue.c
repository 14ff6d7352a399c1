/* SPDX-License-Identifier: BSD-2-Clause */
#include "dialogue.h"

#include <errno.h>
#include <unistd.h>

#include "lib/reach.h"
#include "lib/sock.h"

#define MAX_ANSWER 4096
#define MAX_WINDOW_PAGES (UINT64_C(1) << 32)

static void close_fds(int *fds, unsigned n)
{
	while (n > 0)
		close(fds[--n]);
}

int dialogue_open(struct sockets *s)
{
	static const char request[] = "{\"op\":\"channel\"}";
	char answer[MAX_ANSWER];
	unsigned nfds = 0;
	int fds[2], error, fd = reach_cell();
	size_t len;

	if (fd < 0)
		return fd;
	error = sock_send(fd, request, sizeof(request) - 1, NULL, 0);
	if (error == 0)
		error = sock_recv(fd, answer, sizeof(answer), &len, fds, 2, &nfds);
	close(fd);
	if (error != 0)
		return error;
	error = reach_judge(answer, len);
	if (error == 0 && nfds != 2)
		error = -EPROTO;
	if (error != 0) {
		close_fds(fds, nfds);
		return error;
	}
	s->request = fds[0];
	s->pmap = fds[1];
	return 0;
}

/* One packet of exactly this type and size. */
static int receive(const struct sockets *s, void *msg, size_t size, uint32_t type)
{
	const struct wire_hdr *hdr = msg;
	size_t len;
	int error = sock_recv(s->request, msg, size, &len, NULL, 0, NULL);

	if (error == 0 && (len != size || hdr->type != type))
		error = -EPROTO;
	return error;
}

int dialogue_hello(const struct sockets *s, struct wire_config *cfg)
{
	const struct wire_hello hello = {
	    .hdr = {.type = WIRE_HELLO}, .version = WIRE_VERSION, .pid = (uint32_t)getpid()};
	int error = sock_send(s->request, &hello, sizeof(hello), NULL, 0);

	if (error == 0)
		error = receive(s, cfg, sizeof(*cfg), WIRE_CONFIG);
	if (error == 0 && (cfg->window_pages == 0 || cfg->window_pages > MAX_WINDOW_PAGES))
		error = -EPROTO;
	return error;
}

int dialogue_ready(const struct sockets *s, const struct pmap_local *p)
{
	const struct wire_ready ready = {.hdr = {.type = WIRE_READY},
	    .window_hva = (uintptr_t)p->area[PMAP_WINDOW].hva,
	    .uffd_features = p->features};
	struct wire_start start;
	int error = sock_send(s->request, &ready, sizeof(ready), &p->uffd, 1);

	return error != 0 ? error : receive(s, &start, sizeof(start), WIRE_START);
}

void dialogue_close(struct sockets *s)
{
	if (s->request >= 0)
		close(s->request);
	if (s->pmap >= 0)
		close(s->pmap);
	*s = (struct sockets){.request = -1, .pmap = -1};
}
