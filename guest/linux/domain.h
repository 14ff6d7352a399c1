/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_LINUX_DOMAIN_H
#define LOMBARD_LINUX_DOMAIN_H
/*
 * The guest that this program runs in, when its system is Linux: hypercalls, places of the window area,
 * event channels, each by the device that Linux has for it.
 *
 *	/dev/xen/privcmd	hypercalls; in a guest only with the module's parameter unrestricted=1
 *	/dev/xen/hypercall	memory for their arguments, which Linux neither moves nor pages out
 *	/dev/mem		the window area, of which Linux knows nothing
 *	/dev/xen/evtchn		ports: who opens it has them closed when he dies
 *
 * All functions may be called by any thread.  Errors: 0 or -errno.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOMAIN_PAGE UINT64_C(4096)

/* domain_p: is this a guest of Lombard?  For programs without privileges, too. */
bool domain_p(void);

/*
 * domain_open: open what the other functions need, if that has not been done.
 * => *domid: our guest's; may be NULL
 * => -ENOENT: Linux has no such device (a module is missing); -EACCES: it is not for this user;
 *    -EPERM: privcmd is restricted; -ENOSYS: this is no guest of Lombard
 */
int domain_open(uint16_t *domid);

/*
 * domain_call: hypercall nr(cmd, arg), with a structure of len bytes, at most a page, that is written
 * to as well.  => the hypercall's value
 * => it is open
 */
int domain_call(unsigned nr, unsigned cmd, void *arg, size_t len);

/*
 * domain_reserve: addresses where something of this many bytes can be shown, at a multiple of 2 MiB.
 * domain_show: a run of the window area there, with these PROT_*.  Children made by fork have it not.
 * domain_release: the addresses are free, whatever is shown there.
 * => domain_show: it is open
 */
int domain_reserve(size_t bytes, void **addr);
int domain_show(void *addr, uint64_t gfn, uint64_t pages, int prot);
void domain_release(void *addr, size_t bytes);

/*
 * domain_port: a port of our own that nobody has bound to, for the hypervisor to raise; the descriptor is
 * readable while it is raised.  It is closed with the descriptor.
 * domain_virq: the same of a virtual interrupt, which one program of the guest can have (-EEXIST).
 * domain_take: take the event, if it is raised; never sleeps.
 */
int domain_port(int *fd, uint32_t *port);
int domain_virq(unsigned virq, int *fd);
bool domain_take(int fd);

#endif
