/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything is unpacked at one go into memory that has room for all of it: so no library needs a
 * window of its own, which would be as large as the kernel itself.
 */
#include "vmm/unpack.h"

#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* Legacy LZ4 streams: a magic number, then blocks: a length, and what unpacks to this at most. */
#define LZ4_LEGACY_MAGIC UINT32_C(0x184c2102)
#define LZ4_LEGACY_BLOCK (8 << 20)

/* Of LZMA's dictionary, which is address space: what is used of it is as long as the kernel at most. */
#define LZMA_MEMORY_MAX (UINT64_C(256) << 20)

#define MAGIC_MAX 6

struct stream {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
	const char *why;
};

struct unpack_method {
	const char *name;
	uint8_t magic[MAGIC_MAX];
	size_t magic_len;
	size_t trailer; /* bytes that a bzImage adds behind the stream */
	int (*unpack)(struct stream *s);
};

static int damaged(struct stream *s)
{
	s->why = "it is damaged";
	return -ENOEXEC;
}

static int too_long(struct stream *s)
{
	s->why = "it is longer than the image says";
	return -ENOEXEC;
}

static int no_memory(struct stream *s)
{
	s->why = "out of memory";
	return -ENOMEM;
}

static int check_length(struct stream *s, size_t got)
{
	if (got == s->out_len)
		return 0;
	s->why = "it is shorter than the image says";
	return -ENOEXEC;
}

static int unpack_gzip(struct stream *s)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)s->in, /* only read */
	    .avail_in = (uInt)s->in_len,
	    .next_out = s->out,
	    .avail_out = (uInt)s->out_len};
	size_t got;
	int ret;

	if (s->in_len > UINT_MAX || s->out_len > UINT_MAX)
		return too_long(s);
	if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) /* 16: with gzip's header */
		return no_memory(s);
	ret = inflate(&z, Z_FINISH);
	got = s->out_len - z.avail_out;
	inflateEnd(&z);
	if (ret == Z_MEM_ERROR)
		return no_memory(s);
	if (ret == Z_BUF_ERROR && got == s->out_len)
		return too_long(s);
	return ret == Z_STREAM_END ? check_length(s, got) : damaged(s);
}

/* Both of LZMA's formats. */
static int unpack_lzma(struct stream *s)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret ret;
	size_t got;

	if (lzma_auto_decoder(&z, LZMA_MEMORY_MAX, 0) != LZMA_OK)
		return no_memory(s);
	z.next_in = s->in;
	z.avail_in = s->in_len;
	z.next_out = s->out;
	z.avail_out = s->out_len;
	ret = lzma_code(&z, LZMA_FINISH);
	got = s->out_len - z.avail_out;
	lzma_end(&z);
	if (ret == LZMA_MEM_ERROR)
		return no_memory(s);
	if (ret == LZMA_OK && got == s->out_len)
		return too_long(s);
	return ret == LZMA_STREAM_END ? check_length(s, got) : damaged(s);
}

static int unpack_zstd(struct stream *s)
{
	size_t got = ZSTD_decompress(s->out, s->out_len, s->in, s->in_len);

	switch (ZSTD_getErrorCode(got)) {
	case ZSTD_error_no_error:
		return check_length(s, got);
	case ZSTD_error_dstSize_tooSmall:
		return too_long(s);
	case ZSTD_error_memory_allocation:
		return no_memory(s);
	default:
		return damaged(s);
	}
}

/* A little-endian number.  => false: the stream ends before */
static bool take_u32(const uint8_t **in, const uint8_t *end, uint32_t *value)
{
	if (end - *in < (ptrdiff_t)sizeof(*value))
		return false;
	memcpy(value, *in, sizeof(*value));
	*in += sizeof(*value);
	return true;
}

static int unpack_lz4(struct stream *s)
{
	const uint8_t *in = s->in, *end = s->in + s->in_len;
	size_t got = 0;
	uint32_t len;

	while (take_u32(&in, end, &len)) {
		size_t room = s->out_len - got;
		int n;

		if (len == LZ4_LEGACY_MAGIC) /* several streams may follow each other */
			continue;
		if (len > (size_t)(end - in) || len > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK))
			return damaged(s);
		n = LZ4_decompress_safe((const char *)in, (char *)s->out + got, (int)len,
		    room < LZ4_LEGACY_BLOCK ? (int)room : LZ4_LEGACY_BLOCK);
		if (n < 0)
			return damaged(s);
		in += len;
		got += (size_t)n;
	}
	return in == end ? check_length(s, got) : damaged(s);
}

static const struct unpack_method methods[] = {
    {"gzip", {0x1f, 0x8b}, 2, 0, unpack_gzip}, /* ends with the length by itself */
    {"XZ", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, UNPACK_LENGTH, unpack_lzma},
    {"LZMA", {0x5d, 0, 0}, 3, UNPACK_LENGTH, unpack_lzma},
    {"LZ4", {0x02, 0x21, 0x4c, 0x18}, 4, UNPACK_LENGTH, unpack_lz4},
    {"Zstandard", {0x28, 0xb5, 0x2f, 0xfd}, 4, UNPACK_LENGTH, unpack_zstd},
};

const struct unpack_method *unpack_method(const uint8_t *in, size_t in_len)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (in_len >= methods[i].magic_len &&
		    memcmp(in, methods[i].magic, methods[i].magic_len) == 0)
			return &methods[i];
	}
	return NULL;
}

const char *unpack_name(const struct unpack_method *m)
{
	return m->name;
}

int unpack(const struct unpack_method *m, const uint8_t *in, size_t in_len, uint8_t *out,
    size_t out_len, const char **why)
{
	struct stream s = {.in = in, .in_len = in_len - m->trailer, .out = out, .out_len = out_len};
	int ret = m->unpack(&s);

	*why = s.why;
	return ret;
}
