/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry: which guests live, which are remembered.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/guest.h"

/* Guests that have ended and can still be asked about. */
#define MAX_REMEMBERED 256u

/* Domids from 0x7ff0 on have a meaning of their own (Xen public/xen.h, DOMID_FIRST_RESERVED). */
#define MAX_DOMID 0x7fedu

LIST_HEAD(guestlist, guest);

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct guestlist living = LIST_HEAD_INITIALIZER(living);
static struct guestlist remembered = LIST_HEAD_INITIALIZER(remembered); /* newest first */
static struct guest *by_domid[MAX_DOMID + 1];				/* the living */
static unsigned nliving, nremembered;
static uint32_t last_domid;
static bool closed; /* no guest may be launched any more */

/* => registry locked */
static struct guest *find_in(struct guestlist *list, uint32_t domid, const char *name)
{
	struct guest *g;

	LIST_FOREACH (g, list, g_all) {
		if (name != NULL ? strcmp(g->g_name, name) == 0 : g->g_domid == domid) {
			atomic_fetch_add(&g->g_refs, 1);
			return g;
		}
	}
	return NULL;
}

static struct guest *find(uint32_t domid, const char *name)
{
	struct guest *g;

	pthread_mutex_lock(&registry);
	g = find_in(&living, domid, name);
	if (g == NULL)
		g = find_in(&remembered, domid, name);
	pthread_mutex_unlock(&registry);
	return g;
}

struct guest *guest_find(uint32_t domid)
{
	return find(domid, NULL);
}

struct guest *guest_find_name(const char *name)
{
	return find(0, name);
}

bool guest_exists(uint32_t domid)
{
	bool yes;

	pthread_mutex_lock(&registry);
	yes = domid <= MAX_DOMID && by_domid[domid] != NULL;
	pthread_mutex_unlock(&registry);
	return yes;
}

void guest_name_of(uint32_t domid, char *buf, size_t len)
{
	struct guest *g = domid != UVM_DOMID_HOST ? guest_find(domid) : NULL;

	if (g != NULL)
		snprintf(buf, len, "%s (domain %u)", g->g_name, domid);
	else
		snprintf(buf, len, domid == UVM_DOMID_HOST ? "the host" : "domain %u", domid);
	if (g != NULL)
		guest_put(g);
}

/* => registry locked.  The guest of a list with the lowest domid above the given one. */
static struct guest *next_after(struct guestlist *list, uint32_t domid)
{
	struct guest *g, *next = NULL;

	LIST_FOREACH (g, list, g_all)
		if (g->g_domid > domid && (next == NULL || g->g_domid < next->g_domid))
			next = g;
	if (next != NULL)
		atomic_fetch_add(&next->g_refs, 1);
	return next;
}

void guest_each(bool ended, void (*visit)(void *arg, struct guest *g), void *arg)
{
	struct guest *g;
	uint32_t domid = 0;

	for (;;) {
		pthread_mutex_lock(&registry);
		g = next_after(ended ? &remembered : &living, domid);
		pthread_mutex_unlock(&registry);
		if (g == NULL)
			return;
		domid = g->g_domid;
		visit(arg, g);
		guest_put(g);
	}
}

struct guest *guest_next(uint32_t domid)
{
	struct guest *g;

	pthread_mutex_lock(&registry);
	while (domid <= MAX_DOMID && by_domid[domid] == NULL)
		domid++;
	g = domid <= MAX_DOMID ? by_domid[domid] : NULL;
	if (g != NULL)
		atomic_fetch_add(&g->g_refs, 1);
	pthread_mutex_unlock(&registry);
	return g;
}

unsigned guest_count(void)
{
	unsigned n;

	pthread_mutex_lock(&registry);
	n = nliving;
	pthread_mutex_unlock(&registry);
	return n;
}

/* => registry locked.  Numbers come round again only after all the others (Xen reserves the top).
 */
static uint32_t new_domid(void)
{
	do
		last_domid = last_domid % MAX_DOMID + 1;
	while (by_domid[last_domid] != NULL);
	return last_domid;
}

/* Give it a domid and a name, and show it to everybody. */
int guest_enlist(struct guest *g, const char *name, struct failure *f)
{
	struct guest *same;
	int error = 0;

	pthread_mutex_lock(&registry);
	g->g_domid = new_domid();
	if (name != NULL && *name != '\0')
		snprintf(g->g_name, sizeof(g->g_name), "%s", name);
	else
		snprintf(g->g_name, sizeof(g->g_name), "%s%u", g->g_program ? "program" : "guest",
		    g->g_domid);
	same = find_in(&living, 0, g->g_name);
	if (closed) {
		error = failure_set(f, -ESHUTDOWN, "the cell is shutting down");
	} else if (same != NULL) {
		error = failure_set(
		    f, -EEXIST, "a guest named %s is running: choose another name", g->g_name);
	} else {
		LIST_INSERT_HEAD(&living, g, g_all);
		by_domid[g->g_domid] = g;
		nliving++;
	}
	pthread_mutex_unlock(&registry);
	if (same != NULL)
		guest_put(same);
	return error;
}

void guest_delist(struct guest *g)
{
	pthread_mutex_lock(&registry);
	LIST_REMOVE(g, g_all);
	by_domid[g->g_domid] = NULL;
	nliving--;
	pthread_mutex_unlock(&registry);
}

static void stop_one(void *arg, struct guest *g)
{
	(void)arg;
	guest_stop_wait(g);
}

void guest_stop_all(void)
{
	pthread_mutex_lock(&registry);
	closed = true;
	pthread_mutex_unlock(&registry);
	/* What host programs have of each other and of guests outlives us. */
	uvm_page_keep_freed(true);
	while (guest_count() > 0)
		guest_each(false, stop_one, NULL);
}

/* The guest leaves the living and joins the remembered; the oldest of those is forgotten. */
void guest_bury(struct guest *g)
{
	struct guest *oldest = NULL, *it;

	pthread_mutex_lock(&registry);
	LIST_REMOVE(g, g_all);
	by_domid[g->g_domid] = NULL;
	nliving--;
	LIST_INSERT_HEAD(&remembered, g, g_all);
	if (++nremembered > MAX_REMEMBERED) {
		LIST_FOREACH (it, &remembered, g_all)
			oldest = it;
		LIST_REMOVE(oldest, g_all);
		nremembered--;
	}
	pthread_mutex_unlock(&registry);
	if (oldest != NULL)
		guest_put(oldest);
}
