#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Linux guests with disks: the driver xen-blkfront as Debian packages it, on lombard-blk.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/store.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

limit=400
img=

# disk_cell: a cell with a store, and a disk with an empty file system.
disk_cell() {
	need_linux
	command -v mke2fs >/dev/null || skip "there is no mke2fs (e2fsprogs)"
	store_cell
	img=$work/$test_name/disk.img
	dd if=/dev/zero of="$img" bs=1M count=0 seek=16 2>/dev/null || fail "no disk"
	expect 0 mke2fs -q -t ext4 "$img"
}

# run_linux NAME WHAT DISK: in the background.
run_linux() {
	expect 0 lombard run -d -n "$1" --kernel "$linux/vmlinuz" --initrd "$linux/initrd" \
		--append "$linux_words earlyprintk=xen quiet panic=-1 do=$2" --memory 256M --disk "$3"
	read -r domid _ console <<<"$out"
}

# ends GUEST: well, and its console is shown.
ends() {
	run lombard wait "$1"
	say "$(<"$console")"
	[ "$status" = 0 ] || fail "$1 ended with status $status"
}

no_disk_nodes() { [[ $(xs ls -f 2>/dev/null) != *vbd/[0-9]* ]]; }

disk_end() {
	until_true 10 no_guests || fail "guests are left"
	until_true 10 no_disk_nodes || fail "nodes are left: $(xs ls -f)"
	store_end
}

clean() { expect 0 e2fsck -fn "$img"; }

# sums: the lines of the console that md5sum has printed, one behind the other.
sums() {
	local row
	while read -r row; do
		row=${row%$'\r'}
		[[ $row != *'  -' ]] || printf '%s ' "${row%% *}"
	done <"$console"
}

# twice_the_same: what was written, and what was read again.
twice_the_same() {
	local written read
	read -r written read <<<"$(sums)"
	[ "${#written}" = 32 ] || fail "no sum in $(<"$console")"
	equal "what was read again" "$read" "$written"
}

test_ext4() {
	disk_cell
	run_linux writer disk "$img"
	ends writer
	says "guest: mounted" "$(<"$console")"
	says "guest: wrote 5" "$(<"$console")"
	says "guest: unmounted" "$(<"$console")"
	says "flush diskcache: enabled" "$(<"$console")"
	says "persistent grants: enabled" "$(<"$console")"
	says "indirect descriptors: enabled" "$(<"$console")"
	twice_the_same
	clean
	disk_end
}

test_killed() {
	local i
	disk_cell
	run_linux writer disk "$img"
	for i in 1 3; do
		await "$console" "guest: wrote $i*" 100
		expect 0 xs read "/local/domain/0/backend/vbd/$domid/51712/pid"
		kill -KILL "$out" || fail "it was gone"
		expect 0 "$bin/lombard-blk" --detach --log "$work/$test_name/log" writer xvda
	done
	ends writer
	says "guest: unmounted" "$(<"$console")"
	twice_the_same
	clean
	disk_end
}

# Two guests, one image, which is copied to the one and lent to the other.
test_read_only() {
	local first
	disk_cell
	run_linux one read "$img,ro"
	first=$console
	run_linux two read "$img,ro,share"
	for console in "$first" "$console"; do
		await "$console" "guest: not to be written*" 200
		says "guest: read-only is 1" "$(<"$console")"
		equal "its sum" "$(sums)" "$(md5sum <"$img" | { read -r sum _ && echo "$sum "; })"
	done
	says "persistent grants: enabled" "$(<"$first")"
	says "persistent grants: disabled" "$(<"$console")"
	ends two
	expect 0 lombard wait one
	disk_end
}

host_tests ext4 killed read_only
