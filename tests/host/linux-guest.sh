# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the files of host tests share that have Linux guests; read after lib.sh.
#
# HOST_LINUX is a directory that tests/testbed/linux.sh has filled (linux/ beside tests/ if absent, which is where
# it is in a testbed).

linux=${HOST_LINUX:-$host_root/linux}

need_linux() {
	local key flags
	while read -r key flags; do
		[ "$key" != flags ] || break
	done </proc/cpuinfo
	case " $flags " in
	*' vmx '* | *' svm '*) ;;
	*) skip "the processor has neither VMX nor SVM, so KVM can't run Linux here; the testbeds do" ;;
	esac
	[ "${TESTBED:-}" != npt ] || [ ! -e /sys/devices/system/cpu/cpu1 ] ||
		skip "this emulated machine interrupts guests twice now and then; one with a single processor does not"
	[ -r "$linux/vmlinuz" ] || skip "there is no Linux kernel for guests here (tests/testbed/linux.sh makes a directory of it)"
}
