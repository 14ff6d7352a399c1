#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A Linux guest that `xl create` makes, of a kernel as Debian packages it: what its user does with it is done with
# Xen's own tools.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/store.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"
. "${BASH_SOURCE[0]%/*}/xl.sh"

limit=180
typist=$bin/host/typist
detach=$'type:\x1d'

need_kernel() {
	[ -r "$linux/vmlinuz" ] || skip "there is no Linux kernel for guests here (tests/testbed/linux.sh makes a directory of it)"
}

# begin NAME KERNEL: a cell with all that xl wants, and a domain of two vCPUs that does not run yet.
begin() {
	local dir=$work/$test_name
	store_cell
	mkdir -p /var/run/xen || skip "/var/run/xen, where xl has its locks, can't be made"
	start consoled "$bin/lombard" xen xenconsoled -i --log=guest "--log-dir=$dir" "--pid-file=$dir/xenconsoled.pid"
	consoled=$job
	console=$dir/guest-$1.log
	printf '%s\n' "name=\"$1\"" 'type="pvh"' "kernel=\"$2\"" "ramdisk=\"$linux/initrd\"" \
		"extra=\"$linux_words quiet panic=-1 do=shell\"" 'memory=192' 'vcpus=2' >"$dir/$1.cfg"
	expect 0 xl create -p "$dir/$1.cfg"
	expect 0 xl domid "$1"
	domid=$out
	find_vmm "$domid"
}

end() {
	kill_job "$consoled"
	store_end
}

# at_console STATUS STEP...: `xl console`, until it ends with this status.
at_console() {
	local want=$1
	shift
	expect "$want" "$typist" "$@" -- "$bin/lombard" xen xl console tux
}

# All of it in one boot: both vCPUs, its console both ways, a disk, and its end by `xl shutdown`.
test_boot() {
	need_linux
	begin tux "$linux/vmlinuz"
	printf 'words on a disk\n' >"$work/disk"
	truncate -s 1M "$work/disk"
	expect 0 "$bin/lombard-blk" -d -r "$domid" xvda "$work/disk"
	equal "its state" "$(xl_state tux)" --p---
	expect 0 xl unpause tux
	await "$console" 'guest: init at*' 60
	says ' 2 CPUs' "$line"
	says 'hypervisor xen PVH' "$line"
	[[ $(xl_state tux) != *p* && $(xl_state tux) == ??---- ]] || fail "its state is $(xl_state tux)"
	at_console 0 $'type:echo here is $((6 * 7))\r' "see:here is 42" \
		$'type:insmod /modules/xen-blkfront.ko; sleep 1; head -n 1 /dev/xvda\r' "see:words on a disk" "$detach"
	expect 0 xl shutdown tux
	until_true 40 no_guests || fail "it is still there: $(xl_state tux)"
	expect 0 xl dmesg
	says 'ended: poweroff, status 0' "$out"
	equal "its state" "$(xl_state tux)" ''
	end
}

# Where it can't run, who unpauses it is told so: here no Linux runs; or this one's hypercalls would reach nobody.
test_refused() {
	local flags why kernel=$work/spoilt
	need_kernel
	read_flags
	case "$flags $(uname -r)" in
	*' vmx '*' 6.1.'* | *' svm '*' 6.1.'*)
		why='Such pairs in its code: 0. And this host'
		expect 0 "$bin/host/spoilcalls" "$linux/vmlinuz" "$kernel"
		;;
	*' vmx '* | *' svm '*) skip "this host runs every Linux" ;;
	*)
		why="a Linux kernel, which this host can't run"
		kernel=$linux/vmlinuz
		;;
	esac
	begin tux "$kernel"
	run xl unpause tux # its status is 0 whatever it says
	says 'Unpausing domain: ' "$err"
	expect 0 xl dmesg
	says "can't go on: what the tool has loaded" "$out"
	says "$why" "$out"
	equal "its state" "$(xl_state tux)" --p---
	expect 0 xl destroy tux
	end
}

host_tests boot refused
