/* SPDX-License-Identifier: BSD-2-Clause */
#include "xen/cpupolicy.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/guestcpu.h"
#include "lib/sys.h"
#include "xen/call.h"

#define EXTENDED 0x80000000u
#define HYPERVISOR 0x40000000u
#define HYPERVISOR_2 0x40000100u
#define MSR_PLATFORM_INFO 0xceu
#define MSR_ARCH_CAPABILITIES 0x10au

/* KVM gives each new vCPU "CPUID faulting" here, and we set no MSR. */
#define PLATFORM_INFO_FAULTING (UINT64_C(1) << 31)

/* Runs of leaves that Xen 4.17's tools know; with subleaves 0 on, or without any. */
static const struct run {
	uint32_t first, nleaves, nsubleaves;
} runs[] = {
    {0x0, 4, 0},
    {0x4, 1, 6},
    {0x5, 2, 0},
    {0x7, 1, 3},
    {0x8, 3, 0},
    {0xb, 1, 2},
    {0xc, 1, 0},
    {0xd, 1, 63},
    {HYPERVISOR, 1, 0},
    {HYPERVISOR_2, 1, 0},
    {EXTENDED, 0x22, 0},
};

/* Where the bits of a featureset lie: which leaf, and which of its registers (a, b, c, d). */
static const struct word {
	uint32_t leaf, subleaf;
	unsigned reg;
} words_of[] = {
    {0x1, XEN_CPUID_NO_SUBLEAF, 3},
    {0x1, XEN_CPUID_NO_SUBLEAF, 2},
    {0x80000001u, XEN_CPUID_NO_SUBLEAF, 3},
    {0x80000001u, XEN_CPUID_NO_SUBLEAF, 2},
    {0xd, 1, 0},
    {0x7, 0, 1},
    {0x7, 0, 2},
    {0x80000007u, XEN_CPUID_NO_SUBLEAF, 3},
    {0x80000008u, XEN_CPUID_NO_SUBLEAF, 1},
    {0x7, 0, 3},
    {0x7, 1, 0},
    {0x80000021u, XEN_CPUID_NO_SUBLEAF, 0},
    {0x7, 1, 1},
    {0x7, 2, 3},
    {0x7, 1, 2},
    {0x7, 1, 3},
};
#define NWORDS_CPUID (sizeof(words_of) / sizeof(words_of[0]))
#define WORD_ARCH_CAPS 16u /* and the one after it: the MSR's halves */
#define WORD_EXTENDED_21_C 18u

static uint32_t *reg_of(xen_cpuid_leaf_t *l, unsigned reg)
{
	uint32_t *const regs[] = {&l->a, &l->b, &l->c, &l->d};

	return regs[reg];
}

/* What a processor answers; zeroes where it has no such leaf. */
typedef void read_leaf(void *arg, uint32_t leaf, uint32_t subleaf, xen_cpuid_leaf_t *l);

/* The last leaf of the range that starts here; beyond it a processor may answer anything. */
static uint32_t last_leaf(read_leaf *read, void *arg, uint32_t base)
{
	xen_cpuid_leaf_t l = {0};

	read(arg, base, 0, &l);
	return l.a;
}

/* Leaf 7 counts its own subleaves; of the others every one can be asked for. */
static bool beyond(const struct cpu_policy *cp, size_t at, uint32_t leaf, uint32_t subleaf)
{
	return leaf == 7 && subleaf > 0 && cp->cp_leaf[at - subleaf].a < subleaf;
}

static void fill_run(
    struct cpu_policy *cp, size_t at, const struct run *r, read_leaf *read, void *arg)
{
	uint32_t last = last_leaf(read, arg, r->first & 0xc0000000u);
	uint32_t n = r->nsubleaves > 0 ? r->nsubleaves : r->nleaves;

	for (uint32_t i = 0; i < n; i++) {
		xen_cpuid_leaf_t *l = &cp->cp_leaf[at + i];

		l->leaf = r->nsubleaves > 0 ? r->first : r->first + i;
		l->subleaf = r->nsubleaves > 0 ? i : XEN_CPUID_NO_SUBLEAF;
		/* What hypervisors say of themselves is no part of a policy. */
		if (l->leaf <= last && l->leaf >> 30 != 1 &&
		    !beyond(cp, at + i, l->leaf, l->subleaf))
			read(arg, l->leaf, r->nsubleaves > 0 ? i : 0, l);
	}
}

static void fill(struct cpu_policy *cp, read_leaf *read, void *arg)
{
	size_t at = 0;

	memset(cp, 0, sizeof(*cp));
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		fill_run(cp, at, &runs[i], read, arg);
		at += runs[i].nsubleaves > 0 ? runs[i].nsubleaves : runs[i].nleaves;
	}
	cp->cp_msr[0].idx = MSR_PLATFORM_INFO;
	cp->cp_msr[1].idx = MSR_ARCH_CAPABILITIES;
}

static void read_host(void *arg, uint32_t leaf, uint32_t subleaf, xen_cpuid_leaf_t *l)
{
	(void)arg;
	__cpuid_count(leaf, subleaf, l->a, l->b, l->c, l->d);
}

/* The MSRs of the host are its kernel's secret. */
void cpu_policy_host(struct cpu_policy *cp)
{
	fill(cp, read_host, NULL);
}

static void read_guest(void *arg, uint32_t leaf, uint32_t subleaf, xen_cpuid_leaf_t *l)
{
	const struct kvm_cpuid2 *list = arg;

	for (uint32_t i = 0; i < list->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &list->entries[i];

		if (e->function != leaf ||
		    ((e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0 && e->index != subleaf))
			continue;
		l->a = e->eax;
		l->b = e->ebx;
		l->c = e->ecx;
		l->d = e->edx;
		return;
	}
}

/* Its value where KVM tells it for guests in general; 0 elsewhere. */
static uint64_t kvm_msr(int kvm, uint32_t idx)
{
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} q = {.head = {.nmsrs = 1}};

	q.head.entries[0].index = idx;
	return ioctl(kvm, KVM_GET_MSRS, &q) == 1 ? q.head.entries[0].data : 0;
}

int cpu_policy_guest(struct cpu_policy *cp)
{
	int kvm = SYS(open("/dev/kvm", O_RDWR | O_CLOEXEC)), error;
	struct kvm_cpuid2 *list;

	if (kvm < 0)
		return -errno;
	error = guestcpu_get(kvm, false, &list);
	if (error == 0) {
		fill(cp, read_guest, list);
		free(list);
		cp->cp_msr[0].val = PLATFORM_INFO_FAULTING;
		cp->cp_msr[1].val = kvm_msr(kvm, MSR_ARCH_CAPABILITIES);
	}
	close(kvm);
	return error;
}

xen_cpuid_leaf_t *cpu_policy_leaf(struct cpu_policy *cp, uint32_t leaf, uint32_t subleaf)
{
	for (size_t i = 0; i < CPU_POLICY_LEAVES; i++)
		if (cp->cp_leaf[i].leaf == leaf && cp->cp_leaf[i].subleaf == subleaf)
			return &cp->cp_leaf[i];
	return NULL;
}

xen_msr_entry_t *cpu_policy_msr(struct cpu_policy *cp, uint32_t idx)
{
	for (size_t i = 0; i < CPU_POLICY_MSRS; i++)
		if (cp->cp_msr[i].idx == idx)
			return &cp->cp_msr[i];
	return NULL;
}

static bool longer(struct cpu_policy *cp, struct cpu_policy *max, uint32_t leaf, uint32_t subleaf)
{
	return cpu_policy_leaf(cp, leaf, subleaf)->a > cpu_policy_leaf(max, leaf, subleaf)->a;
}

bool cpu_policy_clip(struct cpu_policy *cp, struct cpu_policy *max, uint32_t *leaf)
{
	*leaf = 0;
	if (longer(cp, max, 0, XEN_CPUID_NO_SUBLEAF))
		return false;
	*leaf = 7;
	if (longer(cp, max, 7, 0))
		return false;
	*leaf = EXTENDED;
	if (longer(cp, max, EXTENDED, XEN_CPUID_NO_SUBLEAF))
		return false;
	for (size_t i = 0; i < NWORDS_CPUID; i++)
		*reg_of(cpu_policy_leaf(cp, words_of[i].leaf, words_of[i].subleaf),
		    words_of[i].reg) &= *reg_of(cpu_policy_leaf(max, words_of[i].leaf,
						    words_of[i].subleaf),
		    words_of[i].reg);
	for (size_t i = 0; i < CPU_POLICY_MSRS; i++)
		cp->cp_msr[i].val &= max->cp_msr[i].val;
	return true;
}

void cpu_policy_features(struct cpu_policy *cp, uint32_t words[CPU_POLICY_WORDS])
{
	uint64_t caps = cpu_policy_msr(cp, MSR_ARCH_CAPABILITIES)->val;

	_Static_assert(NWORDS_CPUID == WORD_ARCH_CAPS, "MSRs come behind CPUID");
	for (size_t i = 0; i < NWORDS_CPUID; i++)
		words[i] = *reg_of(
		    cpu_policy_leaf(cp, words_of[i].leaf, words_of[i].subleaf), words_of[i].reg);
	words[WORD_ARCH_CAPS] = (uint32_t)caps;
	words[WORD_ARCH_CAPS + 1] = (uint32_t)(caps >> 32);
	words[WORD_EXTENDED_21_C] = cpu_policy_leaf(cp, 0x80000021u, XEN_CPUID_NO_SUBLEAF)->c;
}

static int give(
    struct xen_caller *c, uint64_t to, const void *list, size_t size, uint32_t n, uint32_t *room)
{
	uint32_t had = *room;

	*room = n;
	if (to == 0)
		return 0;
	if (had < n)
		return -ENOBUFS;
	return xen_copy_out(c, to, list, n * size);
}

int cpu_policy_give(struct xen_caller *c, const struct cpu_policy *cp, uint64_t leaves,
    uint32_t *nleaves, uint64_t msrs, uint32_t *nmsrs)
{
	int error = give(
	    c, leaves, cp->cp_leaf, sizeof(cp->cp_leaf[0]), CPU_POLICY_LEAVES, nleaves);

	if (error != 0)
		return error;
	return give(c, msrs, cp->cp_msr, sizeof(cp->cp_msr[0]), CPU_POLICY_MSRS, nmsrs);
}
