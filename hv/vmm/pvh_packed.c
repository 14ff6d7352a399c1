/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel in a bzImage.  It is an ELF file of 50 MiB and more, most of it one run of segments that
 * lie in memory as they lie in the file.  So it is unpacked into guest RAM, where that run already is
 * in its place, and no other memory is needed for it.
 */
#include "vmm/pvh_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys.h"
#include "vmm/bzimage.h"
#include "vmm/platform.h"
#include "vmm/unpack.h"

/* A file that says more is no kernel: we would have to have that much memory. */
#define PAYLOAD_MAX (UINT32_C(256) << 20)

/* x86-64 kernels are linked so that their first segment begins here in the file. */
#define FIRST_SEGMENT UINT64_C(0x200000)

/* From the file, all or nothing; -EIO: it is shorter than it was. */
static int read_at(int fd, uint64_t offset, uint8_t *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = SYS(pread(fd, buf, len, (off_t)offset));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Any place is right: a good one saves moving. */
static uint64_t good_place(const struct bzimage *b)
{
	uint64_t at = PLATFORM_LOW_END;

	if (b->address >= PLATFORM_LOW_END + FIRST_SEGMENT && b->address <= UINT32_MAX)
		at = (b->address - FIRST_SEGMENT) & ~(PVH_PAGE - 1);
	return at;
}

static int unpack_into_ram(
    struct loader *l, const struct bzimage *b, const uint8_t *payload, uint32_t unpacked)
{
	const struct unpack_method *m = unpack_method(payload, b->payload_len);
	const struct gmem_area *ram = &l->gm->ram;
	const char *why;
	int ret;

	if (m == NULL)
		return pvh_bad_image(l,
		    "its kernel is packed in a way that is not known here (known: "
		    "gzip, LZ4, LZMA, XZ, Zstandard)");
	/* In RAM, not in another area: everything else goes by that. */
	if (l->packed_at > ram->size || unpacked > ram->size - l->packed_at)
		return failure_set(l->f, -ENOSPC,
		    "%s needs guest memory up to %lu KiB, and the guest has %lu KiB: give it more",
		    l->img->path, (unsigned long)((l->packed_at + unpacked + 1023) / 1024),
		    (unsigned long)(ram->size / 1024));
	gmem_populate(l->gm, l->packed_at, unpacked);
	ret = unpack(m, payload, b->payload_len, ram->hva + l->packed_at, unpacked, &why);
	if (ret != 0)
		return failure_set(l->f, ret,
		    "%s can't be loaded: its kernel can't be unpacked (%s): %s", l->img->path,
		    unpack_name(m), why);
	l->packed = true;
	l->elf_size = unpacked;
	return 0;
}

static int unpack_payload(struct loader *l, const struct bzimage *b)
{
	uint8_t *payload;
	uint32_t unpacked;
	int ret;

	if (b->payload_len > PAYLOAD_MAX)
		return pvh_bad_image(l, "its packed kernel has more than 256 MiB");
	payload = SYS_ALLOC(malloc(b->payload_len));
	if (payload == NULL)
		return failure_set(l->f, -ENOMEM, "out of memory for %s", l->img->path);
	ret = read_at(l->img->fd, b->payload, payload, b->payload_len);
	if (ret != 0) {
		failure_sys(l->f, ret, "%s can't be read", l->img->path);
	} else {
		memcpy(&unpacked, payload + b->payload_len - UNPACK_LENGTH, UNPACK_LENGTH);
		l->packed_at = good_place(b);
		l->cmdline_max = b->cmdline_max;
		ret = unpack_into_ram(l, b, payload, unpacked);
	}
	free(payload);
	return ret;
}

int pvh_find_packed(struct loader *l)
{
	uint8_t head[BZIMAGE_HEAD];
	struct bzimage b;
	const char *why;
	int ret;

	if (l->file_size < sizeof(head))
		return 0;
	ret = read_at(l->img->fd, 0, head, sizeof(head));
	if (ret != 0)
		return failure_sys(l->f, ret, "%s can't be read", l->img->path);
	if (!bzimage_p(head, sizeof(head)))
		return 0;
	if (!l->img->lapic)
		return pvh_bad_image(l, pvh_wants_kernel_option);
	if (bzimage_parse(head, l->file_size, &b, &why) != 0)
		return pvh_bad_image(l, why);
	return unpack_payload(l, &b);
}
