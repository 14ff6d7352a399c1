/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of an endpoint: arena, control and status, each in a store of its own, since who
 * writes one part has a writable descriptor of the whole store.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/channel_private.h"
#include "lib/log.h"

#define FREE_HUGE_PAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

/* A broken frame needs a place beside the lent one. */
#define ARENA_BANKS (2u + CHAN_MAX_PEERS) /* see uvm_arena.h */

static const char *const part_names[AREA_NPARTS] = {"data", "control", "status"};

/* Only the data can be sealed. */
static int make_part(struct endpoint *ep, unsigned part, uint64_t frames, bool huge)
{
	const bool data = part == AREA_DATA;
	char name[2 * WIRE_NAME_LEN + CHAN_NAME_LEN];
	struct memfd_store *ms;
	struct failure f;
	int error;

	snprintf(
	    name, sizeof(name), "%s channel %s %s", ep->ep_owner, ep->ep_name, part_names[part]);
	error = huge ? memfd_store_create_huge(name, frames, ARENA_BANKS, ep->ep_domid, &ms, &f)
		     : memfd_store_create(
			   name, frames, data ? ARENA_BANKS : 1, ep->ep_domid, &ms, &f);
	if (error != 0)
		return error;
	error = uvm_arena_create(&ms->ms_store, frames, data ? CHAN_SLOTS : 0,
	    data ? &channel_arena_ops : NULL, data ? ep : NULL, &ep->ep_part[part]);
	if (error != 0)
		uvm_store_rele(&ms->ms_store);
	return error;
}

static unsigned long free_huge_pages(void)
{
	FILE *file = fopen(FREE_HUGE_PAGES, "re");
	unsigned long n = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%lu", &n) != 1)
		n = 0;
	fclose(file);
	return n;
}

/* One line, until there were some again: guests could go on asking. */
static void tell_huge(const struct endpoint *ep, bool had, uint64_t frames)
{
	static _Atomic bool told;

	if (atomic_exchange(&told, !had) || had)
		return;
	log_warn("a channel of %s (domain %u) wants %ju pages of 2 MiB, and %lu are free: it "
		 "gets pages of 4 KiB, which are slower to seal, as others will that find too few; "
		 "reserve them with `sysctl vm.nr_hugepages=N`",
	    ep->ep_owner, ep->ep_domid, (uintmax_t)frames, free_huge_pages());
}

static int make_data(struct endpoint *ep, bool huge)
{
	uint32_t frames = ep->ep_arena_pages / CHAN_HUGE_PAGES;
	bool had;

	ep->ep_frame_pages = CHAN_HUGE_PAGES;
	ep->ep_frames = frames;
	if (huge) {
		had = make_part(ep, AREA_DATA, frames, true) == 0;
		tell_huge(ep, had, frames);
		if (had)
			return 0;
	}
	ep->ep_frame_pages = 1;
	ep->ep_frames = ep->ep_arena_pages;
	return make_part(ep, AREA_DATA, ep->ep_frames, false);
}

/* A small arena's frames lie side by side for the core: it was the first in its store. */
static void *part_kva(struct uvm_arena *ua)
{
	uint8_t *base = uvm_arena_kva(ua, 0);

	for (uint64_t i = 1; i < uvm_arena_frames(ua); i++)
		KASSERT(uvm_arena_kva(ua, i) == base + i * UVM_PAGE_SIZE);
	return base;
}

static void fill_status(struct endpoint *ep)
{
	struct chan_status *st = ep->ep_status;

	st->frame_pages = ep->ep_frame_pages;
	st->arena_pages = ep->ep_arena_pages;
	st->domid = ep->ep_domid;
	st->state = CHAN_STATE_OPEN;
}

int area_make(struct endpoint *ep, bool huge)
{
	int error = make_data(ep, huge);

	if (error == 0)
		error = make_part(ep, AREA_CONTROL, CHAN_CONTROL_PAGES, false);
	if (error == 0)
		error = make_part(ep, AREA_STATUS, CHAN_STATUS_PAGES, false);
	if (error != 0) {
		area_free(ep);
		return error;
	}
	ep->ep_control = part_kva(ep->ep_part[AREA_CONTROL]);
	ep->ep_status = part_kva(ep->ep_part[AREA_STATUS]);
	ep->ep_control->desc[0].seq = 1;
	fill_status(ep);
	return 0;
}

void area_free(struct endpoint *ep)
{
	for (unsigned i = 0; i < AREA_NPARTS; i++)
		if (ep->ep_part[i] != NULL)
			uvm_arena_rele(ep->ep_part[i]);
	memset(ep->ep_part, 0, sizeof(ep->ep_part));
}

static uint64_t part_gfn(const struct endpoint *ep, uint64_t gfn, unsigned part)
{
	static const uint32_t behind_arena[AREA_NPARTS] = {
	    [AREA_CONTROL] = 0, [AREA_STATUS] = CHAN_CONTROL_PAGES};

	return part == AREA_DATA ? gfn : gfn + ep->ep_arena_pages + behind_arena[part];
}

/* Take the first n parts away; a part that is not there any more is no error. */
static int hide_parts(struct endpoint *ep, struct uvm_map *map, uint64_t gfn, unsigned n)
{
	int error, first = 0;

	for (unsigned i = 0; i < n; i++) {
		error = uvm_arena_hide(map, part_gfn(ep, gfn, i));
		if (error != 0 && error != -ENOENT)
			first = -ENOTRECOVERABLE;
	}
	return first;
}

int area_show(struct endpoint *ep, struct uvm_map *map, uint64_t gfn, bool owner)
{
	unsigned flags, i;
	int error = 0;

	for (i = 0; error == 0 && i < AREA_NPARTS; i++) {
		flags = owner ? UVM_VIEW_OWNER : 0;
		if (owner && i != AREA_STATUS)
			flags |= UVM_VIEW_WRITER;
		error = uvm_arena_show(ep->ep_part[i], map, part_gfn(ep, gfn, i), flags);
	}
	if (error != 0 && hide_parts(ep, map, gfn, i - 1) != 0)
		error = -ENOTRECOVERABLE;
	return error;
}

int area_hide(struct endpoint *ep, struct uvm_map *map, uint64_t gfn)
{
	return hide_parts(ep, map, gfn, AREA_NPARTS);
}
