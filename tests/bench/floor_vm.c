/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest VM whose guest breaks loans: one vCPU at CPL 3, one memory slot over a memfd, and a
 * thread that answers each write to a protected page with a copy at another place of the memfd.
 */
#include "floor.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/uffd.h"

#define PAGE 4096u
#define HUGE (2u << 20)
#define RAM_SIZE (2 * HUGE)

/* Guest-physical addresses; page tables map the same virtual ones. */
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define TSS 0x4000u
#define CODE 0x10000u
#define TIMES 0x20000u
#define DATA HUGE /* FLOOR_PAGES pages that are broken */

#define PTE_USER 0x7u /* present, writable, for CPL 3 */
#define PTE_LARGE 0x80u
#define RFLAGS_IOPL3 0x3002u
#define CR0 0x80010033u /* PG WP NE ET MP PE */
#define CR4_PAE 0x20u
#define EFER_LME_LMA 0x500u

/*
 * The guest: write into every page and stop; write into every page again, noting how many ticks
 * each write takes, and stop; and so on.
 */
__asm__(".pushsection .rodata\n"
	"floor_code:\n"
	"1:	mov $0x200000, %edi\n"
	"	mov $64, %ecx\n"
	"2:	incb (%rdi)\n"
	"	add $4096, %rdi\n"
	"	dec %ecx\n"
	"	jnz 2b\n"
	"	out %eax, $0xe4\n"
	"	mov $0x200000, %edi\n"
	"	mov $0x20000, %esi\n"
	"	mov $64, %ecx\n"
	"3:	rdtsc\n"
	"	shl $32, %rdx\n"
	"	or %rdx, %rax\n"
	"	mov %rax, %r8\n"
	"	incb (%rdi)\n"
	"	rdtsc\n"
	"	shl $32, %rdx\n"
	"	or %rdx, %rax\n"
	"	sub %r8, %rax\n"
	"	mov %rax, (%rsi)\n"
	"	add $4096, %rdi\n"
	"	add $8, %rsi\n"
	"	dec %ecx\n"
	"	jnz 3b\n"
	"	out %eax, $0xe4\n"
	"	jmp 1b\n"
	"floor_code_end:\n"
	".popsection\n");
extern const char floor_code[], floor_code_end[];

_Static_assert(FLOOR_PAGES == 64 && DATA == 0x200000 && TIMES == 0x20000, "as the guest has it");

static int memfd, uffd, vcpu;
static char *ram;  /* what the guest has */
static char *view; /* the whole memfd: RAM, and behind it the second place of each page */
static struct kvm_run *run;
static uint64_t tsc_khz;
static uint64_t home[FLOOR_PAGES]; /* where in the memfd each page lies now */

static uint64_t other_place(unsigned page)
{
	uint64_t first = DATA + page * PAGE;

	return home[page] == first ? first + RAM_SIZE : first;
}

static void give_copy(uint64_t address)
{
	unsigned page = (unsigned)((address - (uintptr_t)ram - DATA) / PAGE);
	uint64_t place = other_place(page);
	char *at = ram + DATA + page * PAGE;

	memcpy(view + place, view + home[page], PAGE);
	if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memfd, (off_t)place) !=
		at ||
	    uffd_register(uffd, at, PAGE, UFFDIO_REGISTER_MODE_WP) != 0 ||
	    uffd_wake(uffd, at, PAGE) != 0)
		err(1, "the floor's handler");
	home[page] = place;
}

static void *handler(void *arg)
{
	struct uffd_msg msg;

	while (read(uffd, &msg, sizeof(msg)) == (ssize_t)sizeof(msg))
		give_copy(msg.arg.pagefault.address);
	err(1, "the floor's userfaultfd");
	return arg;
}

static void build_tables(void)
{
	uint64_t *pml4 = (void *)(view + PML4), *pdpt = (void *)(view + PDPT);
	uint64_t *pd = (void *)(view + PD);

	pml4[0] = PDPT | PTE_USER;
	pdpt[0] = PD | PTE_USER;
	pd[0] = PTE_USER | PTE_LARGE;
	pd[1] = HUGE | PTE_USER | PTE_LARGE;
	memcpy(view + CODE, floor_code, (size_t)(floor_code_end - floor_code));
}

static void build_memory(void)
{
	struct failure f;
	uint64_t features;

	memfd = memfd_create("floor", MFD_CLOEXEC);
	if (memfd < 0 || ftruncate(memfd, 2 * RAM_SIZE) != 0)
		err(1, "memfd");
	view = mmap(NULL, 2 * RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (view == MAP_FAILED || ram == MAP_FAILED)
		err(1, "mmap");
	for (unsigned i = 0; i < FLOOR_PAGES; i++)
		home[i] = DATA + i * PAGE;
	if (uffd_open(&uffd, &features, &f) != 0)
		errx(1, "%s", f.text);
	/* The handler sleeps in read. */
	if (fcntl(uffd, F_SETFL, 0) != 0)
		err(1, "fcntl");
	errno = -uffd_register(uffd, ram, RAM_SIZE, UFFDIO_REGISTER_MODE_WP);
	if (errno != 0)
		err(1, "UFFDIO_REGISTER");
	build_tables();
}

static void set_registers(void)
{
	const struct kvm_segment data = {.limit = UINT32_MAX,
	    .present = 1,
	    .s = 1,
	    .db = 1,
	    .g = 1,
	    .dpl = 3,
	    .selector = 0x23,
	    .type = 0x3};
	struct kvm_regs regs = {.rip = CODE, .rflags = RFLAGS_IOPL3};
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s) != 0)
		err(1, "KVM_GET_SREGS");
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cs = data;
	s.cs.selector = 0x1b;
	s.cs.type = 0xb;
	s.cs.db = 0;
	s.cs.l = 1;
	s.tr = (struct kvm_segment){
	    .base = TSS, .limit = 0x67, .present = 1, .selector = 0x28, .type = 0xb};
	s.cr0 = CR0;
	s.cr3 = PML4;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LME_LMA;
	if (ioctl(vcpu, KVM_SET_SREGS, &s) != 0 || ioctl(vcpu, KVM_SET_REGS, &regs) != 0)
		err(1, "KVM_SET_REGS");
}

static void build_vm(void)
{
	const struct kvm_userspace_memory_region slot = {
	    .memory_size = RAM_SIZE, .userspace_addr = (uintptr_t)ram};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm = ioctl(kvm, KVM_CREATE_VM, 0), size;

	if (kvm < 0 || vm < 0)
		err(1, "/dev/kvm");
	/* Pages that KVM itself needs on Intel. */
	if (ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &(uint64_t){0xfffbc000}) != 0 ||
	    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) != 0)
		err(1, "KVM_SET_TSS_ADDR");
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) != 0)
		err(1, "KVM_SET_USER_MEMORY_REGION");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < (int)sizeof(*run))
		err(1, "KVM_CREATE_VCPU");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		err(1, "the vCPU's page");
	tsc_khz = (uint64_t)ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
	set_registers();
}

void floor_vm_build(void)
{
	pthread_t thread;

	build_memory();
	build_vm();
	errno = pthread_create(&thread, NULL, handler, NULL);
	if (errno != 0)
		err(1, "pthread_create");
}

/* Run the guest up to its next stop. */
static void run_guest(void)
{
	while (ioctl(vcpu, KVM_RUN, 0) != 0)
		if (errno != EINTR)
			err(1, "KVM_RUN");
	if (run->exit_reason != KVM_EXIT_IO)
		errx(1, "the floor's guest stopped with exit reason %u", run->exit_reason);
}

void floor_vm_breaks(struct floor_times *times)
{
	const uint64_t *ticks = (void *)(view + TIMES);

	run_guest();
	errno = -uffd_protect(uffd, ram + DATA, FLOOR_PAGES * PAGE);
	if (errno != 0)
		err(1, "UFFDIO_WRITEPROTECT");
	run_guest();
	for (unsigned i = 0; i < FLOOR_PAGES; i++) {
		times->ns[i] = ticks[i] * 1000000 / tsc_khz;
		/* As at the end of a loan: a frame that nobody has any more goes back. */
		if (fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)other_place(i), PAGE) != 0)
			err(1, "fallocate");
	}
}
