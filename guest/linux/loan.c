/* SPDX-License-Identifier: BSD-2-Clause */
#include <bsd/sys/queue.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/loan_find.h"
#include "domain.h"
#include "hugemem.h"
#include "lib/now.h"
#include "lib/program.h"
#include "lombard-loan.h"

#define NSEC_PER_SEC UINT64_C(1000000000)
#define LOOK_NS (10 * UINT64_C(1000000))

/* What of our memory is where in the guest's. */
struct region {
	LIST_ENTRY(region) re_all;
	uint8_t *re_addr;
	uint64_t re_gfn, re_pages;
	bool re_window;
};

/* mutex: all below. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, region) regions = LIST_HEAD_INITIALIZER(regions);
static int port_fd = -1;
static uint32_t port;
static int virq_fd = -1;

static int op(unsigned cmd, void *arg, size_t len)
{
	int error = domain_open(NULL);

	return error != 0 ? error : domain_call(LOMBARD_HYPERCALL_loan_op, cmd, arg, len);
}

/* => mutex.  The one that begins there, or NULL. */
static struct region *region_at(const void *start, bool window)
{
	struct region *re;

	LIST_FOREACH (re, &regions, re_all)
		if (re->re_addr == start && re->re_window == window)
			break;
	return re;
}

/* => mutex.  The gfn of a run of pages that lies in one region. */
static int find_gfn(const void *start, uint64_t pages, bool windows_too, uint64_t *gfn)
{
	uintptr_t at = (uintptr_t)start;
	struct region *re;
	uint64_t page;

	if (at % DOMAIN_PAGE != 0)
		return -EINVAL;
	LIST_FOREACH (re, &regions, re_all) {
		page = (at - (uintptr_t)re->re_addr) / DOMAIN_PAGE;
		if (at < (uintptr_t)re->re_addr || page >= re->re_pages ||
		    pages > re->re_pages - page || (re->re_window && !windows_too))
			continue;
		*gfn = re->re_gfn + page;
		return 0;
	}
	return -EINVAL;
}

/* => mutex */
static struct region *region_add(void *addr, uint64_t gfn, uint64_t pages, bool window)
{
	struct region *re = malloc(sizeof(*re));

	if (re == NULL)
		return NULL;
	*re = (struct region){
	    .re_addr = addr, .re_gfn = gfn, .re_pages = pages, .re_window = window};
	LIST_INSERT_HEAD(&regions, re, re_all);
	return re;
}

static void region_remove(struct region *re)
{
	LIST_REMOVE(re, re_all);
	free(re);
}

/* => mutex.  Let a thing end when our port is closed: when we have ended. */
static int tie(uint16_t kind, uint64_t what)
{
	struct loan_tie arg = {.what = what, .kind = kind};
	int error = port_fd < 0 ? domain_port(&port_fd, &port) : 0;

	arg.port = port;
	return error != 0 ? error : op(LOANOP_tie, &arg, sizeof(arg));
}

int loan_info(struct loan_info *info)
{
	struct loan_info arg = {0};
	int error = op(LOANOP_info, &arg, sizeof(arg));

	if (error == 0)
		*info = arg;
	return error;
}

int loan_alloc(uint32_t pages, void **start)
{
	size_t n = ((size_t)pages + HUGEMEM_PAGES - 1) / HUGEMEM_PAGES;
	uint64_t gfn;
	void *addr;
	int error = domain_open(NULL);

	if (error == 0)
		error = pages != 0 ? hugemem_map(n, &addr, &gfn) : -EINVAL;
	if (error != 0)
		return error;
	pthread_mutex_lock(&mutex);
	if (region_add(addr, gfn, n * HUGEMEM_PAGES, false) == NULL) {
		munmap(addr, n * HUGEMEM_PAGES * DOMAIN_PAGE);
		error = -ENOMEM;
	} else {
		*start = addr;
	}
	pthread_mutex_unlock(&mutex);
	return error;
}

int loan_free(void *start)
{
	struct region *re;

	pthread_mutex_lock(&mutex);
	re = region_at(start, false);
	if (re != NULL) {
		munmap(start, re->re_pages * DOMAIN_PAGE);
		region_remove(re);
	}
	pthread_mutex_unlock(&mutex);
	return re != NULL ? 0 : -EINVAL;
}

static int recall(uint64_t id)
{
	struct loan_recall arg = {.id = id};

	return op(LOANOP_recall, &arg, sizeof(arg));
}

int loan_lend(
    const void *start, uint32_t pages, uint16_t domid, uint16_t kind, uint64_t tag, uint64_t *id)
{
	struct loan_lend arg = {.nr_pages = pages, .domid = domid, .kind = kind, .tag = tag};
	int error;

	pthread_mutex_lock(&mutex);
	error = find_gfn(start, pages, true, &arg.gfn);
	if (error == 0)
		error = op(LOANOP_lend, &arg, sizeof(arg));
	if (error == 0) {
		error = tie(LOAN_TIE_OFFER, arg.id);
		if (error != 0)
			(void)recall(arg.id);
		else
			*id = arg.id;
	}
	pthread_mutex_unlock(&mutex);
	return error;
}

int loan_recall(uint64_t id, unsigned *windows)
{
	int ret = recall(id);

	if (ret < 0)
		return ret;
	if (windows != NULL)
		*windows = (unsigned)ret;
	return 0;
}

static int give_back(uint64_t gfn)
{
	struct loan_return arg = {.gfn = gfn};

	return op(LOANOP_return, &arg, sizeof(arg));
}

/* => mutex.  A window that has been borrowed: have it end with us, and show it at addr. */
static int open_window(void *addr, const struct loan_borrow *b, int prot)
{
	int error = tie(LOAN_TIE_WINDOW, b->gfn);

	if (error == 0)
		error = domain_show(addr, b->gfn, b->nr_pages, prot);
	if (error == 0 && region_add(addr, b->gfn, b->nr_pages, true) == NULL)
		error = -ENOMEM;
	return error;
}

int loan_borrow(uint64_t id, uint32_t first, uint32_t pages, void **window)
{
	struct loan_borrow arg = {
	    .id = id, .gfn = LOAN_ANYWHERE, .first = first, .nr_pages = pages};
	size_t bytes = pages * DOMAIN_PAGE;
	struct loan_query loan;
	void *addr;
	int error = loan_query(id, &loan);

	if (error == 0)
		error = pages != 0 ? domain_reserve(bytes, &addr) : -ERANGE;
	if (error != 0)
		return error;
	pthread_mutex_lock(&mutex);
	error = op(LOANOP_borrow, &arg, sizeof(arg));
	if (error == 0) {
		error = open_window(
		    addr, &arg, loan.kind == LOAN_TO_ANON ? PROT_READ | PROT_WRITE : PROT_READ);
		if (error != 0)
			(void)give_back(arg.gfn);
	}
	pthread_mutex_unlock(&mutex);
	if (error != 0)
		domain_release(addr, bytes);
	else
		*window = addr;
	return error;
}

/* The addresses go first: whoever touches a window that is no more stops the whole guest. */
int loan_return(void *window)
{
	struct region *re;
	int error = -EINVAL;

	pthread_mutex_lock(&mutex);
	re = region_at(window, true);
	if (re != NULL) {
		domain_release(window, re->re_pages * DOMAIN_PAGE);
		error = give_back(re->re_gfn);
		region_remove(re);
	}
	pthread_mutex_unlock(&mutex);
	return error;
}

int loan_discard(void *start, uint32_t pages)
{
	struct loan_discard arg = {.nr_pages = pages};
	int error;

	pthread_mutex_lock(&mutex);
	error = find_gfn(start, pages, false, &arg.gfn);
	if (error == 0)
		error = op(LOANOP_discard, &arg, sizeof(arg));
	pthread_mutex_unlock(&mutex);
	return error;
}

static int query(unsigned cmd, uint64_t id, struct loan_query *loan)
{
	struct loan_query arg = {.id = id};
	int error = op(cmd, &arg, sizeof(arg));

	if (error == 0)
		*loan = arg;
	return error;
}

int loan_query(uint64_t id, struct loan_query *loan)
{
	return query(LOANOP_query, id, loan);
}

int loan_next(uint64_t after, struct loan_query *loan)
{
	return query(LOANOP_next, after, loan);
}

/* The descriptor of the event of loans; -1: another program has it.  Asked again each time: it may end. */
static int event_fd(void)
{
	int fd;

	pthread_mutex_lock(&mutex);
	if (virq_fd < 0 && domain_virq(LOMBARD_VIRQ_LOAN, &fd) == 0)
		virq_fd = fd;
	fd = virq_fd;
	pthread_mutex_unlock(&mutex);
	return fd;
}

/* Until there may be something new.  Of several threads one takes the event: the others look again, too. */
static int sleep_until(int fd, uint64_t deadline)
{
	uint64_t now = now_ns(), look = now + (fd < 0 ? LOOK_NS : NSEC_PER_SEC);
	int error;

	if (now >= deadline)
		return -ETIME;
	error = program_wait(fd, look < deadline ? look : deadline);
	if (error == 0)
		(void)domain_take(fd);
	return error == -ETIME ? 0 : error;
}

int loan_wait(
    uint64_t tag, uint64_t mask, uint16_t kind, uint64_t deadline, struct loan_query *loan)
{
	int error = domain_open(NULL), fd;

	while (error == 0) {
		/* Bound before the look, so that no offer falls between looking and sleeping. */
		fd = event_fd();
		error = loan_find(tag, mask, kind, loan);
		if (error != -ENOENT)
			return error;
		error = sleep_until(fd, deadline);
	}
	return error;
}
