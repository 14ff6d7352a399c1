/* SPDX-License-Identifier: BSD-2-Clause */
/* Chance, what we have, and values that a call might like or hate. */
#include "fuzz.h"

#define HOARD_SIZE 48u

static uint64_t state;

struct field field;

static struct {
	struct thing t[HOARD_SIZE];
	unsigned nr;
} hoards[NR_HOARDS];

/* Steele and Vigna's splitmix64: any seed will do. */
void rnd_seed(uint64_t seed)
{
	state = seed;
}

uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t below(uint32_t n)
{
	return (uint32_t)((rnd() >> 32) * n >> 32);
}

bool one_in(uint32_t n)
{
	return below(n) == 0;
}

bool hoard_add(enum hoard kind, uint64_t a, uint64_t b, struct thing *lost)
{
	unsigned i = hoards[kind].nr;
	bool room = i < HOARD_SIZE;

	if (room)
		hoards[kind].nr++;
	else
		i = below(HOARD_SIZE);
	if (!room && lost != NULL)
		*lost = hoards[kind].t[i];
	hoards[kind].t[i] = (struct thing){a, b};
	return room;
}

bool hoard_any(enum hoard kind, struct thing *t)
{
	if (hoards[kind].nr == 0)
		return false;
	*t = hoards[kind].t[below(hoards[kind].nr)];
	return true;
}

void hoard_drop(enum hoard kind, uint64_t a)
{
	unsigned i = 0;

	while (i < hoards[kind].nr)
		if (hoards[kind].t[i].a == a)
			hoards[kind].t[i] = hoards[kind].t[--hoards[kind].nr];
		else
			i++;
}

unsigned hoard_nr(enum hoard kind)
{
	return hoards[kind].nr;
}

struct thing hoard_at(enum hoard kind, unsigned i)
{
	return hoards[kind].t[i];
}

void hoard_clear(enum hoard kind)
{
	hoards[kind].nr = 0;
}

/* ---- values ---- */

static uint64_t gfn_of(const void *p)
{
	return (uint64_t)p / PAGE_SIZE;
}

uint64_t our_gfn(void)
{
	uint32_t i = below(PRIVATE_PAGES + PUBLIC_PAGES);

	return i < PRIVATE_PAGES ? gfn_of(field.private) + i
				 : gfn_of(field.public) + i - PRIVATE_PAGES;
}

uint64_t public_gfn(void)
{
	return gfn_of(field.public) + below(PUBLIC_PAGES);
}

uint64_t spot(void)
{
	return field.info.window_gfn + FRAMES + below(SPOT_PAGES - FRAMES - 16);
}

bool in_tables(uint64_t gfn)
{
	return gfn - field.info.window_gfn < SPOT_PAGES + AREAS * AREA_PAGES;
}

uint64_t area(void)
{
	return field.info.window_gfn + SPOT_PAGES + below(AREAS) * AREA_PAGES;
}

static uint64_t some_gfn(void)
{
	struct thing t;

	switch (below(20)) {
	case 0:
		return field.info.ram_pages - below(3) + 1;
	case 1:
		return field.info.window_gfn + field.info.window_pages - below(3) + 1;
	case 2:
		return field.info.window_gfn - below(3) + 1;
	case 3:
		return below(16);
	case 4:
		return 0xfc000 + below(0x3000); /* the special area */
	case 5:
		return rnd() >> below(64);
	case 6:
		return spot();
	case 7:
		return area() + below(AREA_PAGES);
	case 8:
	case 9:
		return hoard_any(WINDOWS, &t) ? t.a : our_gfn();
	case 10:
		return hoard_any(HANDLES, &t) ? t.b & ~HOARD_BIT : our_gfn();
	case 11:
		return gfn_of(field.frame[below(FRAMES)]);
	default:
		return our_gfn();
	}
}

static bool among(uint64_t gfn, const void *pages, uint32_t nr)
{
	return gfn - gfn_of(pages) < nr;
}

bool vital(uint64_t gfn, uint64_t nr)
{
	for (; nr > 0 && gfn < field.info.ram_pages; nr--, gfn++)
		if (gfn != 0 && !among(gfn, field.private, PRIVATE_PAGES) &&
		    !among(gfn, field.public, PUBLIC_PAGES))
			return true;
	return false;
}

uint64_t any_gfn(void)
{
	uint64_t gfn = some_gfn();

	return vital(gfn, 1) ? 0 : gfn;
}

uint16_t any_domid(void)
{
	static const uint16_t special[] = {
	    0, DOMID_IO, DOMID_XEN, DOMID_COW, DOMID_INVALID, DOMID_IDLE, LOAN_DOMID_ANY, 32749};
	struct thing t;

	switch (below(12)) {
	case 0:
		return special[below(ARRAY_SIZE(special))];
	case 1:
		return (uint16_t)below(64);
	case 2:
		return (uint16_t)rnd();
	case 3:
		return DOMID_SELF;
	case 4:
	case 5:
		return field.info.domid;
	default:
		return hoard_any(OTHERS, &t) ? (uint16_t)t.a : DOMID_SELF;
	}
}

uint32_t any_port(void)
{
	struct thing t;

	switch (below(12)) {
	case 0:
		return below(64);
	case 1:
		return 4090 + below(10);
	case 2:
		return (uint32_t)rnd() >> below(32);
	default:
		return hoard_any(PORTS, &t) ? (uint32_t)t.a : below(64);
	}
}

uint32_t any_ref(void)
{
	switch (below(16)) {
	case 0:
		return (uint32_t)rnd() >> below(32);
	case 1:
		return REFS - 2 + below(4);
	case 2:
		return below(8);
	default:
		return 8 + below(64);
	}
}

uint64_t bad_address(void)
{
	uint64_t end = field.info.ram_pages * PAGE_SIZE;
	uint64_t windows = field.info.window_gfn * PAGE_SIZE;

	switch (below(12)) {
	case 0:
		return below(4096);
	case 1:
		return STACK_GUARD + below(4096); /* below our stack */
	case 2:
		return STACK_GUARD - below(16);
	case 3:
		return end - below(16);
	case 4:
		return end + below(4096);
	case 5:
		return 0x7ffffffffff0ULL + below(32); /* about where no address is canonical */
	case 6:
		return ~0ULL - below(64);
	case 7:
		return rnd();
	case 8:
		return rnd() | 1ULL << 62;
	case 9:
		return windows - below(16) - 1;
	case 10:
		return 0xfc000000ULL + below(0x3000000); /* the special area */
	default:
		return windows + field.info.window_pages * PAGE_SIZE - below(8);
	}
}

uint64_t wild(void)
{
	switch (below(16)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
	case 3:
		return below(16);
	case 4:
		return below(5000);
	case 5:
		return ~0ULL - below(3);
	case 6:
		return UINT32_MAX - below(3);
	case 7:
		return rnd();
	case 8:
		return 1ULL << below(64);
	case 9:
		return (1ULL << below(64)) - 1;
	case 10:
		return any_domid();
	case 11:
		return bad_address();
	case 12:
		return our_gfn() * PAGE_SIZE + below(4096);
	default:
		return any_gfn();
	}
}

void name_of(char name[CHAN_NAME_LEN], uint32_t domid)
{
	memset(name, 0, CHAN_NAME_LEN);
	memcpy(name, "fuzz-", 5);
	number_text(name + 5, domid);
}
