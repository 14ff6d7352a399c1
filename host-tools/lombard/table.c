/* SPDX-License-Identifier: BSD-2-Clause */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
	const char *align;
	size_t ncols;
	char **cells; /* row after row, the heading first */
	size_t ncells, room;
	bool failed; /* memory was short: reported once, by table_print */
};

void text_make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

/* Takes the cell, which may be NULL: memory was short when it was made. */
static void append(struct table *t, char *cell)
{
	size_t room = t->room ? 2 * t->room : 64;
	char **cells;

	if (cell && t->ncells == t->room) {
		cells = reallocarray(t->cells, room, sizeof(*cells));
		if (cells) {
			t->cells = cells;
			t->room = room;
		}
	}
	if (!cell || t->ncells == t->room) {
		free(cell);
		t->failed = true;
		return;
	}
	text_make_printable(cell);
	t->cells[t->ncells++] = cell;
}

struct table *table_new(const char *align, const char *const *headings)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->align = align;
	t->ncols = strlen(align);
	for (size_t i = 0; i < t->ncols; i++)
		append(t, strdup(headings[i]));
	return t;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char *cell;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&cell, fmt, ap) < 0)
		cell = NULL;
	va_end(ap);
	if (cell && !*cell) {
		free(cell);
		cell = strdup("-");
	}
	append(t, cell);
}

/* Characters, not bytes, of UTF-8: continuation bytes take no column. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static int column_width(const struct table *t, size_t col)
{
	int widest = 0;

	for (size_t i = col; i < t->ncells; i += t->ncols) {
		int width = width_of(t->cells[i]);

		if (width > widest)
			widest = width;
	}
	return widest;
}

static void print_row(const struct table *t, char *const *row, const int *widths)
{
	for (size_t col = 0; col < t->ncols; col++) {
		int pad = widths[col] - width_of(row[col]);
		bool last = col + 1 == t->ncols;

		if (t->align[col] == 'r')
			printf("%*s%s", pad, "", row[col]);
		else
			printf("%s%*s", row[col], last ? 0 : pad, "");
		fputs(last ? "\n" : "  ", stdout);
	}
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

int table_print(struct table *t)
{
	int *widths = calloc(t->ncols, sizeof(*widths));
	int err = 0;

	if (!widths || t->failed) {
		err = -ENOMEM;
		goto out_free;
	}
	for (size_t col = 0; col < t->ncols; col++)
		widths[col] = column_width(t, col);
	for (size_t i = 0; i + t->ncols <= t->ncells; i += t->ncols)
		print_row(t, t->cells + i, widths);
out_free:
	free(widths);
	table_free(t);
	return err;
}
