/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(filter-out hv/core/main.c,$(lombardd_SRCS)) */
/* pkgs: $(lombardd_PKGS) */
/* How a guest goes: its process's number; where its memory lies. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/guest.h"

static unsigned reaped;
static pid_t pid_then = -1; /* the guest's, when its process was reaped */

/* In the place of libc's: the moment at which the number can become another process's. */
pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	struct guest *g = guest_find_name("short");

	if (g != NULL) {
		/* Whoever reaps has the guest locked. */
		pid_then = g->g_pid;
		guest_put(g);
		reaped++;
	}
	return (pid_t)syscall(SYS_wait4, pid, status, options, usage);
}

/*
 * Bug: the guest's process was reaped first and forgotten then: `lombard stop` in between killed
 * whoever had got the number.
 */
Test(guest, pid_is_forgotten_before_process_is_reaped)
{
	struct guest_config cfg = {.name = "short",
	    .ram_pages = GUEST_MIN_RAM_PAGES,
	    .window_pages = 1,
	    .vcpus = 1,
	    .image_path = "",
	    .cmdline = ""};
	struct failure f;
	struct guest *g;

	/* A process that ends without a word. */
	setenv("LOMBARD_VMM", "/bin/true", 1);
	cfg.image = cfg.console_in = cfg.console_out = open("/dev/null", O_RDWR | O_CLOEXEC);
	cr_assert(cfg.image >= 0 && uvm_loan_init() == 0);
	cr_assert_eq(guest_launch(&cfg, &g, &f), -EPIPE, "%s", f.text);
	cr_assert_eq(reaped, 1);
	cr_assert_eq(pid_then, 0);
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
	close(cfg.image);
}

static struct guest guest_of(uint64_t ram, uint64_t windows)
{
	return (struct guest){.g_ram_pages = ram, .g_window_pages = windows};
}

Test(guest, memory_up_to_3584_mib_is_in_one_piece)
{
	struct guest g = guest_of(0xe0000, 16);

	cr_assert_eq(guest_low_pages(&g), 0xe0000);
	cr_assert_eq(guest_high_pages(&g), 0);
	cr_assert_eq(guest_window_gfn(&g), 0x100000);
	cr_assert(guest_ram_run_p(&g, 0xdffff, 1));
	cr_assert(!guest_ram_run_p(&g, 0xdffff, 2));
	cr_assert(!guest_ram_p(&g, 0x100000));
	cr_assert(guest_windows_p(&g, 0x100000, 16));
	cr_assert(!guest_windows_p(&g, 0x100000, 17));
	cr_assert(!guest_windows_p(&g, 0xfffff, 1));
	/* A host program has none. */
	g = guest_of(0, 16);
	cr_assert_eq(guest_window_gfn(&g), 0x100000);
	cr_assert(!guest_ram_p(&g, 0));
}

Test(guest, memory_beyond_lies_from_4_gib_on)
{
	struct guest g = guest_of(0xe0000 + 1, 16);

	cr_assert_eq(guest_low_pages(&g), 0xe0000);
	cr_assert_eq(guest_high_pages(&g), 1);
	cr_assert_eq(guest_window_gfn(&g), 0x108000, "the next 128 MiB");
	cr_assert(guest_ram_p(&g, 0x100000));
	cr_assert(!guest_ram_p(&g, 0x100001));
	cr_assert(!guest_ram_run_p(&g, 0xdffff, 2), "pieces are not neighbours");
	cr_assert(!guest_ram_run_p(&g, 0x100000, 2));
	cr_assert(!guest_ram_run_p(&g, 0x100000, UINT64_MAX));
	cr_assert(!guest_windows_p(&g, 0x100000, 1));
	cr_assert(guest_windows_p(&g, 0x10800f, 1));
	cr_assert(!guest_windows_p(&g, 0x108010, 1));
	/* To the last page, without a gap. */
	g = guest_of(0xe0000 + 0x8000, 16);
	cr_assert_eq(guest_window_gfn(&g), 0x108000);
	g = guest_of(GUEST_MAX_RAM_PAGES, 16);
	cr_assert_eq(guest_window_gfn(&g), 0x100000 + GUEST_MAX_RAM_PAGES - 0xe0000);
}
