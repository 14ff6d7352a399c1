/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps on one guest's memory, and on objects. */
#include "model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "uvm/uvm_loan.h"

static struct mguest *any_guest(void)
{
	return &m.guest[rng_below(&m.rng, m.nguests)];
}

/* A random span of a page, and random bytes for it. */
static size_t any_span(size_t *at, uint8_t *buf)
{
	size_t len;

	*at = rng_below(&m.rng, UVM_PAGE_SIZE);
	len = 1 + rng_below(&m.rng, UVM_PAGE_SIZE - *at);
	if (len > 64 && !rng_once_in(&m.rng, 8))
		len = 1 + len % 64;
	memset(buf, (int)rng_below(&m.rng, 256), len);
	return len;
}

void op_write(void)
{
	static const int results[] = {[P_NONE] = -EFAULT, [P_WINDOW] = -EACCES, [P_COW] = 0};
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES);
	enum page_kind kind = mg->page[gfn].kind;
	uint8_t buf[UVM_PAGE_SIZE];
	size_t at, len = any_span(&at, buf);

	mg->g.pmap->sp_pmap.pm_crowded = rng_once_in(&m.rng, 4);
	model_says("write", mg->domid, gfn, at, len, 0);
	model_expect(soft_write(mg->g.map, gfn, at, buf, len), results[kind]);
	if (results[kind] == 0) {
		touch_page(mg, gfn);
		memcpy(bytes_of(mg, gfn) + at, buf, len);
		mg->page[gfn].handle = 0;
		sharing_crowded_out(mg);
	}
	compare_page(mg, gfn);
}

void op_read(void)
{
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES);
	uint8_t byte;

	model_says("read", mg->domid, gfn, 0, 0, 0);
	model_expect(soft_read(mg->g.map, gfn, rng_below(&m.rng, UVM_PAGE_SIZE), &byte, 1),
	    mg->page[gfn].kind == P_NONE ? -EFAULT : 0);
	if (mg->page[gfn].kind != P_NONE)
		touch_page(mg, gfn);
	compare_page(mg, gfn);
}

/* What discard has to say about the range. */
static int discard_result(struct mguest *mg, uint64_t gfn, uint64_t n)
{
	enum page_kind kind = mg->page[gfn].kind;
	int error = 0;

	if (n == 0 || (kind != P_RAM && kind != P_OBJECT))
		return -EINVAL;
	for (uint64_t i = gfn; i < gfn + n; i++) {
		/* Ranges lie in one entry. */
		if (i >= PAGES || mg->page[i].kind != kind)
			return -EINVAL;
		if (mg->page[i].wired != NULL)
			error = -EBUSY;
	}
	return error;
}

void op_discard(void)
{
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES), n = rng_below(&m.rng, 8);
	int result = discard_result(mg, gfn, n);

	model_says("discard", mg->domid, gfn, n, 0, 0);
	model_expect(uvm_map_discard(mg->g.map, gfn, n), result);
	for (uint64_t i = gfn; result == 0 && i < gfn + n; i++) {
		memset(bytes_of(mg, i), 0, UVM_PAGE_SIZE);
		mg->page[i].touched = false;
		mg->page[i].handle = 0;
	}
	compare_range(mg, gfn, n);
}

/* Wire a page and write to it as a device does, past the guest. */
void op_wire(void)
{
	static const int results[] = {[P_NONE] = -EFAULT, [P_WINDOW] = -EINVAL, [P_COW] = 0};
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES);
	struct mpage *mp = &mg->page[gfn];
	uint8_t buf[UVM_PAGE_SIZE];
	size_t at, len = any_span(&at, buf);

	model_says("wire", mg->domid, gfn, at, len, 0);
	if (mp->wired == NULL) {
		model_expect(uvm_map_wire(mg->g.map, gfn, &mp->wired), results[mp->kind]);
		if (mp->wired != NULL) {
			touch_page(mg, gfn);
			mp->handle = 0;
			sharing_crowded_out(mg);
		}
	}
	if (mp->wired != NULL) {
		memcpy((uint8_t *)uvm_page_kva(mp->wired) + at, buf, len);
		memcpy(bytes_of(mg, gfn) + at, buf, len);
	}
	compare_page(mg, gfn);
}

void op_unwire(void)
{
	struct mguest *mg = any_guest();
	uint64_t gfn = rng_below(&m.rng, PAGES);

	for (unsigned i = 0; i < PAGES; i++, gfn = (gfn + 1) % PAGES) {
		if (mg->page[gfn].wired == NULL)
			continue;
		model_says("unwire", mg->domid, gfn, 0, 0, 0);
		uvm_map_unwire(mg->g.map, mg->page[gfn].wired);
		mg->page[gfn].wired = NULL;
		compare_page(mg, gfn);
		return;
	}
}

void op_object_write(void)
{
	struct mobject *mo = &m.object[rng_below(&m.rng, NOBJECTS)];
	uint64_t off = rng_below(&m.rng, OBJECT_SIZE), nbroken = 0;
	uint8_t buf[UVM_PAGE_SIZE];
	size_t at, len = any_span(&at, buf);

	model_says("object write", (uint64_t)(mo - m.object), off, at, len, 0);
	model_expect(uvm_object_write(&mo->to->to_object, off, at, buf, len, &nbroken), 0);
	memcpy(mo->bytes + off * UVM_PAGE_SIZE + at, buf, len);
}

void op_object_flush(void)
{
	struct mobject *mo = &m.object[rng_below(&m.rng, NOBJECTS)];
	uint64_t off = rng_below(&m.rng, OBJECT_SIZE), nbroken = 0;
	uint64_t n = 1 + rng_below(&m.rng, OBJECT_SIZE - off);
	unsigned flags = (unsigned)rng_below(&m.rng, 4);
	uint8_t *disk = mo->to->to_disk + off * UVM_PAGE_SIZE;
	uint8_t *bytes = mo->bytes + off * UVM_PAGE_SIZE;

	model_says("object flush", (uint64_t)(mo - m.object), off, n, flags, 0);
	model_expect(uvm_object_flush(&mo->to->to_object, off, n, flags, &nbroken), 0);
	/* Freed without being written back: what was on disk before is valid again. */
	if (flags == UVM_FLUSH_FREE)
		memcpy(bytes, disk, n * UVM_PAGE_SIZE);
	if ((flags & UVM_FLUSH_CLEAN) && memcmp(bytes, disk, n * UVM_PAGE_SIZE) != 0)
		model_fail("flushed pages differ from the disk's");
	compare_object(mo);
}

void op_object_pageout(void)
{
	struct mobject *mo = &m.object[rng_below(&m.rng, NOBJECTS)];
	struct uvm_object *uo = &mo->to->to_object;
	uint64_t off = rng_below(&m.rng, OBJECT_SIZE);
	struct uvm_page *pg;

	model_says("object pageout", (uint64_t)(mo - m.object), off, 0, 0, 0);
	uvm_lock(&uo->uo_lock);
	pg = uvm_object_lookup(uo, off);
	if (pg != NULL) {
		uvm_lock(&uvm_queues_lock);
		uvm_page_deactivate(pg);
		uvm_unlock(&uvm_queues_lock);
	}
	uvm_unlock(&uo->uo_lock);
	if (uvm_loan_pageout(uo, off) && pg == NULL)
		model_fail("a page that was not there has been paged out");
	compare_object(mo);
}

void op_destroy(void)
{
	struct mguest *mg = any_guest();

	model_says("destroy", mg->domid, 0, 0, 0, 0);
	guest_end(mg);
	guest_new(mg);
}
