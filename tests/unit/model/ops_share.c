/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps on sharing.  In the model a page with a handle has the bytes that the handle stands for, until
 * it is written to; pages with the same handle are one frame.
 */
#include "model.h"

#include <errno.h>
#include <string.h>

#include "uvm/uvm_share.h"

static struct mguest *any_guest(void)
{
	return &m.guest[rng_below(&m.rng, m.nguests)];
}

/* Mostly pages of RAM. */
static uint64_t any_page(void)
{
	return rng_below(&m.rng, rng_once_in(&m.rng, 12) ? PAGES : RAM_PAGES);
}

static int nominate_result(const struct mpage *mp)
{
	if (mp->kind != P_RAM)
		return -EINVAL;
	return mp->wired != NULL ? -EBUSY : 0;
}

static void nominate(struct mguest *mg, uint64_t gfn)
{
	struct mpage *mp = &mg->page[gfn];
	int result = nominate_result(mp);
	uint64_t handle = 0;

	model_says("nominate", mg->domid, gfn, mp->handle, 0, 0);
	model_expect(uvm_share_nominate(mg->g.map, gfn, &handle), result);
	if (result != 0)
		return;
	if (handle == 0 || (mp->handle != 0 ? handle != mp->handle : handle <= m.last_handle))
		model_fail("the handle is %ju", (uintmax_t)handle);
	if (mp->handle == 0) {
		m.last_handle = handle;
		mp->foreign = false;
	}
	mp->handle = handle;
	touch_page(mg, gfn);
	compare_page(mg, gfn);
}

void op_nominate(void)
{
	nominate(any_guest(), any_page());
}

/* A page's handle, or a wrong one. */
static uint64_t handle_of(const struct mpage *mp)
{
	return rng_once_in(&m.rng, 10) ? rng_below(&m.rng, m.last_handle + 2) : mp->handle;
}

static bool has(const struct mpage *mp, uint64_t handle)
{
	return mp->kind == P_RAM && mp->handle != 0 && mp->handle == handle;
}

static void become(struct mguest *client, uint64_t cgfn, struct mguest *source, uint64_t sgfn)
{
	memmove(bytes_of(client, cgfn), bytes_of(source, sgfn), UVM_PAGE_SIZE);
	client->page[cgfn].handle = source->page[sgfn].handle;
	client->page[cgfn].touched = true;
	client->page[cgfn].foreign = true;
}

void op_share(void)
{
	struct mguest *source = any_guest(), *client = any_guest();
	uint64_t sgfn = any_page(), cgfn = any_page(), sh, ch;
	const struct mpage *sp = &source->page[sgfn], *cp = &client->page[cgfn];
	int result = 0;

	if (!rng_once_in(&m.rng, 6)) {
		nominate(source, sgfn);
		nominate(client, cgfn);
	}
	sh = handle_of(sp);
	ch = handle_of(cp);
	if (!has(sp, sh))
		result = -ESTALE;
	else if (!has(cp, sp->handle) && !has(cp, ch))
		result = -ENOENT;
	model_says("share", source->domid, sgfn, client->domid, cgfn, sh);
	model_expect(uvm_share_pages(source->g.map, sgfn, sh, client->g.map, cgfn, ch), result);
	if (result == 0)
		become(client, cgfn, source, sgfn);
	compare_page(source, sgfn);
	compare_page(client, cgfn);
}

void op_share_add(void)
{
	struct mguest *source = any_guest(), *client = any_guest();
	uint64_t sgfn = any_page(), cgfn = any_page(), sh;
	const struct mpage *sp = &source->page[sgfn], *cp = &client->page[cgfn];
	int result = 0;

	nominate(source, sgfn);
	sh = handle_of(sp);
	model_says("share add", source->domid, sgfn, client->domid, cgfn, sh);
	if (!has(sp, sh))
		result = -ESTALE;
	else if (cp->kind != P_RAM || cp->touched)
		result = -ENOENT;
	model_expect(uvm_share_add(source->g.map, sgfn, sh, client->g.map, cgfn), result);
	if (result == 0)
		become(client, cgfn, source, sgfn);
	compare_page(source, sgfn);
	compare_page(client, cgfn);
}

/* How many pages have the handle of this one; *first: none before it has. */
static uint64_t sharers(const struct mpage *mp, bool *first)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < m.nguests; i++)
		for (unsigned k = 0; k < RAM_PAGES; k++) {
			const struct mpage *other = &m.guest[i].page[k];

			if (other == mp)
				*first = n == 0;
			n += other->handle == mp->handle;
		}
	return n;
}

/*
 * A guest that runs short of mappings has written: pages around it may have frames of their own now,
 * those that nobody touched, too, but not those of its own with a handle that nobody else has.
 */
void sharing_crowded_out(struct mguest *mg)
{
	bool first;

	for (unsigned k = 0; k < RAM_PAGES && mg->g.pmap->sp_pmap.pm_crowded; k++) {
		struct mpage *mp = &mg->page[k];

		mp->touched |= uvm_share_untouched(mg->g.map, k) == 0;
		if (mp->handle == 0 || uvm_share_refs(mg->g.map, k) > 0)
			continue;
		if (sharers(mp, &first) < 2 && !mp->foreign)
			model_fail("domain %u gfn %u has lost its handle", mg->domid, k);
		mp->handle = 0;
	}
}

void compare_sharing(void)
{
	uint64_t frames = 0, pages = 0, n, of_guest, counted, saved;
	bool first = false;

	for (unsigned i = 0; i < m.nguests; i++) {
		of_guest = 0;
		for (unsigned k = 0; k < RAM_PAGES; k++) {
			const struct mpage *mp = &m.guest[i].page[k];

			n = mp->handle != 0 ? sharers(mp, &first) : 0;
			if (uvm_share_refs(m.guest[i].g.map, k) != (n > 0 ? (int)n : -EINVAL))
				model_fail("domain %u gfn %u is shared by %d pages, not %ju",
				    m.guest[i].domid, k, uvm_share_refs(m.guest[i].g.map, k),
				    (uintmax_t)n);
			of_guest += n > 0;
			frames += n > 0 && first;
		}
		if (m.guest[i].g.map->vm_shared != of_guest)
			model_fail("domain %u does not share %ju pages", m.guest[i].domid,
			    (uintmax_t)of_guest);
		pages += of_guest;
	}
	uvm_share_counts(&counted, &saved);
	if (counted != frames || saved != pages - frames)
		model_fail("%ju frames shared, %ju saved; the model says %ju, %ju",
		    (uintmax_t)counted, (uintmax_t)saved, (uintmax_t)frames,
		    (uintmax_t)(pages - frames));
}
