/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chan: what messages cost over channels, beside the same messages in other ways.
 *
 * The core's objects are linked in; the guests are real ones, in processes of their own.  One sends,
 * one receives.  See plan.c for what is measured, and docs/performance.md for what it means.
 */
#include "chan.h"

#include <argp.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/uffd.h"

struct options {
	const char *guest, *vmm, *csv;
	struct scope scope;
};

static const struct argp_option option_list[] = {
    {"guest", 'g', "FILE", 0, "The probe guest", 0},
    {"vmm", 'v', "FILE", 0, "lombard-vmm", 0},
    {"peer", 'p', "FILE", 0, "chanpeer", 0},
    {"csv", 'c', "DIR", 0, "Also write the figures there", 0},
    {"effort", 'e', "PERCENT", 0, "How many rounds to measure (default 100)", 0},
    {"bytes", 'b', "N", 0, "Only messages of this length, for profiling", 0},
    {"huge", 'h', NULL, 0, "There are pages of 2 MiB", 0},
    {0},
};

static unsigned number(const char *arg, struct argp_state *state, unsigned least, unsigned most)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (*arg == '\0' || *end != '\0' || n < least || n > most)
		argp_error(state, "%s: not a number from %u to %u", arg, least, most);
	return (unsigned)n;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'g':
		o->guest = arg;
		return 0;
	case 'v':
		o->vmm = arg;
		return 0;
	case 'p':
		o->scope.peer_path = arg;
		return 0;
	case 'c':
		o->csv = arg;
		return 0;
	case 'e':
		o->scope.effort = number(arg, state, 1, 400);
		return 0;
	case 'b':
		o->scope.bytes = number(arg, state, 1, BENCH_MAX_LEN);
		return 0;
	case 'h':
		o->scope.huge = true;
		return 0;
	case ARGP_KEY_END:
		if (o->guest == NULL || o->vmm == NULL || o->scope.peer_path == NULL)
			argp_error(state, "--guest, --vmm and --peer are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {.options = option_list,
    .parser = parse_option,
    .doc = "What messages cost over channels, beside the same messages in other ways."};

_Noreturn void bench_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fprintf(stderr, "bench-chan: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	_exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void print_machine(void)
{
	struct utsname u;
	double load[1] = {0};

	uname(&u);
	(void)getloadavg(load, 1);
	printf("\nChannels\nkernel:  %s %s, %ld processors online, load %.2f\n", u.sysname,
	    u.release, sysconf(_SC_NPROCESSORS_ONLN), load[0]);
	fflush(stdout);
}

/* What guests need from this machine is there, or *f says what is not. */
static bool usable(struct failure *f)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), uffd;
	uint64_t features;
	bool ok;

	if (kvm < 0) {
		failure_set(f, -1, "/dev/kvm can't be opened: %m");
		return false;
	}
	ok = ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;
	close(kvm);
	if (!ok) {
		failure_set(f, -1, "/dev/kvm speaks another version of KVM's interface");
		return false;
	}
	if (uffd_open(&uffd, &features, f) != 0)
		return false;
	close(uffd);
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {.scope.effort = 100};
	struct failure f;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	setenv("LOMBARD_VMM", o.vmm, 1);
	if (uvm_loan_init() != 0)
		bench_die("out of memory");
	print_machine();
	if (!usable(&f)) {
		printf("no guests, and no channels, can be measured here: %s\n", f.text);
		return 0;
	}
	cell_start(o.guest);
	measure_all(&o.scope);
	guest_stop_all();
	points_done();
	report_tables();
	if (o.csv != NULL)
		report_csv(o.csv);
	report_verdict();
	return 0;
}
