/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/bzimage.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>

#define HEADER_AT 0x1f1 /* struct setup_header */
#define BOOT_FLAG 0xaa55
#define MAGIC 0x53726448 /* "HdrS" */
#define SECTOR 512
#define DEFAULT_SETUP_SECTORS 4

/* The first version that says where the packed kernel lies; and where it wants to be. */
#define VERSION_PAYLOAD 0x0208
#define VERSION_ADDRESS 0x020a

_Static_assert(HEADER_AT + offsetof(struct setup_header, handover_offset) <= BZIMAGE_HEAD,
    "all that is looked at");

static struct setup_header header_of(const uint8_t *head)
{
	struct setup_header h = {0};

	memcpy(&h, head + HEADER_AT, BZIMAGE_HEAD - HEADER_AT);
	return h;
}

bool bzimage_p(const uint8_t *head, size_t len)
{
	struct setup_header h;

	if (len < BZIMAGE_HEAD)
		return false;
	h = header_of(head);
	return h.boot_flag == BOOT_FLAG && h.header == MAGIC;
}

int bzimage_parse(
    const uint8_t head[BZIMAGE_HEAD], uint64_t file_size, struct bzimage *b, const char **why)
{
	struct setup_header h = header_of(head);
	unsigned sectors = h.setup_sects != 0 ? h.setup_sects : DEFAULT_SETUP_SECTORS;

	if (h.version < VERSION_PAYLOAD) {
		*why = "it is a Linux kernel from before 2008, which does not say where its packed "
		       "part lies";
		return -ENOEXEC;
	}
	*b = (struct bzimage){
	    .payload = (uint64_t)(sectors + 1) * SECTOR + h.payload_offset,
	    .payload_len = h.payload_length,
	    .cmdline_max = h.cmdline_size,
	    .address = h.version >= VERSION_ADDRESS ? h.pref_address : 0,
	};
	if (b->payload_len <= sizeof(uint32_t) || b->payload > file_size ||
	    b->payload_len > file_size - b->payload) {
		*why = "its packed kernel is longer than the file, which may have been cut off";
		return -ENOEXEC;
	}
	return 0;
}
