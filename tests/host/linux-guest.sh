# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the files of host tests share that have Linux guests; read after lib.sh.
#
# HOST_LINUX is a directory that tests/testbed/linux.sh has filled (linux/ beside tests/ if absent, which is where
# it is in a testbed).

linux=${HOST_LINUX:-$host_root/linux}
# What each of their kernels is told.  QEMU's software SVM does not tell KVM of a guest's XSETBV, and KVM then tells
# the guest a size of XSAVE's area that is not so.
linux_words=console=hvc0
[ "${TESTBED:-}" != npt ] || linux_words+=' noxsave'

# Of the processor, into $flags, with spaces around each.
read_flags() {
	local key
	while read -r key _ flags; do
		[ "$key" != flags ] || break
	done </proc/cpuinfo
	flags=" $flags "
}

need_linux() {
	local flags
	read_flags
	case $flags in
	*' vmx '* | *' svm '*) ;;
	*) skip "the processor has neither VMX nor SVM, so KVM can't run Linux here; the testbeds do" ;;
	esac
	need_single_interrupts
	[ -r "$linux/vmlinuz" ] || skip "there is no Linux kernel for guests here (tests/testbed/linux.sh makes a directory of it)"
}

# linux_options WORDS: of `lombard run`, a line for each, for a guest that does what WORDS of its command line say.
linux_options() {
	printf '%s\n' --kernel "$linux/vmlinuz" --initrd "$linux/initrd" --memory 192M \
		--append "$linux_words quiet panic=-1 $1"
}
