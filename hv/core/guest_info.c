/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest uses of the host, as the kernel counts it.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/guest.h"

uint64_t guest_frames(struct guest *g)
{
	struct uvm_map *map = guest_map_get(g);
	uint64_t n;

	if (map == NULL)
		return 0;
	uvm_world_enter();
	n = map->vm_store->st_ops->so_blocks(map->vm_store);
	uvm_map_rele(map);
	uvm_world_leave();
	return n;
}

/* The pid is the guest's as long as g_pid is not 0. */
uint64_t guest_cpu_ns(struct guest *g)
{
	struct timespec ts;
	clockid_t clock;
	uint64_t ns;

	pthread_mutex_lock(&g->g_mutex);
	ns = g->g_cpu_ns;
	if (g->g_pid > 0 && clock_getcpuclockid(g->g_pid, &clock) == 0 &&
	    clock_gettime(clock, &ts) == 0)
		ns = (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
	pthread_mutex_unlock(&g->g_mutex);
	return ns;
}

/* The thread's name says which vCPU it runs (vmm/main.c). */
static bool runs_vcpu(pid_t pid, const char *tid, unsigned vcpu)
{
	char path[64], comm[32] = "", want[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, tid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fgets(comm, sizeof(comm), file) == NULL)
		comm[0] = '\0';
	fclose(file);
	snprintf(want, sizeof(want), "vcpu%u\n", vcpu);
	return strcmp(comm, want) == 0;
}

static pid_t find_thread(pid_t pid, unsigned vcpu)
{
	char path[48];
	struct dirent *d;
	pid_t tid = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (tid == 0 && (d = readdir(dir)) != NULL)
		if (isdigit((unsigned char)d->d_name[0]) && runs_vcpu(pid, d->d_name, vcpu))
			tid = (pid_t)strtol(d->d_name, NULL, 10);
	closedir(dir);
	return tid;
}

/* Of stat(5): the state comes behind the name, which may contain anything; then ... processor. */
static void read_stat(pid_t pid, struct guest_vcpu *v)
{
	char path[64], line[1024] = "", *at, *rest;
	unsigned field = 2;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)v->gv_tid);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	at = strrchr(line, ')');
	for (at = at != NULL ? strtok_r(at + 1, " ", &rest) : NULL; at != NULL;
	     at = strtok_r(NULL, " ", &rest)) {
		if (++field == 3)
			v->gv_running = *at == 'R';
		if (field == 39)
			v->gv_cpu = (uint32_t)strtoul(at, NULL, 10);
	}
}

/* schedstat's first number: nanoseconds on a CPU. */
static void read_time(pid_t pid, struct guest_vcpu *v)
{
	char path[64];
	uintmax_t ns;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, (int)v->gv_tid);
	file = fopen(path, "re");
	if (file == NULL)
		return;
	if (fscanf(file, "%ju", &ns) == 1)
		v->gv_cpu_ns = ns;
	fclose(file);
}

bool guest_vcpu(struct guest *g, unsigned vcpu, struct guest_vcpu *v)
{
	*v = (struct guest_vcpu){0};
	pthread_mutex_lock(&g->g_mutex);
	if (g->g_pid > 0 && vcpu < g->g_vcpus && !g->g_program)
		v->gv_tid = find_thread(g->g_pid, vcpu);
	if (v->gv_tid > 0) {
		read_stat(g->g_pid, v);
		read_time(g->g_pid, v);
	}
	pthread_mutex_unlock(&g->g_mutex);
	return v->gv_tid > 0;
}

pid_t guest_vcpu_thread(struct guest *g, unsigned vcpu)
{
	pid_t tid = 0;

	pthread_mutex_lock(&g->g_mutex);
	if (g->g_pid > 0 && vcpu < g->g_vcpus && !g->g_program) {
		tid = find_thread(g->g_pid, vcpu);
		if (tid == 0)
			tid = g->g_pid;
	}
	pthread_mutex_unlock(&g->g_mutex);
	return tid;
}
