/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_BZIMAGE_H
#define LOMBARD_VMM_BZIMAGE_H
/*
 * What the header of a bzImage says: Linux, Documentation/arch/x86/boot.rst ("the real-mode kernel
 * header").  The code in it that unpacks the kernel is for machines with firmware, and never runs here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BZIMAGE_HEAD 0x268 /* bytes of the file: as long as the header that is looked at */

struct bzimage {
	uint64_t payload; /* where the packed kernel lies in the file */
	uint32_t
	    payload_len; /* bytes; the last 4 are its unpacked length, and belong to gzip's format */
	uint32_t cmdline_max; /* bytes of a command line, its NUL not counted */
	uint64_t address;     /* where the kernel wants to be in memory; a hint */
};

/* bzimage_p: is it one at all? */
bool bzimage_p(const uint8_t *head, size_t len);

/*
 * bzimage_parse: => bzimage_p
 * => 0; or -ENOEXEC with *why: what is wrong with it
 */
int bzimage_parse(
    const uint8_t head[BZIMAGE_HEAD], uint64_t file_size, struct bzimage *b, const char **why);

#endif
