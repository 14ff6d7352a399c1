/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lombard-vmm: the process around one guest.  It builds the guest's machine as lombardd tells it,
 * runs its vCPUs and maps its pages; every decision about memory is lombardd's.
 */
#include "vmm/vmm.h"

#include <argp.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/sys.h"
#include "lib/version.h"

const char *argp_program_version = "lombard-vmm " LOMBARD_VERSION;

static const struct argp argp = {
    .doc = "The process around one guest of Lombard.\v"
	   "It is started by lombardd, the core, with sockets to it as descriptors 3, 4 and 6; to "
	   "start "
	   "a guest, use \"lombard run\".",
};

static void *pmap_thread(void *arg)
{
	struct vmm *vm = arg;

	pthread_setname_np(pthread_self(), "pmap");
	/* Whatever the reason, without its pmap the guest can't go on. */
	pmap_local_serve(&vm->pmap, WIRE_FD_PMAP);
	_exit(0);
}

static void *console_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "console");
	console_serve(arg);
	return NULL;
}

/* The core finds a vCPU's thread by its name (core/guest_info.c). */
static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	struct vmm_end end;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", v->id);
	pthread_setname_np(pthread_self(), name);
	vcpu_run(v, &end);
	console_finish(&v->vm->console);
	link_exit(&end);
}

static void *upcall_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "upcall");
	upcall_serve(arg);
}

static int start_thread(
    void *(*run)(void *), const char *name, void *arg, pthread_t *t, struct failure *f)
{
	int err = SYS(0) != 0 ? errno : pthread_create(t, NULL, run, arg);

	if (err)
		return failure_sys(f, -err, "the %s thread can't be started", name);
	pthread_detach(*t);
	return 0;
}

/* The pmap thread runs before the core is told that it may use it. */
static int build(struct vmm *vm, struct failure *f)
{
	pthread_t pmap;
	int ret = link_configure(vm, f);

	event_init(vm);
	clock_init(vm);
	if (!ret)
		ret = machine_check(&vm->cfg, f);
	if (!ret)
		ret = machine_build(vm, f);
	if (!ret)
		ret = gate_init(vm, f);
	if (!ret)
		ret = upcall_init(vm, f);
	if (!ret && vm->cfg.lapic)
		ret = timer_init(vm, f);
	if (!ret)
		ret = start_thread(pmap_thread, "pmap", vm, &pmap, f);
	if (!ret)
		ret = sandbox_enter(vm, f);
	/* The image may be anything, and a library takes it apart: without any privilege. */
	if (ret || vm->cfg.built)
		return ret;
	return machine_load(vm, f);
}

static void run(struct vmm *vm)
{
	struct vmm_end end = {.reason = WIRE_EXIT_VMM_ERROR};
	pthread_t upcall, console;

	/* What is built from outside has no state to begin with yet. */
	if (vm->cfg.built || vm->cfg.paused)
		gate_close(vm);
	if (start_thread(console_thread, "console", vm, &console, &end.why))
		link_exit(&end);
	if (vm->cfg.lapic && start_thread(upcall_thread, "upcall", vm, &upcall, &end.why))
		link_exit(&end);
	for (unsigned i = 0; i < vm->cfg.vcpus; i++) {
		struct vcpu *v = &vm->vcpus[i];

		if (start_thread(vcpu_thread, "vCPU's", v, &v->thread, &end.why))
			link_exit(&end);
	}
	control_serve(vm);
}

int main(int argc, char **argv)
{
	static struct vmm vm;
	struct failure f = {.text = ""};
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (link_check()) {
		fprintf(stderr,
		    "lombard-vmm: this program is started by lombardd, which was not the case; to "
		    "start a guest, use \"lombard run\"\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* the guest's console may lose its reader */
	signal(SIGXFSZ, SIG_IGN); /* ... or be a file that has no more room */
	ret = build(&vm, &f);
	if (ret)
		link_refuse(ret, &f);
	link_ready(&vm);
	run(&vm);
}
