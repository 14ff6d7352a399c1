/* SPDX-License-Identifier: BSD-2-Clause */
/* Grants: alone, and with a partner, who is a guest or a program of the host. */
#include "grant.h"
#include "probe.h"

static uint64_t *new_page(int n)
{
	uint64_t *page = page_alloc(1);

	if (page == NULL)
		fail(n, "no memory");
	return page;
}

/* Our own page, mapped a second time. */
static void grant_self(int argc, char **argv)
{
	volatile uint64_t *page = new_page(1), *again, *third;
	struct loan_info info;
	uint32_t ref;

	(void)argc, (void)argv;
	expect(2, "loan_info", loan_info(&info), 0);
	expect(3, "grant", grant_page((void *)page, info.domid, true, &ref), 0);
	expect(4, "map", grant_map(info.domid, ref, true, (void **)&again), 0);
	page[7] = 77;
	expect(5, "what we see in our own page", (int64_t)again[7], 77);
	again[8] = 88;
	expect(6, "what our page has", (int64_t)page[8], 88);
	expect(7, "map again, to read", grant_map(info.domid, ref, false, (void **)&third), 0);
	page[7] = 78;
	expect(8, "what the second sees", (int64_t)third[7], 78);
	expect(9, "revoke while it is mapped", grant_revoke(ref), -XEN_EBUSY);
	expect(10, "unmap", grant_unmap((void *)again), 0);
	expect(11, "revoke while it is mapped", grant_revoke(ref), -XEN_EBUSY);
	page[7] = 79;
	expect(12, "what the second sees now", (int64_t)third[7], 79);
	expect(13, "unmap", grant_unmap((void *)third), 0);
	expect(14, "unmap twice", grant_unmap((void *)third), -XEN_EINVAL);
	expect(15, "revoke", grant_revoke(ref), 0);
	expect(16, "map what is revoked", grant_map(info.domid, ref, true, (void **)&again),
	    -XEN_EPERM);
}

/* What is only read may lie where we can't write: here in a page of ours, mapped again to be read. */
static void event_const(int argc, char **argv)
{
	uint32_t *page = (uint32_t *)new_page(1), ref, port;
	struct evtchn_send *ro;
	struct loan_info info;

	(void)argc, (void)argv;
	expect(2, "loan_info", loan_info(&info), 0);
	expect(3, "port", event_alloc(DOMID_SELF, &port), 0);
	expect(4, "grant", grant_page(page, info.domid, false, &ref), 0);
	expect(5, "map", grant_map(info.domid, ref, false, (void **)&ro), 0);
	*page = port;
	expect(6, "send", hypercall_event_channel_op(EVTCHNOP_send, ro), 0);
	expect(7, "unmask", hypercall_event_channel_op(EVTCHNOP_unmask, ro), 0);
	expect(8, "close", hypercall_event_channel_op(EVTCHNOP_close, ro), 0);
	expect(9, "close again", hypercall_event_channel_op(EVTCHNOP_close, ro), -XEN_EINVAL);
	expect(10, "unmap", grant_unmap(ro), 0);
}

static int query(uint16_t domid, struct gnttab_query_size *op)
{
	*op = (struct gnttab_query_size){.dom = domid};
	return (int)hypercall(
	    __HYPERVISOR_grant_table_op, GNTTABOP_query_size, (uint64_t)op, 1, 0, 0);
}

static int64_t gnttab(uint64_t cmd, void *arg, uint64_t n)
{
	return hypercall(__HYPERVISOR_grant_table_op, cmd, (uint64_t)arg, n, 0, 0);
}

/* What is refused, and how. */
static void grant_bad(int argc, char **argv)
{
	struct gnttab_map_grant_ref op = {.flags = GNTMAP_host_map, .host_addr = 4096};
	struct xen_add_to_physmap add = {.domid = DOMID_SELF, .space = XENMAPSPACE_grant_table};
	struct gnttab_unmap_grant_ref unmap = {.handle = 5};
	struct gnttab_set_version version = {.version = 1};
	struct gnttab_query_size size;
	uint64_t *page = new_page(1);
	struct loan_info info;
	uint32_t ref;
	void *mapped;

	(void)argc, (void)argv;
	expect(2, "loan_info", loan_info(&info), 0);
	expect(3, "a domain that is not there", grant_map(999, 8, true, &mapped), -XEN_ESRCH);
	expect(4, "not in the host's table", grant_map(0, 99999, true, &mapped), -XEN_EINVAL);
	expect(5, "grant to somebody else", grant_page(page, 999, true, &ref), 0);
	expect(6, "map that", grant_map(info.domid, ref, true, &mapped), -XEN_EPERM);
	expect(7, "revoke", grant_revoke(ref), 0);
	expect(8, "grant to read", grant_page(page, info.domid, false, &ref), 0);
	expect(9, "map that to write", grant_map(info.domid, ref, true, &mapped), -XEN_EPERM);
	expect(10, "map what the host reserves", grant_map(0, 0, false, &mapped), -XEN_EINVAL);
	op.dom = info.domid;
	op.ref = ref;
	op.flags |= GNTMAP_readonly;
	expect(11, "map over our RAM", gnttab(GNTTABOP_map_grant_ref, &op, 1), 0);
	expect(12, "its status", op.status, GNTST_bad_virt_addr);
	expect(13, "revoke", grant_revoke(ref), 0);
	expect(14, "unmap what is not mapped", gnttab(GNTTABOP_unmap_grant_ref, &unmap, 1), 0);
	expect(15, "its status", unmap.status, GNTST_bad_handle);
	expect(16, "nothing", gnttab(GNTTABOP_unmap_grant_ref, &unmap, 0), 0);
	expect(17, "version 1", gnttab(GNTTABOP_set_version, &version, 1), 0);
	version.version = 2;
	expect(18, "version 2", gnttab(GNTTABOP_set_version, &version, 1), -XEN_ENOSYS);
	expect(19, "query", query(DOMID_SELF, &size), 0);
	expect(20, "its status", size.status, GNTST_okay);
	expect(21, "the most frames", size.max_nr_frames, 64);
	expect(22, "query another", query(0, &size), 0);
	expect(23, "its status", size.status, GNTST_permission_denied);
	add.idx = 64;
	add.gpfn = info.window_gfn + info.window_pages - 1;
	expect(
	    24, "a frame too many", hypercall_memory_op(XENMEM_add_to_physmap, &add), -XEN_EINVAL);
	add.idx = 1;
	add.gpfn = 5;
	expect(
	    25, "a frame over RAM", hypercall_memory_op(XENMEM_add_to_physmap, &add), -XEN_EEXIST);
	expect(26, "an unknown operation", gnttab(99, &size, 1), -XEN_ENOSYS);
	/* A granted page that is not there. */
	expect(27, "grant no memory", grant_page((void *)0xd0000000UL, info.domid, true, &ref), 0);
	expect(28, "map that", grant_map(info.domid, ref, true, &mapped), -XEN_EFAULT);
}

/* Several at once; each has its own status. */
static void grant_batch(int argc, char **argv)
{
	static struct gnttab_map_grant_ref maps[40];
	static struct gnttab_unmap_grant_ref unmaps[40];
	uint64_t *pages = page_alloc(40);
	struct loan_info info;
	uint32_t ref;

	(void)argc, (void)argv;
	if (pages == NULL)
		fail(1, "no memory");
	expect(2, "loan_info", loan_info(&info), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
		expect(
		    3, "grant", grant_page(&pages[i * GRANT_WORDS], info.domid, i != 7, &ref), 0);
		maps[i] = (struct gnttab_map_grant_ref){.flags = GNTMAP_host_map,
		    .host_addr = (info.window_gfn + info.window_pages - 1 - i) * PAGE_SIZE,
		    .ref = ref,
		    .dom = info.domid};
	}
	expect(4, "map all", gnttab(GNTTABOP_map_grant_ref, maps, ARRAY_SIZE(maps)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
		expect(5, "status", maps[i].status, i == 7 ? GNTST_general_error : GNTST_okay);
		unmaps[i] = (struct gnttab_unmap_grant_ref){
		    .handle = maps[i].handle, .host_addr = maps[i].host_addr};
	}
	expect(6, "unmap all", gnttab(GNTTABOP_unmap_grant_ref, unmaps, ARRAY_SIZE(unmaps)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++) {
		if (i != 7)
			expect(7, "status", unmaps[i].status, GNTST_okay);
		expect(8, "revoke", grant_revoke(maps[i].ref), 0);
	}
}

/* As many as count=N says, in one call. */
static void grant_long(int argc, char **argv)
{
	const uint64_t n = arg_u64(argc, argv, "count", 1000);
	struct gnttab_get_version *ops = page_alloc((n * sizeof(*ops) + PAGE_SIZE - 1) / PAGE_SIZE);

	if (ops == NULL)
		fail(1, "no memory");
	for (uint64_t i = 0; i < n; i++)
		ops[i].dom = DOMID_SELF;
	printf("probe: %lu in one call\n", n);
	expect(2, "all", gnttab(GNTTABOP_get_version, ops, n), 0);
	for (uint64_t i = 0; i < n; i++)
		expect(3, "each version", ops[i].version, 1);
	/* The first that can't be done ends it. */
	ops[n / 2].dom = 999;
	ops[n / 2 + 1].version = 0;
	expect(4, "some", gnttab(GNTTABOP_get_version, ops, n), -XEN_EPERM);
	expect(5, "one behind it", ops[n / 2 + 1].version, 0);
}

/* Copies between our own pages and granted ones. */
static void grant_copies(int argc, char **argv)
{
	struct gnttab_copy op = {.flags = GNTCOPY_source_gref, .len = 16};
	uint8_t *from = (uint8_t *)new_page(1), *to = (uint8_t *)new_page(1);
	struct loan_info info;
	uint32_t ref;

	(void)argc, (void)argv;
	expect(2, "loan_info", loan_info(&info), 0);
	expect(3, "grant", grant_page(from, info.domid, false, &ref), 0);
	memset(from + 100, 0xab, 16);
	op.source.u.ref = ref;
	op.source.domid = info.domid;
	op.source.offset = 100;
	op.dest.u.gmfn = (uint64_t)to / PAGE_SIZE;
	op.dest.domid = DOMID_SELF;
	op.dest.offset = 4080;
	expect(4, "copy", gnttab(GNTTABOP_copy, &op, 1), 0);
	expect(5, "its status", op.status, GNTST_okay);
	if (!mem_all(to + 4080, 0xab, 16) || !mem_all(to, 0, 4080))
		fail(6, "the copy is wrong");
	op.dest.offset = 4081;
	expect(7, "copy", gnttab(GNTTABOP_copy, &op, 1), 0);
	expect(8, "past the end", op.status, GNTST_bad_copy_arg);
	expect(9, "revoke", grant_revoke(ref), 0);
}

static void await_event(int n, uint32_t port)
{
	expect(n, "wait for the partner", event_wait(&port, 1, time_after(PATIENCE), NULL), 0);
}

static void right(int n, const volatile uint64_t *page, unsigned step)
{
	unsigned wrong = grant_wrong(page, step);

	if (wrong != 0)
		fail(n, "%u words are not as step %u has them", wrong, step);
}

/* The page can be taken back soon after the partner is done. */
static void take_back(int n, uint32_t ref)
{
	uint64_t deadline = time_after(PATIENCE);
	int err;

	while ((err = grant_revoke(ref)) == -XEN_EBUSY && time_ns() < deadline)
		time_sleep(SECOND / 100);
	expect(n, "revoke", err, 0);
}

/* Grant a page to=DOMID (ro=1: to read), and say how to get it. */
static volatile uint64_t *offer(int argc, char **argv, uint32_t *ref, uint32_t *port)
{
	uint16_t to = (uint16_t)arg_u64(argc, argv, "to", 0);
	bool writable = arg_u64(argc, argv, "ro", 0) == 0;
	volatile uint64_t *page = new_page(1);

	grant_write(page, GRANT_GIVEN);
	expect(2, "grant", grant_page((void *)page, to, writable, ref), 0);
	expect(3, "port", event_alloc(to, port), 0);
	printf("probe: granted ref=%u port=%u\n", *ref, *port);
	return page;
}

static void grant_serve(int argc, char **argv)
{
	bool writable = arg_u64(argc, argv, "ro", 0) == 0;
	volatile uint64_t *page;
	uint32_t ref, port;

	page = offer(argc, argv, &ref, &port);
	await_event(4, port);
	expect(5, "revoke while it is used", grant_revoke(ref), -XEN_EBUSY);
	right(6, page, writable ? GRANT_USED : GRANT_GIVEN);
	grant_write(page, GRANT_ANSWERED);
	expect(7, "send", event_send(port), 0);
	take_back(8, ref);
}

/* Use what from=DOMID has granted: ref=REF port=PORT, ro=1: only to read; wait=1: only map it. */
static void grant_use(int argc, char **argv)
{
	uint16_t from = (uint16_t)arg_u64(argc, argv, "from", 0);
	uint32_t ref = (uint32_t)arg_need(argc, argv, "ref"), port;
	bool writable = arg_u64(argc, argv, "ro", 0) == 0;
	volatile uint64_t *page;

	expect(1, "bind", event_bind(from, (uint32_t)arg_need(argc, argv, "port"), &port), 0);
	await_event(2, port);
	expect(3, "map", grant_map(from, ref, writable, (void **)&page), 0);
	right(4, page, GRANT_GIVEN);
	if (arg_u64(argc, argv, "wait", 0) != 0) {
		puts("probe: mapped");
		time_sleep(PATIENCE);
	}
	if (writable)
		grant_write(page, GRANT_USED);
	expect(5, "send", event_send(port), 0);
	await_event(6, port);
	right(7, page, GRANT_ANSWERED);
	expect(8, "unmap", grant_unmap((void *)page), 0);
}

/* Grant a page to somebody who dies with it: the byte that says that he lives becomes 0. */
static void grant_watch(int argc, char **argv)
{
	volatile uint8_t *live;
	uint32_t ref, port;

	live = (volatile uint8_t *)offer(argc, argv, &ref, &port) + GRANT_LIVE_OFFSET;
	await_event(4, port);
	expect(5, "the partner's byte", *live, 1);
	puts("probe: the partner lives");
	await_event(6, port);
	expect(7, "the dead partner's byte", *live, 0);
	take_back(8, ref);
	puts("probe: the partner is gone");
}

/* Grant a page, and go before the partner does. */
static void grant_leave(int argc, char **argv)
{
	uint32_t ref, port;

	(void)offer(argc, argv, &ref, &port);
	await_event(4, port);
	puts("probe: leaving");
}

/* Map a page to read (from=DOMID ref=REF), and write to it: the guest has to be stopped there. */
static void grant_write_ro(int argc, char **argv)
{
	uint16_t from = (uint16_t)arg_u64(argc, argv, "from", 0);
	volatile uint64_t *page;

	expect(1, "map",
	    grant_map(from, (uint32_t)arg_need(argc, argv, "ref"), false, (void **)&page), 0);
	puts("probe: writing to a page that is mapped read-only");
	page[0] = 1;
	fail(99, "the write went through");
}

/* Send events to=DOMID over and over, as fast as it goes, over many ports. */
static void event_storm(int argc, char **argv)
{
	static uint32_t ports[64];
	uint16_t to = (uint16_t)arg_u64(argc, argv, "to", 0);
	uint64_t rounds = arg_u64(argc, argv, "rounds", 100);

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		expect(1, "port", event_alloc(to, &ports[i]), 0);
	printf("probe: ports first=%u last=%u\n", ports[0], ports[ARRAY_SIZE(ports) - 1]);
	/* Bound ones are raised at once; the first waits for the partner to be ready. */
	await_event(2, ports[0]);
	for (uint64_t r = 0; r < rounds; r++)
		for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
			expect(3, "send", event_send(ports[i]), 0);
	await_event(4, ports[0]);
}

const struct test tests_grant[] = {
    {"grant-self", grant_self},
    {"grant-bad", grant_bad},
    {"grant-batch", grant_batch},
    {"grant-long", grant_long},
    {"grant-copies", grant_copies},
    {"grant-serve", grant_serve},
    {"grant-use", grant_use},
    {"grant-watch", grant_watch},
    {"grant-leave", grant_leave},
    {"grant-write-ro", grant_write_ro},
    {"event-storm", event_storm},
    {"event-const", event_const},
};
const size_t nr_tests_grant = ARRAY_SIZE(tests_grant);
