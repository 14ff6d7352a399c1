/* SPDX-License-Identifier: BSD-2-Clause */
#include "pin.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first or second processor that we may use; -1: there is none. */
static int processor(unsigned which)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && which-- == 0)
			return cpu;
	return -1;
}

int pin_task(pid_t tid, unsigned which)
{
	int cpu = processor(which);
	cpu_set_t set;

	if (cpu < 0)
		return -1;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set) == 0 ? cpu : -1;
}

static int named(pid_t pid, const char *tid, const char *name)
{
	char path[64], comm[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, tid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	if (fgets(comm, sizeof(comm), f) == NULL)
		comm[0] = '\0';
	fclose(f);
	comm[strcspn(comm, "\n")] = '\0';
	return strcmp(comm, name) == 0;
}

int pin_thread(pid_t pid, const char *name, unsigned which)
{
	char path[64];
	struct dirent *de;
	int cpu = -1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir != NULL && (de = readdir(dir)) != NULL)
		if (named(pid, de->d_name, name))
			cpu = pin_task((pid_t)atoi(de->d_name), which);
	if (dir != NULL)
		closedir(dir);
	return cpu;
}
