/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * typist STEP... -- COMMAND...: somebody at a terminal, in which the command runs.
 *
 *	see:TEXT    wait until this has been written, after what was seen last
 *	type:TEXT   type it
 *	raw, lines  how the command has set the terminal
 *	stop, cont  send it SIGSTOP, SIGCONT
 *	term, hup, kill  send it SIGTERM, SIGHUP, SIGKILL
 *	window      close the terminal's window
 *
 * What was written goes to stdout.  The exit status is the command's, 128 and the signal that killed
 * it, or 99 when a step could not be done, which is told.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 120000

static char seen[1 << 20];
static size_t nseen, from;
static int terminal = -1;
static pid_t command;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static __attribute__((noreturn)) void give_up(const char *step)
{
	fwrite(seen, 1, nseen, stdout);
	printf("\ntypist: cannot: %s\n", step);
	fflush(stdout);
	kill(command, SIGKILL);
	exit(99);
}

/* => did anything come? */
static int look(int timeout_ms)
{
	struct pollfd p = {.fd = terminal, .events = POLLIN};
	ssize_t n;

	if (terminal < 0 || poll(&p, 1, timeout_ms) <= 0)
		return 0;
	n = read(terminal, seen + nseen, sizeof(seen) - nseen);
	if (n <= 0)
		return 0;
	nseen += (size_t)n;
	return 1;
}

static void see(const char *text, const char *step)
{
	int64_t end = now_ms() + PATIENCE_MS;
	char *at;

	while (!(at = memmem(seen + from, nseen - from, text, strlen(text))))
		if (now_ms() > end || !look(PATIENCE_MS))
			give_up(step);
	from = (size_t)(at - seen) + strlen(text);
}

static void type(const char *text, const char *step)
{
	size_t len = strlen(text);

	if (write(terminal, text, len) != (ssize_t)len)
		give_up(step);
}

/* The command sets it when it is ready. */
static void mode(int lines, const char *step)
{
	int64_t end = now_ms() + PATIENCE_MS;
	struct termios t;

	for (;;) {
		if (tcgetattr(terminal, &t) < 0 || now_ms() > end)
			give_up(step);
		if (!!(t.c_lflag & ICANON) == lines)
			return;
		(void)look(10);
	}
}

static int signal_of(const char *step)
{
	static const struct {
		const char *name;
		int signo;
	} signals[] = {{"stop", SIGSTOP}, {"cont", SIGCONT}, {"term", SIGTERM}, {"hup", SIGHUP},
	    {"kill", SIGKILL}};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strcmp(step, signals[i].name) == 0)
			return signals[i].signo;
	return 0;
}

static void do_step(const char *step)
{
	if (strncmp(step, "see:", 4) == 0)
		see(step + 4, step);
	else if (strncmp(step, "type:", 5) == 0)
		type(step + 5, step);
	else if (strcmp(step, "raw") == 0 || strcmp(step, "lines") == 0)
		mode(step[0] == 'l', step);
	else if (strcmp(step, "window") == 0)
		close(terminal), terminal = -1;
	else if (!signal_of(step) || kill(command, signal_of(step)) < 0)
		give_up(step);
}

static int wait_command(void)
{
	int64_t end = now_ms() + PATIENCE_MS;
	int status;

	while (look(PATIENCE_MS))
		continue;
	while (waitpid(command, &status, WNOHANG) != command) {
		if (now_ms() > end)
			give_up("wait for the end");
		usleep(10000);
	}
	while (look(0))
		continue;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int steps = 1, status;

	while (steps < argc && strcmp(argv[steps], "--") != 0)
		steps++;
	if (steps + 1 >= argc) {
		fprintf(stderr, "usage: typist STEP... -- COMMAND...\n");
		return 2;
	}
	command = forkpty(&terminal, NULL, NULL, NULL);
	if (command < 0) {
		fprintf(stderr, "typist: there is no terminal: %s\n", strerror(errno));
		return 2;
	}
	if (command == 0) {
		/* Whoever has started the tests may have had it ignored. */
		signal(SIGHUP, SIG_DFL);
		execvp(argv[steps + 1], argv + steps + 1);
		_exit(127);
	}
	for (int i = 1; i < steps; i++)
		do_step(argv[i]);
	status = wait_command();
	fwrite(seen, 1, nseen, stdout);
	return status;
}
