/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenmem: a program of Xen's that maps a guest's memory.  Its arguments are steps:
 *
 *   xenmem DOMID STEP...
 *
 *   map r|w GFN N       the current map is pages GFN .. GFN + N - 1
 *   scatter r|w GFN...- the same of these pages, with "-" at the end; pages that can't be had are
 *                       left out, and their errors printed
 *   sum PAGE            print what pages.h says of a page of the current map
 *   poke PAGE VALUE     write its first word
 *   try PAGE            write to it and print how that ended: "written" or "refused"
 *   ask OP PAGE WORD VALUE   the current map's first page is the mailbox of serve-pages: print the answer
 *   unmap               by the library
 *   drop                by munmap, as Xen's tools do
 *   new                 begin with another handle; the old one stays open
 *   nominate-gref REF   sharing by grant references, which xen-memshare can't: print the handle
 *   share-gref REF HANDLE SOURCE REF HANDLE   (with this guest as the client)
 *   debug-gref REF      print the answer
 *   say TEXT            print it: a sign for whoever waits
 *   hold                sleep until killed
 *
 * Exit status: 0 when all steps were done; else 1, and the last line says which error.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>

#include "pages.h"

#define PAGE_SIZE 4096u
#define PATIENCE_MS 20000

static xenforeignmemory_handle *handle;
static uint32_t domid;
static uint8_t *at; /* the current map */
static size_t npages;
static char **args;

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		printf("no number: %s\n", text);
		exit(2);
	}
	return value;
}

static char *next(void)
{
	if (*args == NULL) {
		puts("a step has too few words");
		exit(2);
	}
	return *args++;
}

static int prot_of(const char *word)
{
	return strcmp(word, "w") == 0 ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int take(void *map, size_t n)
{
	int error = errno;

	at = map;
	npages = n;
	return map != NULL ? 0 : -error;
}

static int step_map(void)
{
	int prot = prot_of(next());
	uint64_t gfn = number(next());
	size_t n = number(next());
	xen_pfn_t *gfns = calloc(n, sizeof(*gfns));
	int error;

	for (size_t i = 0; gfns != NULL && i < n; i++)
		gfns[i] = gfn + i;
	error = take(xenforeignmemory_map(handle, domid, prot, n, gfns, NULL), n);
	free(gfns);
	return error;
}

static int step_scatter(void)
{
	int prot = prot_of(next()), err[64], error;
	xen_pfn_t gfns[64];
	const char *word;
	size_t n = 0;

	while (strcmp(word = next(), "-") != 0 && n < 64)
		gfns[n++] = number(word);
	error = take(xenforeignmemory_map(handle, domid, prot, n, gfns, err), n);
	for (size_t i = 0; error == 0 && i < n; i++)
		printf(
		    "%s%s", err[i] == 0 ? "ok" : strerrorname_np(-err[i]), i + 1 < n ? " " : "\n");
	return error;
}

static uint64_t *page(const char *word)
{
	uint64_t i = number(word);

	if (at == NULL || i >= npages) {
		puts("no such page");
		exit(2);
	}
	return (uint64_t *)(void *)(at + i * PAGE_SIZE);
}

static int step_sum(void)
{
	printf("%016" PRIx64 "\n", pages_sum(page(next())));
	return 0;
}

static int step_poke(void)
{
	volatile uint64_t *p = page(next());

	*p = number(next());
	return 0;
}

static sigjmp_buf refused;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(refused, 1);
}

static int step_try(void)
{
	const struct sigaction catch = {.sa_handler = on_fault}, normal = {.sa_handler = SIG_DFL};
	volatile uint64_t *p = page(next());
	bool went;

	sigaction(SIGSEGV, &catch, NULL);
	went = sigsetjmp(refused, 1) == 0;
	if (went)
		*p = *p;
	sigaction(SIGSEGV, &normal, NULL);
	puts(went ? "written" : "refused");
	return 0;
}

static int step_ask(void)
{
	volatile struct pages_mailbox *mb = (volatile void *)page("0");
	const struct timespec nap = {.tv_nsec = 1000000};
	uint64_t request = mb->request + 1;

	mb->op = number(next());
	mb->page = number(next());
	mb->word = number(next());
	mb->value = number(next());
	__atomic_store_n(&mb->request, request, __ATOMIC_RELEASE);
	for (int ms = 0; __atomic_load_n(&mb->done, __ATOMIC_ACQUIRE) != request; ms++) {
		if (ms == PATIENCE_MS)
			return -ETIMEDOUT;
		nanosleep(&nap, NULL);
	}
	printf("%016" PRIx64 "\n", mb->result);
	return 0;
}

static int step_unmap(void)
{
	return xenforeignmemory_unmap(handle, at, npages) != 0 ? -errno : 0;
}

static int step_drop(void)
{
	int error = munmap(at, npages * PAGE_SIZE) != 0 ? -errno : 0;

	at = NULL;
	npages = 0;
	return error;
}

static int step_new(void)
{
	handle = xenforeignmemory_open(NULL, 0);
	return handle != NULL ? 0 : -errno;
}

static xc_interface *control(void)
{
	static xc_interface *xch;

	if (xch == NULL)
		xch = xc_interface_open(NULL, NULL, 0);
	if (xch == NULL)
		exit(1);
	return xch;
}

static int step_nominate_gref(void)
{
	uint64_t value;

	if (xc_memshr_nominate_gref(control(), domid, (grant_ref_t)number(next()), &value) != 0)
		return -errno;
	printf("%" PRIu64 "\n", value);
	return 0;
}

static int step_share_gref(void)
{
	grant_ref_t ref = (grant_ref_t)number(next()), source_ref;
	uint64_t value = number(next()), source_value;
	uint32_t source = (uint32_t)number(next());

	source_ref = (grant_ref_t)number(next());
	source_value = number(next());
	return xc_memshr_share_grefs(
		   control(), source, source_ref, source_value, domid, ref, value) != 0
		   ? -errno
		   : 0;
}

static int step_debug_gref(void)
{
	int n = xc_memshr_debug_gref(control(), domid, (grant_ref_t)number(next()));

	if (n >= 0)
		printf("%d\n", n);
	return n >= 0 ? 0 : -errno;
}

static int step_say(void)
{
	puts(next());
	return 0;
}

static int step_hold(void)
{
	return pause() != 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*call)(void);
} steps[] = {
    {"map", step_map},
    {"scatter", step_scatter},
    {"sum", step_sum},
    {"poke", step_poke},
    {"try", step_try},
    {"ask", step_ask},
    {"unmap", step_unmap},
    {"drop", step_drop},
    {"new", step_new},
    {"nominate-gref", step_nominate_gref},
    {"share-gref", step_share_gref},
    {"debug-gref", step_debug_gref},
    {"say", step_say},
    {"hold", step_hold},
};

static int step(const char *name)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (strcmp(steps[i].name, name) == 0)
			return steps[i].call();
	return -ENOSYS;
}

int main(int argc, char **argv)
{
	const char *name;
	int error;

	if (argc < 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	args = argv + 1;
	domid = (uint32_t)number(next());
	error = step_new();
	while (error == 0 && *args != NULL) {
		name = next();
		error = step(name);
		if (error != 0)
			printf("%s: %s\n", name, strerrorname_np(-error));
	}
	return error != 0;
}
