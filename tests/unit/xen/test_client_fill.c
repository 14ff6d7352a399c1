/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/xen/client_gnttab.c hv/xen/client_fill.c hv/xen/client_pages.c hv/xen/notify.c hv/xen/only.c hv/xen/evtchn.c hv/xen/evtchn_host.c hv/xen/grant.c hv/xen/grant_copy.c hv/xen/grant_op.c hv/xen/grant_share.c hv/core/file_object.c hv/pmap/pmap_soft.c hv/pmap/store_memfd.c hv/lib/failure.c hv/lib/sys.c tests/unit/xen/guestfake.c $(UVM_SRCS) */
/*
 * What the backend of a disk asks of the core: one guest's grants only, and pages of a file in their
 * place.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pmap/pmap_soft.h"
#include "pmap/store_memfd.h"
#include "uvm/uvm_audit.h"
#include "uvm/uvm_ledger.h"
#include "uvm/uvm_loan.h"
#include "xen/client_gnttab.h"
#include "xen/grant.h"
#include "xen/guestfake.h"
#include "xen/public.h"

#define DOMID 7u
#define RAM 16u
#define TABLE RAM /* where the guest has its grant table */
#define REF 8u	  /* + gfn: how it grants a page */
#define FILE_PAGES 8u

static struct xen_client *client;
static struct soft_pmap *pmap;
static struct grant_domain grants;
static struct xen_request req;
static struct xen_reply rep;
static char path[] = "/tmp/test_fill.XXXXXX";
static int file;

static int64_t ask(uint32_t op, uint32_t n, int fd)
{
	const struct xen_client_op *it = client->xc_kind->ops;

	while (it->op != op) {
		cr_assert(it->op != 0);
		it++;
	}
	req.head.op = op;
	req.head.n = n;
	req.fd = fd;
	rep.head = (struct xenwire_reply){.value = -ENOSYS};
	rep.nfds = 0;
	it->call(client, &req, &rep);
	return rep.head.value;
}

static int64_t only(uint64_t domid)
{
	req.head.u.id = domid;
	return ask(XENWIRE_GRANT_ONLY, 0, -1);
}

static void open_client(void)
{
	int fd;

	client = calloc(1, sizeof(*client));
	cr_assert(client != NULL);
	client->xc_kind = &xen_gnttab_kind;
	cr_assert_eq(client->xc_kind->open(client, &fd), 0);
}

static void close_client(void)
{
	client->xc_kind->close(client);
	free(client);
	cr_assert_eq(guest_fake.refs, 0);
}

static void make_file(void)
{
	uint8_t page[UVM_PAGE_SIZE];

	file = mkstemp(path);
	cr_assert_geq(file, 0);
	for (unsigned i = 0; i < FILE_PAGES; i++) {
		memset(page, 0x40 + (int)i, sizeof(page));
		cr_assert_eq(write(file, page, sizeof(page)), (ssize_t)sizeof(page));
	}
}

static void grant(uint64_t gfn, uint16_t flags, domid_t to)
{
	const struct grant_entry_v1 e = {.flags = flags, .domid = to, .frame = (uint32_t)gfn};

	uvm_world_enter();
	cr_assert_eq(
	    soft_write(guest_fake.guest.g_map, TABLE, (REF + gfn) * sizeof(e), &e, sizeof(e)), 0);
	uvm_world_leave();
}

static uint16_t flags_of(uint64_t gfn)
{
	struct grant_entry_v1 e;

	uvm_world_enter();
	cr_assert_eq(
	    soft_read(guest_fake.guest.g_map, TABLE, (REF + gfn) * sizeof(e), &e, sizeof(e)), 0);
	uvm_world_leave();
	return e.flags;
}

static void begin(void)
{
	const struct uvm_maprange range = {.mr_gfn = 0, .mr_npages = RAM + 8};
	struct guest *g = &guest_fake.guest;
	struct memfd_store *ms;
	struct failure f;

	cr_assert_eq(uvm_loan_init(), 0);
	cr_assert_eq(memfd_store_create("test", RAM + 8, 4, DOMID, &ms, &f), 0);
	pmap = soft_pmap_create(RAM + 8);
	uvm_world_enter();
	g->g_map = uvm_map_create(&pmap->sp_pmap, &ms->ms_store, DOMID, &range, 1);
	cr_assert_eq(uvm_map_enter_ram(g->g_map, 0, RAM), 0);
	soft_pmap_map_ram(pmap, &ms->ms_store, 0, 0, RAM);
	uvm_store_rele(&ms->ms_store);
	uvm_world_leave();
	cr_assert_eq(grant_domain_add(&grants, DOMID, g->g_map), 0);
	cr_assert_eq(grant_show_frame(&grants, 0, TABLE), 0);
	g->g_domid = DOMID;
	g->g_state = GUEST_RUNNING;
	for (unsigned i = 0; i < RAM; i++)
		grant(i, GTF_permit_access, 0);
	make_file();
	open_client();
}

static void sound(void)
{
	struct uvm_account ac;

	cr_assert_eq(uvm_account(&ac, NULL, NULL), 0);
	cr_assert_eq(ac.ac_nfindings, 0, "%s", ac.ac_findings[0]);
	cr_assert(ac.ac_equal);
}

static void end_guest(void)
{
	pmap->sp_gone = true;
	grant_domain_gone(&grants);
	uvm_world_enter();
	uvm_ledger_guest_gone(guest_fake.guest.g_map);
	uvm_world_leave();
	guest_fake.guest.g_map = NULL;
	guest_fake.guest.g_state = GUEST_ENDED;
}

static void end(void)
{
	close_client();
	if (guest_fake.guest.g_map != NULL)
		end_guest();
	soft_pmap_destroy(pmap);
	close(file);
	unlink(path);
	sound();
	uvm_loan_fini();
	cr_assert(LIST_EMPTY(&uvm_stores) && LIST_EMPTY(&uvm_maps));
}

static bool holds(uint64_t gfn, uint8_t byte)
{
	uint8_t got = 0;

	uvm_world_enter();
	cr_assert_eq(soft_read(guest_fake.guest.g_map, gfn, 17, &got, 1), 0);
	uvm_world_leave();
	return got == byte;
}

static void write_page(uint64_t gfn, uint8_t byte)
{
	uvm_world_enter();
	cr_assert_eq(soft_write(guest_fake.guest.g_map, gfn, 17, &byte, 1), 0);
	uvm_world_leave();
}

/* Pages gfn on shall be the file's from page on. */
static int64_t fill(uint64_t gfn, uint64_t page, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		req.u.fills[i] = (struct xenwire_fill){
		    .ref = REF + (uint32_t)gfn + i, .page = page + i};
	return ask(XENWIRE_GRANT_FILL, n, -1);
}

static int64_t map_one(uint32_t domid, uint32_t ref)
{
	req.head.u.grant.prot = XENWIRE_READ | XENWIRE_WRITE;
	req.head.u.grant.notify_offset = XENWIRE_NO_OFFSET;
	req.head.u.grant.notify_port = XENWIRE_NO_PORT;
	req.head.u.grant.more = 0;
	req.u.refs[0] = (struct xenwire_ref){domid, ref};
	return ask(XENWIRE_GRANT_MAP, 1, -1);
}

static void unmap(int64_t id)
{
	req.head.u.id = (uint64_t)id;
	cr_assert_eq(ask(XENWIRE_GRANT_UNMAP, 0, -1), 0);
}

Test(client_fill, pages_are_the_files)
{
	begin();
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	cr_assert_eq(fill(2, 1, 4), 0);
	cr_assert_eq(rep.head.n, 4);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(rep.u.errors[i], 0);
		cr_assert(holds(2 + i, (uint8_t)(0x41 + i)));
		cr_assert_eq(flags_of(2 + i), GTF_permit_access, "it may be revoked");
	}
	write_page(3, 1);
	cr_assert(holds(3, 1) && holds(4, 0x43));
	sound();
	end();
}

Test(client_fill, nothing_without_a_guest_and_a_file)
{
	begin();
	cr_assert_eq(fill(0, 0, 1), -EINVAL);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), -EINVAL);
	cr_assert_eq(only(DOMID + 1), -ESRCH);
	cr_assert_eq(only(0), -ESRCH);
	cr_assert_eq(only((UINT64_C(1) << 32) | DOMID), -ESRCH);
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(only(DOMID), -EPERM);
	cr_assert_eq(fill(0, 0, 1), -EINVAL);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, -1), -EINVAL);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), -EINVAL);
	cr_assert_eq(fill(0, 0, 0), -EINVAL);
	cr_assert_eq(ask(XENWIRE_GRANT_FILL, XENWIRE_MAX_FILL + 1, -1), -EINVAL);
	end();
}

/* Who can't read a file gets nothing of it, even if the cell has it open for others. */
Test(client_fill, file_must_be_open_for_reading)
{
	int path_only, write_only, device = open("/dev/zero", O_RDONLY);

	begin();
	path_only = open(path, O_PATH);
	write_only = open(path, O_WRONLY);
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, path_only), -EBADF);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, write_only), -EBADF);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, device), -EINVAL);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	close(path_only);
	close(write_only);
	close(device);
	end();
}

Test(client_fill, only_what_is_granted_to_be_written)
{
	int64_t id;

	begin();
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	grant(1, GTF_permit_access | GTF_readonly, 0);
	grant(2, GTF_permit_access, 3);
	grant(3, GTF_invalid, 0);
	grant(4, GTF_accept_transfer, 0);
	id = map_one(DOMID, REF + 5);
	cr_assert_gt(id, 0);
	for (unsigned i = 0; i < RAM; i++)
		write_page(i, 9);
	cr_assert_eq(fill(0, 0, 8), 0);
	cr_assert_eq(rep.u.errors[0], 0);
	for (unsigned i = 1; i < 5; i++)
		cr_assert_eq(rep.u.errors[i], -EPERM, "page %u: %d", i, rep.u.errors[i]);
	cr_assert_eq(rep.u.errors[5], -EBUSY);
	cr_assert_eq(rep.u.errors[6], 0);
	for (unsigned i = 1; i < 6; i++)
		cr_assert(holds(i, 9));
	unmap(id);
	cr_assert_eq(fill(5, 5, 1), 0);
	cr_assert_eq(rep.u.errors[0], 0);
	/* No such reference, and one twice. */
	req.u.fills[0] = (struct xenwire_fill){.ref = UINT32_MAX, .page = 0};
	req.u.fills[1] = (struct xenwire_fill){.ref = REF + 8, .page = 0};
	req.u.fills[2] = (struct xenwire_fill){.ref = REF + 8, .page = 1};
	req.u.fills[3] = (struct xenwire_fill){.ref = REF + 9, .page = FILE_PAGES};
	cr_assert_eq(ask(XENWIRE_GRANT_FILL, 4, -1), 0);
	cr_assert_eq(rep.u.errors[0], -EINVAL);
	cr_assert_eq(rep.u.errors[1], 0);
	cr_assert_eq(rep.u.errors[2], -EBUSY);
	cr_assert_eq(rep.u.errors[3], -EINVAL);
	cr_assert(holds(8, 0x40) && holds(9, 9));
	cr_assert_eq(flags_of(9), GTF_permit_access);
	end();
}

Test(client_fill, no_other_guests_grants)
{
	uint32_t refs[1];
	struct grant_share *share;

	begin();
	cr_assert_eq(grant_share_create(0, 1, true, refs, &share), 0);
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(map_one(0, refs[0]), -EPERM);
	cr_assert_eq(map_one(DOMID + 1, REF), -EPERM);
	cr_assert_gt(map_one(DOMID, REF), 0);
	grant_share_end(share);
	end();
}

/* Ports are numbers of the host's, whoever has made them. */
Test(client_fill, no_events_when_a_map_ends)
{
	begin();
	cr_assert_eq(only(DOMID), 0);
	cr_assert_gt(map_one(DOMID, REF), 0);
	req.head.u.grant.notify_port = XENWIRE_XENSTORE_PORT;
	cr_assert_eq(ask(XENWIRE_GRANT_MAP, 1, -1), -EPERM);
	end();
}

/* What is mapped already may be anybody's. */
Test(client_fill, not_once_something_is_mapped)
{
	int64_t id;

	begin();
	id = map_one(DOMID, REF);
	cr_assert_eq(only(DOMID), -EBUSY);
	unmap(id);
	cr_assert_eq(only(DOMID), 0);
	end();
}

Test(client_fill, file_that_changes_is_not_lent_any_more)
{
	begin();
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	cr_assert_eq(fill(0, 0, 2), 0);
	cr_assert_eq(ftruncate(file, 3 * UVM_PAGE_SIZE), 0);
	cr_assert_eq(fill(2, 2, 2), -ESTALE);
	cr_assert_eq(rep.head.n, 0);
	cr_assert(holds(0, 0x40) && holds(1, 0x41) && holds(2, 0));
	end();
}

/* What only an ended guest had is not kept; and the number of one that has ended may be another's soon. */
Test(client_fill, guest_that_has_ended)
{
	begin();
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	cr_assert_eq(fill(0, 0, 4), 0);
	guest_fake.guest.g_state = GUEST_STOPPING;
	cr_assert_eq(fill(4, 4, 1), -ESRCH);
	cr_assert_eq(map_one(DOMID, REF + 6), -ESRCH);
	guest_fake.guest.g_state = GUEST_RUNNING;
	end_guest();
	guest_fake.guest.g_state = GUEST_RUNNING;
	cr_assert_eq(fill(4, 4, 1), -ESRCH);
	end();
}

static int fail(void)
{
	return -EIO;
}

Test(client_fill, guest_whose_process_fails_is_ended)
{
	begin();
	cr_assert_eq(only(DOMID), 0);
	cr_assert_eq(ask(XENWIRE_GRANT_FILE, 0, file), 0);
	pmap->sp_gone = true;
	cr_assert_eq(fill(0, 0, 1), 0);
	cr_assert_eq(rep.u.errors[0], -ESRCH);
	cr_assert_eq(guest_fake.ended, 0);
	pmap->sp_gone = false;
	pmap->sp_fail = fail;
	cr_assert_eq(fill(0, 0, 1), -ESRCH);
	cr_assert_eq(guest_fake.ended, 1);
	pmap->sp_fail = NULL;
	cr_assert_eq(flags_of(0), GTF_permit_access);
	end();
}
