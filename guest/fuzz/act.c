/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest can do without hypercalls, or with many of one kind; and its ends. */
#include "fuzz.h"

#include "../victim/tag.h"

#include <xen/io/xs_wire.h>

static volatile uint64_t sink;

/* Public, or something else; but never a page that others rely on. */
static uint32_t any_frame(void)
{
	uint64_t gfn = one_in(8) ? any_gfn() : public_gfn();

	return gfn < field.info.ram_pages &&
		       gfn - (uint64_t)field.public / PAGE_SIZE >= PUBLIC_PAGES
		   ? 0
		   : (uint32_t)gfn;
}

/* The bytes of what the hypervisor reads, without a rule. */
static void rewrite_grants(void)
{
	static const uint16_t flags[] = {GTF_permit_access, GTF_permit_access | GTF_readonly,
	    GTF_permit_access | GTF_reading | GTF_writing, GTF_permit_access | GTF_sub_page,
	    GTF_accept_transfer, GTF_transitive, GTF_invalid};

	for (unsigned n = 100 + below(2000); n > 0; n--) {
		uint32_t ref = any_ref() % REFS;
		volatile struct grant_entry_v1
		    *e = &field.frame[ref * sizeof(*e) / PAGE_SIZE][ref % (PAGE_SIZE / sizeof(*e))];

		if (one_in(2))
			e->flags = one_in(32) ? (uint16_t)rnd()
					      : flags[below(one_in(2) ? 2 : ARRAY_SIZE(flags))];
		if (one_in(2))
			e->domid = any_domid();
		if (one_in(2))
			e->frame = any_frame();
	}
}

/* Grant somebody a page, for now. */
static void grant(uint16_t domid, uint32_t ref)
{
	volatile struct grant_entry_v1 *e = &field.frame[0][ref];

	e->flags = 0;
	e->domid = domid;
	e->frame = (uint32_t)public_gfn();
	__atomic_store_n(
	    &e->flags, GTF_permit_access | (one_in(3) ? GTF_readonly : 0), __ATOMIC_SEQ_CST);
}

/* For somebody: a loan that holds what its tag says, a port, a reference. */
static void be_honest(void)
{
	uint32_t pages = 1 + below(4), first = below(CLEAN_PAGES - pages), ref = 8 + below(64);
	uint64_t *p = (uint64_t *)(field.clean + first * PAGE_SIZE), id = 0;
	struct evtchn_alloc_unbound port = {.dom = DOMID_SELF};
	struct thing to = {field.info.domid, 0};
	uint16_t salt = (uint16_t)rnd();
	int err;

	(void)hoard_any(OTHERS, &to);
	grant((uint16_t)to.a, ref);
	port.remote_dom = (uint16_t)to.a;
	if (one_in(2) && plain(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &port) == 0)
		port_add(port.port, (uint32_t)to.a);
	if (to.a == field.info.domid) {
		(void)hoard_add(GIVEN, ref, to.a, NULL);
		(void)hoard_add(CALLS, port.port, to.a, NULL);
	}
	tag_fill(p, pages * PAGE_SIZE / sizeof(*p), salt);
	err = loan_lend(p, pages, one_in(2) ? LOAN_DOMID_ANY : (uint16_t)to.a,
	    one_in(2) ? LOAN_TO_PAGE : LOAN_TO_ANON, tag_make(salt, port.port, ref), &id);
	op_count("loan.lend", err);
	if (err == 0)
		loan_add(id);
	tag_fill(p, pages * PAGE_SIZE / sizeof(*p), (uint16_t)~salt);
}

static void storm(void)
{
	uint32_t port = any_port();

	for (unsigned n = below(400); n > 0; n--)
		op_count("evtchn.send", event_send(port));
}

static void scribble(uint8_t *page, unsigned pages)
{
	for (unsigned n = below(64); n > 0; n--)
		*(volatile uint32_t *)(page + below(pages * 1024) * 4) = (uint32_t)wild();
}

/* => pages of the window area that we may write to */
static void scribble_there(uint64_t gfn, uint64_t pages)
{
	if (in_tables(gfn) && in_tables(gfn + pages - 1))
		scribble((uint8_t *)(gfn * PAGE_SIZE), (unsigned)pages);
}

/* Wherever we may write. */
static void write_memory(void)
{
	struct thing t;

	scribble(field.private, PRIVATE_PAGES);
	scribble(field.public, PUBLIC_PAGES);
	if (hoard_any(WINDOWS, &t) && (t.b & HOARD_BIT) != 0)
		scribble_there(t.a, t.b & ~HOARD_BIT);
	if (hoard_any(HANDLES, &t) && (t.b & HOARD_BIT) != 0)
		scribble_there(t.b & ~HOARD_BIT, 1);
	/* The arena, and what peers read of us: positions, numbers, lengths. */
	if (hoard_any(ENDPOINTS, &t))
		scribble_there(t.b >> 32, (uint32_t)t.b + CHAN_CONTROL_PAGES);
}

static void read_page(uint64_t gfn)
{
	const volatile uint64_t *p = (const volatile uint64_t *)(gfn * PAGE_SIZE);

	if (!in_tables(gfn))
		return;
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*p); i += 8)
		sink += p[i];
}

static void read_memory(void)
{
	struct thing t;

	if (hoard_any(WINDOWS, &t))
		read_page(t.a + below((uint32_t)t.b));
	if (hoard_any(HANDLES, &t))
		read_page(t.b & ~HOARD_BIT);
	if (hoard_any(VIEWS, &t))
		read_page(t.a);
}

/* Indices that say what can't be, requests that are none; then tell the other side. */
static void lie_in_rings(void)
{
	static const uint16_t indices[] = {offsetof(struct xenstore_domain_interface, req_cons),
	    offsetof(struct xenstore_domain_interface, req_prod),
	    offsetof(struct xenstore_domain_interface, rsp_cons),
	    offsetof(struct xenstore_domain_interface, rsp_prod)};

	if (field.store != NULL) {
		scribble((uint8_t *)field.store, 1);
		*(volatile uint32_t *)((char *)field.store + indices[below(4)]) = (uint32_t)wild();
		(void)event_send(field.store_port);
	}
	if (field.console != NULL) {
		scribble((uint8_t *)field.console, 1);
		(void)event_send(field.console_port);
	}
}

void act(void)
{
	uint32_t which = below(16);

	if (which < 1)
		rewrite_grants();
	else if (which < 2)
		storm();
	else if (which < 5)
		write_memory();
	else if (which < 8)
		read_memory();
	else if (which < 9)
		one_in(4) ? twist() : lie_in_rings();
	else
		be_honest();
}

/* ---- ends ---- */

#define STOPPED 125
#define CRASHED 124

static void say(const char *what, int status)
{
	printf("fuzz: last act: %s, status %d\n", what, status);
	console_flush();
}

static void call_and_end(const char *what, uint64_t nr, uint64_t cmd, uint64_t address)
{
	say(what, STOPPED);
	(void)hypercall(nr, cmd, address, 0, 0, 0);
}

static void write_and_end(const char *what, uint64_t gfn)
{
	say(what, STOPPED);
	*(volatile char *)(gfn * PAGE_SIZE) = 1;
}

/* Where nothing is mapped, but by the page tables. */
static uint64_t hole(void)
{
	return field.info.window_gfn + SPOT_PAGES - 1;
}

/* The stack, and all else that the program needs for what comes next. */
static void discard_program(void)
{
	struct loan_discard op = {.gfn = STACK_GUARD / PAGE_SIZE + 1, .nr_pages = 63};

	say("discarding the stack", CRASHED);
	(void)hypercall_loan_op(LOANOP_discard, &op);
}

/* One that we may only read. */
static bool window(struct thing *t)
{
	return hoard_any(WINDOWS, t) && (t->b & HOARD_BIT) == 0 && in_tables(t->a);
}

/* What needs something that we have, or may have. */
static void end_by_hoard(uint32_t which)
{
	struct thing t;

	if (which == 0 && window(&t))
		write_and_end("writing to a window", t.a);
	if (which == 1 && window(&t))
		call_and_end("a result into a window", LOMBARD_HYPERCALL_loan_op, LOANOP_info,
		    t.a * PAGE_SIZE);
	if (which == 2 && hoard_any(HANDLES, &t) && in_tables(t.b))
		write_and_end("writing to a granted page", t.b);
	if (which == 3 && hoard_any(VIEWS, &t) && in_tables(t.a))
		write_and_end("writing to a peer's area", t.a);
}

void last_act(void)
{
	uint32_t which = below(12);

	end_by_hoard(which);
	switch (which) {
	case 4:
		write_and_end("writing where nothing is borrowed", hole());
		break;
	case 5:
		call_and_end("a structure where nothing is borrowed", LOMBARD_HYPERCALL_loan_op,
		    LOANOP_lend, hole() * PAGE_SIZE);
		break;
	case 6:
		(void)mem_map(0xe0000000, 0xe0200000);
		write_and_end("writing where no memory is", 0xe0000);
		break;
	case 7:
		discard_program();
		break;
	case 8:
		say("shutting down as crashed", CRASHED);
		shutdown(SHUTDOWN_crash);
	case 9:
		say("an undefined instruction", CRASHED);
		__builtin_trap();
	default:
		break;
	}
	say("an ordinary exit", 3);
	exit(3);
}
