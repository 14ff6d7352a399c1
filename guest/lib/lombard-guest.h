/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_GUEST_H
#define LOMBARD_GUEST_H
/*
 * The runtime of Lombard's small guests: what a guest's main() may call.
 * docs/writing-guests.md shows a whole guest.
 *
 * The guest is one thread at CPL 3 with every address mapped to itself: a pointer is a
 * guest-physical address, and gfn = address / 4096.  Page 0 is not mapped.  There are no
 * interrupts and no signals; a CPU exception prints what happened and ends the guest as crashed.
 *
 * Errors: int functions return 0 or a negative Xen error number (-XEN_EINVAL, ...: xen/errno.h);
 * results go to out-parameters, which are written on success only.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lombard/loan.h>

#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#endif
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096UL
#endif

/*
 * The guest's program.  argv[0] is "guest", argv[1..] are the words of the command line (divided
 * by blanks, no quoting); argv[argc] is NULL.  The result is the guest's exit status, 0..255.
 */
int main(int argc, char **argv);

/* ---- ending ---- */

/* exit: print what is buffered, power off with this exit status (0..255). */
void exit(int status) __attribute__((noreturn));

/* die: print the message and a newline, exit(1). */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* shutdown: SCHEDOP_shutdown with this SHUTDOWN_* reason (crash, if it is none), and nothing else.
 */
void shutdown(unsigned int reason) __attribute__((noreturn));

/* ---- console: buffered up to a newline, 256 bytes, or the end ---- */

/*
 * printf: %d %i %u %x %X %p %s %c %%, with - and 0 flags, width, precision (strings only; it and
 * the width may be *) and the lengths hh h l ll z.  Returns the number of characters printed.
 */
int printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
int puts(const char *s); /* s and a newline; 0 */
int putchar(int c);	 /* c */
void console_flush(void);

/* ---- memory and strings, as in C ---- */

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
unsigned long long strtoull(const char *s, char **end, int base);

/* mem_all: does every one of the n bytes equal c? */
bool mem_all(const void *p, unsigned char c, size_t n);

/* xxh64: XXH64 with seed 0, the number that `xxhsum -H64` prints. */
uint64_t xxh64(const void *p, size_t n);

/* ---- the command line ---- */

/*
 * arg_find: the text after "key=" of the first such argument, or NULL.
 * arg_u64: that text as a number (decimal, 0x hexadecimal), or fallback when there is none.
 * arg_need: the same, but the argument must be there.  Both die() when it is not a number.
 */
const char *arg_find(int argc, char **argv, const char *key);
uint64_t arg_u64(int argc, char **argv, const char *key, uint64_t fallback);
uint64_t arg_need(int argc, char **argv, const char *key);

/* ---- pages: RAM beyond the program ---- */

/*
 * page_alloc: a run of neighbouring pages, all zero; NULL when there is none (or pages is 0).
 * Pages that were never used are handed out as they are, untouched, since a guest's RAM starts as
 * zeroes: what you do not touch costs no memory.
 *
 * page_alloc_untouched: the same, but never a page that was in use before.
 *
 * page_free: give back pages of either.  The run may be a part of an allocation.  Recall loans
 * of these pages first, or reusing them costs a copy each.
 */
void *page_alloc(size_t pages);
void *page_alloc_untouched(size_t pages);
void page_free(void *start, size_t pages);

/* ---- time ---- */

/*
 * time_ns: nanoseconds since the guest started, the clock of every deadline here.
 * time_after: the deadline that lies ns nanoseconds ahead.
 * time_sleep: let ns nanoseconds pass without using the CPU.
 * All die() on a hypervisor that does not tell the TSC's frequency (CPUID leaf 0x40000010).
 */
uint64_t time_ns(void);
uint64_t time_after(uint64_t ns);
void time_sleep(uint64_t ns);

/* ---- hypercalls ---- */

/*
 * hypercall: any hypercall by its number (__HYPERVISOR_*).  Pointers are passed as uint64_t.
 * The named ones take a sub-operation and its structure.
 */
static inline int64_t hypercall(
    uint64_t nr, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
	register uint64_t r10 __asm__("r10") = a4;
	register uint64_t r8 __asm__("r8") = a5;
	uint64_t rax = nr;

	__asm__ volatile("outl %%eax, %6"
			 : "+a"(rax), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10), "+r"(r8)
			 : "N"(LOMBARD_HYPERCALL_PORT)
			 : "memory");
	return (int64_t)rax;
}

int hypercall_console_io(unsigned int cmd, size_t count, const char *buf);
int hypercall_event_channel_op(unsigned int cmd, void *arg);
int hypercall_sched_op(unsigned int cmd, void *arg);
int hypercall_memory_op(unsigned int cmd, void *arg);
int hypercall_loan_op(unsigned int cmd, void *arg);
int hypercall_guest_op(unsigned int cmd, uint64_t value);

/* ---- events: Xen's event channels, polled (nothing interrupts a small guest) ---- */

/* No deadline. */
#define TIME_FOREVER 0

/*
 * event_alloc: a port that the guest `remote` may bind to.  Tell it the number somehow, for
 * example in the tag of a loan.
 * event_bind: a port of ours, connected to such a port.  As with Xen it starts pending: take that
 * first event before you let the other side send one that means something.
 * event_bind_virq: a port that a virtual interrupt (LOMBARD_VIRQ_LOAN) raises.
 */
int event_alloc(uint16_t remote, uint32_t *port);
int event_bind(uint16_t remote, uint32_t remote_port, uint32_t *port);
int event_bind_virq(uint32_t virq, uint32_t *port);

/* event_send: raise the other end.  Raising it again before it is taken changes nothing. */
int event_send(uint32_t port);
int event_close(uint32_t port);

/* event_take: was the port raised?  Takes the event; costs no hypercall. */
bool event_take(uint32_t port);

/*
 * event_wait: sleep until one of the ports is raised and take that one event; *which is the port
 * (which may be NULL).  deadline is on time_ns()'s clock, or TIME_FOREVER.
 * -XEN_ETIME when the deadline came first, -XEN_EINVAL for no ports or more than 128.
 */
int event_wait(const uint32_t *ports, unsigned int nr, uint64_t deadline, uint32_t *which);

/* ---- loans: lombard/loan.h has the rules and the structures ---- */

int loan_info(struct loan_info *info);

/*
 * loan_lend: freeze and offer `pages` pages from start on (page aligned) to domid, or
 * LOAN_DOMID_ANY; kind is LOAN_TO_PAGE or LOAN_TO_ANON.  Go on using the memory as you like: the
 * borrowers keep what it holds now.
 */
int loan_lend(
    const void *start, uint32_t pages, uint16_t domid, uint16_t kind, uint64_t tag, uint64_t *id);

/* loan_recall: end an offer of ours; *windows (may be NULL) is how many are still borrowed. */
int loan_recall(uint64_t id, unsigned int *windows);

/*
 * loan_borrow: map `pages` pages of a loan, from its page `first` on, at a free place of the
 * window area.  -XEN_ENOSPC when that area has no room.
 * loan_return: give a whole window back; the pointer is what loan_borrow gave.
 */
int loan_borrow(uint64_t id, uint32_t first, uint32_t pages, void **window);
int loan_return(void *window);

/*
 * loan_discard: give the memory of `pages` pages of our RAM back to the host, from start on (page
 * aligned).  They stay ours, and are zero when they are touched next; who borrowed them keeps what
 * they held.
 */
int loan_discard(void *start, uint32_t pages);

/*
 * loan_query: one loan that we lent or may borrow.
 * loan_next: the first loan we may borrow with a number above `after`; -XEN_ENOENT if none.
 * loan_wait: wait for an offer with (tag & mask) == `tag` of the given kind (0: either).
 * -XEN_ETIME when the deadline came first.
 */
int loan_query(uint64_t id, struct loan_query *loan);
int loan_next(uint64_t after, struct loan_query *loan);
int loan_wait(
    uint64_t tag, uint64_t mask, uint16_t kind, uint64_t deadline, struct loan_query *loan);

/*
 * ---- grants: Xen's, version 1: a page that another domain maps, both see what either writes ----
 *
 * grant_page: let domid (0: the host) map a page of our RAM; tell it *ref somehow.  -XEN_ENOSPC
 * grant_page_as: the same by a certain reference: one of those below 8 that have meanings
 * (GNTTAB_RESERVED_*), or another that is free (-XEN_EBUSY).
 * grant_revoke: no more.  -XEN_EBUSY as long as it is mapped: the page cannot be taken back before.
 */
int grant_page(const void *page, uint16_t domid, bool writable, uint32_t *ref);
int grant_page_as(uint32_t ref, const void *page, uint16_t domid, bool writable);
int grant_revoke(uint32_t ref);

/*
 * grant_map: map what domid has granted to us, at a free place of the window area.  -XEN_ESRCH: no
 * such domain; -XEN_EINVAL: no such reference; -XEN_EPERM: not granted, or not like that; -XEN_EFAULT:
 * the granter has no such page; -XEN_ENOSPC.
 * grant_unmap: the pointer is what grant_map gave.
 */
int grant_map(uint16_t domid, uint32_t ref, bool writable, void **page);
int grant_unmap(void *page);

/*
 * ---- xenstore: names and values that guests and Xen's tools share, if the cell has one ----
 *
 * Relative paths begin at /local/domain/N, N being our domid.  tx is 0, or a transaction's number:
 * what is done in one is seen by others when it ends, all at once, or not at all.
 *
 * Errors of all of them: -XEN_ENOENT: the cell has no xenstore (or no such node); the store's own
 * (-XEN_EACCES: not for us, -XEN_EINVAL, -XEN_ENOSPC: we have used up our quota, ...); -XEN_E2BIG:
 * more than 4096 bytes in one packet; -XEN_ETIME: it has not answered within 10 s; -XEN_EIO: it
 * speaks nonsense.  After the last two it is not asked again.
 *
 * xenstore_open: is there one?  The others do it, too.
 * xenstore_port: its event channel, for event_wait, once it is open: then there may be an event.
 *
 * xenstore_read, _directory: the value, or the names of what is below, each with its NUL; a NUL is put
 * behind it, and *len (may be NULL) is without that.  -XEN_ENOSPC: there is no room.
 */
int xenstore_open(void);
uint32_t xenstore_port(void);
int xenstore_read(uint32_t tx, const char *path, char *value, size_t room, size_t *len);
int xenstore_directory(uint32_t tx, const char *path, char *names, size_t room, size_t *len);
int xenstore_write(uint32_t tx, const char *path, const void *value, size_t len);
int xenstore_mkdir(uint32_t tx, const char *path);
int xenstore_rm(uint32_t tx, const char *path);

/*
 * Permissions: the first is the owner's, with what all others may do; then those of others.
 * access: 'n' nothing, 'r' read, 'w' write, 'b' both.
 */
#define XENSTORE_MAX_PERMS 16u
struct xenstore_perm {
	char access;
	uint16_t domid;
};
int xenstore_get_perms(uint32_t tx, const char *path, struct xenstore_perm *perms,
    unsigned int room, unsigned int *nr);
int xenstore_set_perms(
    uint32_t tx, const char *path, const struct xenstore_perm *perms, unsigned int nr);

/*
 * xenstore_watch: be told of changes at the path and below; the first event comes at once.  The token
 * is ours, to know the watch by.
 * xenstore_event: the next event: the path that has changed, and the token; each has room for
 * XENSTORE_TEXT bytes.  -XEN_ETIME: none came in time; -XEN_ENOSPC: some were lost, for want of room.
 */
#define XENSTORE_TEXT 4097u
int xenstore_watch(const char *path, const char *token);
int xenstore_unwatch(const char *path, const char *token);
int xenstore_event(char *path, char *token, uint64_t deadline);

/*
 * xenstore_begin: start a transaction.  xenstore_end: do it, or (commit false) forget it.
 * -XEN_EAGAIN: others have changed what it saw: begin again.
 */
int xenstore_begin(uint32_t *tx);
int xenstore_end(uint32_t tx, bool commit);

/*
 * ---- vchan: streams of bytes, as libxenvchan has them: to a program of the host, or a guest ----
 *
 * A server offers one at a path of the xenstore, a client finds it there.  Only what fits into one
 * page: 1 KiB to the server, 2 KiB from it (-XEN_EOPNOTSUPP for other servers).
 *
 * vchan_serve: for this client (0: the host); the path is ours to write, as data/NAME is.
 * vchan_connect: the path begins with /local/domain/N.  -XEN_ENOENT: nobody serves there
 * vchan_read, vchan_write: as many bytes as are there, or fit: at once, perhaps 0
 * vchan_wait: until something may have changed.  -XEN_ETIME
 * vchan_state: WAITING: no client has come; CLOSED: it has gone (what it wrote can still be read);
 *	BROKEN: the other side has written nonsense
 * vchan_close: also of what the other side has closed
 */
#define VCHAN_PATH 128u /* with what is put behind it, and a NUL */

enum vchan_state { VCHAN_WAITING, VCHAN_OPEN, VCHAN_CLOSED, VCHAN_BROKEN };

struct vchan_ring {
	struct ring_shared *shr;
	char *data;
	uint32_t size, at; /* at: our index */
};

struct vchan {
	bool server, broken;
	void *page;
	uint32_t ref, port;
	struct vchan_ring in, out;
};

int vchan_serve(struct vchan *v, uint16_t client, const char *path);
int vchan_connect(struct vchan *v, uint16_t server, const char *path);
size_t vchan_read(struct vchan *v, void *buf, size_t room);
size_t vchan_write(struct vchan *v, const void *buf, size_t len);
int vchan_wait(struct vchan *v, uint64_t deadline);
enum vchan_state vchan_state(const struct vchan *v);
void vchan_close(struct vchan *v);

/*
 * ---- the console over its ring, which Linux guests use, too ----
 *
 * Lombard serves it: what is written there goes where printf goes, and what is typed is read there from
 * consring_open on.  While Xen's xenconsoled serves it, it is a console of its own.
 *
 * consring_open: -XEN_ENOENT: there is none
 * consring_port: its event channel: there may be something to read, or room
 * consring_write: all of it.  -XEN_ETIME: nobody takes it
 * consring_flush: until all has been taken: what xenconsoled has not when the guest ends is lost
 * consring_read: what is there, perhaps nothing
 */
int consring_open(void);
uint32_t consring_port(void);
int consring_write(const char *text, size_t len, uint64_t deadline);
int consring_flush(uint64_t deadline);
int consring_read(char *buf, size_t room, size_t *len);

#endif
