/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * There are no devices.  A guest with LAPICs is one that looks for some, though: it is told that there
 * are none, as a machine would, and finds the little that its ACPI tables promise.
 */
#include "vmm/platform.h"

#include <errno.h>
#include <string.h>

#include "lombard/loan.h"
#include "vmm/vmm.h"
#include "xen/public.h"

#define PAGE_SIZE 4096

/* A hypercall page has an entry of this size for each number: Xen public/arch-x86/xen.h. */
#define ENTRY_SIZE 32

/* mov $number, %eax; out %eax, $port; ret */
static void write_entry(uint8_t *at, uint32_t number)
{
	const uint8_t code[] = {0xb8, (uint8_t)number, 0, 0, 0, 0xe7, LOMBARD_HYPERCALL_PORT, 0xc3};

	memcpy(at, code, sizeof(code));
}

/* iret is no function: it traps (ud2), as there is nothing that could be returned to by it. */
static bool write_hypercall_page(struct vmm *vm, uint64_t value)
{
	const uint8_t ud2[] = {0x0f, 0x0b};
	uint8_t page[PAGE_SIZE];

	/* The low bits say which page, and there is one. */
	if (value % PAGE_SIZE != 0)
		return false;
	memset(page, 0xcc, sizeof(page));
	for (uint32_t i = 0; i < PAGE_SIZE / ENTRY_SIZE; i++)
		write_entry(&page[(size_t)i * ENTRY_SIZE], i);
	memcpy(&page[(size_t)__HYPERVISOR_iret * ENTRY_SIZE], ud2, sizeof(ud2));
	return gmem_write(&vm->mem, value, page, sizeof(page)) == 0;
}

/* What KVM does not know is a #GP, as on a processor. */
bool platform_msr(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	run->msr.error = !(run->exit_reason == KVM_EXIT_X86_WRMSR &&
			   run->msr.index == PLATFORM_HYPERCALL_MSR &&
			   write_hypercall_page(v->vm, run->msr.data));
	return false;
}

bool platform_mmio(struct vcpu *v, struct vmm_end *end)
{
	struct kvm_run *run = v->run;

	if (v->vm->cfg.lapic) {
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		return false;
	}
	end->reason = WIRE_EXIT_VMM_ERROR;
	failure_set(&end->why, -EFAULT,
	    "the guest %s guest-physical address 0x%lx, where it has no memory (rip 0x%lx)",
	    run->mmio.is_write ? "wrote to" : "read from", (unsigned long)run->mmio.phys_addr,
	    vcpu_rip(v));
	return true;
}

/* 0xff where nobody answers. */
static uint8_t port_value(const struct vmm *vm, uint16_t port)
{
	if (!vm->cfg.lapic)
		return 0xff;
	switch (port) {
	case PLATFORM_PIT_PORT:
	case PLATFORM_SLEEP_CONTROL_PORT:
	case PLATFORM_SLEEP_STATUS_PORT:
		return 0;
	default:
		return 0xff;
	}
}

static void read_ports(const struct vmm *vm, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++) {
		for (uint32_t byte = 0; byte < run->io.size; byte++)
			*data++ = port_value(vm, (uint16_t)(run->io.port + byte));
	}
}

bool platform_io(struct vcpu *v, struct vmm_end *end)
{
	struct kvm_run *run = v->run;
	const uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		read_ports(v->vm, run);
		return false;
	}
	if (!v->vm->cfg.lapic || run->io.port != PLATFORM_SLEEP_CONTROL_PORT ||
	    *data != PLATFORM_SLEEP_S5)
		return false;
	end->reason = SHUTDOWN_poweroff;
	end->code = atomic_load(&v->vm->exit_status);
	return true;
}
