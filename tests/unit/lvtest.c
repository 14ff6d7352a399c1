/* SPDX-License-Identifier: BSD-2-Clause */
#include "lvtest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_LSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_LSAN 1
#endif
#endif
#ifdef HAVE_LSAN
#include <sanitizer/lsan_interface.h>
#endif

#define MAXGUESTS 16

static struct guest guests[MAXGUESTS];
static uint32_t last_domid;

bool lv_leaked(void)
{
#ifdef HAVE_LSAN
	return __lsan_do_recoverable_leak_check() != 0;
#else
	return false;
#endif
}

void lv_begin(void)
{
	last_domid = 0;
	cr_assert_eq(uvm_loan_init(), 0);
	uvm_world_enter();
}

void lv_check(void)
{
	cr_assert_eq(world_check(), 0, "an invariant is broken: see above");
}

void lv_end(void)
{
	lv_check();
	for (unsigned i = 0; i < MAXGUESTS; i++)
		if (guests[i].map != NULL)
			lv_kill(&guests[i]);
	lv_check();
	cr_assert_eq(world_leftovers(), 0, "something is left: see above");
	uvm_world_leave();
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
	cr_assert_eq(uvm_ledger_count(), 0);
	cr_assert(!lv_leaked(), "memory leaked");
}

struct guest *lv_guest(uint64_t ram, uint64_t window)
{
	unsigned i = 0;

	while (i < MAXGUESTS && guests[i].map != NULL)
		i++;
	cr_assert_lt(i, MAXGUESTS);
	LV_OK(guest_create(&guests[i], ++last_domid, ram, window));
	return &guests[i];
}

void lv_kill(struct guest *g)
{
	guest_destroy(g);
}

/* In the child: last words go to fd; coming back is a failure. */
static _Noreturn void last_words(void (*fn)(void), int fd)
{
	if (dup2(fd, STDERR_FILENO) < 0)
		_exit(2);
	close(fd);
	fn();
	_exit(1);
}

void lv_expect_panic(void (*fn)(void), const char *what)
{
	char words[4096];
	size_t used = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		last_words(fn, fds[1]);
	close(fds[1]);
	while (used < sizeof(words) - 1 &&
	       (n = read(fds[0], words + used, sizeof(words) - 1 - used)) > 0)
		used += (size_t)n;
	words[used] = '\0';
	close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "no abort: status %#x: %s",
	    (unsigned)status, words);
	/* A sanitizer aborts too: these have to be our own words. */
	cr_assert(strstr(words, "lombard: ") != NULL && strstr(words, what) != NULL,
	    "died of something else: %s", words);
}

struct frames_of {
	struct uvm_map *map;
	struct uvm_frames frames;
	bool found;
};

static void pick_frames(void *arg, struct uvm_map *map, const struct uvm_frames *fr)
{
	struct frames_of *fo = arg;

	if (map == fo->map) {
		fo->frames = *fr;
		fo->found = true;
	}
}

struct uvm_frames lv_frames(struct guest *g)
{
	struct frames_of fo = {.map = g->map};
	struct uvm_account ac;

	uvm_world_leave();
	LV_OK(uvm_account(&ac, pick_frames, &fo));
	uvm_world_enter();
	cr_assert(fo.found);
	return fo.frames;
}

void lv_account(struct uvm_account *ac)
{
	uvm_world_leave();
	LV_OK(uvm_account(ac, NULL, NULL));
	uvm_world_enter();
}

uint64_t lv_lend(
    struct guest *g, uint64_t gfn, uint64_t n, enum uvm_loan_kind kind, uint32_t borrower)
{
	const struct uvm_offer_terms terms = {.ot_borrower = borrower, .ot_kind = kind};
	uint64_t id = 0;

	LV_OK(uvm_ledger_lend(g->map, gfn, n, &terms, &id));
	cr_assert_neq(id, 0);
	return id;
}

uint64_t lv_lend_object(struct test_object *to, uint64_t off, uint64_t n, enum uvm_loan_kind kind)
{
	const struct uvm_offer_terms terms = {.ot_borrower = UVM_DOMID_ANY, .ot_kind = kind};
	uint64_t id = 0;

	LV_OK(uvm_ledger_lend_object(&to->to_object, off, n, n * UVM_PAGE_SIZE, &terms, &id));
	return id;
}

struct uvm_anon *lv_anon(struct guest *g, uint64_t gfn)
{
	struct uvm_lookup ul;
	struct uvm_anon *an;

	LV_OK(uvm_map_lookup(g->map, gfn, &ul));
	an = ul.ul_entry->me_amap != NULL
		 ? uvm_amap_lookup(ul.ul_entry->me_amap, gfn - ul.ul_entry->me_start)
		 : NULL;
	uvm_map_unlock(&ul);
	return an;
}

struct uvm_page *lv_page(struct guest *g, uint64_t gfn)
{
	struct uvm_anon *an = lv_anon(g, gfn);

	return an != NULL ? an->an_page : NULL;
}

struct uvm_page *lv_object_page(struct test_object *to, uint64_t off)
{
	struct uvm_page *pg;

	uvm_lock(&to->to_object.uo_lock);
	pg = uvm_object_lookup(&to->to_object, off);
	uvm_unlock(&to->to_object.uo_lock);
	return pg;
}

void lv_deactivate(struct uvm_page *pg)
{
	uvm_lock(&uvm_queues_lock);
	uvm_page_deactivate(pg);
	uvm_unlock(&uvm_queues_lock);
}
