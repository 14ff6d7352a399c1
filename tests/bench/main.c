/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench: what lending costs, beside the least that it could cost on this machine.
 *
 * The core's objects are linked in, so its answers are timed from request decoded to reply ready;
 * the guests are real ones, in processes of their own.  One of them is measured, the rest sleeps.
 *
 *	core	lend and recall, against a bare UFFDIO_WRITEPROTECT pair over the same pages, which
 *		the guest has written to before each; again at once: the same without the guest
 *	guest	the same by hypercalls, against that pair, two exits and two bare socket round trips
 *	break	a write to a lent page, against the smallest handler within one process
 *(floor_vm.c); both copy into a frame that the kernel has to provide
 *	learn	the first lend of pages that the guest has touched, against a bare protect
 *	refault	the guest writes to every page after a return, and after a bare pair
 *	call	LOANOP_info, against an exit and a socket round trip
 *	launch	guest_launch, against a process that builds the floor's VM
 */
#include "bench.h"

#include <argp.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/uffd.h"

#define MAX_IDLE 512u

static const unsigned levels[] = {1, 10, 100, 500};

struct options {
	const char *guest, *vmm, *csv;
	unsigned most;
	struct scope scope;
};

static const struct argp_option option_list[] = {
    {"guest", 'g', "FILE", 0, "The probe guest", 0},
    {"vmm", 'v', "FILE", 0, "lombard-vmm", 0},
    {"floor", 'f', "FILE", 0, "bench_floor", 0},
    {"csv", 'c', "DIR", 0, "Also write the figures there", 0},
    {"guests", 'n', "N", 0, "Most guests alive (default 500)", 0},
    {"effort", 'e', "PERCENT", 0, "How many rounds to measure (default 100)", 0},
    {"pages", 'p', "N", 0, "Only loans of this size, for profiling", 0},
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
	case 'f':
		floor_path = arg;
		return 0;
	case 'c':
		o->csv = arg;
		return 0;
	case 'n':
		o->most = number(arg, state, 1, MAX_IDLE);
		return 0;
	case 'e':
		o->scope.effort = number(arg, state, 1, 100);
		return 0;
	case 'p':
		o->scope.pages = number(arg, state, 1, ARENA_STEADY);
		return 0;
	case ARGP_KEY_END:
		if (o->guest == NULL || o->vmm == NULL || floor_path == NULL)
			argp_error(state, "--guest, --vmm and --floor are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {.options = option_list,
    .parser = parse_option,
    .doc = "What lending costs, beside the least that it could cost on this machine."};

_Noreturn void bench_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fprintf(stderr, "bench: ");
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

/* The value of the first line of a /proc file that begins with key; the whole line without key. */
static void proc_value(const char *path, const char *key, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	char line[512], *colon;

	snprintf(buf, size, "unknown");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		colon = *key != '\0' ? strchr(line, ':') : NULL;
		snprintf(buf, size, "%.*s", (int)size - 1, colon != NULL ? colon + 2 : line);
		break;
	}
	if (f != NULL)
		fclose(f);
}

static void print_kvm_modules(void)
{
	DIR *dir = opendir("/sys/module");
	const char *sep = "";
	struct dirent *de;

	printf("kvm:     ");
	while (dir != NULL && (de = readdir(dir)) != NULL) {
		if (strncmp(de->d_name, "kvm", 3) != 0)
			continue;
		printf("%s%s", sep, de->d_name);
		sep = " ";
	}
	printf("%s\n", *sep == '\0' ? "no module" : "");
	if (dir != NULL)
		closedir(dir);
}

static void print_machine(void)
{
	char cpu[128], load[64];
	struct utsname u;

	uname(&u);
	proc_value("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
	proc_value("/proc/loadavg", "", load, sizeof(load));
	printf("kernel:  %s %s\ncpu:     %s, %ld online\n", u.sysname, u.release, cpu,
	    sysconf(_SC_NPROCESSORS_ONLN));
	print_kvm_modules();
	printf("load:    %s\n", load);
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
	if (!ok)
		failure_set(f, -1, "/dev/kvm speaks another version of KVM's interface");
	else if (uffd_open(&uffd, &features, f) != 0)
		ok = false;
	else
		close(uffd);
	return ok;
}

/* Idle guests until `wanted` are alive. */
static void launch_idle(unsigned wanted)
{
	static struct guest *idle[MAX_IDLE];
	unsigned before = guest_count();
	uint64_t start = now_ns();

	for (unsigned n = before; n < wanted; n++)
		idle[n] = idle_launch(NULL);
	for (unsigned n = before; n < wanted; n++)
		guest_put(idle[n]);
	if (wanted > before)
		fprintf(stderr, "bench: %u more idle guests launched in %.2f s\n", wanted - before,
		    (double)(now_ns() - start) / 1e9);
}

static void measure_guests(const struct options *o)
{
	cell_start(o->guest);
	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		uint64_t start = now_ns();

		if (levels[i] > o->most)
			break;
		launch_idle(levels[i] - 1);
		measure_level(levels[i], &o->scope);
		report_print(levels[i]);
		fprintf(stderr, "bench: measured with %u guests in %.1f s\n", levels[i],
		    (double)(now_ns() - start) / 1e9);
	}
	guest_stop_all();
}

int main(int argc, char **argv)
{
	struct options o = {.most = 500, .scope.effort = 100};
	struct failure f;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	setenv("LOMBARD_VMM", o.vmm, 1);
	if (uvm_loan_init() != 0)
		bench_die("out of memory");
	print_machine();
	report_heading();
	ledger_measure();
	report_print(0);
	if (usable(&f))
		measure_guests(&o);
	else
		printf("no guests can be measured here: %s\n", f.text);
	if (o.csv != NULL)
		report_csv(o.csv);
	report_verdict();
	return 0;
}
