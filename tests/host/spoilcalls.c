/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Linux kernel whose functions for hypercalls can't be found, though they work: `spoilcalls BZIMAGE ELF`
 * writes the unpacked kernel without those functions that this machine's processor does not use.
 */
#include <cpuid.h>
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/bzimage.h"
#include "vmm/unpack.h"

#define INSN 3

static const uint8_t vmmcall[INSN] = {0x0f, 0x01, 0xd9};
static const uint8_t vmcall[INSN] = {0x0f, 0x01, 0xc1};
static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};

struct bytes {
	uint8_t *at;
	size_t len;
};

static struct bytes map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bytes b;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	b.len = (size_t)st.st_size;
	b.at = mmap(NULL, b.len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (b.at == MAP_FAILED)
		err(1, "%s", path);
	return b;
}

static struct bytes unpacked(const char *path)
{
	struct bytes file = map_file(path), elf;
	const uint8_t *payload;
	struct bzimage image;
	const char *why;
	uint32_t len;

	if (file.len < BZIMAGE_HEAD || !bzimage_p(file.at, file.len))
		errx(1, "%s is no bzImage", path);
	if (bzimage_parse(file.at, file.len, &image, &why))
		errx(1, "%s: %s", path, why);
	payload = file.at + image.payload;
	memcpy(&len, payload + image.payload_len - UNPACK_LENGTH, sizeof(len));
	elf = (struct bytes){.at = malloc(len), .len = len};
	if (elf.at == NULL)
		err(1, "the kernel");
	if (unpack(unpack_method(payload, image.payload_len), payload, image.payload_len, elf.at,
		len, &why))
		errx(1, "%s: %s", path, why);
	return elf;
}

/* The processors that call by VMMCALL. */
static bool amd_p(void)
{
	unsigned eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == signature_AMD_ebx || ebx == 0x6f677948 /* Hygo */;
}

/* => how many functions of that instruction there were */
static unsigned spoil(struct bytes b, const uint8_t insn[INSN])
{
	unsigned found = 0;

	for (size_t i = sizeof(endbr64); i + INSN < b.len; i++) {
		bool begins = i % 16 == 0 ||
			      memcmp(b.at + i - sizeof(endbr64), endbr64, sizeof(endbr64)) == 0;

		if (!begins || memcmp(b.at + i, insn, INSN) != 0 ||
		    (b.at[i + INSN] != 0xe9 && b.at[i + INSN] != 0xc3))
			continue;
		memset(b.at + i, 0x90, INSN);
		found++;
	}
	return found;
}

int main(int argc, char **argv)
{
	struct bytes b;
	unsigned n;
	FILE *f;

	if (argc != 3)
		errx(2, "usage: spoilcalls BZIMAGE ELF");
	b = unpacked(argv[1]);
	n = spoil(b, amd_p() ? vmcall : vmmcall);
	if (n == 0)
		errx(1, "%s has no function that could be spoilt", argv[1]);
	f = fopen(argv[2], "we");
	if (f == NULL || fwrite(b.at, 1, b.len, f) != b.len || fclose(f))
		err(1, "%s", argv[2]);
	printf("%u spoilt\n", n);
	return 0;
}
