/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables of grants, and granted pages in use.
 */
#include <errno.h>
#include <stdio.h>

#include "pmap/store_memfd.h"
#include "uvm/uvm_alloc.h"
#include "uvm/uvm_arena.h"
#include "xen/grant_private.h"

/* How often an entry may change under us before its guest is told that it does. */
#define TRIES 5u

pthread_mutex_t grant_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER; /* a domain or pin is not busy any more */
static LIST_HEAD(, grant_domain) domains = LIST_HEAD_INITIALIZER(domains);

static struct grant_domain *find(uint32_t domid)
{
	struct grant_domain *gd;

	if (domid == GRANT_HOST)
		return &grant_host;
	LIST_FOREACH (gd, &domains, gd_all)
		if (gd->gd_domid == domid)
			return gd;
	return NULL;
}

/* => mutex held.  Whoever waits for the domain, or for a pin of it, may go on. */
static void not_busy(struct grant_domain *gd)
{
	gd->gd_busy--;
	pthread_cond_broadcast(&idle);
}

int grant_errno(int status)
{
	switch (status) {
	case GNTST_okay:
		return 0;
	case GNTST_bad_domain:
		return -ESRCH;
	case GNTST_no_space:
		return -ENOMEM;
	case GNTST_bad_page:
		return -EFAULT;
	case GNTST_bad_gntref:
		return -EINVAL;
	default:
		return -EPERM;
	}
}

/* ---- frames ---- */

static int make_store(struct grant_domain *gd, struct uvm_store **stp)
{
	struct memfd_store *ms;
	struct failure f;
	char name[32];
	int error;

	snprintf(name, sizeof(name), "grants of domain %u", gd->gd_domid);
	/* Each frame is the first page of its arena: one bank for each. */
	error = memfd_store_create(name, 1, gd->gd_max_frames, gd->gd_domid, &ms, &f);
	if (error == 0)
		*stp = &ms->ms_store;
	return error;
}

static void frame_free(struct grant_frame *gf)
{
	if (gf == NULL)
		return;
	if (gf->gf_arena != NULL)
		uvm_arena_rele(gf->gf_arena);
	uvm_free(gf);
}

/* => inside the world.  A frame of the store. */
static int make_frame(struct uvm_store *st, struct grant_frame **gfp)
{
	struct grant_frame *gf = uvm_zalloc(sizeof(*gf));
	int error;

	if (gf == NULL)
		return -ENOMEM;
	gf->gf_gfn = UVM_NOGFN;
	uvm_store_ref(st);
	error = uvm_arena_create(st, 1, 0, NULL, NULL, &gf->gf_arena);
	if (error != 0) {
		uvm_store_rele(st);
		uvm_free(gf);
		return error;
	}
	gf->gf_entries = uvm_arena_kva(gf->gf_arena, 0);
	*gfp = gf;
	return 0;
}

/* => busy; the mutex is not held.  The store of the table, which is made with its first frame. */
static int need_store(struct grant_domain *gd, struct uvm_store **stp)
{
	struct uvm_store *made = NULL;
	int error = 0;

	pthread_mutex_lock(&grant_mutex);
	*stp = gd->gd_store;
	pthread_mutex_unlock(&grant_mutex);
	if (*stp == NULL)
		error = make_store(gd, &made);
	if (*stp != NULL || error != 0)
		return error;
	pthread_mutex_lock(&grant_mutex);
	if (gd->gd_store == NULL) {
		gd->gd_store = made;
		made = NULL;
	}
	*stp = gd->gd_store;
	pthread_mutex_unlock(&grant_mutex);
	if (made != NULL)
		uvm_store_rele(made);
	return 0;
}

/* => busy.  Add one frame to those the table has, unless somebody else does. */
static int add_frame(struct grant_domain *gd)
{
	struct grant_frame *gf = NULL;
	struct uvm_store *st;
	int error;

	uvm_world_enter();
	error = need_store(gd, &st);
	if (error == 0)
		error = make_frame(st, &gf);
	if (error == 0) {
		pthread_mutex_lock(&grant_mutex);
		if (gd->gd_nframes < gd->gd_max_frames) {
			gd->gd_frames[gd->gd_nframes++] = gf;
			gf = NULL;
		}
		pthread_mutex_unlock(&grant_mutex);
		frame_free(gf);
	}
	uvm_world_leave();
	return error;
}

int grant_frames_need(struct grant_domain *gd, uint32_t n)
{
	int error = 0;

	pthread_mutex_lock(&grant_mutex);
	if (n > gd->gd_max_frames)
		error = -EINVAL;
	gd->gd_busy++;
	while (error == 0 && gd->gd_nframes < n) {
		pthread_mutex_unlock(&grant_mutex);
		error = add_frame(gd);
		pthread_mutex_lock(&grant_mutex);
	}
	not_busy(gd);
	pthread_mutex_unlock(&grant_mutex);
	return error;
}

uint32_t grant_frames_max(uint32_t domid)
{
	struct grant_domain *gd;
	uint32_t n;

	pthread_mutex_lock(&grant_mutex);
	gd = domid != GRANT_HOST ? find(domid) : NULL;
	n = gd != NULL ? gd->gd_max_frames : 0;
	pthread_mutex_unlock(&grant_mutex);
	return n;
}

int grant_frames_get(uint32_t domid, uint64_t first, uint32_t n, struct uvm_arena **arenas)
{
	struct grant_domain *gd;
	int error;

	if (first > GRANT_MAX_FRAMES || n > GRANT_MAX_FRAMES - first)
		return -EINVAL;
	pthread_mutex_lock(&grant_mutex);
	gd = domid != GRANT_HOST ? find(domid) : NULL;
	if (gd != NULL)
		gd->gd_busy++;
	pthread_mutex_unlock(&grant_mutex);
	if (gd == NULL)
		return -ESRCH;
	error = grant_frames_need(gd, (uint32_t)first + n);
	pthread_mutex_lock(&grant_mutex);
	for (uint32_t i = 0; error == 0 && i < n; i++) {
		arenas[i] = gd->gd_frames[first + i]->gf_arena;
		uvm_arena_ref(arenas[i]);
	}
	not_busy(gd);
	pthread_mutex_unlock(&grant_mutex);
	return error;
}

int grant_seed(struct grant_domain *gd, uint32_t ref, uint32_t domid, uint32_t gfn)
{
	int error = grant_frames_need(gd, 1);

	KASSERT(ref < GRANT_FIRST_REF);
	if (error != 0)
		return error;
	pthread_mutex_lock(&grant_mutex);
	gd->gd_frames[0]->gf_entries[ref] = (struct grant_entry_v1){
	    .flags = GTF_permit_access, .domid = (domid_t)domid, .frame = gfn};
	pthread_mutex_unlock(&grant_mutex);
	return 0;
}

int grant_query(uint32_t domid, uint32_t *frames, uint32_t *max_frames)
{
	struct grant_domain *gd;

	pthread_mutex_lock(&grant_mutex);
	gd = find(domid);
	if (gd != NULL) {
		*frames = gd->gd_nframes;
		*max_frames = gd->gd_max_frames;
	}
	pthread_mutex_unlock(&grant_mutex);
	return gd != NULL ? GNTST_okay : GNTST_bad_domain;
}

int grant_gfn(uint32_t domid, uint32_t ref, uint64_t *gfn)
{
	struct grant_frame *gf = NULL;
	struct grant_domain *gd;
	int error = -ESRCH;

	pthread_mutex_lock(&grant_mutex);
	gd = domid != GRANT_HOST ? find(domid) : NULL;
	if (gd != NULL) {
		gf = grant_frame_of(gd, ref);
		error = -EINVAL;
	}
	if (gf != NULL && (atomic_load(grant_word(gf, ref)) & GTF_type_mask) == GTF_permit_access) {
		*gfn = atomic_load(
		    (_Atomic uint32_t *)&gf->gf_entries[ref % GRANTS_PER_FRAME].frame);
		error = 0;
	}
	pthread_mutex_unlock(&grant_mutex);
	return error;
}

/* ---- domains ---- */

int grant_limit(struct grant_domain *gd, uint32_t frames)
{
	struct grant_frame **array, **old = NULL;
	bool used;

	if (frames == 0 || frames > GRANT_MAX_FRAMES)
		return -EINVAL;
	array = uvm_zalloc(frames * sizeof(struct grant_frame *));
	if (array == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&grant_mutex);
	used = gd->gd_nframes > 0 || gd->gd_store != NULL || gd->gd_busy > 0;
	if (!used) {
		old = gd->gd_frames;
		gd->gd_frames = array;
		gd->gd_max_frames = frames;
	}
	pthread_mutex_unlock(&grant_mutex);
	uvm_free(used ? array : old);
	return used ? -EBUSY : 0;
}

int grant_domain_add(struct grant_domain *gd, uint32_t domid, struct uvm_map *map)
{
	int error;

	gd->gd_domid = domid;
	error = grant_limit(gd, GRANT_MAX_FRAMES);
	if (error != 0)
		return error;
	gd->gd_map = map;
	pthread_mutex_lock(&grant_mutex);
	LIST_INSERT_HEAD(&domains, gd, gd_all);
	pthread_mutex_unlock(&grant_mutex);
	return 0;
}

/* => mutex held, nothing busy.  Those who have mapped its pages keep them. */
static void forget_pins(struct grant_domain *gd)
{
	for (uint32_t i = 0; i < gd->gd_nframes; i++)
		for (unsigned j = 0; j < GRANTS_PER_FRAME; j++)
			if (gd->gd_frames[i]->gf_pins[j] != NULL)
				gd->gd_frames[i]->gf_pins[j]->pi_gd = NULL;
}

void grant_domain_gone(struct grant_domain *gd)
{
	if (gd->gd_map == NULL)
		return;
	pthread_mutex_lock(&grant_mutex);
	LIST_REMOVE(gd, gd_all);
	while (gd->gd_busy > 0)
		pthread_cond_wait(&idle, &grant_mutex);
	forget_pins(gd);
	pthread_mutex_unlock(&grant_mutex);
	grant_handles_end(gd);
	uvm_world_enter();
	for (uint32_t i = 0; i < gd->gd_nframes; i++)
		frame_free(gd->gd_frames[i]);
	if (gd->gd_store != NULL)
		uvm_store_rele(gd->gd_store);
	uvm_world_leave();
	uvm_free(gd->gd_frames);
	*gd = (struct grant_domain){0};
}

/* ---- pins ---- */

/*
 * Say in the entry that its page is used.  The entry must grant it now, even to who uses it already.
 */
static int claim(struct grant_frame *gf, uint32_t ref, uint32_t mapper, bool write)
{
	uint32_t word = atomic_load(grant_word(gf, ref)), flags;

	for (unsigned i = 0; i < TRIES; i++) {
		flags = word & 0xffff;
		if ((flags & (GTF_type_mask | GTF_sub_page)) != GTF_permit_access ||
		    word >> 16 != mapper || (write && (flags & GTF_readonly)))
			return GNTST_general_error;
		if (atomic_compare_exchange_strong(
			grant_word(gf, ref), &word, word | GTF_reading | (write ? GTF_writing : 0)))
			return GNTST_okay;
	}
	return GNTST_general_error;
}

static void unclaim(struct grant_frame *gf, uint32_t ref, uint32_t flags)
{
	atomic_fetch_and(grant_word(gf, ref), ~flags);
}

/* => mutex held, pin not busy.  What the entry still has to say, after uses have ended. */
static void settle_flags(struct grant_pin *pin)
{
	struct grant_frame *gf = grant_frame_of(pin->pi_gd, pin->pi_ref);

	if (pin->pi_writers == 0)
		unclaim(gf, pin->pi_ref, GTF_writing);
	if (pin->pi_writers + pin->pi_readers == 0)
		unclaim(gf, pin->pi_ref, GTF_reading);
}

static void count(struct grant_pin *pin, bool write, int n)
{
	*(write ? &pin->pi_writers : &pin->pi_readers) += (uint32_t)n;
}

/* The mutex is not held, the pin's domain is busy.  Get the page: of a guest, or of a share. */
static int take_page(struct grant_pin *pin, uint64_t gfn)
{
	uint32_t index;
	int error = 0;

	if (pin->pi_gd == &grant_host) {
		pthread_mutex_lock(&grant_mutex);
		pin->pi_share = grant_share_resolve(pin->pi_ref, &index);
		pthread_mutex_unlock(&grant_mutex);
		if (pin->pi_share == NULL)
			return -EINVAL;
		pin->pi_page = grant_share_page(pin->pi_share, index);
		return 0;
	}
	uvm_world_enter();
	error = uvm_map_wire(pin->pi_gd->gd_map, gfn, &pin->pi_page);
	if (error == 0) {
		pin->pi_map = pin->pi_gd->gd_map;
		uvm_map_ref(pin->pi_map);
	}
	uvm_world_leave();
	return error;
}

static void give_page_back(struct grant_pin *pin)
{
	uvm_world_enter();
	if (pin->pi_share != NULL)
		grant_share_rele(pin->pi_share);
	if (pin->pi_map != NULL) {
		uvm_map_unwire(pin->pi_map, pin->pi_page);
		uvm_map_rele(pin->pi_map);
	}
	uvm_world_leave();
}

static int status_of(int error)
{
	switch (error) {
	case 0:
		return GNTST_okay;
	case -ESRCH:
		return GNTST_bad_domain;
	case -EFAULT:
	case -EINVAL:
		return GNTST_bad_page;
	case -ENOMEM:
	case -ENOSPC:
		return GNTST_no_space;
	default:
		return GNTST_general_error;
	}
}

/* => mutex held; the pin's uses have ended, and its domain, if it is there, is busy for us */
static void forget(struct grant_pin *pin)
{
	struct grant_domain *gd = pin->pi_gd;

	if (gd != NULL) {
		settle_flags(pin);
		grant_frame_of(gd, pin->pi_ref)->gf_pins[pin->pi_ref % GRANTS_PER_FRAME] = NULL;
		if (gd == &grant_host)
			grant_share_unused(pin->pi_ref);
		not_busy(gd);
	}
	uvm_free(pin);
}

/* => mutex held, and let go meanwhile; the entry is claimed for the pin */
static int make_pin(struct grant_domain *gd, struct grant_frame *gf, struct grant_pin *pin)
{
	uint64_t gfn = atomic_load(
	    (_Atomic uint32_t *)&gf->gf_entries[pin->pi_ref % GRANTS_PER_FRAME].frame);
	int error;

	gf->gf_pins[pin->pi_ref % GRANTS_PER_FRAME] = pin;
	pin->pi_gd = gd;
	pin->pi_busy = true;
	gd->gd_busy++;
	pthread_mutex_unlock(&grant_mutex);
	error = take_page(pin, gfn);
	if (error == -ENOTRECOVERABLE)
		gd->gd_broken(gd);
	pthread_mutex_lock(&grant_mutex);
	pin->pi_busy = false;
	if (error == 0) {
		not_busy(gd);
	} else {
		pin->pi_readers = pin->pi_writers = 0;
		forget(pin);
	}
	return status_of(error);
}

/* => mutex held.  The granter, when nobody wires or unwires the page this moment. */
static struct grant_domain *find_settled(
    uint32_t granter, uint32_t ref, struct grant_frame **gfp, struct grant_pin **pinp)
{
	struct grant_domain *gd;

	for (;;) {
		gd = find(granter);
		*gfp = gd != NULL ? grant_frame_of(gd, ref) : NULL;
		*pinp = *gfp != NULL ? (*gfp)->gf_pins[ref % GRANTS_PER_FRAME] : NULL;
		if (*pinp == NULL || !(*pinp)->pi_busy)
			return gd;
		pthread_cond_wait(&idle, &grant_mutex);
	}
}

/* => mutex held; spare: a new pin, which is used or freed */
static int pin_locked(uint32_t granter, uint32_t ref, uint32_t mapper, bool write,
    struct grant_pin *spare, struct grant_pin **pinp)
{
	struct grant_frame *gf;
	struct grant_domain *gd = find_settled(granter, ref, &gf, pinp);
	int status;

	if (gd == NULL)
		status = GNTST_bad_domain;
	else if (gf == NULL)
		status = GNTST_bad_gntref;
	else if (*pinp != NULL && (*pinp)->pi_mapper != mapper)
		status = GNTST_general_error;
	else
		status = claim(gf, ref, mapper, write);
	if (status != GNTST_okay || *pinp != NULL) {
		uvm_free(spare);
		if (status == GNTST_okay)
			count(*pinp, write, 1);
		return status;
	}
	*spare = (struct grant_pin){.pi_ref = ref, .pi_mapper = mapper};
	count(spare, write, 1);
	*pinp = spare;
	return make_pin(gd, gf, spare);
}

int grant_pin(uint32_t granter, uint32_t ref, uint32_t mapper, bool write, struct grant_pin **pinp)
{
	struct grant_pin *spare = uvm_zalloc(sizeof(*spare));
	int status;

	if (spare == NULL)
		return GNTST_no_space;
	pthread_mutex_lock(&grant_mutex);
	status = pin_locked(granter, ref, mapper, write, spare, pinp);
	pthread_mutex_unlock(&grant_mutex);
	return status;
}

void grant_unpin(struct grant_pin *pin, bool write)
{
	pthread_mutex_lock(&grant_mutex);
	KASSERT(!pin->pi_busy && (write ? pin->pi_writers : pin->pi_readers) > 0);
	count(pin, write, -1);
	if (pin->pi_readers + pin->pi_writers > 0) {
		if (pin->pi_gd != NULL)
			settle_flags(pin);
		pthread_mutex_unlock(&grant_mutex);
		return;
	}
	/* First the page, then the flags: who sees them clear may lend or free the page. */
	pin->pi_busy = true;
	if (pin->pi_gd != NULL)
		pin->pi_gd->gd_busy++;
	pthread_mutex_unlock(&grant_mutex);
	give_page_back(pin);
	pthread_mutex_lock(&grant_mutex);
	forget(pin);
	pthread_mutex_unlock(&grant_mutex);
}

/* => mutex held; spare: a new pin, which is used or freed */
static int reserve_locked(uint32_t granter, struct grant_pin *spare, uint64_t *gfn)
{
	struct grant_domain *gd = granter != GRANT_HOST ? find(granter) : NULL;
	struct grant_frame *gf = gd != NULL ? grant_frame_of(gd, spare->pi_ref) : NULL;
	unsigned i = spare->pi_ref % GRANTS_PER_FRAME;
	int status;

	if (gf == NULL)
		status = gd == NULL ? GNTST_bad_domain : GNTST_bad_gntref;
	else if (gf->gf_pins[i] != NULL)
		status = GNTST_eagain;
	else
		status = claim(gf, spare->pi_ref, spare->pi_mapper, true);
	if (status != GNTST_okay) {
		uvm_free(spare);
		return status;
	}
	*gfn = atomic_load((_Atomic uint32_t *)&gf->gf_entries[i].frame);
	gf->gf_pins[i] = spare;
	spare->pi_gd = gd;
	spare->pi_busy = true;
	gd->gd_busy++;
	return GNTST_okay;
}

int grant_reserve(
    uint32_t granter, uint32_t ref, uint32_t mapper, struct grant_pin **pinp, uint64_t *gfn)
{
	struct grant_pin *pin = uvm_zalloc(sizeof(*pin));
	int status;

	if (pin == NULL)
		return GNTST_no_space;
	*pin = (struct grant_pin){.pi_ref = ref, .pi_mapper = mapper};
	pthread_mutex_lock(&grant_mutex);
	status = reserve_locked(granter, pin, gfn);
	pthread_mutex_unlock(&grant_mutex);
	if (status == GNTST_okay)
		*pinp = pin;
	return status;
}

void grant_unreserve(struct grant_pin *pin)
{
	pthread_mutex_lock(&grant_mutex);
	KASSERT(pin->pi_busy && pin->pi_page == NULL);
	forget(pin);
	pthread_mutex_unlock(&grant_mutex);
}

struct uvm_page *grant_page(const struct grant_pin *pin)
{
	return pin->pi_page;
}
