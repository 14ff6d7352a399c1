/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * There are no devices.  A guest with LAPICs is one that looks for some, though: it is told that there
 * are none, as a machine would, and finds the little that its ACPI tables promise.
 */
#include "vmm/platform.h"

#include <errno.h>
#include <string.h>

#include "vmm/pvh.h"
#include "vmm/vmm.h"
#include "xen/public.h"

static bool write_hypercall_page(struct vmm *vm, uint64_t value)
{
	uint8_t page[PVH_CALL_PAGE];

	/* The low bits say which page, and there is one. */
	if (value % sizeof(page) != 0)
		return false;
	pvh_hypercall_page(page);
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

static bool xen_event_port_p(uint16_t port)
{
	return port >= PLATFORM_XEN_GPE0_PORT &&
	       port < PLATFORM_XEN_GPE0_PORT + PLATFORM_XEN_GPE0_LEN;
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
		return xen_event_port_p(port) ? 0 : 0xff;
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
