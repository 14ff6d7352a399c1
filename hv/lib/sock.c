/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sys.h"

/* Room for one SCM_RIGHTS message; the kernel may fill the alignment at its end with one more fd.
 */
#define CONTROL_FDS ((CMSG_SPACE(SOCK_MAX_FDS * sizeof(int)) - CMSG_LEN(0)) / sizeof(int))

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(SOCK_MAX_FDS * sizeof(int))];
};

static int peer_errno(int err)
{
	return err == ECONNRESET || err == ENOTCONN ? -EPIPE : -err;
}

int sock_send(int fd, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	struct iovec iov = {.iov_base = (void *)msg, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (len == 0 || nfds > SOCK_MAX_FDS)
		return -EINVAL;
	if (nfds > 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, CMSG_SPACE(nfds * sizeof(int)));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	do
		n = SYS(sendmsg(fd, &mh, MSG_NOSIGNAL));
	while (n < 0 && errno == EINTR);
	return n < 0 ? peer_errno(errno) : 0;
}

/* Collects every descriptor that came with mh, wanted or not; got[] holds CONTROL_FDS. */
static unsigned collect_fds(struct msghdr *mh, int *got)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(&got[n], CMSG_DATA(c), bytes);
		n += bytes / sizeof(int);
	}
	return n;
}

/* Hands over the descriptors of a good packet, or closes them all. */
static int take_fds(struct msghdr *mh, ssize_t len, int *fds, unsigned max_fds, unsigned *nfds)
{
	int got[CONTROL_FDS];
	unsigned n = collect_fds(mh, got);
	int ret = 0;

	if (mh->msg_flags & MSG_TRUNC)
		ret = -EMSGSIZE;
	else if ((mh->msg_flags & MSG_CTRUNC) || n > max_fds)
		ret = -EPROTO;
	else if (len == 0) /* end of file; nobody sends empty packets */
		ret = -EPIPE;
	if (ret) {
		while (n > 0)
			close(got[--n]);
		return ret;
	}
	if (n > 0)
		memcpy(fds, got, n * sizeof(int));
	if (nfds)
		*nfds = n;
	return 0;
}

int sock_recv(
    int fd, void *buf, size_t size, size_t *len, int *fds, unsigned max_fds, unsigned *nfds)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;
	int ret;

	if (max_fds > SOCK_MAX_FDS)
		return -EINVAL;
	do {
		mh.msg_control = max_fds > 0 ? &control : NULL;
		mh.msg_controllen = max_fds > 0 ? CMSG_SPACE(max_fds * sizeof(int)) : 0;
		n = SYS(recvmsg(fd, &mh, MSG_CMSG_CLOEXEC));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return peer_errno(errno);
	ret = take_fds(&mh, n, fds, max_fds, nfds);
	if (ret)
		return ret;
	*len = (size_t)n;
	return 0;
}
