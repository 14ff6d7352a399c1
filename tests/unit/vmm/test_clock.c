/* SPDX-License-Identifier: BSD-2-Clause */
/* links: hv/vmm/clock.c hv/lib/sys.c */
/* Guest time: the factor that guests are told, and pages that they read while we write. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/now.h"
#include "vmm/vmm.h"
#include "xen/public.h"

static uint64_t now; /* guest time */
static int failing;  /* -errno */

int vcpu_time(const struct vcpu *v, uint64_t *ns)
{
	(void)v;
	*ns = now;
	return failing;
}

/* As a guest computes it. */
static uint64_t ns_of(uint64_t ticks, uint32_t mul, int8_t shift)
{
	uint64_t shifted = shift < 0 ? ticks >> -shift : ticks << shift;

	return (uint64_t)((unsigned __int128)shifted * mul >> 32);
}

Test(clock, factor_is_exact_enough)
{
	static const uint32_t khz[] = {1000, 999999, 1000000, 1000001, 1996250, 2000000, 2000001,
	    3400000, 4000001, UINT32_MAX};
	uint32_t mul;
	int8_t shift;

	for (unsigned i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
		uint64_t hour = UINT64_C(3600) * khz[i] * 1000, ns;

		clock_scale(khz[i], &mul, &shift);
		cr_assert(mul >> 31 == 1, "%u kHz: all bits of the factor are used", khz[i]);
		ns = ns_of(hour, mul, shift);
		/* 2 ns in a second: the factor has 31 bits at least. */
		cr_assert(llabs((long long)(ns - UINT64_C(3600000000000))) < 3600 * 2,
		    "%u kHz: an hour is %ju ns", khz[i], (uintmax_t)ns);
	}
}

Test(clock, deadline_by_our_clock)
{
	struct vcpu v = {0};
	uint64_t host, before = now_ns();
	bool reached;

	now = 1000;
	cr_assert_eq(clock_deadline(&v, 5001000, &host, &reached), 0);
	cr_assert(!reached && host >= before + 5000000 && host <= now_ns() + 5000000);
	cr_assert_eq(clock_deadline(&v, 1000, &host, &reached), 0);
	cr_assert(reached);
	cr_assert_eq(clock_deadline(&v, 1, &host, &reached), 0);
	cr_assert(reached && host >= before);
	cr_assert_eq(clock_deadline(&v, UINT64_MAX, &host, &reached), 0);
	cr_assert(!reached && host == UINT64_MAX, "it does not wrap");
	failing = -EIO;
	cr_assert_eq(clock_deadline(&v, 1, &host, &reached), -EIO);
}

Test(clock, pages_say_when_time_began)
{
	static struct vmm vm = {.cfg = {.vcpus = 2}, .tsc_stable = true};
	static struct shared_info si;
	struct vcpu_time_info first;

	for (unsigned i = 0; i < 2; i++)
		vm.vcpus[i] = (struct vcpu){
		    .vm = &vm, .id = i, .tsc_khz = 2000000, .tsc_first = 12345};
	memset(&si, 0xee, sizeof(si));
	now = UINT64_C(5000000000);
	clock_show(&vm.vcpus[1], &si);
	cr_assert_eq(si.wc_version % 2, 0);
	cr_assert_eq(si.wc_sec_hi, 0);
	cr_assert(labs((long)si.wc_sec - (time(NULL) - 5)) <= 1);
	cr_assert(si.wc_nsec < 1000000000);
	for (unsigned i = 0; i < 2; i++) {
		first = si.vcpu_info[i].time;
		cr_assert_eq(first.version % 2, 0);
		cr_assert_eq(first.tsc_timestamp, 12345);
		cr_assert_eq(first.system_time, 0);
		cr_assert_eq(first.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
		cr_assert_eq(
		    ns_of(2000000000, first.tsc_to_system_mul, first.tsc_shift), 1000000000);
	}
	/* Nothing else of the page is touched. */
	cr_assert_eq(si.evtchn_mask[0], 0xeeeeeeeeeeeeeeee);
	cr_assert_eq(si.vcpu_info[2].time.version, 0xeeeeeeee);
	/* Another time has another version: a reader in between looks again. */
	vm.tsc_stable = false;
	clock_show_vcpu(&vm.vcpus[0], &si.vcpu_info[0].time);
	cr_assert_eq(si.vcpu_info[0].time.flags, 0);
	cr_assert_neq(si.vcpu_info[0].time.version, first.version);
	cr_assert_eq(si.vcpu_info[0].time.version % 2, 0);
}
