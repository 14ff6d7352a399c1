/* SPDX-License-Identifier: BSD-2-Clause */
#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before, ours;
static bool taken;

static void at_end(void)
{
	terminal_release();
}

/* Only so that sleep ends, and the terminal is looked after. */
static void on_continue(int signo)
{
	(void)signo;
}

void terminal_take(bool raw, int escape)
{
	static bool registered;

	if (taken || tcgetattr(STDIN_FILENO, &before) < 0)
		return;
	/* However this process ends by itself. */
	if (!registered && atexit(at_end) == 0)
		registered = true;
	ours = before;
	if (raw)
		cfmakeraw(&ours);
	else if (escape >= 0)
		ours.c_cc[VEOL] = (cc_t)escape;
	taken = true;
	sigaction(SIGCONT, &(const struct sigaction){.sa_handler = on_continue}, NULL);
	terminal_again();
}

void terminal_again(void)
{
	if (taken)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &ours);
}

void terminal_release(void)
{
	if (taken)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	taken = false;
}
