/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LOMBARD_VMM_VMM_H
#define LOMBARD_VMM_VMM_H
/*
 * The VMM process: one guest, one KVM VM.  What its files offer each other.
 *
 * Threads:
 *   main   start-up (machine_*, link_*), then watches for the core's end and pauses the guest when
 *          the core says so (control.c)
 *   vcpuN  one for each vCPU: runs it, and its hypercalls
 *   upcall tells vCPUs with a LAPIC of events (upcall.c)
 *   pmap   pmap_local_serve
 *   console  console_serve
 * struct vmm is built by main before the others start.  Fields marked [v] belong to their vCPU's
 * thread from then on, atomic ones to all, the others do not change any more.
 *
 * Errors: 0 or -errno, with a sentence in struct failure where one is passed.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/kvm.h>

#include "lib/failure.h"
#include "pmap/pmap_local.h"
#include "proto/wire.h"
#include "vmm/console.h"
#include "vmm/gmem.h"

struct hypercall;
struct shared_info;
struct vcpu_info;
struct vcpu_time_info;
struct vmm;

struct vcpu {
	struct vmm *vm;
	unsigned id; /* its number */
	int fd;
	struct kvm_run *run; /* [v] shared with KVM; immediate_exit is the gate's */
	uint32_t tsc_khz;
	uint64_t tsc_first; /* when the guest began to run; changed by state_set only after that */
	int wake;	    /* eventfd: ends its SCHEDOP_poll's sleep */
	int upcall;	    /* eventfd of the core (wire.h); -1 without a LAPIC */
	_Atomic uint8_t vector; /* its upcall; 0: it has not chosen one yet */
	_Atomic bool owed;	/* an interrupt with that, which its LAPIC has not taken yet */
	_Atomic bool polling;	/* it is in SCHEDOP_poll: whoever raises an event adds to wake */
	_Atomic bool up;	/* it has run: it has made a hypercall */
	int timer;		/* timerfd, CLOCK_MONOTONIC; with a LAPIC */
	int ticks;		/* likewise, the periodic one */
	_Atomic uint32_t timer_port; /* what its VIRQ_TIMER is bound to; 0: nothing */
	struct vcpu_info
	    *info; /* where it is registered; NULL: in the shared info page.  events.mutex */
	/* Its part of the gate. */
	_Atomic bool inside; /* its thread may be in KVM_RUN */
	_Atomic bool parked; /* its thread waits for the gate, and its state in KVM is complete */
	pthread_t thread;
};

/*
 * Between the vCPUs and their guest.  While it is closed, no guest instruction runs once all vCPU
 * threads are outside: KVM_RUN then only finishes what is unfinished (immediate_exit), and they park.
 */
struct gate {
	pthread_mutex_t mutex; /* closed, parked and the vCPUs' immediate_exit change together */
	pthread_cond_t opened;
	_Atomic bool closed;
	int told; /* eventfd: a vCPU thread has come out, or parked, while closed */
};

/* What the VMM raises itself: event.c. */
struct events {
	pthread_mutex_t mutex; /* held to raise: none goes to a page that has just been left */
	struct shared_info *_Atomic shared; /* in RAM; NULL: there is none yet */
	_Atomic uint8_t ipi[4096];	    /* by port: 1 + the vCPU that it interrupts, or 0 */
};

struct vmm {
	struct wire_config cfg; /* strings are known to end */
	int image;
	int initrd; /* -1: none */
	int kvm;
	int vm;
	uint32_t nslots;		   /* memory slots that KVM has */
	struct vcpu vcpus[WIRE_MAX_VCPUS]; /* the first cfg.vcpus of them */
	struct pmap_local pmap;
	struct gmem mem;
	struct gate gate;
	bool adopted;		      /* main: a guest that tools have built may run */
	int upcalls;		      /* eventfd: some vCPU is owed an interrupt now */
	struct console console;	      /* see there */
	_Atomic uint32_t exit_status; /* what the guest set by guest_op */
	struct events events;
	bool tsc_stable; /* the TSCs of all vCPUs are one */
	_Atomic uint32_t
	    time_version; /* of what is shown of guest time: even, and never the same */
};

/* Why the guest ends: see struct wire_exit. */
struct vmm_end {
	uint32_t reason;
	uint32_t code;
	struct failure why;
};

/*
 * vcpu_apic: the number of its APIC, and its number to KVM.  In domains that tools build every other number
 * is used, since Xen's tools write such ACPI tables; Lombard's own guests have them without gaps.
 */
static inline unsigned vcpu_apic_shift(const struct vmm *vm)
{
	return vm->cfg.built ? 1 : 0;
}

static inline unsigned vcpu_apic(const struct vcpu *v)
{
	return v->id << vcpu_apic_shift(v->vm);
}

/* ---- link.c: the dialogue with the core.  The core's end is this process's end, at once. ---- */

/* link_check: => -ENOTCONN unless the descriptors of proto/wire.h were inherited */
int link_check(void);

/* link_configure: say hello, learn what to build.  => on error the core can still be told */
int link_configure(struct vmm *vm, struct failure *f);

/* link_ready: tell the core that everything is built, wait until it says start. */
void link_ready(const struct vmm *vm);

/* link_refuse: tell the core that it could not be built, and end. */
_Noreturn void link_refuse(int err, const struct failure *f);

/*
 * link_hypercall: let the core answer one hypercall.  Any vCPU's thread; they take turns.
 * => fills q's header and padding; q->arg_len <= WIRE_MAX_ARG
 */
void link_hypercall(struct wire_hypercall *q, struct wire_result *r);

/* link_unknown: let the core count a hypercall that is not there.  Any vCPU's thread. */
void link_unknown(uint64_t nr, uint64_t cmd);

/*
 * link_console: ask the core about the console's ring.  By the console thread.
 * raise: send the guest an event there
 * => 0: nobody else serves it, and *gfn is where it is; -EBUSY, -ENOENT (wire_ask_console)
 */
int link_console(bool raise, uint64_t *gfn);

/*
 * link_exit: tell the core why the guest has ended, let it close, end.  Of several threads the first
 * is heard; the others wait for the end.
 */
_Noreturn void link_exit(const struct vmm_end *end);

/* link_lost: the core has closed its end. */
_Noreturn void link_lost(void);

/* ---- control.c: what the core wants of a running guest ---- */

/* control_serve: answer the core until it goes away, then end.  => main thread */
_Noreturn void control_serve(struct vmm *vm);

/* ---- gate.c: pausing ---- */

int gate_init(struct vmm *vm, struct failure *f);

/* gate_close, gate_open: by the main thread.  Neither waits: see gate_outside_p and gate.told. */
void gate_close(struct vmm *vm);
void gate_open(struct vmm *vm);

static inline bool gate_closed_p(struct vmm *vm)
{
	return atomic_load(&vm->gate.closed);
}

/* gate_outside_p: while the gate is closed: no guest instruction runs. */
bool gate_outside_p(struct vmm *vm);

/*
 * By a vCPU's thread.
 *
 * gate_run: KVM_RUN.  => 0 or -errno.
 * gate_pass: KVM_RUN was interrupted, or has never been called: wait here for as long as the gate is
 *	closed.
 * gate_make_again: a hypercall that is not finished (-ERESTART) shall be made again, with the arguments
 *	in h: move the vCPU back before it.  => 0, and gate_run comes next; or -errno
 */
int gate_run(struct vcpu *v);
void gate_pass(struct vcpu *v);
int gate_make_again(struct vcpu *v, const struct hypercall *h);

/* ---- halt.c: guests with LAPICs that have halted for good.  All by the main thread ---- */

struct halt {
	int64_t next;  /* by now_ms: when to look, or to stop looking */
	bool looking;  /* it has closed the gate */
	uint64_t used; /* CPU time of the vCPUs' threads at the last look, in ns */
};

/*
 * halt_look: look, if it is time.  Does not return if the guest has halted for good.
 * halt_leave: somebody else wants the gate.
 * halt_patience: how long until halt_look has something to do, in ms; -1: it has not.  A vCPU that parks is
 *	something, too (gate.told).
 */
void halt_look(struct vmm *vm, struct halt *h);
void halt_leave(struct vmm *vm, struct halt *h);
int halt_patience(struct vmm *vm, const struct halt *h);

/* ---- machine.c: address space, KVM VM, memory slots and vCPUs, up to the first instruction ---- */

int machine_check(const struct wire_config *cfg, struct failure *f);
int machine_build(struct vmm *vm, struct failure *f);

/* machine_load: the image, and where the first vCPU begins.  In the sandbox. */
int machine_load(struct vmm *vm, struct failure *f);

/*
 * machine_can_pass_p: does this host's KVM pass VMCALL and VMMCALL on?
 * machine_pass_calls: let it.  => it can, and no vCPU runs
 */
bool machine_can_pass_p(const struct vmm *vm);
int machine_pass_calls(const struct vmm *vm, struct failure *f);

/* ---- adopt.c: guests that tools have built ---- */

/*
 * adopt: look what the tool has put into memory, and have the hypercalls of a Linux among it come here.
 * => the gate is closed, and the guest has never run
 * => 0; or, and the guest must not run, -ENOEXEC, -ENOTSUP, or another -errno
 */
int adopt(struct vmm *vm, struct failure *f);

/* ---- cpuid.c ---- */

/* cpuid_set: what KVM supports, less what needs XSAVE or an APIC that is not there, plus Xen's leaves. */
int cpuid_set(const struct vcpu *v, struct failure *f);

/* ---- vcpu.c: runs the guest ---- */

/* vcpu_set_pvh: the vCPU's state at a PVH entry point. */
int vcpu_set_pvh(const struct vcpu *v, uint32_t entry, uint32_t start_info, struct failure *f);

/* ---- platform.c: what there is beside memory and processors ---- */

/*
 * Accesses of a vCPU where KVM has nothing.
 *
 * platform_io: ports.  platform_mmio: guest-physical addresses.  platform_msr: MSRs.
 * => the exit is of that kind, and what is read is put where KVM takes it from
 * => true: the guest has ended by it, *end says how
 */
bool platform_io(struct vcpu *v, struct vmm_end *end);
bool platform_mmio(struct vcpu *v, struct vmm_end *end);
bool platform_msr(struct vcpu *v);

/* ---- upcall.c: guests with LAPICs ---- */

int upcall_init(struct vmm *vm, struct failure *f);

/* upcall_serve: the upcall thread. */
_Noreturn void upcall_serve(struct vmm *vm);

/*
 * upcall_set_vector: how a vCPU wants to be interrupted: 0x10 to 0xff.  If upcall_pending is 1 already,
 *	the caller raises.
 * upcall_raise: its upcall_pending has become 1: interrupt it, and end its SCHEDOP_poll.
 * upcall_pay: try again what its LAPIC has not taken.  Costs nothing when there is nothing.
 * => any thread
 */
void upcall_set_vector(struct vcpu *v, uint8_t vector);
void upcall_raise(struct vcpu *v);
void upcall_pay(struct vcpu *v);

/* ---- event.c: events that the VMM raises itself ---- */

void event_init(struct vmm *vm);

/*
 * What passes: event_channel_op before the core is asked, and after it has done it; the shared info page
 * has been placed; v's vcpu_info has been registered.  The last two by the vCPU that did it.
 *
 * event_asked: => true: it is done, the core need not be asked
 */
bool event_asked(struct vmm *vm, uint64_t cmd, const void *arg);
void event_answered(struct vmm *vm, uint64_t cmd, const void *arg);
void event_shared_moved(struct vcpu *v, uint64_t gfn);
void event_info_moved(struct vcpu *v, uint64_t gpa);

/* event_timer: a timer of v's has fired.  event_wake_pollers: some port is pending.  Any thread. */
void event_timer(struct vcpu *v);
void event_wake_pollers(struct vmm *vm);

/* event_upcall_p: is an upcall pending for it? */
bool event_upcall_p(struct vcpu *v);

/* ---- clock.c: guest time ---- */

/* clock_init: => outside the sandbox */
void clock_init(struct vmm *vm);

/*
 * clock_deadline: a moment of guest time by our clock; *reached: it is now, or over.  The guest's clock
 * is read, which by its own thread has to be done right behind an exit: where the host's TSC is unstable,
 * KVM lets a guest's TSC stand as long as its vCPU does not run, and makes up for it afterwards.
 */
int clock_deadline(const struct vcpu *v, uint64_t guest, uint64_t *host, bool *reached);

/* clock_scale: ns are ticks << shift (negative: >> -shift), times mul, / 2^32. */
void clock_scale(uint32_t khz, uint32_t *mul, int8_t *shift);

/*
 * clock_show: put guest time into a shared info page.  => by v's thread
 * clock_show_vcpu: a vCPU's part of it, there or elsewhere.
 */
void clock_show(struct vcpu *v, struct shared_info *si);
void clock_show_vcpu(struct vcpu *v, struct vcpu_time_info *to);

/* ---- vcpu_op.c: vCPUs and their timers ---- */

int timer_init(struct vmm *vm, struct failure *f);
int64_t timer_op(struct vcpu *v, const struct hypercall *h);
int64_t vcpu_op(struct vcpu *v, const struct hypercall *h);

/* ---- state.c: a vCPU's whole state.  => the gate is closed, the vCPU outside ---- */

/* state_get, state_set: 0 or -errno.  After an error of state_set a part may be set. */
int state_get(const struct vcpu *v, struct wire_vcpu *s);
int state_set(struct vcpu *v, const struct wire_vcpu *s);

/* state_set_write_back: what no MTRR speaks of can be cached, as with Xen.  => before the vCPU runs */
void state_set_write_back(const struct vcpu *v);

/* lapic_waiting_p: by its KVM_GET_MP_STATE: it has not been started. */
bool lapic_waiting_p(uint32_t mp_state);

/* lapic_get, lapic_set: state_lapic.c's part of it.  => it has a LAPIC.  moved: rip has been changed */
int lapic_get(const struct vcpu *v, struct wire_vcpu *s);
int lapic_set(const struct vcpu *v, const struct wire_vcpu *s, bool moved);

/*
 * sandbox_enter: give up every privilege but the open descriptors.  0, or -errno with *f.
 * sandbox_filter: its last step, but in builds with sanitizers: from now on system calls that a VMM
 * does not make end the process, in all threads.
 */
int sandbox_enter(const struct vmm *vm, struct failure *f);
int sandbox_filter(struct failure *f);

/* vcpu_run: returns when the guest has ended by what this vCPU did. */
void vcpu_run(struct vcpu *v, struct vmm_end *end);

/* vcpu_rip: for messages; 0 where KVM does not tell. */
unsigned long vcpu_rip(const struct vcpu *v);

/* vcpu_read_tsc: the guest's TSC; on hosts that cannot offset it, the host's.  0 or -errno */
int vcpu_read_tsc(const struct vcpu *v, uint64_t *tsc);

/*
 * vcpu_time: guest time in ns: what its TSC, at the frequency of CPUID leaf 0x40000010, has counted
 * since it began to run.  Its TSC, and not our clock, because the guest looks at that, too.
 * => 0 or -errno
 */
int vcpu_time(const struct vcpu *v, uint64_t *ns);

/* ---- hypercall.c ---- */

/* A hypercall's arguments, in Xen's order, and how to understand its pointers. */
struct hypercall {
	uint64_t nr;
	uint64_t arg[5];
	struct gmem_paging paging;
};

/*
 * hypercall_do: => *ret goes into rax; -ERESTART: it has to be made again, and h may have become its rest:
 *	see gate_make_again
 * => returns true when the guest has ended by it: then end is filled and *ret means nothing
 */
bool hypercall_do(struct vcpu *v, struct hypercall *h, int64_t *ret, struct vmm_end *end);

/*
 * hypercall_rest_p: so many parts of a hypercall have been done, of which the guest says how many there are:
 * shall the rest be another one?  Between two of them the guest takes its interrupts, and whoever pauses it
 * does not wait for more.
 */
#define HYPERCALL_PARTS 32

static inline bool hypercall_rest_p(struct vmm *vm, unsigned done)
{
	return done >= HYPERCALL_PARTS || (done > 0 && gate_closed_p(vm));
}

/* ---- memory_op.c ---- */

/* memory_op: => false: it is none of the calls that are answered there */
bool memory_op(struct vcpu *v, struct hypercall *h, int64_t *ret);

/* ---- sched.c and console.c: hypercalls that need nobody else ---- */

/* sched_poll: => -ERESTART: it was not over when the gate was closed */
int64_t sched_poll(struct vcpu *v, const struct hypercall *h);
int64_t console_op(struct vmm *vm, struct hypercall *h);

#endif
