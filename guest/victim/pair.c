/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two guests that work for each other: a granted page, loans, events and messages in every round.
 *
 *	first	writes the granted page, lends pages and overwrites them at once, sends a message;
 *		raises the event
 *	second	finds all of that as it was meant, answers in the granted page; raises the event
 */
#include "victim.h"

#include <lombard-chan.h>

#include "tag.h"

#define PAGES 8u       /* lent in a round */
#define MESSAGE 20000u /* bytes, a multiple of 8 */
#define WORDS 512u     /* of a page */
#define FROM 8u	       /* words of the granted page that are no pattern */
#define ANSWER 0x5555u /* changes the salt */

/* The granted page: words before the pattern. */
enum { ROUND, LOAN };

struct end {
	uint16_t with;
	uint32_t port;
	volatile uint64_t *page;
	struct chan *ch;
};

static void await(const struct end *e)
{
	must(event_wait(&e->port, 1, time_after(PATIENCE), NULL), "wait for the partner");
}

static void page_write(const struct end *e, uint16_t salt)
{
	for (uint64_t i = FROM; i < WORDS; i++)
		e->page[i] = tag_word(salt, i);
}

static void page_check(const struct end *e, uint64_t round, uint16_t salt)
{
	if (e->page[ROUND] != round)
		die("victim: the partner's round is %llu, not %llu",
		    (unsigned long long)e->page[ROUND], (unsigned long long)round);
	for (uint64_t i = FROM; i < WORDS; i++)
		if (e->page[i] != tag_word(salt, i))
			die("victim: word %llu of the granted page is wrong in round %llu",
			    (unsigned long long)i, (unsigned long long)round);
}

/* As soon as it is there. */
static uint64_t tell_partner(uint16_t with, uint64_t tag)
{
	uint64_t deadline = time_after(PATIENCE), id;
	void *page = page_alloc(1);
	int err;

	must(page == NULL ? -XEN_ENOMEM : 0, "get a page");
	while ((err = loan_lend(page, 1, with, LOAN_TO_PAGE, tag, &id)) == -XEN_ESRCH &&
	       time_ns() < deadline)
		time_sleep(SECOND / 100);
	must(err, "tell the partner");
	return id;
}

static void set_up_first(struct end *e)
{
	const struct chan_options opt = {
	    .arena_bytes = 1 << 20, .max_peers = 1, .flags = CHAN_BASE_FRAMES, .lend_from = 8192};
	void *page = page_alloc(1);
	uint32_t ref;
	uint64_t id;

	must(page == NULL ? -XEN_ENOMEM : 0, "get a page");
	e->page = page;
	must(event_alloc(e->with, &e->port), "make a port");
	must(grant_page(page, e->with, true, &ref), "grant a page");
	must(chan_create("pair", &opt, &e->ch), "make a channel");
	id = tell_partner(e->with, tag_make(0, e->port, ref));
	must(chan_accept(e->ch, time_after(PATIENCE), NULL), "accept the partner");
	await(e);
	must(loan_recall(id, NULL), "recall what told the partner");
}

static bool find_offer(uint16_t lender, struct loan_query *q)
{
	*q = (struct loan_query){0};
	while (loan_next(q->id, q) == 0)
		if (q->lender == lender && tag_p(q->tag))
			return true;
	return false;
}

static struct loan_query offer_of(uint16_t lender)
{
	uint64_t deadline = time_after(PATIENCE);
	struct loan_query q;

	while (!find_offer(lender, &q)) {
		if (time_ns() > deadline)
			die("victim: no word of the partner");
		time_sleep(SECOND / 100);
	}
	return q;
}

static void set_up_second(struct end *e)
{
	const struct chan_options opt = {.arena_bytes = 1 << 16, .flags = CHAN_BASE_FRAMES};
	struct loan_query offer = offer_of(e->with);

	must(event_bind(e->with, tag_port(offer.tag), &e->port), "bind the partner's port");
	await(e);
	must(grant_map(e->with, tag_ref(offer.tag), true, (void **)&e->page), "map its page");
	must(chan_connect("pair", &opt, time_after(PATIENCE), &e->ch), "connect to its channel");
	must(event_send(e->port), "tell the partner");
}

static void send(const struct end *e, uint64_t round, uint16_t salt)
{
	void *buf;

	must(chan_alloc(e->ch, MESSAGE, time_after(PATIENCE), &buf), "get a buffer");
	tag_fill(buf, MESSAGE / 8, salt);
	must(chan_send(e->ch, buf, MESSAGE, CHAN_SEND_SEALED, round), "send a message");
}

static void receive(const struct end *e, uint64_t round, uint16_t salt)
{
	struct chan_message msg;

	must(chan_recv(e->ch, time_after(PATIENCE), &msg), "receive a message");
	if (msg.tag != round || msg.len != MESSAGE || !tag_holds(msg.data, MESSAGE / 8, salt))
		die("victim: the message of round %llu is wrong", (unsigned long long)round);
	must(chan_release(e->ch, &msg), "release a message");
}

/* round 0: the last. */
static void do_first(const struct end *e, uint64_t *pages, uint64_t round)
{
	uint16_t kind = round % 2 != 0 ? LOAN_TO_PAGE : LOAN_TO_ANON, salt = (uint16_t)round;
	uint64_t id = 0;

	page_write(e, salt);
	e->page[ROUND] = round;
	if (round != 0) {
		tag_fill(pages, (uint64_t)PAGES * WORDS, salt);
		must(loan_lend(pages, PAGES, e->with, kind, 0, &id), "lend");
		memset(pages, 0xee, PAGES * PAGE_SIZE);
		send(e, round, salt);
	}
	e->page[LOAN] = id;
	must(event_send(e->port), "raise the event");
	await(e);
	page_check(e, round, salt ^ ANSWER);
	if (round != 0)
		must(loan_recall(id, NULL), "recall");
	if (!mem_all(pages, 0xee, PAGES * PAGE_SIZE))
		die("victim: our own pages have changed");
}

/* Returns the round. */
static uint64_t do_second(const struct end *e)
{
	uint64_t round, *window;
	uint16_t salt;

	await(e);
	round = e->page[ROUND];
	salt = (uint16_t)round;
	page_check(e, round, salt);
	if (round != 0) {
		must(loan_borrow(e->page[LOAN], 0, PAGES, (void **)&window), "borrow");
		receive(e, round, salt);
		if (!tag_holds(window, (uint64_t)PAGES * WORDS, salt))
			die("victim: what is borrowed is wrong in round %llu",
			    (unsigned long long)round);
		must(loan_return(window), "return");
	}
	page_write(e, salt ^ ANSWER);
	must(event_send(e->port), "raise the event");
	return round;
}

void pair(uint16_t with, bool first, uint64_t until)
{
	struct end e = {.with = with};
	uint64_t *pages = page_alloc(PAGES), round, print = 0;

	must(pages == NULL ? -XEN_ENOMEM : 0, "get pages");
	memset(pages, 0xee, PAGES * PAGE_SIZE);
	if (first)
		set_up_first(&e);
	else
		set_up_second(&e);
	for (round = 1; round != 0;) {
		if (first)
			do_first(&e, pages, round);
		else
			round = do_second(&e);
		if (round == 0)
			break;
		if (time_ns() >= print) {
			printf("victim: pair rounds=%llu\n", (unsigned long long)round);
			print = time_after(SECOND);
		}
		if (first)
			round = time_ns() < until ? round + 1 : 0;
	}
	if (first)
		do_first(&e, pages, 0);
	chan_close(e.ch);
}
