#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Linux guests, from kernels as Debian packages them: up to the first process and every way down again.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

limit=120

# boot STATUS WHAT [OPTION...]: what linux-init.sh is to do.
boot() {
	local want=$1 what=$2
	shift 2
	expect "$want" lombard run --kernel "$linux/vmlinuz" --initrd "$linux/initrd" \
		--append "$linux_words earlyprintk=xen quiet panic=-1 do=$what" --mem 256M "$@"
}

# A timer has to interrupt each time.
test_poweroff() {
	need_linux
	boot 0 sleep
	says 'guest: init at' "$out"
	says 'hypervisor xen PVH' "$out"
	says ' 1 CPUs' "$out"
	says 'guest: slept 3 times' "$out"
	equal "what is said of it" "$err" ''
}

test_reboot_of_two_cpus() {
	need_linux
	boot 0 reboot --vcpus 2
	says ' 2 CPUs' "$out"
	says 'it asked for a reboot' "$err"
}

test_panic_of_four_cpus() {
	need_linux
	boot 124 panic --vcpus 4
	says ' 4 CPUs' "$out"
	says 'it says that it crashed' "$err"
}

# Most of it is never touched.  The grant table has its place behind the memory, and no other.
test_much_memory() {
	need_linux
	expect 0 lombard run --kernel "$linux/vmlinuz" --initrd "$linux/initrd" --vcpus 2 --memory 5G \
		--append "$linux_words earlyprintk=xen loglevel=5 panic=-1 do=poweroff"
	[[ $out =~ ([0-9]+)" kB, hypervisor" ]] || fail "it does not say how much memory it has"
	[ "${BASH_REMATCH[1]}" -gt $((4 * 1024 * 1024)) ] || fail "it has found ${BASH_REMATCH[1]} KiB"
	[[ $out != *"add_to_physmap failed"* ]] || fail "it has no grant table"
}

# KiB of a process; the guest's memory is shared with the core, and is not counted.
own_memory() {
	local key value sum=0
	while read -r key value _; do
		case $key in Pss_Anon: | Pss_File:) sum=$((sum + value)) ;; esac
	done <"/proc/$1/smaps_rollup"
	printf '%d' "$sum"
}

test_detached() {
	local memory
	need_linux
	expect 0 lombard run -d -n held --kernel "$linux/vmlinuz" --initrd "$linux/initrd" \
		--append "$linux_words quiet do=hold" --memory 256M
	read -r domid _ console <<<"$out"
	find_vmm "$domid"
	await "$console" 'guest: init at*' 60
	memory=$(own_memory "$vmm_pid")
	say "the guest's process takes $memory KiB"
	[ "$memory" -le 5120 ] || [[ $host_build != */release ]] || fail "the guest's process takes $memory KiB"
	expect 0 lombard stop held
	await_end held 126
}

# Its functions for hypercalls are not found, but they work: where KVM passes them on, it boots as others do.
test_calls_passed_on() {
	local kernel=$work/spoilt ticks
	need_linux
	expect 0 "$bin/host/spoilcalls" "$linux/vmlinuz" "$kernel"
	set -- --kernel "$kernel" --initrd "$linux/initrd" --memory 256M --append "$linux_words quiet panic=-1 do=xen,calls"
	case $(uname -r) in
	6.1.*)
		expect 1 lombard run "$@"
		says 'Such pairs in its code: 0. And this host' "$err"
		says "KVM lacks KVM_CAP_XEN_HVM" "$err"
		;;
	*)
		expect 0 lombard run "$@"
		says 'guest: init at' "$out"
		# Of programs nobody takes a hypercall.  A long one of the kernel's lets interrupts through, after every 32
		# of 2000 parts, and there are 250 ticks a second.
		says "a program's own hypercall: -1"$'\r\n' "$out"
		[[ $out =~ in\ one\ call:\ ([0-9]+)\ us,\ ([0-9]+)\ interrupts ]] || fail "there was no long call"
		ticks=$((BASH_REMATCH[1] / 4000))
		[ "$ticks" -le 60 ] || ticks=60
		[ "${BASH_REMATCH[2]}" -ge $((ticks / 2)) ] || fail "${BASH_REMATCH[2]} interrupts in ${BASH_REMATCH[1]} us"
		says 'linuxxen: ok' "$out"
		;;
	esac
	rm "$kernel"
}

# Everything but a kernel and its initrd; what the machine can not do is found out later.
test_wrong_images() {
	local dir=$work/images
	[ -r "$linux/vmlinuz" ] || skip "there is no Linux kernel for guests here (tests/testbed/linux.sh makes a directory of it)"
	mkdir -p "$dir"
	head -c 1000000 "$linux/vmlinuz" >"$dir/short"
	expect 1 lombard run --kernel "$dir/short"
	says 'longer than the file, which may have been cut off' "$err"
	{
		head -c 2000000 "$linux/vmlinuz"
		head -c 100000 /dev/zero
		tail -c +2100001 "$linux/vmlinuz"
	} >"$dir/damaged"
	expect 1 lombard run --kernel "$dir/damaged"
	says "can't be unpacked" "$err"
	expect 1 lombard run --kernel "$linux/initrd"
	says 'not an ELF file, nor a Linux bzImage' "$err"
	expect 1 lombard run "$linux/vmlinuz"
	says 'lombard run --kernel' "$err"
	expect 1 lombard run --kernel "$linux/vmlinuz" -m 32M
	says 'give it more' "$err"
	expect 1 lombard run --kernel "$linux/vmlinuz" --initrd /dev/null
	says 'not a regular file' "$err"
	dd if=/dev/zero of="$dir/large" bs=1 count=1 seek=67108863 2>/dev/null
	expect 1 lombard run --kernel "$linux/vmlinuz" --initrd "$dir/large" -m 100M
	says 'has room for' "$err"
	expect 1 lombard run --kernel "$linux/vmlinuz" --append "$(printf '%02100d' 1)"
	says 'less than 2048' "$err"
	rm -r "$dir"
}

test_options() {
	expect 2 lombard run --kernel x y
	says 'there is no IMAGE' "$err"
	expect 2 lombard run --append x "$probe"
	says 'for a --kernel' "$err"
	expect 2 lombard run --kernel x --vcpus 0
	says 'give a number' "$err"
	expect 1 lombard run --kernel "$work/nothing"
	says 'cannot open the kernel' "$err"
	expect 1 lombard run --kernel "$probe" --initrd "$work/nothing"
	says 'cannot open the initrd' "$err"
}

host_tests options wrong_images calls_passed_on poweroff reboot_of_two_cpus panic_of_four_cpus much_memory detached
