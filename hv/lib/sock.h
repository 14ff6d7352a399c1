/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LIB_SOCK_H
#define LOMBARD_LIB_SOCK_H
/*
 * One packet with descriptors over a Unix SEQPACKET socket.
 *
 * Errors, of both functions: 0 or -errno.  A peer that is gone is always -EPIPE, however the kernel
 * puts it; SIGPIPE is never raised.  Interruptions are retried; on a non-blocking socket -EAGAIN.
 */
#include <stddef.h>

#define SOCK_MAX_FDS 253 /* the kernel's own bound for one packet (SCM_MAX_FD) */

/*
 * sock_send: one packet of len bytes (> 0), whole or not at all, with copies of fds[0 .. nfds - 1].
 * => the caller keeps its descriptors, and may close them at once
 * => -EINVAL: nfds > SOCK_MAX_FDS, or an empty packet
 */
int sock_send(int fd, const void *msg, size_t len, const int *fds, unsigned nfds);

/*
 * sock_recv: one packet; *len is its length and *nfds the number of descriptors received.
 * => on 0: the caller owns fds[0 .. *nfds - 1]; all are close-on-exec
 * => on error: no descriptor is left open; the packet is lost
 * => -EMSGSIZE: longer than size; -EPROTO: more than max_fds descriptors
 * => max_fds may be 0 (fds is not used then); nfds may be NULL when max_fds is 0
 */
int sock_recv(
    int fd, void *buf, size_t size, size_t *len, int *fds, unsigned max_fds, unsigned *nfds);

#endif
