/* SPDX-License-Identifier: BSD-2-Clause */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#define LONG_JOB (64U << 20) /* less is over before anybody reads it */

void progress_start(struct progress *p, uint64_t total)
{
	*p = (struct progress){
	    .total = total,
	    .wanted = total >= LONG_JOB && isatty(STDERR_FILENO),
	};
}

void progress_show(struct progress *p, const char *what, uint64_t done)
{
	unsigned percent;

	if (!p->wanted)
		return;
	percent = done < p->total ? (unsigned)((double)done / (double)p->total * 100) : 100;
	if (p->shown && percent == p->percent)
		return;
	p->percent = percent;
	p->shown = true;
	fprintf(stderr, "\rlombard: %s: %3u %%", what, percent);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputc('\n', stderr);
	p->shown = false;
}
