/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_UNPACK_H
#define LOMBARD_VMM_UNPACK_H
/*
 * The ways in which a Linux kernel inside a bzImage is packed, by the libraries that know them.
 */
#include <stddef.h>
#include <stdint.h>

/* Bytes at the end of what is packed: how long it is unpacked, a little-endian number. */
#define UNPACK_LENGTH 4

struct unpack_method; /* one of those known here */

/* unpack_method: by the packed bytes' first ones, or NULL: none is known that begins so. */
const struct unpack_method *unpack_method(const uint8_t *in, size_t in_len);

/* unpack_name: for messages: "LZ4". */
const char *unpack_name(const struct unpack_method *m);

/*
 * unpack: a bzImage's payload, which is in_len bytes long with its UNPACK_LENGTH; what comes of it goes
 * to out.
 * => in_len > UNPACK_LENGTH
 * => 0: it was exactly out_len bytes long
 * => -ENOEXEC: it is damaged, or longer or shorter; -ENOMEM: for the library; with *why
 */
int unpack(const struct unpack_method *m, const uint8_t *in, size_t in_len, uint8_t *out,
    size_t out_len, const char **why);

#endif
