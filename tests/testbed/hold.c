/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holds an idle virtual machine with one vCPU until it is killed; says so once it does.
 *
 * KVM patches the kernel's code, the scheduler's too, when the first machine of a host comes and
 * when the last one goes, and again for the first and last vCPU without a local APIC.  QEMU's
 * software processors can lose such a change when it is made while another of them runs there:
 * then both trap for ever.  With one machine that stays, tests that come and go patch nothing.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0)
		err(1, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	if (ioctl(vm, KVM_CREATE_VCPU, 0) < 0)
		err(1, "KVM_CREATE_VCPU");
	puts("holding");
	fflush(stdout);
	for (;;)
		pause();
}
