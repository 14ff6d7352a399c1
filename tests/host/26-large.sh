#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Small guests that are larger than most: several vCPUs with local APICs, memory above 4 GiB.
. "${BASH_SOURCE[0]%/*}/lib.sh"

high_gfn=$((0x100000))

# smp STATUS VCPUS [ARGUMENT...]: a guest that starts all of its vCPUs.
smp() {
	local want=$1 vcpus=$2
	shift 2
	expect "$want" lombard run -m 8M --vcpus "$vcpus" "$probe" smp "vcpus=$vcpus" "$@"
	says "probe: $vcpus processors run" "$out"
}

test_processors() {
	smp 0 2
	smp 0 4
	sound
}

test_most_processors() {
	smp 0 16
	expect 1 lombard run -m 8M --vcpus 17 "$probe" hello
	sound
}

# With interrupts off, one after the other, beside one that was never started: that is poweroff, as with Xen.
test_halted() {
	expect 0 lombard run -m 8M --vcpus 4 "$probe" smp vcpus=3 end=halt
	says "probe: the last one halts" "$out"
	sound
}

# One that waits for its start is no reason to wait for it.
test_unstarted() {
	expect 0 lombard run -m 8M --vcpus 3 "$probe" smp vcpus=2
	expect 0 lombard run -m 8M --vcpus 4 "$probe" hello
	says "probe: hello: ok" "$out"
}

# All but the first end the guest at the same moment: it ends once, for one reason.
test_ends() {
	local n
	for ((n = 0; n < 3; n++)); do
		smp 124 4 end=triple
		says "triple fault" "$err"
		smp 0 4 end=poweroff
	done
	sound
}

test_stopped() {
	expect 0 lombard run -d -n busy -m 8M --vcpus 3 "$probe" smp vcpus=3 end=spin
	read -r domid _ console <<<"$out"
	await "$console" "probe: 3 processors run"
	expect 0 lombard pause busy
	expect 0 lombard unpause busy
	expect 0 lombard stop busy
	await_end busy 126
	sound
}

# lends NAME PAGES: a guest whose memory is lent when this returns; its hypercalls until then are in $calls.
lends() {
	expect 0 lombard run -d -n "$1" -m 150M "$probe" lend-wait tag=42 "pages=$2" "pause=$((60 * scale))"
	read -r domid _ console <<<"$out"
	await "$console" "probe: lent id=*" 20
	take_stats
	calls=${stat[guest.$1.hypercalls]}
}

# A long lend is a call for every 4096 pages; and the end of the lender, whose pages its borrower keeps, takes no
# longer than they are worth.  (Once it took the square of that: half a minute.)
test_much_on_loan() {
	local calls few
	lends short 16
	few=$calls
	expect 0 lombard stop short
	lends lender 32768
	# 7 more, and what it does behind its message.
	[ $((calls - few)) -ge 6 ] || fail "a long lend is $calls calls, a short one $few"
	expect 0 lombard run -d -n reader -m 8M -w 150M "$probe" borrow-hold tag=42 "seconds=$((60 * scale))"
	read -r domid _ console <<<"$out"
	await "$console" "probe: window*" 60
	within 5000 lombard stop lender
	take_stats
	equal "orphans" "${stat[cell.orphaned]}" 32768
	expect 0 lombard stop reader
	sound
}

# large NAME ARGUMENT...: 5 GiB, of which it touches next to nothing.
large() {
	expect 0 lombard run -d -n "$1" -m 5G "$probe" "${@:2}"
	read -r domid _ console <<<"$out"
}

# Pages above 4 GiB are lent, broken by writes, read by others and by the host.
test_high_memory_is_lent() {
	local gfn
	large giant lend-wait high=1 tag=41 pages=64 write=1 "pause=$((2 * scale))"
	await "$console" "probe: lent id=*"
	gfn=$(field gfn)
	[ "$gfn" -ge "$high_gfn" ] || fail "gfn $gfn is below 4 GiB"
	launch reader borrow-verify tag=41 "seconds=$((3 * scale))"
	await "$console" "probe: borrowed*"
	expect 0 lombard dump giant --gfn "$gfn" --pages 64 -o "$work/high"
	equal "bytes of the picture" "$(wc -c <"$work/high")" $((64 * 4096))
	await_end reader 0
	all_sound
	equal "broken by its writes" "${stat[guest.giant.write]}" 64
	expect 0 lombard stop giant
}

test_high_memory_is_discarded() {
	large giant lend-discard high=1 tag=42 pages=32
	launch reader borrow-verify tag=42 "seconds=$((1 * scale))"
	await_end giant 0
	await_end reader 0
	sound
}

# What it borrows lies behind its memory.
test_large_guest_borrows() {
	launch owner lend-wait tag=43 pages=64
	await "$console" "probe: lent id=*"
	expect 0 lombard run -m 5G "$probe" borrow-verify tag=43 seconds=1
	sound
	expect 0 lombard stop owner
}

# Its own checks of what may be lent and borrowed hold at all ends of its memory.
test_large_guest_is_checked() {
	local name
	for name in bad-lend bad-discard wild-pointers; do
		expect 0 lombard run -m 5G "$probe" "$name"
	done
	expect 0 lombard run -m 64G -w 64G "$probe" hello
	expect 1 lombard run -m 65G "$probe" hello
	says "64 GiB" "$err"
}

# A picture of all of it is taken piece by piece.
test_pieces() {
	large giant spin
	await "$console" "probe: spinning"
	expect 0 lombard dump giant -o "$work/piece"
	says "from --gfn $high_gfn on" "$err"
	equal "pages of the first piece" "$(stat -c %s "$work/piece")" $((0xe0000000))
	expect 0 lombard dump giant --gfn "$high_gfn" -o "$work/piece"
	equal "pages of the second" "$(stat -c %s "$work/piece")" $((0x60000000))
	expect 1 lombard dump giant --gfn $((0xe0000)) -o "$work/piece"
	rm "$work/piece"
	expect 0 lombard stop giant
	sound
}

host_tests processors halted most_processors unstarted ends stopped much_on_loan high_memory_is_lent high_memory_is_discarded \
	large_guest_borrows large_guest_is_checked pieces
