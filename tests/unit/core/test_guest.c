/* SPDX-License-Identifier: BSD-2-Clause */
/* links: $(filter-out hv/core/main.c,$(lombardd_SRCS)) */
/* pkgs: $(lombardd_PKGS) */
/* How a guest goes: its process's number. */
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
