/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vmm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/sys.h"
#include "lombard/loan.h"
#include "xen/public.h"

#ifndef KVM_EXIT_MEMORY_FAULT /* Linux 6.8; older headers lack the name */
#define KVM_EXIT_MEMORY_FAULT 39
#endif

#define MSR_TSC 0x10
#define CR0_PE_ET 0x11

/* KVM_EXIT_MEMORY_FAULT's part of struct kvm_run. */
struct memory_fault {
	uint64_t flags;
	uint64_t gpa;
	uint64_t size;
};

int vcpu_set_pvh(const struct vcpu *v, uint32_t entry, uint32_t start_info, struct failure *f)
{
	struct kvm_segment flat = {.limit = UINT32_MAX,
	    .present = 1,
	    .s = 1,
	    .db = 1,
	    .g = 1,
	    .selector = 0x10,
	    .type = 0x3};
	struct kvm_segment code = flat,
			   task = {.limit = 0x67, .present = 1, .selector = 0x18, .type = 0xb};
	struct kvm_regs regs = {.rip = entry, .rbx = start_info, .rflags = 2};
	struct kvm_sregs s;

	code.selector = 0x8;
	code.type = 0xb;
	if (SYS(ioctl(v->fd, KVM_GET_SREGS, &s)))
		return failure_sys(f, -errno, "KVM_GET_SREGS");
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = flat;
	s.tr = task;
	s.cr0 = CR0_PE_ET;
	s.cr3 = 0;
	s.cr4 = 0;
	s.efer = 0;
	if (SYS(ioctl(v->fd, KVM_SET_SREGS, &s)))
		return failure_sys(f, -errno, "KVM_SET_SREGS");
	if (SYS(ioctl(v->fd, KVM_SET_REGS, &regs)))
		return failure_sys(f, -errno, "KVM_SET_REGS");
	return 0;
}

int vcpu_read_tsc(const struct vcpu *v, uint64_t *tsc)
{
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} msrs = {.head = {.nmsrs = 1}};

	msrs.head.entries[0].index = MSR_TSC;
	if (ioctl(v->fd, KVM_GET_MSRS, &msrs) != 1)
		return -EIO;
	*tsc = msrs.head.entries[0].data;
	return 0;
}

int vcpu_time(const struct vcpu *v, uint64_t *ns)
{
	uint64_t tsc;
	int ret = vcpu_read_tsc(v, &tsc);

	if (ret)
		return ret;
	*ns = (uint64_t)((unsigned __int128)(tsc - v->tsc_first) * 1000000 / v->tsc_khz);
	return 0;
}

unsigned long vcpu_rip(const struct vcpu *v)
{
	struct kvm_regs regs;

	return ioctl(v->fd, KVM_GET_REGS, &regs) ? 0 : (unsigned long)regs.rip;
}

static bool hypercall_p(const struct kvm_run *run)
{
	return run->io.port == LOMBARD_HYPERCALL_PORT && run->io.direction == KVM_EXIT_IO_OUT &&
	       run->io.size == 4 && run->io.count == 1;
}

/* It begins before the hypercall again, and makes the rest of it. */
static bool make_again(struct vcpu *v, const struct hypercall *h, struct vmm_end *end)
{
	int ret = gate_make_again(v, h);

	if (ret == 0)
		return false;
	end->reason = WIRE_EXIT_VMM_ERROR;
	failure_sys(
	    &end->why, ret, "KVM can't go back before a hypercall (rip 0x%lx)", vcpu_rip(v));
	return true;
}

/*
 * Where KVM passes hypercalls on, it does so for programs and 32-bit code, too.  Xen does not listen to
 * programs, either; 32-bit code has other structures.
 */
static int64_t refusal(const struct kvm_run *run)
{
	if (run->exit_reason != KVM_EXIT_XEN)
		return 0;
	if (run->xen.u.hcall.cpl > 0)
		return -EPERM;
	return run->xen.u.hcall.longmode ? 0 : -ENOSYS;
}

static void set_result(struct kvm_run *run, int64_t ret)
{
	if (run->exit_reason == KVM_EXIT_XEN) {
		run->xen.u.hcall.result = (uint64_t)ret;
		return;
	}
	run->s.regs.regs.rax = (uint64_t)ret;
	run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

/*
 * By `out`, or by VMCALL or VMMCALL that KVM passes on: the arguments are where they are in both.  The result
 * goes to rax; rip is KVM's to move when the vCPU runs on.
 */
static bool exit_hypercall(struct vcpu *v, struct vmm_end *end)
{
	const struct kvm_sync_regs *s = &v->run->s.regs;
	struct hypercall h = {
	    .nr = s->regs.rax,
	    .arg = {s->regs.rdi, s->regs.rsi, s->regs.rdx, s->regs.r10, s->regs.r8},
	    .paging =
		{
		    .cr0 = s->sregs.cr0,
		    .cr3 = s->sregs.cr3,
		    .cr4 = s->sregs.cr4,
		    .efer = s->sregs.efer,
		},
	};
	int64_t ret = refusal(v->run);

	if (ret == 0 && hypercall_do(v, &h, &ret, end))
		return true;
	if (ret == -ERESTART)
		return make_again(v, &h, end);
	set_result(v->run, ret);
	return false;
}

/* Nothing can wake a halted vCPU: where there is an interrupt controller, KVM does not say that it is. */
static bool exit_halt(const struct vcpu *v, struct vmm_end *end)
{
	end->reason = SHUTDOWN_crash;
	failure_set(&end->why, -EIO, "the guest halted for ever (HLT, rip 0x%lx)", vcpu_rip(v));
	return true;
}

static bool exit_triple_fault(const struct vcpu *v, struct vmm_end *end)
{
	end->reason = SHUTDOWN_crash;
	failure_set(
	    &end->why, -EIO, "the guest crashed with a triple fault (rip 0x%lx)", vcpu_rip(v));
	return true;
}

static bool exit_fail_entry(const struct vcpu *v, struct vmm_end *end)
{
	end->reason = WIRE_EXIT_VMM_ERROR;
	failure_set(&end->why, -EIO, "KVM can't enter the guest: hardware reason 0x%lx (rip 0x%lx)",
	    (unsigned long)v->run->fail_entry.hardware_entry_failure_reason, vcpu_rip(v));
	return true;
}

static bool exit_internal(const struct vcpu *v, struct vmm_end *end)
{
	uint32_t sub = v->run->internal.suberror;

	end->reason = WIRE_EXIT_VMM_ERROR;
	failure_set(&end->why, -EIO, "KVM gave up on the guest: internal error %u%s (rip 0x%lx)",
	    sub,
	    sub == KVM_INTERNAL_ERROR_EMULATION ? ", an instruction that it can't emulate" : "",
	    vcpu_rip(v));
	return true;
}

static bool exit_unknown(const struct vcpu *v, struct vmm_end *end)
{
	end->reason = WIRE_EXIT_VMM_ERROR;
	failure_set(&end->why, -EIO, "KVM stopped the guest with exit reason %u (rip 0x%lx)",
	    v->run->exit_reason, vcpu_rip(v));
	return true;
}

/* => true when the guest has ended */
static bool dispatch(struct vcpu *v, struct vmm_end *end)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		return hypercall_p(v->run) ? exit_hypercall(v, end) : platform_io(v, end);
	case KVM_EXIT_XEN:
		return v->run->xen.type == KVM_EXIT_XEN_HCALL ? exit_hypercall(v, end)
							      : exit_unknown(v, end);
	case KVM_EXIT_MMIO:
		return platform_mmio(v, end);
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		return platform_msr(v);
	case KVM_EXIT_HLT:
		return exit_halt(v, end);
	case KVM_EXIT_SHUTDOWN:
		return exit_triple_fault(v, end);
	case KVM_EXIT_FAIL_ENTRY:
		return exit_fail_entry(v, end);
	case KVM_EXIT_INTERNAL_ERROR:
		return exit_internal(v, end);
	default:
		return exit_unknown(v, end);
	}
}

static void run_failed(const struct vcpu *v, int err, struct vmm_end *end)
{
	struct memory_fault mf;

	end->reason = WIRE_EXIT_VMM_ERROR;
	if (v->run->exit_reason == KVM_EXIT_MEMORY_FAULT) {
		memcpy(&mf, &v->run->hw, sizeof(mf));
		failure_sys(&end->why, err,
		    "KVM can't reach the guest's memory at guest-physical address 0x%lx (rip "
		    "0x%lx)",
		    (unsigned long)mf.gpa, vcpu_rip(v));
	} else {
		failure_sys(&end->why, err,
		    err == -EFAULT ? "KVM can't reach a page of the guest's memory (rip 0x%lx)"
				   : "KVM can't run the guest (rip 0x%lx)",
		    vcpu_rip(v));
	}
}

/* Before the first instruction: the other vCPUs wait for one of the first.  All have one time. */
static void begin_time(struct vmm *vm)
{
	uint64_t tsc = 0;

	/* Without it only time-outs would be off. */
	(void)vcpu_read_tsc(&vm->vcpus[0], &tsc);
	for (unsigned i = 0; i < vm->cfg.vcpus; i++)
		vm->vcpus[i].tsc_first = tsc;
}

void vcpu_run(struct vcpu *v, struct vmm_end *end)
{
	struct kvm_run *run = v->run;
	bool ended = false;
	int ret;

	memset(end, 0, sizeof(*end));
	gate_pass(v);
	if (v->id == 0)
		begin_time(v->vm);
	while (!ended) {
		upcall_pay(v);
		run->exit_reason = KVM_EXIT_UNKNOWN; /* not every failure sets it */
		ret = gate_run(v);
		if (ret == 0) {
			ended = dispatch(v, end);
		} else if (ret == -EINTR || ret == -EAGAIN) {
			gate_pass(v);
		} else {
			run_failed(v, ret, end);
			ended = true;
		}
	}
}
