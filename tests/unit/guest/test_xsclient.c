/* SPDX-License-Identifier: BSD-2-Clause */
/* links: guest/lib/xsclient.c */
/*
 * The small guests' xenstore client against a store that is made up here: kind, slow or hostile.
 */
#include "xsclient.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE 1u /* the fake has no clock: it says -XEN_ETIME when nothing moves any more */
#define ROOM 65536u

static struct xenstore_domain_interface ring;
static struct xsclient client;

/* The store: what it has read, and what it still has to say. */
static struct {
	char in[ROOM], out[ROOM];
	size_t nin, nout;
	size_t pace; /* bytes that it says between two waits; 0: all that fit */
	bool mute;   /* it reads, and says nothing */
	bool asleep; /* it does not even read */
	bool moved;  /* since the last wait */
	void (*answer)(const struct xsd_sockmsg *head, const char *body);
} store;

static void say(uint32_t type, uint32_t id, const void *body, uint32_t len)
{
	struct xsd_sockmsg head = {.type = type, .req_id = id, .len = len};

	cr_assert_leq(store.nout + sizeof(head) + len, ROOM);
	memcpy(store.out + store.nout, &head, sizeof(head));
	memcpy(store.out + store.nout + sizeof(head), body, len);
	store.nout += sizeof(head) + len;
}

/* The body of the request comes back. */
static void echo(const struct xsd_sockmsg *head, const char *body)
{
	say(head->type, head->req_id, body, head->len);
}

static void take_requests(void)
{
	struct xsd_sockmsg head;

	/* One of the tests leaves an index where it can't be. */
	while (!store.asleep && ring.req_prod - ring.req_cons - 1 < XENSTORE_RING_SIZE) {
		store.in[store.nin++] = ring.req[MASK_XENSTORE_IDX(ring.req_cons++)];
		store.moved = true;
	}
	while (store.nin >= sizeof(head)) {
		memcpy(&head, store.in, sizeof(head));
		if (store.nin < sizeof(head) + head.len)
			break;
		if (!store.mute)
			store.answer(&head, store.in + sizeof(head));
		store.nin -= sizeof(head) + head.len;
		memmove(store.in, store.in + sizeof(head) + head.len, store.nin);
	}
}

/* Says what fits, and is allowed by its pace.  Did anything move? */
static bool speak(void)
{
	size_t n = 0, pace = store.pace != 0 ? store.pace : ROOM;

	while (n < store.nout && n < pace && ring.rsp_prod - ring.rsp_cons < XENSTORE_RING_SIZE)
		ring.rsp[MASK_XENSTORE_IDX(ring.rsp_prod++)] = store.out[n++];
	store.nout -= n;
	memmove(store.out, store.out + n, store.nout);
	return n > 0;
}

static void kick(void *arg)
{
	(void)arg;
	take_requests();
}

static int wait(void *arg, uint64_t deadline)
{
	bool moved;

	(void)arg;
	cr_assert_eq(deadline, DEADLINE);
	take_requests();
	moved = speak() || store.moved;
	store.moved = false;
	return moved ? 0 : -XEN_ETIME;
}

static const struct xsclient_ops ops = {.kick = kick, .wait = wait};

/* Indices begin where they overflow soon. */
static void begin(void)
{
	memset(&ring, 0, sizeof(ring));
	memset(&store, 0, sizeof(store));
	ring.req_cons = ring.req_prod = ring.rsp_cons = ring.rsp_prod = UINT32_MAX - 300;
	store.answer = echo;
	cr_assert_eq(xsclient_init(&client, &ring, &ops, NULL), 0);
}

static int call(const void *p, size_t len)
{
	struct xsclient_part part = {p, len};

	return xsclient_call(&client, XS_READ, 7, &part, 1, DEADLINE);
}

static void expect_broken(int err)
{
	cr_assert_eq(err, -XEN_EIO);
	cr_assert_eq(call("x", 2), -XEN_EIO, "it goes on with a store that speaks nonsense");
}

TestSuite(xsclient, .init = begin);

Test(xsclient, call_answer_comes_back)
{
	struct xsclient_part parts[] = {{"one", 4}, {"two", 3}, {NULL, 0}};

	cr_assert_eq(xsclient_call(&client, XS_WRITE, 0, parts, 3, DEADLINE), 7);
	cr_assert_arr_eq(client.xc_body, "one\0two", 8);
	cr_assert_eq(call("", 0), 0);
	cr_assert_str_eq(client.xc_body, "");
}

Test(xsclient, call_longer_than_ring_comes_back)
{
	char data[XENSTORE_PAYLOAD_MAX];

	for (size_t len = 1; len <= sizeof(data); len = len * 3 + 1) {
		for (size_t i = 0; i < len; i++)
			data[i] = (char)(i * 7 + len);
		cr_assert_eq(call(data, len), (int)len);
		cr_assert_arr_eq(client.xc_body, data, len);
		cr_assert_eq(client.xc_body[len], '\0');
	}
	cr_assert_eq(call(data, sizeof(data)), (int)sizeof(data));
}

Test(xsclient, call_store_is_slow_answer_comes_whole)
{
	store.pace = 1;
	for (int i = 0; i < 20; i++)
		cr_assert_eq(call("some bytes", 10), 10);
	cr_assert_arr_eq(client.xc_body, "some bytes", 11);
}

Test(xsclient, call_too_long_is_refused_and_harmless)
{
	static const char much[XENSTORE_PAYLOAD_MAX + 1];
	struct xsclient_part parts[] = {{much, XENSTORE_PAYLOAD_MAX}, {much, 1}};

	cr_assert_eq(call(much, sizeof(much)), -XEN_E2BIG);
	cr_assert_eq(xsclient_call(&client, XS_READ, 0, parts, 2, DEADLINE), -XEN_E2BIG);
	parts[1].len = SIZE_MAX;
	cr_assert_eq(xsclient_call(&client, XS_READ, 0, parts, 2, DEADLINE), -XEN_E2BIG);
	cr_assert_eq(call("x", 1), 1);
}

static const char *error_name;

static void refuse(const struct xsd_sockmsg *head, const char *body)
{
	(void)body;
	say(XS_ERROR, head->req_id, error_name, (uint32_t)strlen(error_name) + 1);
}

Test(xsclient, call_errors_have_their_numbers)
{
	static const struct {
		const char *name;
		int err;
	} errors[] = {{"ENOENT", XEN_ENOENT}, {"EACCES", XEN_EACCES}, {"EAGAIN", XEN_EAGAIN},
	    {"EPERM", XEN_EPERM}, {"E2BIG", XEN_E2BIG}, {"ENOSPC", XEN_ENOSPC},
	    {"ESOMETHING", XEN_EINVAL}, {"", XEN_EINVAL}};

	store.answer = refuse;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		error_name = errors[i].name;
		cr_assert_eq(call("x", 1), -errors[i].err, "%s", error_name);
	}
	store.answer = echo;
	cr_assert_eq(call("x", 1), 1);
}

Test(xsclient, call_no_answer_times_out_once)
{
	store.mute = true;
	cr_assert_eq(call("x", 1), -XEN_ETIME);
	store.mute = false;
	cr_assert_eq(call("x", 1), -XEN_EIO, "a late answer would be taken for another's");
}

Test(xsclient, call_nobody_reads_times_out)
{
	static const char much[XENSTORE_PAYLOAD_MAX];

	store.asleep = true;
	cr_assert_eq(call(much, sizeof(much)), -XEN_ETIME);
	cr_assert_eq(ring.req_prod - ring.req_cons, XENSTORE_RING_SIZE, "no byte too many");
}

/* ---- events ---- */

static void event_first(const struct xsd_sockmsg *head, const char *body)
{
	say(XS_WATCH_EVENT, 0, "a/b\0mark", 9);
	say(XS_WATCH_EVENT, 0, "c\0", 3);
	echo(head, body);
}

static char path[XENSTORE_PAYLOAD_MAX + 1], token[XENSTORE_PAYLOAD_MAX + 1];

Test(xsclient, event_before_answer_is_kept)
{
	store.answer = event_first;
	cr_assert_eq(call("x", 1), 1);
	cr_assert_eq(xsclient_event(&client, path, token, DEADLINE), 0);
	cr_assert_str_eq(path, "a/b");
	cr_assert_str_eq(token, "mark");
	cr_assert_eq(xsclient_event(&client, path, token, DEADLINE), 0);
	cr_assert_str_eq(path, "c");
	cr_assert_str_eq(token, "");
	cr_assert_eq(xsclient_event(&client, path, token, DEADLINE), -XEN_ETIME);
	cr_assert_eq(call("x", 1), 1, "to wait in vain breaks nothing");
}

Test(xsclient, event_of_full_size_is_taken)
{
	char event[XENSTORE_PAYLOAD_MAX];

	memset(event, 'p', sizeof(event));
	event[sizeof(event) - 1] = event[sizeof(event) - 2] = '\0';
	say(XS_WATCH_EVENT, 0, event, sizeof(event));
	cr_assert_eq(xsclient_event(&client, path, token, DEADLINE), 0);
	cr_assert_eq(strlen(path), sizeof(event) - 2);
}

/* Events that were kept are given, in order; that others were lost is said once. */
Test(xsclient, event_without_room_is_lost_and_told)
{
	char event[64] = {0};
	unsigned n = 0, lost = 0;
	int err;

	for (unsigned i = 0; i < 900; i++) {
		snprintf(event, sizeof(event), "path-%03u", i);
		event[8] = '\0';
		memcpy(event + 9, "m", 2);
		say(XS_WATCH_EVENT, 0, event, 11);
	}
	cr_assert_eq(call("x", 1), 1);
	while ((err = xsclient_event(&client, path, token, DEADLINE)) != -XEN_ETIME) {
		if (err == -XEN_ENOSPC) {
			lost++;
			continue;
		}
		cr_assert_eq(err, 0);
		snprintf(event, sizeof(event), "path-%03u", n++);
		cr_assert_str_eq(path, event);
		cr_assert_str_eq(token, "m");
	}
	cr_assert_eq(lost, 1);
	cr_assert_gt(n, 500);
	cr_assert_lt(n, 900);
}

/* ---- a store that is not what it should be ---- */

static void wrong_id(const struct xsd_sockmsg *head, const char *body)
{
	say(head->type, head->req_id + 1, body, head->len);
}

static void wrong_type(const struct xsd_sockmsg *head, const char *body)
{
	say(XS_MKDIR, head->req_id, body, head->len);
}

static void no_end(const struct xsd_sockmsg *head, const char *body)
{
	(void)body;
	say(XS_WATCH_EVENT, head->req_id, "path", 4);
}

static void no_token(const struct xsd_sockmsg *head, const char *body)
{
	(void)body;
	say(XS_WATCH_EVENT, head->req_id, "path", 5);
}

static void three_texts(const struct xsd_sockmsg *head, const char *body)
{
	(void)body;
	say(XS_WATCH_EVENT, head->req_id, "a\0b\0c", 6);
}

static void nothing_at_all(const struct xsd_sockmsg *head, const char *body)
{
	(void)body;
	say(XS_WATCH_EVENT, head->req_id, "", 0);
}

static void far_too_long(const struct xsd_sockmsg *head, const char *body)
{
	struct xsd_sockmsg h = {.type = head->type, .req_id = head->req_id, .len = UINT32_MAX};

	(void)body;
	memcpy(store.out, &h, sizeof(h));
	store.nout = sizeof(h) + XENSTORE_PAYLOAD_MAX + 100;
}

static void odd_index(const struct xsd_sockmsg *head, const char *body)
{
	(void)head;
	(void)body;
	ring.rsp_prod = ring.rsp_cons + XENSTORE_RING_SIZE + 1;
}

static void index_behind(const struct xsd_sockmsg *head, const char *body)
{
	(void)head;
	(void)body;
	ring.rsp_prod = ring.rsp_cons - 1;
}

static void read_ahead(const struct xsd_sockmsg *head, const char *body)
{
	echo(head, body);
	ring.req_cons = ring.req_prod + 5;
}

Test(xsclient, hostile_answers_break_the_client)
{
	static void (*const answers[])(const struct xsd_sockmsg *, const char *) = {wrong_id,
	    wrong_type, no_end, no_token, three_texts, nothing_at_all, far_too_long, odd_index,
	    index_behind};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		begin();
		store.answer = answers[i];
		expect_broken(call("x", 1));
	}
}

Test(xsclient, hostile_consumer_breaks_the_client)
{
	store.answer = read_ahead;
	(void)call("x", 1);
	expect_broken(call("x", 1));
}

/* Who asks only for events gets no answer that nobody has asked for. */
Test(xsclient, event_answer_out_of_turn_breaks_the_client)
{
	say(XS_READ, 1, "x", 1);
	expect_broken(xsclient_event(&client, path, token, DEADLINE));
}

/* The client keeps its own indices: those in the page may be changed. */
Test(xsclient, hostile_own_indices_are_not_looked_at)
{
	cr_assert_eq(call("x", 1), 1);
	ring.rsp_cons = 12345;
	ring.rsp_prod = client.xc_rsp_cons;
	ring.req_cons = ring.req_prod = client.xc_req_prod;
	cr_assert_eq(xsclient_event(&client, path, token, DEADLINE), -XEN_ETIME);
}

Test(xsclient, init_odd_indices_are_refused)
{
	ring.rsp_prod = ring.rsp_cons + XENSTORE_RING_SIZE + 1;
	expect_broken(xsclient_init(&client, &ring, &ops, NULL));
	begin();
	ring.req_cons = ring.req_prod + 1;
	expect_broken(xsclient_init(&client, &ring, &ops, NULL));
}

static void noise(const struct xsd_sockmsg *head, const char *body)
{
	char junk[200];
	uint32_t n = (uint32_t)rand() % sizeof(junk);

	for (uint32_t i = 0; i < n; i++)
		junk[i] = (char)(rand() % 4 == 0 ? 0 : rand());
	switch (rand() % 6) {
	case 0:
		ring.rsp_prod += (uint32_t)rand();
		break;
	case 1:
		ring.req_cons = (uint32_t)rand();
		break;
	case 2:
		memcpy(store.out + store.nout, junk, n);
		store.nout += n;
		break;
	case 3:
		say(XS_WATCH_EVENT, (uint32_t)rand(), junk, n);
		break;
	default:
		echo(head, body);
		break;
	}
}

/* Whatever it says, the client comes back, and no byte is touched that is not its own (ASan). */
Test(xsclient, hostile_noise_is_survived)
{
	for (unsigned i = 0; i < 20000; i++) {
		srand(i);
		begin();
		store.answer = noise;
		for (unsigned j = 0; j < 5 && !client.xc_broken; j++) {
			(void)call("0123456789", (size_t)rand() % 11);
			(void)xsclient_event(&client, path, token, DEADLINE);
		}
	}
}
