/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_CLI_TABLE_H
#define LOMBARD_CLI_TABLE_H
/* Text tables whose columns are as wide as their widest cell. */
#include <stddef.h>

struct table;

/*
 * A table with a heading.  One letter of `align` per column: 'l' or 'r'.  Headings are borrowed,
 * cells are copied.  NULL when memory is short.
 */
struct table *table_new(const char *align, const char *const *headings);

/* Append one cell, row by row, made as printf does; "-" stands for an empty text. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Print the table on stdout and free it.  -ENOMEM when memory was short for a cell on the way:
 * nothing is printed then.
 */
int table_print(struct table *t);

/* Drop a table that is not to be printed. */
void table_free(struct table *t);

/* Replace control characters by '?', in place. */
void text_make_printable(char *text);

#endif
