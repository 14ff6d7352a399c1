/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The account: who owns, lent and borrowed what; what the kernel says; what the auditor found.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/file_object.h"
#include "core/session.h"
#include "lib/sys.h"
#include "uvm/uvm_audit.h"

/* A guest's part, as the auditor saw it: copied with the world stopped, turned into JSON later. */
struct part {
	uint32_t domid;
	struct uvm_frames frames;
	uint64_t made, returned, broken[UVM_NBREAKS], copied;
};

struct parts {
	struct part *part;
	size_t n, room;
};

static void take_part(void *arg, struct uvm_map *map, const struct uvm_frames *fr)
{
	struct parts *ps = arg;
	struct part *p;

	/* Guests that came after the room was made are left out this time. */
	if (ps->n == ps->room)
		return;
	p = &ps->part[ps->n++];
	p->domid = map->vm_domid;
	p->frames = *fr;
	p->made = map->vm_stats.ms_loans_made;
	p->returned = map->vm_stats.ms_loans_returned;
	p->copied = map->vm_stats.ms_copied;
	for (unsigned i = 0; i < UVM_NBREAKS; i++)
		p->broken[i] = map->vm_stats.ms_broken[i];
}

static json_t *part_json(const struct part *p, const char *name, uint64_t mappings, uint64_t calls)
{
	return json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I,"
			 " s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I}",
	    "domid", (int)p->domid, "name", name, "owned", (json_int_t)p->frames.fr_owned, "lent",
	    (json_int_t)p->frames.fr_lent, "borrowed", (json_int_t)p->frames.fr_borrowed,
	    "orphaned", (json_int_t)p->frames.fr_orphaned, "wired", (json_int_t)p->frames.fr_wired,
	    "loans_made", (json_int_t)p->made, "loans_returned", (json_int_t)p->returned, "broken",
	    "write", (json_int_t)p->broken[UVM_BREAK_WRITE], "free",
	    (json_int_t)p->broken[UVM_BREAK_FREE], "pageout",
	    (json_int_t)p->broken[UVM_BREAK_PAGEOUT], "borrower",
	    (json_int_t)p->broken[UVM_BREAK_BORROWER], "bytes_copied",
	    (json_int_t)(p->copied * UVM_PAGE_SIZE), "mappings", (json_int_t)mappings, "hypercalls",
	    (json_int_t)calls);
}

/* Hypercalls that are not there. */
static void add_unknown(json_t *part, struct guest *g)
{
	json_object_set_new(part, "unknown",
	    json_pack("{s:I, s:I, s:I}", "count", (json_int_t)atomic_load(&g->g_unknown),
		"hypercall", (json_int_t)atomic_load(&g->g_unknown_nr), "op",
		(json_int_t)atomic_load(&g->g_unknown_cmd)));
}

/* Guests in order of domid; those that have ended are remembered with what they did. */
static json_t *guests_json(const struct parts *ps)
{
	json_t *list = json_array();
	struct guest *g;
	json_t *j;

	for (size_t i = 0; i < ps->n; i++) {
		g = guest_find(ps->part[i].domid);
		if (g == NULL)
			continue;
		j = part_json(&ps->part[i], g->g_name, atomic_load(&g->g_pmap.rp_mappings),
		    atomic_load(&g->g_hypercalls));
		add_unknown(j, g);
		json_array_append_new(list, j);
		guest_put(g);
	}
	return list;
}

static void object_json(void *arg, const struct file_object_info *info)
{
	json_array_append_new(
	    arg, json_pack("{s:o, s:I, s:I, s:I, s:I}", "name", session_text(info->name), "pages",
		     (json_int_t)info->pages, "resident", (json_int_t)info->resident, "reads",
		     (json_int_t)info->reads, "bytes_read", (json_int_t)info->bytes_read));
}

static json_t *findings_json(const struct uvm_account *ac)
{
	const unsigned max = sizeof(ac->ac_findings) / sizeof(ac->ac_findings[0]);
	json_t *list = json_array();

	for (unsigned i = 0; i < ac->ac_nfindings && i < max; i++)
		json_array_append_new(list, json_string(ac->ac_findings[i]));
	return list;
}

static json_t *cell_json(const struct uvm_account *ac)
{
	const struct uvm_frames *fr = &ac->ac_all;
	json_t *objects = json_array();

	file_object_each(object_json, objects);
	return json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:I, s:b, s:o, s:I, s:o}",
	    "frames", "free", (json_int_t)ac->ac_free, "owned", (json_int_t)fr->fr_owned, "lent",
	    (json_int_t)fr->fr_lent, "orphaned", (json_int_t)fr->fr_orphaned, "wired",
	    (json_int_t)fr->fr_wired, "moving", (json_int_t)fr->fr_moving, "total",
	    (json_int_t)uvm_frames_total(fr), "kernel_pages", (json_int_t)ac->ac_kernel_pages,
	    "equal", ac->ac_equal, "objects", objects, "zero_loans", (json_int_t)ac->ac_zero_loans,
	    "audit", findings_json(ac));
}

static void channel_json(void *arg, const struct channel_info *info)
{
	json_t *peers = json_array();
	unsigned live = 0;

	for (unsigned i = 0; i < info->npeers; i++) {
		const struct channel_peer_info *p = &info->peers[i];

		live += p->accepted && !p->gone;
		json_array_append_new(
		    peers, json_pack("{s:i, s:i, s:I, s:b, s:b, s:I}", "peer", (int)p->number,
			       "domid", (int)p->domid, "id", (json_int_t)p->id, "accepted",
			       p->accepted, "gone", p->gone, "stale", (json_int_t)p->stale));
	}
	json_array_append_new(
	    arg, json_pack("{s:s, s:I, s:i, s:b, s:I, s:I, s:I, s:i, s:o}", "name", info->name,
		     "id", (json_int_t)info->id, "domid", (int)info->domid, "closed", info->closed,
		     "arena_pages", (json_int_t)info->arena_pages, "frame_pages",
		     (json_int_t)info->frame_pages, "seals", (json_int_t)info->seals, "live",
		     (int)live, "peers", peers));
}

static void count_one(void *arg, struct guest *g)
{
	(void)g;
	++*(size_t *)arg;
}

/* A guest that has ended keeps its counters; it has no frames. */
static void ended_json(void *arg, struct guest *g)
{
	struct part p = {.domid = g->g_domid,
	    .made = g->g_last.gl_made,
	    .returned = g->g_last.gl_returned,
	    .copied = g->g_last.gl_copied};
	json_t *j;

	for (unsigned i = 0; i < UVM_NBREAKS; i++)
		p.broken[i] = g->g_last.gl_broken[i];
	j = part_json(&p, g->g_name, 0, atomic_load(&g->g_hypercalls));
	add_unknown(j, g);
	json_object_set_new(j, "ended", json_true());
	json_array_append_new(arg, j);
}

json_t *op_stats(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct uvm_account ac;
	struct part host = {0};
	struct parts ps = {0};
	json_t *guests, *channels, *fields;

	(void)s;
	(void)request;
	guest_each(false, count_one, &ps.room);
	ps.part = SYS_ALLOC(calloc(ps.room + 1, sizeof(*ps.part)));
	*error = ps.part == NULL ? -ENOMEM : uvm_account(&ac, take_part, &ps);
	if (*error != 0) {
		free(ps.part);
		failure_sys(f, *error, "can't take the account");
		return NULL;
	}
	guests = guests_json(&ps);
	guest_each(true, ended_json, guests);
	host.frames = ac.ac_host;
	for (unsigned k = 0; k < UVM_NBREAKS; k++)
		host.broken[k] = uvm_object_broken[k];
	json_array_insert_new(guests, 0, part_json(&host, "host", 0, 0));
	channels = json_array();
	channel_each(channel_json, channels);
	fields = json_pack(
	    "{s:o, s:o, s:o}", "cell", cell_json(&ac), "guests", guests, "channels", channels);
	free(ps.part);
	return fields;
}
