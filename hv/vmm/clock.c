/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest time: what pages tell guests of it (pvclock, Xen public/xen.h), and what it is on our clock.
 *
 * A guest's clock is its TSC, times a factor that never changes; so what is written once stays true.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/now.h"
#include "lib/sys.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define NSEC_PER_SEC UINT64_C(1000000000)
#define CLOCKSOURCE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

/* All vCPUs' TSCs are one only if the host's can be relied on, which it says by using it. */
static bool host_relies_on_tsc(void)
{
	char name[8] = "";
	int fd = SYS(open(CLOCKSOURCE, O_RDONLY | O_CLOEXEC));
	bool yes;

	if (fd < 0)
		return false;
	yes = SYS(read(fd, name, sizeof(name) - 1)) > 0 && strcmp(name, "tsc\n") == 0;
	close(fd);
	return yes;
}

void clock_init(struct vmm *vm)
{
	vm->tsc_stable = host_relies_on_tsc();
}

int clock_deadline(const struct vcpu *v, uint64_t guest, uint64_t *host, bool *reached)
{
	uint64_t now, start = now_ns();
	int ret = vcpu_time(v, &now);

	if (ret)
		return ret;
	*reached = guest <= now;
	*host = start;
	if (!*reached)
		*host = guest - now > UINT64_MAX - start ? UINT64_MAX : start + (guest - now);
	return 0;
}

void clock_scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t hz = (uint64_t)khz * 1000;

	/* The factor is mul / 2^32 * 2^shift, with as many bits as mul has: 2^31 <= mul < 2^32. */
	*shift = 0;
	for (; hz > 2 * NSEC_PER_SEC; hz /= 2)
		--*shift;
	for (; hz <= NSEC_PER_SEC; hz *= 2)
		++*shift;
	*mul = (uint32_t)((NSEC_PER_SEC << 32) / hz);
}

/* A reader that sees an odd version, or another one afterwards, looks again. */
void clock_show_vcpu(struct vcpu *v, struct vcpu_time_info *to)
{
	struct vcpu_time_info ti = {.tsc_timestamp = v->tsc_first,
	    .flags = v->vm->tsc_stable ? XEN_PVCLOCK_TSC_STABLE_BIT : 0};
	uint32_t version = atomic_fetch_add(&v->vm->time_version, 2) + 1;

	clock_scale(v->tsc_khz, &ti.tsc_to_system_mul, &ti.tsc_shift);
	ti.version = version;
	__atomic_store_n(&to->version, version, __ATOMIC_SEQ_CST);
	memcpy(to, &ti, sizeof(ti));
	__atomic_store_n(&to->version, version + 1, __ATOMIC_SEQ_CST);
}

/* When guest time began. */
static void show_wallclock(struct vcpu *v, struct shared_info *si)
{
	uint32_t version = atomic_fetch_add(&v->vm->time_version, 2) + 1;
	struct timespec ts;
	uint64_t now, ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	ns = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	if (vcpu_time(v, &now) == 0)
		ns -= now;
	__atomic_store_n(&si->wc_version, version, __ATOMIC_SEQ_CST);
	si->wc_sec = (uint32_t)(ns / NSEC_PER_SEC);
	si->xen_wc_sec_hi = (uint32_t)(ns / NSEC_PER_SEC >> 32);
	si->wc_nsec = (uint32_t)(ns % NSEC_PER_SEC);
	__atomic_store_n(&si->wc_version, version + 1, __ATOMIC_SEQ_CST);
}

void clock_show(struct vcpu *v, struct shared_info *si)
{
	show_wallclock(v, si);
	for (unsigned i = 0; i < v->vm->cfg.vcpus; i++)
		clock_show_vcpu(&v->vm->vcpus[i], &si->vcpu_info[i].time);
}
