/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(PVH_SRCS) */
/* pkgs: libelf liblz4 liblzma libzstd zlib */
/* Linux kernels: packed, damaged, with an initrd; and their hypercalls (pvh_*.c, bzimage.c, unpack.c). */
#include "vmm/pvh.h"

#include <asm/bootparam.h>
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/elfnote.h>
#include <zlib.h>
#include <zstd.h>

#include "lombard/loan.h"
#include "vmm/platform.h"

#define RAM_SIZE (8U << 20)
#define TEXT 0x300000U /* where the two segments lie in memory */
#define DATA 0x310800U
#define TEXT_LEN 0x1000U
#define DATA_LEN 0x800U
#define DATA_MEM 0x3000U
#define ENTRY (TEXT + 0x40)
#define AMD (0x100)   /* the two functions, in the text */
#define INTEL (0x120) /* ... with an ENDBR64 each */

/* The kernel's ELF file: what is behind the segments is for debuggers. */
struct kernel {
	Elf64_Ehdr eh;
	Elf64_Phdr load[2];
	Elf64_Phdr note;
	struct {
		Elf64_Nhdr entry_nh;
		char entry_name[4];
		uint64_t entry;
		Elf64_Nhdr os_nh;
		char os_name[4];
		char os[8];
		Elf64_Nhdr more_nh;
		char more_name[4];
		uint64_t more;
	} notes;
	uint8_t room[0x1000 - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr) - 72];
	uint8_t text[TEXT_LEN];
	uint8_t data[DATA_LEN];
	uint8_t symbols[0x900];
};
_Static_assert(offsetof(struct kernel, text) == 0x1000, "at a page");

static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};

/* A function that makes a hypercall by insn, and jumps to the common return. */
static void put_function(uint8_t *text, size_t at, uint8_t insn)
{
	const int32_t distance = (int32_t)(0x800 - (at + 8));

	memcpy(text + at - sizeof(endbr), endbr, sizeof(endbr));
	text[at] = 0x0f;
	text[at + 1] = 0x01;
	text[at + 2] = insn;
	text[at + 3] = 0xe9;
	memcpy(text + at + 4, &distance, sizeof(distance));
}

static struct kernel good(void)
{
	struct kernel k = {
	    .eh =
		{
		    .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			EV_CURRENT},
		    .e_type = ET_EXEC,
		    .e_machine = EM_X86_64,
		    .e_version = EV_CURRENT,
		    .e_phoff = offsetof(struct kernel, load),
		    .e_ehsize = sizeof(Elf64_Ehdr),
		    .e_phentsize = sizeof(Elf64_Phdr),
		    .e_phnum = 3,
		},
	    .load =
		{
		    {.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_offset = offsetof(struct kernel, text),
			.p_paddr = TEXT,
			.p_filesz = TEXT_LEN,
			.p_memsz = TEXT_LEN},
		    {.p_type = PT_LOAD,
			.p_flags = PF_R | PF_W,
			.p_offset = offsetof(struct kernel, data),
			.p_paddr = DATA,
			.p_filesz = DATA_LEN,
			.p_memsz = DATA_MEM},
		},
	    .note =
		{
		    .p_type = PT_NOTE,
		    .p_offset = offsetof(struct kernel, notes),
		    .p_filesz = sizeof(k.notes),
		    .p_align = 4,
		},
	    .notes =
		{
		    .entry_nh = {4, 8, XEN_ELFNOTE_PHYS32_ENTRY},
		    .entry_name = "Xen",
		    .entry = ENTRY,
		    .os_nh = {4, 6, XEN_ELFNOTE_GUEST_OS},
		    .os_name = "Xen",
		    .os = "linux",
		    .more_nh = {4, 8, XEN_ELFNOTE_PADDR_OFFSET},
		    .more_name = "Xen",
		},
	};

	for (size_t i = 0; i < sizeof(k.text); i++)
		k.text[i] = (uint8_t)(i * 7 % 5 + 0x90);
	put_function(k.text, AMD + 4, 0xd9);
	put_function(k.text, INTEL + 4, 0xc1);
	memset(k.data, 0x5a, sizeof(k.data));
	memset(k.symbols, 0xaa, sizeof(k.symbols));
	return k;
}

/* ---- packing ---- */

enum packing { GZIP, XZ, LZMA, LZ4, ZSTD, PACKINGS };

struct bytes {
	uint8_t at[64 << 10];
	size_t len;
};

static void pack_gzip(const void *in, size_t len, struct bytes *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
	    .avail_in = (uInt)len,
	    .next_out = out->at + out->len,
	    .avail_out = (uInt)(sizeof(out->at) - out->len)};

	cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
	cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

static void pack_lzma(const void *in, size_t len, struct bytes *out, bool alone)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	cr_assert(!lzma_lzma_preset(&options, 6));
	cr_assert_eq(
	    alone ? lzma_alone_encoder(&z, &options) : lzma_easy_encoder(&z, 6, LZMA_CHECK_CRC32),
	    LZMA_OK);
	z.next_in = in;
	z.avail_in = len;
	z.next_out = out->at + out->len;
	z.avail_out = sizeof(out->at) - out->len;
	cr_assert_eq(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
	out->len += z.total_out;
	lzma_end(&z);
}

static void put_u32(struct bytes *out, uint32_t value)
{
	memcpy(out->at + out->len, &value, sizeof(value));
	out->len += sizeof(value);
}

/* In two blocks. */
static void pack_lz4(const char *in, size_t len, struct bytes *out)
{
	put_u32(out, 0x184c2102);
	for (unsigned i = 0; i < 2; i++) {
		size_t n = i == 0 ? len / 2 : len - len / 2;
		int got = LZ4_compress_default(in, (char *)out->at + out->len + 4, (int)n,
		    (int)(sizeof(out->at) - out->len - 4));

		cr_assert_gt(got, 0);
		put_u32(out, (uint32_t)got);
		out->len += (size_t)got;
		in += n;
	}
}

static void pack_zstd(const void *in, size_t len, struct bytes *out)
{
	size_t got = ZSTD_compress(out->at + out->len, sizeof(out->at) - out->len, in, len, 19);

	cr_assert(!ZSTD_isError(got));
	out->len += got;
}

static void pack(enum packing how, const void *in, size_t len, struct bytes *out)
{
	switch (how) {
	case GZIP:
		return pack_gzip(in, len, out);
	case XZ:
	case LZMA:
		return pack_lzma(in, len, out, how == LZMA);
	case LZ4:
		return pack_lz4(in, len, out);
	default:
		return pack_zstd(in, len, out);
	}
}

#define SETUP_SECTORS 3
#define PAYLOAD_OFFSET 0x123
#define PAYLOAD ((SETUP_SECTORS + 1) * 512 + PAYLOAD_OFFSET)
#define HEADER 0x1f1

/* says: how long it claims to be unpacked. */
static void make_bzimage(
    struct bytes *b, enum packing how, const void *elf, size_t len, uint32_t says)
{
	struct setup_header h = {
	    .setup_sects = SETUP_SECTORS,
	    .boot_flag = 0xaa55,
	    .header = 0x53726448,
	    .version = 0x020f,
	    .cmdline_size = 100,
	    .payload_offset = PAYLOAD_OFFSET,
	    .pref_address = TEXT,
	};

	memset(b, 0, sizeof(*b));
	b->len = PAYLOAD;
	pack(how, elf, len, b);
	if (how == GZIP)
		memcpy(b->at + b->len - 4, &says, 4);
	else
		put_u32(b, says);
	h.payload_length = (uint32_t)(b->len - PAYLOAD);
	memcpy(b->at + HEADER, &h, sizeof(h));
	b->len += 512; /* a signature, or whatever */
}

/* ---- loading ---- */

static struct gmem mem;
static struct failure why;
static struct pvh_start start;
static struct pvh_image img;
static struct bytes image;

static void setup(void)
{
	img = (struct pvh_image){
	    .path = "test", .cmdline = "quiet", .initrd = -1, .lapic = true, .vcpus = 2};
	mem.ram.size = RAM_SIZE;
	mem.ram.hva = mmap(
	    NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(mem.ram.hva, MAP_FAILED);
	mem.special = (struct gmem_area){.gpa = 0xfc000000, .size = 4096};
}

static void teardown(void)
{
	munmap(mem.ram.hva, RAM_SIZE);
}

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("file", 0);

	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

static int load_bytes(const void *bytes, size_t len)
{
	int ret;

	madvise(mem.ram.hva, RAM_SIZE, MADV_DONTNEED); /* zeroes again */
	img.fd = file_of(bytes, len);
	why.text[0] = 0;
	ret = pvh_load(&mem, &img, &start, &why);
	close(img.fd);
	return ret;
}

static int load_packed(enum packing how, const struct kernel *k)
{
	make_bzimage(&image, how, k, sizeof(*k), sizeof(*k));
	return load_bytes(image.at, image.len);
}

static void refused(int ret, int want, const char *says)
{
	cr_assert_eq(ret, want, "%d: %s", ret, why.text);
	cr_assert_not_null(strstr(why.text, says), "\"%s\" lacks \"%s\"", why.text, says);
}

static const struct hvm_start_info *info(void)
{
	return (const void *)(mem.ram.hva + start.start_info);
}

static bool zeroes_p(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		if (mem.ram.hva[i] != 0)
			return false;
	return true;
}

static const uint8_t out_insn[] = {0xe7, LOMBARD_HYPERCALL_PORT, 0x90};

/* The kernel is where it belongs, with its calls rewritten, and there is nothing else but what is below 1 MiB. */
static void check_loaded(const struct kernel *k)
{
	struct kernel want = *k;

	memcpy(want.text + AMD + 4, out_insn, 3);
	memcpy(want.text + INTEL + 4, out_insn, 3);
	cr_assert_eq(start.entry, ENTRY);
	cr_assert(start.linux_p);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT, want.text, TEXT_LEN), 0);
	cr_assert_eq(memcmp(mem.ram.hva + DATA, want.data, DATA_LEN), 0);
	cr_assert(zeroes_p(0x100000, TEXT));
	cr_assert(zeroes_p(TEXT + TEXT_LEN, DATA));
	cr_assert(zeroes_p(DATA + DATA_LEN, RAM_SIZE));
}

TestSuite(pvh_linux, .init = setup, .fini = teardown);

Test(pvh_linux, plain_elf)
{
	struct kernel k = good();

	cr_assert_eq(load_bytes(&k, sizeof(k)), 0, "%s", why.text);
	check_loaded(&k);
}

Test(pvh_linux, each_packing)
{
	struct kernel k = good();

	for (unsigned how = 0; how < PACKINGS; how++) {
		cr_assert_eq(load_packed(how, &k), 0, "%s", why.text);
		check_loaded(&k);
	}
}

/* The hint may be wrong, or absent. */
Test(pvh_linux, unpacked_anywhere)
{
	static const uint64_t hints[] = {
	    0, 1, 0x100000, TEXT + 0x1000, 0x500000, 0x700000, UINT64_MAX};
	struct kernel k = good();

	make_bzimage(&image, LZ4, &k, sizeof(k), sizeof(k));
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		memcpy(image.at + 0x258, &hints[i], 8);
		cr_assert_eq(load_bytes(image.at, image.len), 0, "%s", why.text);
		check_loaded(&k);
	}
}

/* Regression: a kernel that wants to be in the special area was unpacked there, and then looked for in RAM. */
Test(pvh_linux, hint_at_memory_that_is_no_ram)
{
	static uint8_t special[1 << 20];
	struct kernel k = good();
	uint64_t hint = mem.special.gpa + 0x200000;

	mem.special.hva = special;
	mem.special.size = sizeof(special);
	make_bzimage(&image, LZ4, &k, sizeof(k), sizeof(k));
	memcpy(image.at + 0x258, &hint, 8);
	refused(load_bytes(image.at, image.len), -ENOSPC, "give it more");
	for (size_t i = 0; i < sizeof(special); i++)
		cr_assert_eq(special[i], 0);
}

Test(pvh_linux, length_is_a_lie)
{
	struct kernel k = good();

	for (unsigned how = 0; how < PACKINGS; how++) {
		make_bzimage(&image, how, &k, sizeof(k), sizeof(k) + 1);
		cr_assert_eq(load_bytes(image.at, image.len), -ENOEXEC);
		cr_assert_neq(why.text[0], 0);
		make_bzimage(&image, how, &k, sizeof(k), sizeof(k) - 1);
		refused(load_bytes(image.at, image.len), -ENOEXEC, "can't be unpacked");
		make_bzimage(&image, how, &k, sizeof(k), 0);
		cr_assert_eq(load_bytes(image.at, image.len), -ENOEXEC);
		make_bzimage(&image, how, &k, sizeof(k), RAM_SIZE);
		refused(load_bytes(image.at, image.len), -ENOSPC, "give it more");
	}
}

Test(pvh_linux, headers_that_lie)
{
	struct kernel k = good();
	uint32_t number;

	make_bzimage(&image, ZSTD, &k, sizeof(k), sizeof(k));
	image.at[0x207] = 1; /* the protocol's version */
	refused(load_bytes(image.at, image.len), -ENOEXEC, "before 2008");
	make_bzimage(&image, ZSTD, &k, sizeof(k), sizeof(k));
	number = UINT32_MAX;
	memcpy(image.at + 0x248, &number, 4);
	refused(load_bytes(image.at, image.len), -ENOEXEC, "longer than the file");
	make_bzimage(&image, ZSTD, &k, sizeof(k), sizeof(k));
	memcpy(image.at + 0x24c, &number, 4);
	refused(load_bytes(image.at, image.len), -ENOEXEC, "longer than the file");
	make_bzimage(&image, ZSTD, &k, sizeof(k), sizeof(k));
	memcpy(image.at + PAYLOAD, "BZh9", 4);
	refused(load_bytes(image.at, image.len), -ENOEXEC, "gzip, LZ4, LZMA, XZ, Zstandard");
	make_bzimage(&image, ZSTD, "no kernel", 9, 9);
	refused(load_bytes(image.at, image.len), -ENOEXEC, "not an ELF file");
}

/* Wherever the file ends: an error. */
Test(pvh_linux, truncated)
{
	struct kernel k = good();

	for (unsigned how = 0; how < PACKINGS; how++) {
		make_bzimage(&image, how, &k, sizeof(k), sizeof(k));
		for (size_t len = 0; len < image.len - 512; len += len < PAYLOAD ? 97 : 29) {
			cr_assert_lt(load_bytes(image.at, len), 0, "%zu bytes", len);
			cr_assert_neq(why.text[0], 0);
		}
	}
}

/* Whatever is damaged: an error, or a start in RAM; LZ4 has no checksum. */
Test(pvh_linux, damaged)
{
	unsigned seed = 1;
	struct kernel k = good();

	for (unsigned how = 0; how < PACKINGS; how++) {
		make_bzimage(&image, how, &k, sizeof(k), sizeof(k));
		for (unsigned round = 0; round < 400; round++) {
			size_t from = round % 2 ? PAYLOAD : HEADER;
			size_t at = from + (size_t)rand_r(&seed) %
					       (from == PAYLOAD ? image.len - PAYLOAD : 0x77);
			uint8_t was = image.at[at];

			image.at[at] ^= (uint8_t)(1 << rand_r(&seed) % 8);
			if (load_bytes(image.at, image.len) == 0)
				cr_assert_lt(start.entry, RAM_SIZE);
			else
				cr_assert_neq(why.text[0], 0);
			image.at[at] = was;
		}
	}
}

/* What is inside is as little to be trusted. */
Test(pvh_linux, damaged_before_it_was_packed)
{
	struct kernel k = good();

	for (size_t i = 0; i < offsetof(struct kernel, room); i++) {
		static const uint8_t values[] = {0x00, 0x01, 0x7f, 0xff};

		for (size_t v = 0; v < sizeof(values); v++) {
			struct kernel bad = k;

			((uint8_t *)&bad)[i] = values[v];
			if (load_packed(LZ4, &bad) == 0)
				cr_assert_lt(start.entry, RAM_SIZE);
			else
				cr_assert_neq(why.text[0], 0);
		}
	}
}

Test(pvh_linux, segments_in_no_order)
{
	struct kernel k = good();
	Elf64_Phdr first = k.load[0];

	k.load[0] = k.load[1];
	k.load[1] = first;
	refused(load_packed(LZ4, &k), -ENOEXEC, "no order");
	k = good();
	k.load[1].p_paddr = TEXT + TEXT_LEN - 1;
	refused(load_packed(LZ4, &k), -ENOEXEC, "overlap");
}

Test(pvh_linux, no_room_above_for_unpacking)
{
	struct kernel k = good();

	k.load[0].p_paddr = RAM_SIZE - 0x6000;
	k.load[1].p_paddr = RAM_SIZE - 0x4000;
	k.notes.entry = k.load[0].p_paddr;
	cr_assert_eq(load_packed(LZ4, &k), 0, "%s", why.text);
	k.load[0].p_paddr = RAM_SIZE - 0x3000;
	k.load[1].p_paddr = RAM_SIZE - 0x1000;
	k.load[1].p_memsz = 0x1000;
	k.notes.entry = k.load[0].p_paddr;
	refused(load_packed(LZ4, &k), -ENOSPC, "no room to unpack");
}

Test(pvh_linux, needs_interrupts)
{
	struct kernel k = good();

	img.lapic = false;
	refused(load_packed(LZ4, &k), -ENOEXEC, "--kernel");
}

Test(pvh_linux, notes_of_other_lengths)
{
	struct kernel k = good();

	k.notes.entry_nh.n_descsz = 4; /* and the rest is no note */
	k.notes.entry |= UINT64_C(1) << 32;
	cr_assert_eq(load_packed(LZ4, &k), 0, "%s", why.text);
	cr_assert_eq(start.entry, ENTRY);
	k = good();
	k.notes.entry_nh.n_descsz = 2;
	refused(load_packed(LZ4, &k), -ENOEXEC, "CONFIG_PVH");
	k = good();
	memcpy(k.notes.entry_name, "GNU", 4);
	refused(load_packed(LZ4, &k), -ENOEXEC, "CONFIG_PVH");
}

/* ---- hypercalls ---- */

Test(pvh_linux, functions_that_return_by_themselves)
{
	struct kernel k = good();

	k.text[AMD + 7] = k.text[INTEL + 7] = 0xc3;
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT + AMD + 4, out_insn, 3), 0);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT + INTEL + 4, out_insn, 3), 0);
}

Test(pvh_linux, functions_in_the_other_order_without_endbr)
{
	struct kernel k = good();

	memset(k.text + AMD, 0x90, 64);
	put_function(k.text, AMD + 16, 0xc1);
	put_function(k.text, AMD + 32, 0xd9);
	memset(k.text + AMD + 12, 0x90, 4);
	memset(k.text + AMD + 28, 0x90, 4);
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT + AMD + 16, out_insn, 3), 0);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT + AMD + 32, out_insn, 3), 0);
}

/* Debian's 6.12 has a pair within its code for another hypervisor. */
Test(pvh_linux, calls_within_functions_are_left_alone)
{
	struct kernel k = good();

	put_function(k.text, 0x405, 0xd9);
	put_function(k.text, 0x425, 0xc1);
	memset(k.text + 0x401, 0x90, 4);
	memset(k.text + 0x421, 0x90, 4);
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	check_loaded(&k);
}

Test(pvh_linux, no_such_pair_or_several)
{
	struct kernel k = good();

	k.text[AMD + 4 + 4] ^= 1; /* another return */
	refused(load_packed(ZSTD, &k), -ENOEXEC, "Such pairs in its code: 0");
	cr_assert_not_null(strstr(why.text, "HYPERCALL_PAGE"));
	k = good();
	k.load[0].p_flags = PF_R;
	refused(load_packed(ZSTD, &k), -ENOEXEC, "Such pairs in its code: 0");
	k = good();
	put_function(k.text, 0x404, 0xd9);
	put_function(k.text, 0x424, 0xc1);
	refused(load_packed(ZSTD, &k), -ENOEXEC, "Such pairs in its code: 2");
	cr_assert_not_null(strstr(why.text, "KVM_CAP_XEN_HVM"));
}

/* ... is left as it is where KVM passes its calls on. */
Test(pvh_linux, calls_passed_on)
{
	struct kernel k = good();

	img.can_pass = true;
	k.text[AMD + 4 + 4] ^= 1;
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert(start.pass);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT, k.text, TEXT_LEN), 0);
	k = good();
	put_function(k.text, 0x404, 0xd9);
	put_function(k.text, 0x424, 0xc1);
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert(start.pass);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT, k.text, TEXT_LEN), 0);
}

Test(pvh_linux, calls_are_rewritten_where_they_can_be)
{
	struct kernel k = good();

	img.can_pass = true;
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert_not(start.pass);
	check_loaded(&k);
	k.notes.more_nh.n_type = XEN_ELFNOTE_HYPERCALL_PAGE;
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert_not(start.pass);
}

Test(pvh_linux, a_kernel_that_asks_for_a_page_is_left_alone)
{
	struct kernel k = good();

	k.notes.more_nh.n_type = XEN_ELFNOTE_HYPERCALL_PAGE;
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert_eq(memcmp(mem.ram.hva + TEXT, k.text, TEXT_LEN), 0);
}

Test(pvh_linux, page_of_calls)
{
	uint8_t page[PVH_CALL_PAGE];

	pvh_hypercall_page(page);
	for (uint32_t nr = 0; nr < 128; nr++) {
		const uint8_t piece[] = {
		    0xb8, (uint8_t)nr, 0, 0, 0, 0xe7, LOMBARD_HYPERCALL_PORT, 0xc3};
		const uint8_t none[] = {0x0f, 0x0b};

		if (nr == 23)
			cr_assert_eq(memcmp(page + nr * 32, none, sizeof(none)), 0);
		else
			cr_assert_eq(memcmp(page + nr * 32, piece, sizeof(piece)), 0);
	}
}

/* ---- start-of-day data ---- */

Test(pvh_linux, memory_map_with_acpi_and_without_windows)
{
	static const struct hvm_memmap_table_entry want[] = {
	    {.addr = 0, .size = PLATFORM_ACPI_GPA, .type = XEN_HVM_MEMMAP_TYPE_RAM},
	    {.addr = PLATFORM_ACPI_GPA,
		.size = PLATFORM_ACPI_SIZE,
		.type = XEN_HVM_MEMMAP_TYPE_ACPI},
	    {.addr = 0x100000, .size = RAM_SIZE - 0x100000, .type = XEN_HVM_MEMMAP_TYPE_RAM},
	    {.addr = 0xfc000000, .size = 4096, .type = XEN_HVM_MEMMAP_TYPE_RESERVED},
	};
	struct kernel k = good();

	mem.window = (struct gmem_area){.gpa = UINT64_C(1) << 32, .size = 1 << 20};
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	cr_assert_eq(info()->memmap_entries, 4);
	cr_assert_eq(memcmp(mem.ram.hva + info()->memmap_paddr, want, sizeof(want)), 0);
	cr_assert_eq(info()->rsdp_paddr, PLATFORM_ACPI_GPA);
	cr_assert_eq(memcmp(mem.ram.hva + PLATFORM_ACPI_GPA, "RSD PTR ", 8), 0);
	cr_assert_eq(info()->nr_modules, 0);
	cr_assert_str_eq((const char *)mem.ram.hva + info()->cmdline_paddr, "quiet");
	mem.window.size = 0;
}

/* RAM beyond what fits below the special area: nothing is left between, where Linux would put things. */
Test(pvh_linux, memory_map_with_ram_above_4_gib)
{
	static const struct hvm_memmap_table_entry want[] = {
	    {.addr = 0x100000, .size = RAM_SIZE - 0x100000, .type = XEN_HVM_MEMMAP_TYPE_RAM},
	    {.addr = RAM_SIZE,
		.size = 0xfc000000 + 4096 - RAM_SIZE,
		.type = XEN_HVM_MEMMAP_TYPE_RESERVED},
	    {.addr = UINT64_C(1) << 32, .size = 1 << 30, .type = XEN_HVM_MEMMAP_TYPE_RAM},
	};
	const struct hvm_memmap_table_entry *map;
	struct kernel k = good();

	mem.high = (struct gmem_area){.gpa = UINT64_C(1) << 32, .size = 1 << 30};
	cr_assert_eq(load_packed(ZSTD, &k), 0, "%s", why.text);
	mem.high.size = 0;
	cr_assert_eq(info()->memmap_entries, 5);
	map = (const void *)(mem.ram.hva + info()->memmap_paddr);
	cr_assert_eq(memcmp(map + 2, want, sizeof(want)), 0);
}

static const char archive[] = "an archive of files";

Test(pvh_linux, initrd_at_the_end_of_memory)
{
	const struct hvm_modlist_entry *module;
	struct kernel k = good();

	img.initrd = file_of(archive, sizeof(archive));
	img.initrd_path = "initrd";
	cr_assert_eq(load_packed(XZ, &k), 0, "%s", why.text);
	cr_assert_eq(info()->nr_modules, 1);
	module = (const void *)(mem.ram.hva + info()->modlist_paddr);
	cr_assert_eq(module->paddr, RAM_SIZE - 4096);
	cr_assert_eq(module->size, sizeof(archive));
	cr_assert_str_eq((const char *)mem.ram.hva + module->paddr, archive);
	close(img.initrd);
}

Test(pvh_linux, initrd_beside_the_kernel)
{
	struct kernel k = good();
	uint64_t room = RAM_SIZE - ((DATA + DATA_MEM + 0xfff) & ~0xfffU);

	img.initrd = file_of(archive, sizeof(archive));
	img.initrd_path = "initrd";
	cr_assert_eq(ftruncate(img.initrd, (off_t)room), 0);
	cr_assert_eq(load_packed(XZ, &k), 0, "%s", why.text);
	cr_assert_eq(ftruncate(img.initrd, (off_t)room + 1), 0);
	refused(load_packed(XZ, &k), -ENOSPC, "initrd");
	cr_assert_not_null(strstr(why.text, "give it more memory"));
	cr_assert_eq(ftruncate(img.initrd, INT64_MAX - 4096), 0);
	refused(load_packed(XZ, &k), -ENOSPC, "initrd");
	cr_assert_eq(ftruncate(img.initrd, 0), 0);
	refused(load_packed(XZ, &k), -ENOEXEC, "empty");
	close(img.initrd);
}

Test(pvh_linux, command_lines)
{
	char text[3000];
	struct kernel k = good();

	memset(text, 'x', sizeof(text));
	text[100] = 0;
	img.cmdline = text;
	cr_assert_eq(load_packed(XZ, &k), 0, "%s", why.text);
	cr_assert_str_eq((const char *)mem.ram.hva + info()->cmdline_paddr, text);
	text[100] = 'x';
	text[101] = 0;
	refused(load_packed(XZ, &k), -E2BIG, "takes 100 bytes");
	/* An ELF file does not say. */
	text[101] = 'x';
	text[2047] = 0;
	cr_assert_eq(load_bytes(&k, sizeof(k)), 0, "%s", why.text);
	cr_assert_str_eq((const char *)mem.ram.hva + info()->cmdline_paddr, text);
}

Test(pvh_linux, segments_where_acpi_is)
{
	struct kernel k = good();

	k.load[0].p_paddr = PLATFORM_ACPI_GPA;
	k.notes.entry = PLATFORM_ACPI_GPA;
	refused(load_packed(XZ, &k), -ENOEXEC, "ACPI");
}
