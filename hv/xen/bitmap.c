/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/bitmap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct bits {
	uint8_t byte[XEN_BITMAP_MAX / 8];
};

static bool bit_p(const struct bits *b, unsigned i)
{
	return b->byte[i / 8] >> i % 8 & 1;
}

static void set_bit(struct bits *b, unsigned i)
{
	b->byte[i / 8] = (uint8_t)(b->byte[i / 8] | 1u << i % 8);
}

static int bits_in(struct xen_caller *c, const struct xenctl_bitmap *map, struct bits *b)
{
	memset(b, 0, sizeof(*b));
	if (map->nr_bits == 0 || map->nr_bits > XEN_BITMAP_MAX)
		return -EINVAL;
	if (xen_copy_in(c, b->byte, XEN_HANDLE(map->bitmap), (map->nr_bits + 7) / 8) != 0)
		return -EFAULT;
	/* Behind the last bit tools leave what they like. */
	for (unsigned i = map->nr_bits; i % 8 != 0; i++)
		b->byte[i / 8] = (uint8_t)(b->byte[i / 8] & ~(1u << i % 8));
	return 0;
}

static int bits_out(struct xen_caller *c, const struct xenctl_bitmap *map, struct bits *b)
{
	if (map->nr_bits == 0 || map->nr_bits > XEN_BITMAP_MAX)
		return -EINVAL;
	for (unsigned i = map->nr_bits; i % 8 != 0; i++)
		b->byte[i / 8] = (uint8_t)(b->byte[i / 8] & ~(1u << i % 8));
	return xen_copy_out(c, XEN_HANDLE(map->bitmap), b->byte, (map->nr_bits + 7) / 8);
}

int xen_cpus_in(struct xen_caller *c, const struct xenctl_bitmap *map, cpu_set_t *cpus)
{
	struct bits b;
	int error = bits_in(c, map, &b);

	CPU_ZERO(cpus);
	for (unsigned i = 0; error == 0 && i < CPU_SETSIZE; i++)
		if (bit_p(&b, i))
			CPU_SET(i, cpus);
	return error;
}

int xen_cpus_out(struct xen_caller *c, const struct xenctl_bitmap *map, const cpu_set_t *cpus)
{
	struct bits b = {{0}};

	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, cpus))
			set_bit(&b, i);
	return bits_out(c, map, &b);
}

int xen_nodes_in(struct xen_caller *c, const struct xenctl_bitmap *map, uint64_t *nodes)
{
	struct bits b;
	int error = bits_in(c, map, &b);

	*nodes = 0;
	for (unsigned i = 0; error == 0 && i < 64; i++)
		*nodes |= (uint64_t)bit_p(&b, i) << i;
	return error;
}

int xen_nodes_out(struct xen_caller *c, const struct xenctl_bitmap *map, uint64_t nodes)
{
	struct bits b = {{0}};

	for (unsigned i = 0; i < 64; i++)
		if (nodes >> i & 1)
			set_bit(&b, i);
	return bits_out(c, map, &b);
}
