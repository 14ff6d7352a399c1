#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Disks: lombard-blk and `lombard run --disk`, used by small guests as xen-blkfront uses them.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/store.sh"

limit=120
img= # the disk of this test

# disk_cell [MIB]: a cell with a store, and an empty disk.
disk_cell() {
	need_uring
	store_cell
	img=$work/$test_name/disk.img
	dd if=/dev/zero of="$img" bs=1M count=0 seek="${1:-4}" 2>/dev/null || fail "no disk"
}

# Containers and hardened hosts do without.
need_uring() {
	local off
	[ ! -r /proc/sys/kernel/io_uring_disabled ] || off=$(</proc/sys/kernel/io_uring_disabled)
	[ "${off:-0}" = 0 ] || skip "this host has no io_uring (kernel.io_uring_disabled is $off)"
}

hash_of() {
	local hash
	read -r hash _ < <(xxhsum -H64 "$1" 2>/dev/null)
	printf '%s' "$hash"
}

# run_disk STATUS DISK ARGUMENT...: a probe in the foreground.
run_disk() {
	expect "$1" lombard run -m 24M --disk "$2" "$probe" "${@:3}"
}

# launch_disk NAME DISK ARGUMENT...: one in the background.
launch_disk() {
	expect 0 lombard run -d -n "$1" -m 24M --disk "$2" "$probe" "${@:3}"
	read -r domid _ console <<<"$out"
	find_vmm "$domid"
	find_blk "$domid"
}

blk_pid=

# find_blk DOMID [DEVICE]
find_blk() {
	expect 0 xs read "/local/domain/0/backend/vbd/$1/${2:-51712}/pid"
	blk_pid=$out
	alive "$blk_pid" || fail "process $blk_pid is not there"
}

# Of this test's cell: its processes bear its mark.
no_blk() {
	local dir
	for dir in /proc/[0-9]*; do
		[[ ! $dir/exe -ef $bin/lombard-blk ]] || ! ours "${dir#/proc/}" "$LOMBARD_TEST" || return 1
	done
}

# disk_end: nothing of the disks is left.
disk_end() {
	until_true 10 no_guests || fail "guests are left"
	until_true 10 no_disk_nodes || fail "nodes are left: $(xs ls -f | tr '\n' ' ')"
	until_true 5 no_blk || fail "a lombard-blk is left"
	store_end
}

# same_hash: the hash that the guest has printed is the file's.
same_hash() { shows_hash "$(hash_of "$img")" "${1:-$out}"; }

# shows_hash HASH TEXT: that is what the guest has printed.
shows_hash() {
	local text=${2##*hash=}
	equal "the disk's hash" "${text%%[[:space:]]*}" "$1"
}

# ends_well GUEST: one that prints a hash, which $line has then.
ends_well() {
	run lombard wait "$1"
	[ "$status" = 0 ] || fail "$1 ended with status $status: $(<"$console")"
	await "$console" "probe: hash=*"
}

# end_loop GUEST: the last one launched, whose disk-loop ends now.
end_loop() {
	expect 0 xs write "/local/domain/$domid/device/vbd/51712/enough" 1
	ends_well "$1"
	same_hash "$line"
}

# ---- reading and writing ----

test_io() {
	local how
	disk_cell
	for how in "" "persistent=1" "indirect=1" "persistent=1 indirect=1" "order=1" "persistent=1 order=2" "indirect=1 order=2"; do
		# shellcheck disable=SC2086
		run_disk 0 "$img" disk-io seed="$RANDOM" $how
		same_hash
	done
	disk_end
}

# A disk that ends in the middle of a page.
test_odd_size() {
	disk_cell
	dd if=/dev/zero of="$img" bs=512 count=0 seek=1001 2>/dev/null || fail "no disk"
	run_disk 0 "$img" disk-io persistent=1
	same_hash
	disk_end
}

test_discard() {
	disk_cell
	run_disk 0 "$img" disk-discard
	same_hash
	disk_end
}

# The frontend closes, and opens again in other ways.
test_close() {
	disk_cell
	run_disk 0 "$img" disk-close
	same_hash
	disk_end
}

# Many guests, one image, that nobody may write.
test_read_only() {
	local i
	disk_cell
	run_disk 0 "$img" disk-io
	chmod 444 "$img"
	for i in 1 2 3; do
		expect 0 lombard run -d -n "reader$i" -m 24M --disk "$img,ro" "$probe" disk-read persistent=$((i % 2))
	done
	for i in 1 2 3; do
		read -r _ _ console <<<"$(lombard run -d -n "again$i" -m 24M --disk "$img,ro" "$probe" disk-read)"
		await "$console" "probe: hash=*"
		same_hash "$line"
		expect 0 lombard wait "again$i"
		expect 0 lombard wait "reader$i"
	done
	disk_end
}

# ---- shared: lent instead of copied ----

# share_disk MIB: a cell, and a disk of random bytes.
share_disk() {
	disk_cell "$1"
	dd if=/dev/urandom of="$img" bs=1M count="$1" 2>/dev/null || fail "no disk"
	chmod 444 "$img"
}

# launch_keeper NAME MODE ARGUMENT...: a guest that keeps what it reads.
launch_keeper() {
	expect 0 lombard run -d -n "$1" -m 32M --disk "$img,$2" "$probe" disk-keep "${@:3}"
	read -r domid _ console <<<"$out"
}

# figures DOMID: $owned, $lent and $borrowed, of the guest, or of the host (0), as `lombard stats` says.
figures() {
	local number
	expect 0 lombard stats
	while read -r number _ owned lent borrowed _; do
		[ "$number" != "$1" ] || return 0
	done <<<"$out"
	fail "no figures of domain $1: $out"
}

# The host's page cache has nothing of the image, where that can be told.
not_cached() {
	local pages
	[ "$(stat -f -c %T "$img")" != tmpfs ] && command -v fincore >/dev/null || return 0
	read -r pages < <(fincore -n -o PAGES "$img")
	((pages < 512)) || fail "the page cache has $pages pages of it"
}

# Many guests, one image, each block once in memory: copied, each of them has all of it.
test_share() {
	local i kept=$((8 * 256)) owned lent borrowed names=(0) hash
	share_disk 8
	hash=$(hash_of "$img")
	sync "$img"
	launch_keeper copies ro seconds=60 indirect=1
	await "$console" "probe: holding"
	shows_hash "$hash" "$(<"$console")"
	figures "$domid"
	((owned >= kept)) || fail "$owned frames are the guest's own, and it has copied $kept"
	expect 0 lombard stop copies
	for i in 1 2 3; do
		launch_keeper "sharer$i" ro,share seconds=60 shared=1 indirect=$((i % 2))
		names[i]=$domid
		await "$console" "probe: holding"
		shows_hash "$hash" "$(<"$console")"
	done
	for i in 1 2 3; do
		figures "${names[i]}"
		((borrowed >= kept)) || fail "only $borrowed pages are lent to sharer$i, of $kept"
		((owned < kept / 4)) || fail "$owned frames are sharer$i's own"
	done
	say "share: $kept pages, and $owned frames that are the guest's own"
	figures 0
	equal "the frames that the host has lent, and has" "$lent $owned" "$kept 0"
	not_cached
	sound
	for i in 1 2 3; do
		expect 0 lombard stop "sharer$i"
	done
	disk_end
}

# Guests write to what they were lent; the others, the image, and who reads it again see nothing of it.
test_share_write() {
	local before how
	share_disk 4
	before=$(hash_of "$img")
	launch_keeper other ro,share seconds=60 shared=1
	await "$console" "probe: holding"
	for how in "write=7" "write=1 indirect=1 order=2" "write=5 scatter=1"; do
		# shellcheck disable=SC2086
		run_disk 0 "$img,ro,share" disk-keep shared=1 rounds=2 $how
		[[ $how == *scatter* ]] || same_hash
		sound
	done
	# Who keeps his grants does so without having been asked to.
	run_disk 0 "$img,ro,share" disk-read persistent=1
	same_hash
	equal "the image" "$(hash_of "$img")" "$before"
	expect 0 lombard stop other
	disk_end
}

# An odd end, and a backend that is killed: its successor shares, too.
test_share_again() {
	share_disk 4
	chmod 644 "$img"
	dd if=/dev/urandom bs=512 count=3 2>/dev/null >>"$img"
	launch_keeper one ro,share seconds=3 shared=1 rounds=400 indirect=1
	find_blk "$domid"
	await "$console" "probe: kept=*"
	kill_blk
	serve_again one xvda
	find_blk "$domid"
	reads "/local/domain/0/backend/vbd/$domid/51712/feature-persistent" 0
	run lombard wait one
	[ "$status" = 0 ] || fail "it ended with status $status: $(<"$console")"
	run_disk 0 "$img,ro,share" disk-read
	same_hash
	disk_end
}

# A file that is cut off: what was lent stays, and the rest is read, as far as it is there.
test_share_cut() {
	share_disk 4
	chmod 644 "$img"
	launch_keeper one ro,share seconds=4 shared=1
	await "$console" "probe: holding"
	same_hash "$(<"$console")"
	: >"$img"
	run lombard wait one
	equal "status" "$status" 0
	disk_end
}

test_share_refused() {
	disk_cell
	expect 2 lombard run --disk "$img,share" "$probe" spin
	says "only a disk that is read-only (ro) can be shared" "$err"
	expect 2 "$bin/lombard-blk" --share 1 xvda "$img"
	says "only a disk that is --read-only can be shared" "$err"
	expect 0 lombard run -d --json -n one -m 8M --disk "$img,share,ro,name=xvdb" "$probe" spin
	says '"share": true' "$out"
	expect 0 lombard stop one
	disk_end
}

test_names() {
	local second=$work/$test_name/second.img
	disk_cell
	cp "$img" "$second"
	expect 0 lombard run -d --json -n two -m 8M --disk "$img,name=xvdc" --disk "$second,ro" "$probe" spin
	says '"name": "xvdc"' "$out"
	says '"read_only": true' "$out"
	expect 0 lombard xen xl block-list two
	says "51712 " "$out"
	says "51744 " "$out"
	expect 0 lombard xen xl domid two
	reads "/local/domain/0/backend/vbd/$out/51712/dev" xvda
	expect 0 lombard stop two
	disk_end
}

# ---- its end, and a new one ----

# serve_again: as the manual page says.
serve_again() { expect 0 "$bin/lombard-blk" --detach "$@"; }

kill_blk() {
	kill -KILL "$blk_pid" || fail "it was gone already"
}

# Killed at any moment, the guest goes on when another one serves the disk.
test_killed() {
	local how i
	disk_cell
	for how in "" "persistent=1" "persistent=1 indirect=1 order=2" "indirect=1"; do
		# shellcheck disable=SC2086
		launch_disk worker "$img" disk-loop seconds=600 seed="$RANDOM" $how
		await "$console" "probe: working"
		for i in 1 2 3 4 5 6; do
			pause "0.$((RANDOM % 4))$RANDOM"
			kill_blk
			[ $((i % 3)) != 0 ] || pause 0.3
			serve_again worker xvda
			find_blk "$domid"
		done
		end_loop worker
	done
	disk_end
}

# Bug: who came so soon that the cell had not yet noticed the death could not connect.
test_killed_often() {
	local i
	disk_cell
	launch_disk worker "$img" disk-loop seconds=600 persistent=1
	await "$console" "probe: working"
	for ((i = 0; i < ${HOST_ROUNDS:-30}; i++)); do
		kill_blk
		serve_again worker xvda
		equal "what it says" "$err" ""
		find_blk "$domid"
	done
	end_loop worker
	disk_end
}

# Before the guest has connected, and with nobody there for a while.
test_killed_early() {
	disk_cell
	expect 0 lombard run -d -n late -m 8M "$probe" spin
	expect 0 "$bin/lombard-blk" --detach late xvda "$img"
	expect 0 lombard list
	find_blk "$(lombard xen xl domid late)"
	kill_blk
	serve_again late xvda
	expect 0 lombard stop late
	disk_end
}

# It ends with its guest, however that ends; and if it was dead before, what it left is removed.
test_guest_killed() {
	disk_cell
	launch_disk one "$img" disk-loop seconds=60
	await "$console" "probe: working"
	kill -KILL "$vmm_pid"
	await_end one 126
	disk_end_soon
	launch_disk two "$img" disk-loop seconds=60
	await "$console" "probe: working"
	kill_blk
	expect 0 lombard stop two
	disk_end_soon
	# In the foreground: it may end before anybody has looked at its nodes.
	run_disk 0 "$img" disk-io
	same_hash
	disk_end
}

disk_end_soon() {
	until_true 10 no_disk_nodes || fail "nodes are left: $(xs ls -f | tr '\n' ' ')"
	until_true 5 no_blk || fail "a lombard-blk is left"
}

# Whoever of the two is killed, the other does not stay, and the guest goes on with the next one.
test_server_killed() {
	disk_cell
	launch_disk one "$img" disk-loop seconds=60 persistent=1
	await "$console" "probe: working"
	find_server
	kill -KILL "$server"
	until_true 5 gone "$blk_pid" || fail "it has not noticed"
	expect 0 "$bin/lombard-blk" --detach --log "$work/$test_name/log" one xvda
	find_blk "$domid"
	find_server
	kill -KILL "$blk_pid"
	until_true 5 gone "$server" || fail "it serves nobody's disk"
	expect 0 "$bin/lombard-blk" --detach --log "$work/$test_name/log" one xvda
	end_loop one
	disk_end
}

# It ends with the cell, too.
test_cell_killed() {
	disk_cell
	launch_disk one "$img" disk-loop seconds=60
	await "$console" "probe: working"
	kill -KILL "$cell_pid"
	until_true 10 no_blk || fail "a lombard-blk is left"
	until_true 10 no_leftovers "$LOMBARD_TEST" || fail "processes are left"
}

# Without a store that answers, the disk is served all the same, and ends all the same.
test_store_killed() {
	disk_cell
	launch_disk one "$img" disk-loop seconds=60
	await "$console" "probe: working"
	kill -KILL "$store_pid"
	pause 1
	alive "$blk_pid" || fail "it ended with the store"
	alive "$vmm_pid" || fail "the guest has ended"
	expect 0 lombard stop one
	until_true 5 no_blk || fail "a lombard-blk is left"
	expect 0 lombard shutdown
	until_true 10 gone "$cell_pid" || fail "the cell does not end"
}

# ---- guests that do not keep to the rules ----

test_bad() {
	disk_cell
	run_disk 0 "$img" disk-bad
	same_hash
	says "request 0 (operation 77, sector 0) is refused" "$err"
	run_disk 0 "$img" disk-bad persistent=1
	same_hash
	disk_end
}

test_lies() {
	disk_cell
	run_disk 0 "$img" disk-lies
	same_hash
	says "the ring is stopped until the guest makes another one" "$err"
	run_disk 0 "$img" disk-lies persistent=1 order=2
	same_hash
	disk_end
}

# Anything in the ring; another guest's disk is as good as ever.
test_wild() {
	local seed=${HOST_SEED:-$RANDOM} other=$work/$test_name/other.img
	disk_cell
	cp "$img" "$other"
	launch_disk neighbour "$other" disk-loop seconds=6 persistent=1
	say "seed $seed"
	run_disk 0 "$img" disk-wild seconds=5 persistent=1 seed="$seed"
	same_hash
	img=$other
	ends_well neighbour
	same_hash "$line"
	disk_end
}

# ---- privileges ----

# word_of TEXT KEY: what stands behind it.
word_of() {
	local key value
	while read -r key value _; do
		[ "$key" != "$2" ] || printf '%s' "$value"
	done <<<"$1"
}

# confined PID: without rights, behind a filter, and not root.
confined() {
	local text
	# At once: while it works its lines become longer and shorter.
	text=$(<"/proc/$1/status")
	equal "no new privileges" "$(word_of "$text" NoNewPrivs:)" 1
	if [[ $host_build == *release* ]]; then
		equal "seccomp" "$(word_of "$text" Seccomp:)" 2
	fi
	if [ "$EUID" = 0 ]; then
		equal "capabilities" "$(word_of "$text" CapEff:)" 0000000000000000
		[ "$(word_of "$text" Uid:)" -gt 1000000 ] || fail "it is still root"
	fi
}

server=

# find_server: $server, the process that serves the ring: the child of $blk_pid.
find_server() {
	server=
	read -r server _ <"/proc/$blk_pid/task/$blk_pid/children"
	[ -n "$server" ] || fail "nobody serves the ring"
}

# Its connections to the cell and to the xenstore are not the server's; both have the one by which nobody else comes.
test_privileges() {
	local ours theirs both=0 all=0
	disk_cell
	launch_disk one "$img" disk-loop seconds=60
	await "$console" "probe: working"
	confined "$blk_pid"
	find_server
	confined "$server"
	for theirs in "/proc/$server/fd"/*; do
		[ -S "$theirs" ] || continue
		all=$((all + 1))
		for ours in "/proc/$blk_pid/fd"/*; do
			[[ ! $ours -ef $theirs ]] || both=$((both + 1))
		done
	done
	equal "sockets of both" "$both" 1
	# ... events and their stream, grants, orders
	equal "sockets of the server" "$all" 5
	expect 0 lombard stop one
	disk_end
}

# ---- wrong use ----

test_refused() {
	local dir=$work/$test_name
	disk_cell
	run_disk 1 "$dir/none.img" spin
	says "cannot open $dir/none.img: No such file or directory" "$err"
	run_disk 1 "$dir" spin
	says "cannot open $dir" "$err"
	run_disk 1 /dev/null spin
	says "/dev/null is neither a file nor a block device" "$err"
	printf 'x' >"$dir/odd.img"
	run_disk 1 "$dir/odd.img" spin
	says "has 1 bytes, and a disk has a multiple of 512, not 0" "$err"
	: >"$dir/empty.img"
	run_disk 1 "$dir/empty.img,ro" spin
	says "has 0 bytes, and a disk has a multiple of 512, not 0" "$err"
	run_disk 2 "$img,name=hda" spin
	says "a disk is named xvda to xvdp, not hda" "$err"
	expect 2 lombard run --disk "$img,name=xvdb" --disk "$img,name=xvdb" "$probe" spin
	says "there are two disks named xvdb" "$err"
	run_disk 2 ",ro" spin
	says "which file?" "$err"
	no_guests || fail "a guest was left: $(guest_names)"
	disk_end
}

test_in_use() {
	disk_cell
	launch_disk owner "$img" spin
	run_disk 1 "$img" spin
	says "disk.img is in use by another guest" "$err"
	run_disk 1 "$img,ro" spin
	says "disk.img is in use by a guest that writes to it" "$err"
	expect 1 "$bin/lombard-blk" owner xvda
	says "a lombard-blk serves this disk already" "$err"
	expect 1 "$bin/lombard-blk" owner xvdb
	says "there is no such disk yet: which FILE?" "$err"
	expect 1 "$bin/lombard-blk" nobody xvdb "$img"
	says "there is no guest nobody" "$err"
	expect 2 "$bin/lombard-blk" owner
	says "which GUEST and which DISK?" "$err"
	expect 2 "$bin/lombard-blk" owner sda "$img"
	says "a disk is named xvda to xvdp, not sda" "$err"
	expect 0 lombard stop owner
	# Who only reads does not mind others that do.
	launch_disk reader "$img,ro" spin
	run_disk 1 "$img" spin
	says "disk.img is in use by another guest" "$err"
	expect 0 lombard stop reader
	disk_end
}

test_no_store() {
	local dir=$work/$test_name
	need_uring
	own_cell none
	dd if=/dev/zero of="$work/$test_name.img" bs=1M count=1 2>/dev/null
	expect 1 lombard run -m 8M --disk "$work/$test_name.img" "$probe" spin
	says "the cell has no xenstore, which disks need: \`lombard start --xenstore\`" "$err"
	no_guests || fail "a guest was left"
	end_cell
}

# Where no cell runs, one with a store is started.
test_no_cell() {
	need_uring
	need_tools
	mkdir -p "$work/$test_name"
	export LOMBARD_SOCKET=$work/$test_name/cell.sock LOMBARD_TEST=$work/$test_name
	img=$work/$test_name/disk.img
	dd if=/dev/zero of="$img" bs=1M count=0 seek=4 2>/dev/null || fail "no disk"
	run_disk 0 "$img" disk-io
	says "started a cell with a xenstore; \`lombard shutdown\` ends it" "$err"
	same_hash
	expect 0 lombard shutdown
	until_true 10 no_leftovers "$LOMBARD_TEST" || fail "processes are left: $(leftovers "$LOMBARD_TEST")"
}

# ---- speed ----

# What a guest reads and writes in a second; only told: `make bench-blk` compares.
test_speed() {
	local how bytes us
	disk_cell 16
	for how in "kib=128 depth=32 persistent=1 indirect=1" "kib=4 depth=32 persistent=1" "kib=44 write=1 depth=4" "kib=4"; do
		# shellcheck disable=SC2086
		run_disk 0 "$img" disk-bench ms=200 $how
		line=${out#*probe: }
		line=${line%%$'\n'*}
		bytes=$(field bytes)
		us=$(field us)
		((bytes > 0 && us >= 200000)) || fail "this is no measurement: $line"
		say "speed: $how: $((bytes / us)) MB/s"
	done
	disk_end
}

host_tests io odd_size discard close read_only share share_write share_again share_cut share_refused names killed killed_often killed_early server_killed guest_killed cell_killed store_killed \
	bad lies wild privileges refused in_use no_store no_cell speed
