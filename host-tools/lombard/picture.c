/* SPDX-License-Identifier: BSD-2-Clause */
#include "picture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define PIECE_PAGES 4096U /* the protocol's limit for one `map` */

static const char what[] = "map the lent pages";

/* A run of pages, where the cell says it lies. */
struct extent {
	json_int_t first, pages, fd, index;
};

static int refuse(const char *why)
{
	cli_error("cannot %s: the cell's answer was not understood (%s)", what, why);
	return -EPROTO;
}

int picture_init(struct picture *p, struct client *c, int64_t id, int64_t pages, int64_t bytes)
{
	if (id < 1 || pages < 1 || pages > PICTURE_MAX_PAGES)
		return refuse("the loan's size");
	if (bytes <= (pages - 1) * CLI_PAGE_SIZE || bytes > pages * CLI_PAGE_SIZE)
		return refuse("the loan's bytes do not fit its pages");
	*p = (struct picture){
	    .c = c,
	    .id = (uint64_t)id,
	    .pages = (uint64_t)pages,
	    .bytes = (uint64_t)bytes,
	};
	return 0;
}

/* Beyond a descriptor's end a mapping would kill us at the first read. */
static int check_inside(int fd, const struct extent *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse(strerror(errno));
	if (e->index < 0 || e->pages > st.st_size / CLI_PAGE_SIZE ||
	    e->index > st.st_size / CLI_PAGE_SIZE - e->pages)
		return refuse("an extent beyond its descriptor's end");
	return 0;
}

static int read_extent(const struct picture *p, const struct extent *e, picture_fn fn, void *arg)
{
	size_t len = (size_t)e->pages * CLI_PAGE_SIZE;
	void *data;
	int fd, err;

	if (e->fd == -1)
		return fn(arg, (uint64_t)e->first, (uint64_t)e->pages, NULL);
	if (e->fd < 0 || e->fd >= p->c->nfds)
		return refuse("an extent without its descriptor");
	fd = p->c->fds[e->fd];
	err = check_inside(fd, e);
	if (err)
		return err;
	data = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)e->index * CLI_PAGE_SIZE);
	if (data == MAP_FAILED) {
		err = -errno;
		cli_error("cannot %s: %s", what, strerror(-err));
		return err;
	}
	err = fn(arg, (uint64_t)e->first, (uint64_t)e->pages, data);
	munmap(data, len);
	return err;
}

/* The extents of one answer have to cover the piece exactly, in order. */
static int read_piece(const struct picture *p, json_t *answer, uint64_t first, uint64_t pages,
    picture_fn fn, void *arg)
{
	json_int_t next = (json_int_t)first, end = (json_int_t)(first + pages);
	json_t *extents, *item;
	struct extent e;
	size_t i;
	int err;

	err = client_unpack(what, answer, "{s:o}", "extents", &extents);
	if (err)
		return err;
	json_array_foreach (extents, i, item) {
		err = client_unpack(what, item, "[I,I,I,I]", &e.first, &e.pages, &e.fd, &e.index);
		if (err)
			return err;
		if (e.first != next || e.pages < 1 || e.pages > end - next)
			return refuse("extents with gaps or overlaps");
		err = read_extent(p, &e, fn, arg);
		if (err)
			return err;
		next += e.pages;
	}
	return next == end ? 0 : refuse("pages are missing");
}

int picture_walk(const struct picture *p, picture_fn fn, void *arg)
{
	for (uint64_t first = 0; first < p->pages; first += PIECE_PAGES) {
		uint64_t left = p->pages - first, pages = left < PIECE_PAGES ? left : PIECE_PAGES;
		json_t *answer;
		int err;

		err = client_call(p->c, what,
		    json_pack("{s:s, s:I, s:I, s:I}", "op", "map", "id", (json_int_t)p->id, "first",
			(json_int_t)first, "pages", (json_int_t)pages),
		    &answer);
		if (err)
			return err;
		err = read_piece(p, answer, first, pages, fn, arg);
		json_decref(answer);
		if (err)
			return err;
	}
	return 0;
}
