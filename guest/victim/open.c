/* SPDX-License-Identifier: BSD-2-Clause */
/* With whoever is there. */
#include "victim.h"

#include "tag.h"

#define MOST_PAGES 64u /* of a loan that is worth a look */
#define SECRET_PAGES 64u
#define WORDS 512u
#define KEPT 8u /* ports, mapped pages and answers that are kept for a while */

static uint64_t *secret; /* nobody else's */
static uint32_t secret_port;
static uint32_t virq_port;

static struct {
	uint64_t offers, loans, ports, maps, copies, answers, chats;
} done;

/* What is ours is as it was. */
static void check_own(void)
{
	if (!tag_holds(secret, (uint64_t)SECRET_PAGES * WORDS, 1))
		die("victim: our own memory has changed");
	if (event_take(secret_port))
		die("victim: an event that nobody could send");
}

/* ---- loans ---- */

static void check_window(volatile uint64_t *window, const struct loan_query *offer)
{
	uint64_t words = (uint64_t)offer->nr_pages * WORDS, hash;

	if (tag_p(offer->tag) && !tag_holds(window, words, tag_salt(offer->tag)))
		die("victim: loan %llu is not what it was made of", (unsigned long long)offer->id);
	hash = xxh64((const void *)window, words * 8);
	if (offer->kind == LOAN_TO_ANON) {
		window[words - 1] = ~window[words - 1];
		window[words - 1] = ~window[words - 1];
	}
	(void)hypercall_sched_op(SCHEDOP_yield, NULL);
	if (xxh64((const void *)window, words * 8) != hash)
		die("victim: loan %llu has changed", (unsigned long long)offer->id);
}

/* It may be recalled before we come. */
static void try_loan(const struct loan_query *offer)
{
	void *window;
	int err;

	if (offer->nr_pages > MOST_PAGES)
		return;
	err = loan_borrow(offer->id, 0, offer->nr_pages, &window);
	if (err == -XEN_ENOENT)
		return;
	must(err, "borrow");
	check_window(window, offer);
	must(loan_return(window), "return a window");
	done.loans++;
}

/* ---- events and grants ---- */

static void try_port(uint16_t domid, uint32_t remote)
{
	static uint32_t kept[KEPT];
	static unsigned at;
	uint32_t port;

	if (event_bind(domid, remote, &port) != 0)
		return;
	must(event_send(port), "send an event");
	if (kept[at] != 0)
		must(event_close(kept[at]), "close a port");
	kept[at] = port;
	at = (at + 1) % KEPT;
	done.ports++;
}

static void try_grant(uint16_t domid, uint32_t ref, bool writable)
{
	static volatile uint64_t *kept[KEPT], *page, sum;
	static unsigned at;

	if (grant_map(domid, ref, writable, (void **)&page) != 0)
		return;
	for (unsigned i = 0; i < WORDS; i++)
		sum += page[i];
	if (writable)
		page[sum % WORDS] = sum;
	if (kept[at] != NULL)
		must(grant_unmap((void *)kept[at]), "unmap a page");
	kept[at] = page;
	at = (at + 1) % KEPT;
	done.maps++;
}

static void try_copy(uint16_t domid, uint32_t ref)
{
	static uint8_t *page;
	struct gnttab_copy op = {.flags = GNTCOPY_source_gref, .len = 1024};

	if (page == NULL)
		page = page_alloc(1);
	op.source.u.ref = ref;
	op.source.domid = domid;
	op.dest.u.gmfn = (uint64_t)page / PAGE_SIZE;
	op.dest.domid = DOMID_SELF;
	op.dest.offset = 2048;
	must((int)hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (uint64_t)&op, 1, 0, 0),
	    "copy");
	if (!mem_all(page, 0, 2048) || !mem_all(page + 3072, 0, 1024))
		die("victim: a copy went beyond its end");
	done.copies += op.status == GNTST_okay;
}

/* ---- what we have for others ---- */

struct answer {
	uint64_t *page; /* granted, to be read only if read_only */
	uint64_t *lent;
	uint64_t loan;
	uint32_t port, ref;
	uint16_t salt;
	bool read_only;
};

/* Whoever had the page mapped may have it still: false. */
static bool take_back(struct answer *a)
{
	if (a->read_only && !tag_holds(a->page, WORDS, a->salt))
		die("victim: a page that was granted to be read has changed");
	if (a->loan != 0)
		must(loan_recall(a->loan, NULL), "recall");
	if (a->port != 0)
		must(event_close(a->port), "close a port");
	a->loan = a->port = 0;
	return grant_revoke(a->ref) == 0;
}

static void answer(uint16_t domid, uint16_t salt)
{
	static struct answer answers[KEPT];
	struct answer *a = &answers[salt % KEPT];
	int err;

	if (a->page == NULL) {
		a->page = page_alloc(1);
		a->lent = page_alloc(2);
		must(a->page == NULL || a->lent == NULL ? -XEN_ENOMEM : 0, "get pages");
	} else if (!take_back(a)) {
		return;
	}
	a->salt = salt;
	a->read_only = salt % 3 == 0;
	tag_fill(a->page, WORDS, salt);
	tag_fill(a->lent, 2ULL * WORDS, salt);
	must(grant_page(a->page, domid, !a->read_only, &a->ref), "grant a page");
	must(event_alloc(domid, &a->port), "make a port");
	err = loan_lend(a->lent, 2, domid, salt % 2 != 0 ? LOAN_TO_PAGE : LOAN_TO_ANON,
	    tag_make(salt, a->port, a->ref), &a->loan);
	/* It may have ended meanwhile. */
	if (err != -XEN_ESRCH)
		must(err, "lend");
	memset(a->lent, 0x99, 2 * PAGE_SIZE);
	done.answers++;
}

/* ---- */

static void deal_with(const struct loan_query *offer)
{
	static uint16_t salt;

	done.offers++;
	try_loan(offer);
	if (!tag_p(offer->tag) || offer->lender == LOAN_DOMID_HOST)
		return;
	salt++;
	try_port(offer->lender, tag_port(offer->tag));
	try_grant(offer->lender, tag_ref(offer->tag), salt % 2 != 0);
	try_copy(offer->lender, tag_ref(offer->tag));
	answer(offer->lender, salt);
	if (salt % 8 == 0)
		done.chats += chat(offer->lender);
}

static void print(void)
{
	printf("victim: open offers=%llu loans=%llu ports=%llu maps=%llu copies=%llu answers=%llu "
	       "chats=%llu\n",
	    (unsigned long long)done.offers, (unsigned long long)done.loans,
	    (unsigned long long)done.ports, (unsigned long long)done.maps,
	    (unsigned long long)done.copies, (unsigned long long)done.answers,
	    (unsigned long long)done.chats);
}

void open(uint64_t until)
{
	uint64_t next = 0, now;
	struct loan_query offer = {0};

	secret = page_alloc(SECRET_PAGES);
	must(secret == NULL ? -XEN_ENOMEM : 0, "get memory");
	tag_fill(secret, (uint64_t)SECRET_PAGES * WORDS, 1);
	must(event_alloc(DOMID_SELF, &secret_port), "make a port");
	must(event_bind_virq(LOMBARD_VIRQ_LOAN, &virq_port), "bind a virq");
	chats_init();
	puts("victim: open");
	while ((now = time_ns()) < until) {
		if (now >= next) {
			print();
			check_own();
			next = now + SECOND;
		}
		if (loan_next(offer.id, &offer) == 0)
			deal_with(&offer);
		else
			(void)event_wait(&virq_port, 1, time_after(SECOND / 50), NULL);
	}
	check_own();
	print();
}
