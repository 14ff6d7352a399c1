/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One operation: which, where its structure lies, what chance makes of it; and the count of results.
 */
#include "fuzz.h"

#define MAX_ERRNO 128u
#define LAST_STATUS (-15)
#define NR_RESULTS 144u /* 0: done; errnos; then the statuses of grants */

static const struct op *ops[MAX_OPS];
static uint32_t counts[MAX_OPS][NR_RESULTS];
static unsigned nr_ops;
static uint32_t weights; /* of all */

static void add(const struct op *group, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		if (nr_ops == MAX_OPS)
			die("fuzz: more than %u operations", MAX_OPS);
		ops[nr_ops++] = &group[i];
		weights += group[i].weight;
	}
}

void op_init(void)
{
	add(ops_event, nr_ops_event);
	add(ops_grant, nr_ops_grant);
	add(ops_loan, nr_ops_loan);
	add(ops_chan, nr_ops_chan);
	add(ops_other, nr_ops_other);
}

/* ---- counting ---- */

static unsigned result_of(int64_t ret)
{
	if (ret >= 0)
		return 0;
	if (ret > -(int64_t)MAX_ERRNO)
		return (unsigned)-ret;
	if (ret <= STATUS(-1) && ret >= STATUS(LAST_STATUS))
		return MAX_ERRNO + (unsigned)(STATUS(0) - ret);
	die("fuzz: a hypercall's result is %lld", (long long)ret);
}

static void count(unsigned op, int64_t ret)
{
	counts[op][result_of(ret)]++;
}

void op_count(const char *name, int64_t ret)
{
	for (unsigned i = 0; i < nr_ops; i++)
		if (strcmp(ops[i]->name, name) == 0)
			count(i, ret);
}

static void print_one(unsigned op)
{
	static const char *const kinds[] = {"both", "fails", "works"};

	printf("fuzz: count %s %s", ops[op]->name, kinds[ops[op]->kind]);
	for (unsigned i = 0; i < NR_RESULTS; i++) {
		if (counts[op][i] == 0)
			continue;
		if (i == 0)
			printf(" ok=%u", counts[op][i]);
		else if (i < MAX_ERRNO)
			printf(" e%u=%u", i, counts[op][i]);
		else
			printf(" s%u=%u", i - MAX_ERRNO, counts[op][i]);
		counts[op][i] = 0;
	}
	putchar('\n');
}

void op_print(void)
{
	for (unsigned i = 0; i < nr_ops; i++)
		if (!mem_all(counts[i], 0, sizeof(counts[i])))
			print_one(i);
}

/* ---- structures ---- */

/* Some words of it are something else. */
static void spoil(uint8_t *p, size_t size)
{
	for (unsigned n = 1 + below(2); n > 0; n--) {
		size_t at = below((uint32_t)size);
		uint64_t word = wild();

		for (size_t i = 0; i < 1UL << below(4) && at + i < size; i++)
			p[at + i] = (uint8_t)(word >> 8 * i);
	}
}

static void prepare_one(const struct op *op, uint8_t *arg)
{
	op->fill(arg);
	/* The frames of our table must stay where the second vCPU sees them. */
	if (!one_in(6) || (second_p && op->nr == __HYPERVISOR_memory_op))
		return;
	spoil(arg, op->size);
	if (op->hurts == NULL || !op->hurts(arg))
		return;
	memset(arg, 0, op->size);
	op->fill(arg);
}

static void prepare(const struct op *op, uint8_t *arg, unsigned n)
{
	memset(arg, 0, (size_t)op->size * n);
	for (unsigned i = 0; i < n; i++)
		prepare_one(op, arg + (size_t)i * op->size);
}

/*
 * Where a structure of size bytes goes.  Others may write to public pages and the table of grants: what
 * the hypervisor has read there may be something else than what we wrote.
 */
static uint8_t *place(size_t size, bool known, bool *readable)
{
	static uint8_t usual[2048] __attribute__((aligned(64)));
	struct thing t;

	*readable = true;
	switch (below(known ? 16 : 24)) {
	case 0:
		return field.private + (1 + below(PRIVATE_PAGES - 1)) * PAGE_SIZE - 1 -
		       below((uint32_t)size);
	case 1:
		return field.private + below(PAGE_SIZE * (PRIVATE_PAGES - 1));
	case 2:
		*readable = false;
		return (uint8_t *)(!known && one_in(2) ? twisted() : bad_address());
	case 16:
	case 17:
		return field.public +
		       below((uint32_t)PAGE_SIZE * (one_in(2) ? 1 : PUBLIC_PAGES - 1));
	case 18:
		return (uint8_t *)field.frame[below(FRAMES)] + below((uint32_t)(PAGE_SIZE - size));
	case 19:
		if (hoard_any(HANDLES, &t) && (t.b & HOARD_BIT) != 0 && in_tables(t.b & ~HOARD_BIT))
			return (uint8_t *)((t.b & ~HOARD_BIT) * PAGE_SIZE) +
			       below((uint32_t)(PAGE_SIZE - size));
		return usual;
	default:
		return usual;
	}
}

/* What somebody else lent us: read-only, and whatever it is. */
static bool do_borrowed(unsigned i)
{
	const struct op *op = ops[i];
	struct thing t;

	if (op->results || op->done != NULL || !one_in(8) || !hoard_any(WINDOWS, &t))
		return false;
	count(i, hypercall(op->nr, op->cmd,
		     t.a * PAGE_SIZE + below((uint32_t)(PAGE_SIZE - op->size)), 0, 0, 0));
	return true;
}

static void do_structure(unsigned i)
{
	const struct op *op = ops[i];
	bool readable;
	uint8_t *arg = place(op->size, op->done != NULL, &readable);
	uint64_t cmd = op->cmd;
	int64_t ret;

	if (readable)
		prepare(op, arg, 1);
	if (one_in(64))
		cmd |= rnd() << 32;
	ret = hypercall(op->nr, cmd, (uint64_t)arg, 0, 0, 0);
	count(i, ret);
	if (ret >= 0 && op->done != NULL)
		op->done(arg, ret);
}

/* An array of structures; grants' elements begin with different words, the status has its own place. */
static int16_t status_of(unsigned cmd, const void *arg)
{
	switch (cmd) {
	case GNTTABOP_map_grant_ref:
		return ((const struct gnttab_map_grant_ref *)arg)->status;
	case GNTTABOP_unmap_grant_ref:
		return ((const struct gnttab_unmap_grant_ref *)arg)->status;
	case GNTTABOP_copy:
		return ((const struct gnttab_copy *)arg)->status;
	case GNTTABOP_query_size:
		return ((const struct gnttab_query_size *)arg)->status;
	default:
		return GNTST_okay;
	}
}

static void do_grants(unsigned i)
{
	const struct op *op = ops[i];
	unsigned n = one_in(4) ? 1 + below(6) : 1;
	bool readable;
	uint8_t *arg = place((size_t)op->size * n, op->done != NULL, &readable);
	int64_t ret;

	if (readable)
		prepare(op, arg, n);
	/* Far more than there are, of which the first cannot be read; not where millions might be. */
	ret = hypercall(
	    op->nr, op->cmd, (uint64_t)arg, readable || twisted_p(arg) ? n : n | rnd() << 8, 0, 0);
	if (ret != 0) {
		count(i, ret);
		return;
	}
	for (; n > 0 && readable; n--, arg += op->size) {
		int16_t status = status_of(op->cmd, arg);

		/* Somebody else wrote there. */
		if (status > GNTST_okay || status < LAST_STATUS)
			continue;
		count(i, status == GNTST_okay ? 0 : STATUS(status));
		if (status == GNTST_okay && op->done != NULL)
			op->done(arg, 0);
	}
}

static void do_one(unsigned i)
{
	if (ops[i]->call != NULL)
		count(i, ops[i]->call());
	else if (ops[i]->nr == __HYPERVISOR_grant_table_op)
		do_grants(i);
	else if (!do_borrowed(i))
		do_structure(i);
}

void op_do(void)
{
	uint32_t at = below(weights);
	unsigned i = 0;

	while (at >= ops[i]->weight)
		at -= ops[i++]->weight;
	do_one(i);
}

int64_t plain(uint8_t nr, unsigned cmd, void *arg)
{
	return hypercall(nr, cmd, (uint64_t)arg, 0, 0, 0);
}
