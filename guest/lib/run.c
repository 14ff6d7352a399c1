/* SPDX-License-Identifier: BSD-2-Clause */
/* Sorted lists of runs of pages: see start.h. */
#include "lombard-guest.h"
#include "start.h"

/* Nodes are recycled for ever; the first ones are there before any page can be allocated. */
static struct run first_nodes[16];
static struct run *spare_nodes;
static bool first_nodes_used;

static void spare_add(struct run *nodes, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		nodes[i].next = spare_nodes;
		spare_nodes = &nodes[i];
	}
}

static struct run *node_new(void)
{
	struct run *node;

	if (!first_nodes_used) {
		first_nodes_used = true;
		spare_add(first_nodes, sizeof(first_nodes) / sizeof(*first_nodes));
	}
	if (spare_nodes == NULL) {
		/* Taking pages never needs a node, so this can't come back here. */
		node = page_alloc(1);
		if (node == NULL)
			return NULL;
		spare_add(node, PAGE_SIZE / sizeof(*node));
	}
	node = spare_nodes;
	spare_nodes = node->next;
	return node;
}

static void node_free(struct run *node)
{
	spare_add(node, 1);
}

int run_put_alone(struct run_list *list, uint64_t first, uint64_t nr)
{
	struct run *node = node_new();
	struct run **link = &list->head;

	if (node == NULL)
		return -XEN_ENOMEM;
	while (*link != NULL && (*link)->first < first)
		link = &(*link)->next;
	*node = (struct run){.next = *link, .first = first, .nr = nr};
	*link = node;
	return 0;
}

/* Make one run of left and its successor if they touch: did they? */
static bool run_merge(struct run *left)
{
	struct run *right = left->next;

	if (right == NULL || left->first + left->nr != right->first)
		return false;
	left->nr += right->nr;
	left->next = right->next;
	node_free(right);
	return true;
}

int run_put(struct run_list *list, uint64_t first, uint64_t nr)
{
	int err = run_put_alone(list, first, nr);

	if (err != 0)
		return err;
	for (struct run *run = list->head; run != NULL; run = run->next)
		while (run_merge(run))
			continue;
	return 0;
}

bool run_take(struct run_list *list, uint64_t nr, uint64_t *first)
{
	for (struct run **link = &list->head; *link != NULL; link = &(*link)->next) {
		struct run *run = *link;

		if (run->nr < nr)
			continue;
		*first = run->first;
		run->first += nr;
		run->nr -= nr;
		if (run->nr == 0) {
			*link = run->next;
			node_free(run);
		}
		return true;
	}
	return false;
}

bool run_find_take(struct run_list *list, uint64_t first, uint64_t *nr)
{
	for (struct run **link = &list->head; *link != NULL; link = &(*link)->next) {
		struct run *run = *link;

		if (run->first != first)
			continue;
		*nr = run->nr;
		*link = run->next;
		node_free(run);
		return true;
	}
	return false;
}
