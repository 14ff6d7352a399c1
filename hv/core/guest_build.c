/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests that Xen's tools build from outside.  Their thread is there from the start, and waits until
 * somebody wants memory; they stay in the list until somebody stops them.
 */
#include <errno.h>
#include <stdio.h>

#include "core/guest.h"
#include "lib/log.h"
#include "xen/public.h"

/* False: it is to end before it has begun. */
static bool await_build(struct guest *g)
{
	bool yes;

	pthread_mutex_lock(&g->g_mutex);
	while (!g->g_wanted && g->g_state == GUEST_STARTING)
		pthread_cond_wait(&g->g_changed, &g->g_mutex);
	yes = g->g_state == GUEST_STARTING;
	pthread_mutex_unlock(&g->g_mutex);
	return yes;
}

static void say_made(struct guest *g)
{
	pthread_mutex_lock(&g->g_mutex);
	g->g_made = true;
	pthread_cond_broadcast(&g->g_changed);
	pthread_mutex_unlock(&g->g_mutex);
	log_note("%s (domain %u) made: %ju KiB of memory", g->g_name, g->g_domid,
	    (uintmax_t)g->g_ram_pages << (UVM_PAGE_SHIFT - 10));
}

static void await_farewell(struct guest *g)
{
	pthread_mutex_lock(&g->g_mutex);
	while (!g->g_unwanted)
		pthread_cond_wait(&g->g_changed, &g->g_mutex);
	pthread_mutex_unlock(&g->g_mutex);
}

static void *built_main(void *arg)
{
	struct guest *g = arg;
	struct failure f;

	if (await_build(g)) {
		if (guest_bring_up(g, &f) != 0 || guest_go(g, &f) != 0) {
			guest_end_with(g, GUEST_END_ERROR, 125, "%s", f.text);
		} else {
			say_made(g);
			guest_serve(g);
		}
	}
	guest_wind_up(g);
	guest_announce_end(g);
	await_farewell(g);
	guest_bury(g);
	guest_left(g);
	/* The first time it said that it has shut down, now that it is gone. */
	evtchn_virq(EVTCHN_HOST, VIRQ_DOM_EXC);
	guest_put(g);
	return NULL;
}

int guest_create(const struct guest_config *cfg, struct guest **gp, struct failure *f)
{
	struct guest *g = guest_alloc(cfg, false);
	int error;

	if (g == NULL)
		return failure_set(f, -ENOMEM, "out of memory or descriptors for a guest");
	g->g_built = true;
	g->g_pauses = 1;
	error = guest_enlist(g, cfg->name, f);
	if (error != 0) {
		guest_put(g);
		return error;
	}
	/* The list's reference is the one it was born with; the caller gets another. */
	atomic_fetch_add(&g->g_refs, 1);
	error = guest_add_events(g, f);
	if (error == 0)
		error = guest_start_thread(g, built_main, f);
	if (error != 0) {
		guest_give_up(g);
		guest_put(g);
		return error;
	}
	*gp = g;
	return 0;
}

int guest_build(struct guest *g, uint64_t ram_pages)
{
	int error = 0;

	if (!g->g_built)
		return 0;
	pthread_mutex_lock(&g->g_mutex);
	if (!g->g_wanted && (ram_pages < GUEST_MIN_RAM_PAGES || ram_pages > GUEST_LOW_RAM_PAGES)) {
		error = -EINVAL;
	} else if (!g->g_wanted) {
		g->g_ram_pages = ram_pages;
		g->g_wanted = true;
		pthread_cond_broadcast(&g->g_changed);
	}
	while (
	    error == 0 && !g->g_made && g->g_state != GUEST_STOPPING && g->g_state != GUEST_ENDED)
		pthread_cond_wait(&g->g_changed, &g->g_mutex);
	if (error == 0 && !g->g_made)
		error = g->g_unwanted ? -ESRCH : -ENOMEM;
	pthread_mutex_unlock(&g->g_mutex);
	return error;
}
