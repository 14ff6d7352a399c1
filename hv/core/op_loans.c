/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on loans: lend, return, loans, map.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_object.h"
#include "core/session.h"
#include "lib/sys.h"

/* Most pages in one `map`, and most runs and descriptors in its answer. */
#define MAP_MAX_PAGES 4096u
#define MAP_MAX_EXTENTS 4096u

/* Loans in one answer of `loans`: a fifth of a megabyte, which every client can receive. */
#define LOANS_MAX 1000u

static struct session_loan *find_loan(struct session *s, uint64_t id)
{
	struct session_loan *sl;

	LIST_FOREACH (sl, &s->s_loans, sl_all)
		if (sl->sl_id == id)
			return sl;
	return NULL;
}

/* End one of the client's loans: its pages, and the offer if it was made for the client. */
static void end_loan(struct session_loan *sl)
{
	uint64_t windows;

	uvm_world_enter();
	if (sl->sl_held != NULL)
		uvm_hostloan_return(sl->sl_held);
	if (sl->sl_lender != UVM_DOMID_HOST)
		(void)uvm_ledger_recall(sl->sl_lender, sl->sl_id, &windows);
	uvm_world_leave();
	LIST_REMOVE(sl, sl_all);
	free(sl);
}

void session_end_loans(struct session *s)
{
	struct session_loan *sl;

	while ((sl = LIST_FIRST(&s->s_loans)) != NULL)
		end_loan(sl);
}

static struct session_loan *new_loan(struct session *s, uint64_t id)
{
	struct session_loan *sl = SYS_ALLOC(calloc(1, sizeof(*sl)));

	if (sl != NULL) {
		sl->sl_id = id;
		LIST_INSERT_HEAD(&s->s_loans, sl, sl_all);
	}
	return sl;
}

/* The one to lend to must live: its number will be another's, who has not been meant. */
static bool borrower_of(json_t *request, uint32_t *domid, int *error, struct failure *f)
{
	struct guest *g = session_guest(request, "to", error, f);
	bool lives;

	if (g == NULL)
		return false;
	pthread_mutex_lock(&g->g_mutex);
	lives = g->g_state < GUEST_STOPPING;
	pthread_mutex_unlock(&g->g_mutex);
	*domid = g->g_domid;
	if (!lives)
		*error = failure_set(f, -ESRCH, "%s has ended", g->g_name);
	guest_put(g);
	return lives;
}

static bool terms_of(json_t *request, struct uvm_offer_terms *terms, int *error, struct failure *f)
{
	const char *kind = json_string_value(json_object_get(request, "kind"));
	json_t *to = json_object_get(request, "to");

	if (!session_uint(request, "tag", &terms->ot_tag, error, f))
		return false;
	terms->ot_kind = kind != NULL && strcmp(kind, "anon") == 0 ? UVM_LOAN_TOANON
								   : UVM_LOAN_TOPAGE;
	if (kind != NULL && strcmp(kind, "anon") != 0 && strcmp(kind, "page") != 0) {
		*error = failure_set(f, -EINVAL, "\"kind\" must be \"page\" or \"anon\"");
		return false;
	}
	if (json_is_integer(to) && json_integer_value(to) == 0) {
		terms->ot_borrower = UVM_DOMID_HOST;
		return true;
	}
	if (json_is_string(to) && strcmp(json_string_value(to), "any") == 0) {
		terms->ot_borrower = UVM_DOMID_ANY;
		return true;
	}
	return borrower_of(request, &terms->ot_borrower, error, f);
}

static json_t *lent(uint64_t id, uint64_t pages, uint64_t bytes)
{
	return json_pack("{s:I, s:I, s:I}", "id", (json_int_t)id, "pages", (json_int_t)pages,
	    "bytes", (json_int_t)bytes);
}

/* Which pages of the file it shall be; *pages: at most so many. */
static int clip(const struct uvm_object *uo, uint64_t first, uint64_t *pages, struct failure *f)
{
	if (first >= uo->uo_npages)
		return failure_set(f, -EINVAL, "the file has only %ju pages, numbered from 0",
		    (uintmax_t)uo->uo_npages);
	if (*pages > uo->uo_npages - first)
		*pages = uo->uo_npages - first;
	/* Guests are told the number in 32 bits. */
	if (*pages > UINT32_MAX)
		return failure_set(f, -EFBIG,
		    "%ju pages are too many for one loan: lend parts of at most %ju",
		    (uintmax_t)*pages, (uintmax_t)UINT32_MAX);
	return 0;
}

static json_t *lend_file(struct session *s, json_t *request, const struct uvm_offer_terms *terms,
    int *error, struct failure *f)
{
	uint64_t first = 0, pages = UINT64_MAX, bytes, id;
	struct uvm_object *uo;

	if (!session_uint(request, "first", &first, error, f) ||
	    !session_uint(request, "pages", &pages, error, f))
		return NULL;
	if (s->s_nfds != 1) {
		*error = failure_set(
		    f, -EINVAL, "`lend` wants a guest to lend from, or one open file");
		return NULL;
	}
	if (terms->ot_borrower == UVM_DOMID_HOST) {
		*error = failure_set(
		    f, -EINVAL, "the host has the file already: lend it to a guest or to \"any\"");
		return NULL;
	}
	uvm_world_enter();
	*error = file_object_get(s->s_fds[0], &uo, &bytes, f);
	if (*error == 0) {
		*error = clip(uo, first, &pages, f);
		if (*error == 0) {
			bytes -= first * UVM_PAGE_SIZE;
			if (bytes > pages * UVM_PAGE_SIZE)
				bytes = pages * UVM_PAGE_SIZE;
			*error = uvm_ledger_lend_object(uo, first, pages, bytes, terms, &id);
			if (*error == -ESRCH)
				failure_set(f, *error, "the borrower has ended");
			else if (*error != 0)
				failure_sys(f, *error, "can't lend these pages of the file");
		}
		uvm_object_rele(uo);
	}
	uvm_world_leave();
	return *error == 0 ? lent(id, pages, bytes) : NULL;
}

static int explain_lend(int error, struct failure *f)
{
	switch (error) {
	case -EFAULT:
		return failure_set(f, error, "part of that range is no memory of the guest");
	case -EBUSY:
		return failure_set(f, error, "a page of that range is wired and can't be lent");
	case -EINVAL:
		return failure_set(f, error,
		    "pages of a channel can't be lent, nor a read-only window copy-on-write");
	case -ESRCH:
		return failure_set(f, error, "the lender or the borrower has ended");
	default:
		return failure_sys(f, error, "can't lend these pages");
	}
}

/* => g lives and has a map: its own lock keeps it while we lend */
static json_t *lend_guest(struct session *s, struct guest *g, json_t *request,
    const struct uvm_offer_terms *terms, int *error, struct failure *f)
{
	struct session_loan *sl = NULL;
	uint64_t gfn = 0, pages = 0, id;
	struct uvm_map *map;

	if (!session_uint(request, "gfn", &gfn, error, f) ||
	    !session_uint(request, "pages", &pages, error, f))
		return NULL;
	if (terms->ot_borrower == g->g_domid) {
		*error = failure_set(f, -EINVAL, "a guest can't lend to itself");
		return NULL;
	}
	/* First of all, so that a loan that is made has somebody to end it. */
	if (terms->ot_borrower == UVM_DOMID_HOST && (sl = new_loan(s, 0)) == NULL) {
		*error = failure_set(f, -ENOMEM, "out of memory");
		return NULL;
	}
	map = guest_map_get(g);
	if (map == NULL) {
		*error = failure_set(f, -ESRCH, "%s has ended", g->g_name);
		if (sl != NULL)
			end_loan(sl);
		return NULL;
	}
	uvm_world_enter();
	*error = pages == 0 || pages > (uint64_t)1 << 32
		     ? -EFAULT
		     : uvm_ledger_lend(map, gfn, pages, terms, &id);
	uvm_map_rele(map);
	uvm_world_leave();
	if (*error != 0) {
		explain_lend(*error, f);
		if (sl != NULL)
			end_loan(sl);
		return NULL;
	}
	if (sl != NULL) {
		sl->sl_id = id;
		sl->sl_lender = g->g_domid;
	}
	return lent(id, pages, pages * UVM_PAGE_SIZE);
}

json_t *op_lend(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct uvm_offer_terms terms = {.ot_by_host = true};
	struct guest *g;
	json_t *fields;

	if (!terms_of(request, &terms, error, f))
		return NULL;
	if (json_object_get(request, "from") == NULL)
		return lend_file(s, request, &terms, error, f);
	g = session_guest(request, "from", error, f);
	if (g == NULL)
		return NULL;
	fields = lend_guest(s, g, request, &terms, error, f);
	guest_put(g);
	return fields;
}

json_t *op_return(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct uvm_offer_info oi = {0};
	uint64_t id = 0, windows = 0;
	struct session_loan *sl;

	if (!session_uint(request, "id", &id, error, f))
		return NULL;
	sl = find_loan(s, id);
	if (sl != NULL) {
		end_loan(sl);
		return json_pack("{s:i}", "windows", 0);
	}
	uvm_world_enter();
	*error = uvm_ledger_query(UVM_DOMID_HOST, id, &oi);
	if (*error == 0)
		*error = uvm_ledger_recall(oi.oi_lender, id, &windows);
	uvm_world_leave();
	if (*error != 0) {
		failure_set(f, *error,
		    "there is no loan %ju, or it has been returned: `lombard loans` "
		    "shows which there are",
		    (uintmax_t)id);
		return NULL;
	}
	return json_pack("{s:I}", "windows", (json_int_t)windows);
}

static json_t *borrower_json(uint32_t domid)
{
	if (domid == UVM_DOMID_ANY)
		return json_string("any");
	if (domid == UVM_DOMID_NOBODY)
		return json_string("nobody");
	return json_integer((json_int_t)domid);
}

static json_t *loan_json(const struct uvm_offer_info *oi)
{
	return json_pack("{s:I, s:i, s:o, s:s, s:I, s:I, s:I, s:I, s:b}", "id",
	    (json_int_t)oi->oi_id, "lender", (int)oi->oi_lender, "borrower",
	    borrower_json(oi->oi_borrower), "kind",
	    oi->oi_kind == UVM_LOAN_TOANON ? "anon" : "page", "pages", (json_int_t)oi->oi_npages,
	    "bytes", (json_int_t)oi->oi_bytes, "tag", (json_int_t)oi->oi_tag, "windows",
	    (json_int_t)oi->oi_windows, "recalled", oi->oi_recalled);
}

json_t *op_loans(struct session *s, json_t *request, int *error, struct failure *f)
{
	struct uvm_offer_info oi;
	json_t *loans;
	uint64_t above = 0;
	bool more;

	(void)s;
	if (!session_uint(request, "above", &above, error, f))
		return NULL;
	loans = json_array();
	uvm_world_enter();
	while ((more = uvm_ledger_next(UVM_DOMID_HOST, above, &oi) == 0) &&
	       json_array_size(loans) < LOANS_MAX) {
		json_array_append_new(loans, loan_json(&oi));
		above = oi.oi_id;
	}
	uvm_world_leave();
	return json_pack("{s:o, s:b}", "loans", loans, "more", more);
}

/* The client's hold on an offer, made at the first `map` of it. */
static int hold(struct session *s, uint64_t id, struct session_loan **slp)
{
	struct session_loan *sl = find_loan(s, id);
	int error = 0;

	if (sl == NULL)
		sl = new_loan(s, id);
	if (sl == NULL)
		return -ENOMEM;
	if (sl->sl_held == NULL) {
		uvm_world_enter();
		error = uvm_ledger_host_borrow(id, &sl->sl_held);
		uvm_world_leave();
		if (error != 0 && sl->sl_lender == UVM_DOMID_HOST)
			end_loan(sl);
	}
	if (error == 0)
		*slp = sl;
	return error;
}

/* The number of a store's descriptor in the answer, added if it is new; -1 for zeroes; -2: full. */
static int reply_fd(struct session *s, const struct pmap_extent *ext)
{
	int fd;

	if (ext->kind == PMAP_ZERO)
		return -1;
	fd = memfd_store_of(ext->store)->ms_ro_fd;
	for (unsigned i = 0; i < s->s_nreply_fds; i++)
		if (s->s_reply_fds[i] == fd)
			return (int)i;
	if (s->s_nreply_fds == SESSION_MAX_REPLY_FDS)
		return -2;
	s->s_reply_fds[s->s_nreply_fds] = fd;
	return (int)s->s_nreply_fds++;
}

static json_t *extents_of(
    struct session *s, struct session_loan *sl, uint64_t first, uint64_t pages)
{
	struct pmap_extent ext[64];
	json_t *list = json_array();
	uint64_t end = first + pages;
	unsigned n;
	int slot;

	while (first < end && json_array_size(list) < MAP_MAX_EXTENTS) {
		n = uvm_hostloan_extents(sl->sl_held, first, end - first, ext, 64, &first);
		for (unsigned i = 0; i < n; i++) {
			slot = reply_fd(s, &ext[i]);
			/* The client asks for the rest in another packet. */
			if (slot == -2)
				return list;
			json_array_append_new(
			    list, json_pack("[I, I, i, I]", (json_int_t)ext[i].gfn,
				      (json_int_t)ext[i].npages, slot, (json_int_t)ext[i].index));
		}
	}
	return list;
}

json_t *op_map(struct session *s, json_t *request, int *error, struct failure *f)
{
	uint64_t id = 0, first = 0, pages = 0;
	struct uvm_offer_info oi;
	struct session_loan *sl = NULL;

	if (!session_uint(request, "id", &id, error, f) ||
	    !session_uint(request, "first", &first, error, f) ||
	    !session_uint(request, "pages", &pages, error, f))
		return NULL;
	*error = hold(s, id, &sl);
	if (*error == -EPERM || *error == -ENOENT)
		failure_set(f, *error,
		    *error == -EPERM ? "that loan is not for the host" : "there is no such loan");
	else if (*error != 0)
		failure_sys(f, *error, "can't borrow the loan");
	if (*error != 0)
		return NULL;
	uvm_world_enter();
	*error = uvm_ledger_query(UVM_DOMID_HOST, id, &oi);
	uvm_world_leave();
	if (*error != 0 || pages == 0 || pages > MAP_MAX_PAGES || first >= oi.oi_npages ||
	    pages > oi.oi_npages - first) {
		*error = failure_set(
		    f, -ERANGE, "no such pages in the loan (at most %u at a time)", MAP_MAX_PAGES);
		return NULL;
	}
	return json_pack("{s:o}", "extents", extents_of(s, sl, first, pages));
}
