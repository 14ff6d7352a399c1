/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(XENLIB_SRCS) tests/unit/xenlib/fake.c */
/* pkgs: jansson xentoollog xentoolcore */
#include <xengnttab.h>

#include <string.h>
#include <sys/mman.h>
#include <xentoolcore.h>

#include "proto/xenwire.h"
#include "xenlib.h"

#define PAGE 4096u
#define MANY 2500u

static xengnttab_handle *h;
static xengntshr_handle *s;

static void open_both(void)
{
	cr_assert_not_null(h = xengnttab_open(NULL, 0));
	cr_assert_not_null(s = xengntshr_open(NULL, 0));
	cr_assert_eq(xengnttab_set_max_grants(h, 32752), 0);
}

static void close_both(void)
{
	cr_assert_eq(xengnttab_close(h), 0);
	cr_assert_eq(xengntshr_close(s), 0);
	cr_assert_eq(xengnttab_close(NULL), 0);
	cr_assert(fake_has_connections(0));
}

static uint64_t word(const void *at, size_t page)
{
	return *(const uint64_t *)((const char *)at + page * PAGE);
}

XenTest(gnttab, pages_are_live)
{
	uint64_t *p;

	open_both();
	p = xengnttab_map_grant_ref(h, FAKE_DOMID, 8, PROT_READ | PROT_WRITE);
	cr_assert_not_null(p);
	cr_assert_eq(*p, 8);
	*p = 88;
	cr_assert_eq(*fake_page(8), 88);
	cr_assert_eq(fake_notify_offset(), XENWIRE_NO_OFFSET);
	cr_assert_eq(fake_notify_port(), XENWIRE_NO_PORT);
	cr_assert_eq(xengnttab_unmap(h, p, 1), 0);
	cr_assert_eq(fake_maps(), 0);
	cr_assert(unreadable_p(p));
	close_both();
}

XenTest(gnttab, many_references)
{
	static uint32_t refs[MANY], domids[MANY];
	void *p;

	open_both();
	for (unsigned i = 0; i < MANY; i++) {
		refs[i] = MANY - i + 200;
		domids[i] = FAKE_DOMID;
	}
	p = xengnttab_map_domain_grant_refs(h, MANY, FAKE_DOMID, refs, PROT_READ);
	cr_assert_not_null(p);
	for (unsigned i = 0; i < MANY; i++)
		cr_assert_eq(word(p, i), MANY - i + 200);
	cr_assert_eq(fake_maps_ever(), 1);
	cr_assert_eq(xengnttab_unmap(h, p, MANY), 0);
	p = xengnttab_map_grant_refs(h, MANY, domids, refs, PROT_READ);
	cr_assert_not_null(p);
	cr_assert_eq(xengnttab_unmap(h, p, MANY), 0);
	domids[MANY - 1] = 9;
	NO(xengnttab_map_grant_refs(h, MANY, domids, refs, PROT_READ), ESRCH);
	refs[0] = FAKE_PAGES;
	NO(xengnttab_map_domain_grant_refs(h, MANY, FAKE_DOMID, refs, PROT_READ), EINVAL);
	NO(xengnttab_map_domain_grant_refs(h, 0, FAKE_DOMID, refs, PROT_READ), EINVAL);
	cr_assert_eq(fake_maps(), 0);
	close_both();
}

/* An offset beyond the page is none, as -1 is. */
XenTest(gnttab, notification)
{
	void *p;

	open_both();
	p = xengnttab_map_grant_ref_notify(h, FAKE_DOMID, 8, PROT_READ | PROT_WRITE, 20, 5);
	cr_assert_not_null(p);
	cr_assert_eq(fake_notify_offset(), 20);
	cr_assert_eq(fake_notify_port(), 5);
	xengnttab_unmap(h, p, 1);
	p = xengnttab_map_grant_ref_notify(
	    h, FAKE_DOMID, 8, PROT_READ | PROT_WRITE, PAGE, (evtchn_port_t)-1);
	cr_assert_eq(fake_notify_offset(), XENWIRE_NO_OFFSET);
	cr_assert_eq(fake_notify_port(), XENWIRE_NO_PORT);
	xengnttab_unmap(h, p, 1);
	close_both();
}

XenTest(gnttab, unmap_wants_what_was_mapped)
{
	uint32_t refs[3] = {8, 9, 10};
	char *p;

	open_both();
	p = xengnttab_map_domain_grant_refs(h, 3, FAKE_DOMID, refs, PROT_READ);
	FAILS(xengnttab_unmap(h, p, 2), EINVAL);
	FAILS(xengnttab_unmap(h, p, 4), EINVAL);
	FAILS(xengnttab_unmap(h, p, 0), EINVAL);
	FAILS(xengnttab_unmap(h, p + PAGE, 2), EINVAL);
	FAILS(xengnttab_unmap(h, NULL, 3), EINVAL);
	FAILS(xengntshr_unshare(s, p, 3), EINVAL);
	cr_assert_eq(word(p, 2), 10);
	cr_assert_eq(xengnttab_unmap(h, p, 3), 0);
	FAILS(xengnttab_unmap(h, p, 3), EINVAL);
	close_both();
}

/* libxenvchan unmaps large rings with munmap. */
XenTest(gnttab, raw_munmap)
{
	open_both();
	for (unsigned i = 0; i < 200; i++) {
		void *p = xengnttab_map_grant_ref(h, FAKE_DOMID, 8 + i % 20, PROT_READ);

		cr_assert_eq(word(p, 0), 8 + i % 20);
		munmap(p, PAGE);
	}
	cr_assert_leq(fake_maps(), 4);
	close_both();
}

/* ---- copies ---- */

static xengnttab_grant_copy_segment_t segment(uint16_t flags, uint16_t len)
{
	return (xengnttab_grant_copy_segment_t){.flags = flags, .len = len, .status = 99};
}

XenTest(gnttab, copies)
{
	uint64_t here[2] = {500, 600};
	xengnttab_grant_copy_segment_t segs[3] = {
	    segment(GNTCOPY_source_gref, 8),
	    segment(GNTCOPY_dest_gref, 8),
	    segment(GNTCOPY_source_gref | GNTCOPY_dest_gref, PAGE),
	};

	open_both();
	segs[0].source.foreign.domid = FAKE_DOMID;
	segs[0].source.foreign.ref = 30;
	segs[0].dest.virt = &here[0];
	segs[1].source.virt = &here[1];
	segs[1].dest.foreign.domid = FAKE_DOMID;
	segs[1].dest.foreign.ref = 31;
	segs[1].dest.foreign.offset = 16;
	segs[2].source.foreign.domid = segs[2].dest.foreign.domid = FAKE_DOMID;
	segs[2].source.foreign.ref = 32;
	segs[2].dest.foreign.ref = 33;
	cr_assert_eq(xengnttab_grant_copy(h, 3, segs), 0);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(segs[i].status, GNTST_okay);
	cr_assert_eq(here[0], 30);
	cr_assert_eq(fake_page(31)[2], 600);
	cr_assert_eq(*fake_page(31), 31);
	cr_assert_eq(*fake_page(33), 32);
	cr_assert_eq(fake_maps(), 0);
	close_both();
}

/* Each segment says what became of it; others are done. */
XenTest(gnttab, copies_that_fail)
{
	uint64_t here = 0;
	xengnttab_grant_copy_segment_t segs[6];

	open_both();
	for (unsigned i = 0; i < 6; i++) {
		segs[i] = segment(GNTCOPY_source_gref, 8);
		segs[i].source.foreign.domid = FAKE_DOMID;
		segs[i].source.foreign.ref = 30;
		segs[i].dest.virt = &here;
	}
	segs[0].source.foreign.domid = 9;
	segs[1].source.foreign.ref = FAKE_PAGES;
	segs[2].source.foreign.offset = PAGE - 7;
	segs[3].flags = 0;
	segs[4].source.foreign.ref = FAKE_PAGED;
	cr_assert_eq(xengnttab_grant_copy(h, 6, segs), 0);
	cr_assert_eq(segs[0].status, GNTST_bad_domain);
	cr_assert_eq(segs[1].status, GNTST_bad_gntref);
	cr_assert_eq(segs[2].status, GNTST_bad_copy_arg);
	cr_assert_eq(segs[3].status, GNTST_bad_copy_arg);
	cr_assert_eq(segs[4].status, GNTST_general_error);
	cr_assert_eq(segs[5].status, GNTST_okay);
	cr_assert_eq(here, 30);
	/* Both ends are let go when the second cannot be had. */
	segs[0] = segment(GNTCOPY_source_gref | GNTCOPY_dest_gref, 8);
	segs[0].source.foreign.domid = FAKE_DOMID;
	segs[0].source.foreign.ref = 30;
	segs[0].dest.foreign.domid = 9;
	cr_assert_eq(xengnttab_grant_copy(h, 1, segs), 0);
	cr_assert_eq(segs[0].status, GNTST_bad_domain);
	cr_assert_eq(fake_maps(), 0);
	close_both();
}

XenTest(gnttab, no_dmabufs)
{
	uint32_t fd = 0, ref = 8;

	open_both();
	FAILS(xengnttab_dmabuf_exp_from_refs(h, 1, 0, 1, &ref, &fd), EOPNOTSUPP);
	FAILS(xengnttab_dmabuf_exp_wait_released(h, fd, 1), EOPNOTSUPP);
	FAILS(xengnttab_dmabuf_imp_to_refs(h, 1, fd, 1, &ref), EOPNOTSUPP);
	FAILS(xengnttab_dmabuf_imp_release(h, fd), EOPNOTSUPP);
	FAILS(xentoolcore_restrict_all(1), EOPNOTSUPP);
	cr_assert_geq(xengnttab_fd(h), 0);
	cr_assert_geq(xengntshr_fd(s), 0);
	close_both();
}

/* ---- granting ---- */

XenTest(gntshr, pages_are_live)
{
	uint32_t refs[4] = {0};
	uint64_t *p;

	open_both();
	p = xengntshr_share_pages(s, 2, 4, refs, 1);
	cr_assert_not_null(p);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(refs[i], 8 + i);
	p[3 * PAGE / sizeof(*p)] = 7;
	cr_assert_eq(*fake_page(3), 7);
	FAILS(xengntshr_unshare(s, p, 3), EINVAL);
	cr_assert_eq(xengntshr_unshare(s, p, 4), 0);
	cr_assert_eq(fake_maps(), 0);
	close_both();
}

XenTest(gntshr, notification)
{
	uint32_t ref = 0;
	void *p;

	open_both();
	p = xengntshr_share_page_notify(s, 2, &ref, 1, 21, 6);
	cr_assert_not_null(p);
	cr_assert_eq(ref, 8);
	cr_assert_eq(fake_notify_offset(), 21);
	cr_assert_eq(fake_notify_port(), 6);
	cr_assert_eq(xengntshr_unshare(s, p, 1), 0);
	close_both();
}

XenTest(gntshr, odd_counts)
{
	static uint32_t refs[XENWIRE_MAX_ELEMENTS];
	void *p;

	open_both();
	NO(xengntshr_share_pages(s, 2, 0, refs, 1), EINVAL);
	NO(xengntshr_share_pages(s, 2, -1, refs, 1), ENOSPC);
	NO(xengntshr_share_pages(s, 2, XENWIRE_MAX_ELEMENTS + 1, refs, 1), ENOSPC);
	p = xengntshr_share_pages(s, 2, XENWIRE_MAX_ELEMENTS, refs, 1);
	cr_assert_not_null(p);
	cr_assert_eq(refs[XENWIRE_MAX_ELEMENTS - 1], 8 + XENWIRE_MAX_ELEMENTS - 1);
	cr_assert_eq(xengntshr_unshare(s, p, XENWIRE_MAX_ELEMENTS), 0);
	close_both();
}

/* ---- failures ---- */

XenTest(gnttab, lost_connection)
{
	xengnttab_grant_copy_segment_t seg = segment(GNTCOPY_source_gref, 8);
	uint32_t refs[1];
	uint64_t here;
	void *p, *q;

	open_both();
	p = xengnttab_map_grant_ref(h, FAKE_DOMID, 8, PROT_READ);
	q = xengntshr_share_pages(s, 2, 1, refs, 1);
	fake_hang_up();
	NO(xengnttab_map_grant_ref(h, FAKE_DOMID, 8, PROT_READ), EPIPE);
	NO(xengntshr_share_pages(s, 2, 1, refs, 1), EPIPE);
	seg.source.foreign.domid = FAKE_DOMID;
	seg.dest.virt = &here;
	FAILS(xengnttab_grant_copy(h, 1, &seg), EPIPE);
	cr_assert_eq(xengnttab_unmap(h, p, 1), 0);
	cr_assert_eq(xengntshr_unshare(s, q, 1), 0);
	close_both();
}

XenTest(gnttab, bad_answers)
{
	uint32_t refs[2];

	open_both();
	fake_mood(FAKE_FAILS);
	NO(xengnttab_map_grant_ref(h, FAKE_DOMID, 8, PROT_READ), ENOSPC);
	NO(xengntshr_share_pages(s, 2, 2, refs, 1), ENOSPC);
	fake_mood(FAKE_WRONG_FD);
	NO(xengnttab_map_grant_ref(h, FAKE_DOMID, 8, PROT_READ), EPROTO);
	fake_mood(FAKE_MANY);
	NO(xengnttab_map_grant_ref(h, FAKE_DOMID, 8, PROT_READ), EPROTO);
	NO(xengntshr_share_pages(s, 2, 2, refs, 1), EPROTO);
	fake_mood(FAKE_REFUSES);
	NO(xengnttab_open(NULL, 0), EACCES);
	NO(xengntshr_open(NULL, 0), EACCES);
	close_both();
}
