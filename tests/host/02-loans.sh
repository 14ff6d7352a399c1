#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Loans between guests: frozen bytes, breaks and their counters, what borrowers may not do.
. "${BASH_SOURCE[0]%/*}/lib.sh"

gfn= # where the lender's pages lie
id=  # its loan

# launch_lender NAME ARGUMENT...: lend-wait; fills gfn and id.
launch_lender() {
	launch "$1" lend-wait "${@:2}"
	await "$console" "probe: lent id=*"
	id=$(field id)
	gfn=$(field gfn)
}

# lent_to_several KIND NAME: three borrowers verify while the lender writes all the time.
lent_to_several() {
	local n consoles=()
	launch_lender "$2" tag=1 pages=64 "kind=$1" write=1
	for n in 1 2 3; do
		launch "$2-b$n" borrow-verify tag=1 "seconds=$((3 * scale))"
		consoles+=("$console")
	done
	for n in 1 2 3; do
		await "${consoles[n - 1]}" "probe: borrowed*"
	done
	all_sound
	equal "broken by the lender's writes" "${stat[guest.$2.write]}" 64
	equal "borrowed" "${stat[guest.$2-b1.borrowed]}" 64
	equal "bytes copied" "${stat[guest.$2.bytes_copied]}" $((64 * 4096))
	for n in 1 2 3; do
		await_end "$2-b$n" 0
		await "${consoles[n - 1]}" "probe: verified * times"
	done
	all_sound
	equal "borrowed at the end" "${stat[guest.$2-b1.borrowed]}" 0
	expect 0 lombard stop "$2"
}

test_to_page() { lent_to_several 1 page; }
test_to_anon() { lent_to_several 2 anon; }

test_lender_ends_first() {
	launch_lender short tag=2 pages=32 write=1 "seconds=$((2 * scale))"
	launch patient borrow-verify tag=2 "seconds=$((4 * scale))"
	await "$console" "probe: borrowed*"
	await_end short 0
	sound
	await_end patient 0
}

# What a lender discards stays with its borrower, without a copy, and is freed with the last loan.
test_discard() {
	launch giver lend-discard tag=13 pages=32 "seconds=$((60 * scale))"
	local giver=$console
	launch keeper borrow-verify tag=13 "seconds=$((3 * scale))"
	await "$giver" "probe: discarded pages=32 windows=1"
	all_sound
	equal "broken by the discard" "${stat[guest.giver.free]}" 32
	equal "broken by writes" "${stat[guest.giver.write]}" 0
	equal "bytes copied" "${stat[guest.giver.bytes_copied]}" 0
	equal "orphans" "${stat[cell.orphaned]}" 32
	equal "borrowed" "${stat[guest.keeper.borrowed]}" 32
	await_end keeper 0
	all_sound
	equal "orphans that are offered still" "${stat[cell.orphaned]}" 32
	expect 0 lombard stop giver
}

# A guest that breaks a rule is stopped; nobody else notices.
rule_broken() {
	launch_lender "$1-lender" tag=3 pages=8
	launch "$1-other" borrow-verify tag=3 "seconds=$((2 * scale))"
	await "$console" "probe: borrowed*"
	launch "$1-culprit" "$1" tag=3
	await_end "$1-culprit" 125
	says "$1-culprit: error, status 125: $1-culprit (domain $domid) " "$out"
	all_sound
	equal "borrowed by the culprit" "${stat[guest.$1-culprit.borrowed]}" 0
	equal "borrowed by the other" "${stat[guest.$1-other.borrowed]}" 8
}

test_write_window() {
	local window=0x100000
	rule_broken write-window
	says "wrote to gfn $window" "$out"
	says "borrowed read-only from write-window-lender (domain " "$out"
	says "(loan $id)" "$out"
	await_end write-window-other 0
	expect 0 lombard stop write-window-lender
}

test_touch_window() {
	rule_broken touch-window
	says "touched gfn 0x100000, where nothing is mapped" "$out"
	await_end touch-window-other 0
	expect 0 lombard stop touch-window-lender
}

test_bad_borrow() {
	launch_lender bad-lender tag=4 pages=4
	run_probe 0 bad-borrow tag=4
	expect 0 lombard stop bad-lender
}

test_many_rounds() {
	local n
	launch loop-lender lend-loop tag=5 pages=16 "seconds=$((3 * scale))"
	launch loop-b1 borrow-loop tag=5 "seconds=$((3 * scale))"
	launch loop-b2 borrow-loop tag=5 "seconds=$((3 * scale))"
	for n in 1 2 3 4; do
		pause 0.5
		all_sound
	done
	await_end loop-lender 0
	await_end loop-b1 0
	await_end loop-b2 0
	all_sound
	[ "${stat[guest.loop-lender.loans_made]}" -gt 2 ] || fail "too few loans"
	[ "${stat[guest.loop-lender.write]}" -gt 0 ] || fail "no loan was broken"
	equal "bytes copied" "${stat[guest.loop-lender.bytes_copied]}" \
		$((4096 * ${stat[guest.loop-lender.write]}))
}

test_return_and_borrow_again() {
	local n
	launch_lender again-lender tag=6 pages=16 write=1
	for n in 1 2 3 4; do
		run_probe 0 borrow-verify tag=6 seconds=1
	done
	all_sound
	equal "broken" "${stat[guest.again-lender.write]}" 16
	expect 0 lombard stop again-lender
}

test_cow_borrower_writes() {
	launch_lender cow-lender tag=7 pages=32 kind=2
	launch cow-reader borrow-verify tag=7 "seconds=$((2 * scale))"
	await "$console" "probe: borrowed*"
	launch cow-writer borrow-write tag=7
	await_end cow-writer 0
	all_sound
	equal "broken by the borrower" "${stat[guest.cow-writer.borrower]}" 32
	equal "copied for the borrower" "${stat[guest.cow-writer.bytes_copied]}" $((32 * 4096))
	equal "broken by the lender" "${stat[guest.cow-lender.write]}" 0
	await_end cow-reader 0
	expect 0 lombard stop cow-lender
}

# A read-only window is lent on, but not copy-on-write.
test_lend_on() {
	launch_lender first tag=8 pages=8
	launch middle borrow-verify tag=8 seconds=0
	await "$console" "probe: borrowed*"
	expect 0 lombard lend --from middle --gfn 0x100000 --pages 8 --to any --tag 9
	run_probe 0 borrow-verify tag=9 seconds=1
	expect 1 lombard lend --from middle --gfn 0x100000 --pages 8 --to any --tag 9 --cow
	sound
	expect 0 lombard stop first
	run_probe 0 borrow-verify tag=9 seconds=1
	expect 0 lombard stop middle
}

# frames ARGUMENT...: the lines in `out`.
frames() {
	run "$bin/host/frames" "$@"
	[ "$status" != 77 ] || skip "the kernel hides frame numbers from this user"
	equal "status of frames" "$status" 0
}

test_zero_copy() {
	local lender lent
	launch_lender frames-lender tag=10 pages=16
	lender=$vmm_pid
	launch frames-borrower borrow-verify tag=10 seconds=0
	await "$console" "probe: borrowed*"
	pause 0.3 # it reads them all, over and over
	frames "$lender" store frames-lender "$gfn" 16
	lent=$out
	[ -n "$lent" ] || fail "the lender's pages are not there"
	frames "$vmm_pid" store frames-lender "$gfn" 16
	[ -n "$out" ] || fail "the borrower's pages are not there"
	equal "the borrower's frames" "$out" "$lent"
	all_sound
	equal "bytes copied" "${stat[guest.frames-lender.bytes_copied]}" 0
	expect 0 lombard stop frames-lender frames-borrower
}

# Pages that nobody ever touched take no frame at all, however many guests borrow them.
test_zero_range() {
	local n pids=()
	launch zero-lender sleep ms=60000
	await "$console" "probe: sleeping"
	expect 0 lombard lend --from zero-lender --gfn 0x600 --pages 256 --to any --tag 11
	for n in 1 2 3; do
		launch "zero-b$n" borrow-zero tag=11 "seconds=$((5 * scale))"
		pids+=("$vmm_pid")
		await "$console" "probe: zero pages=256"
	done
	for n in 0 1 2; do
		frames "${pids[n]}" zero
		says " 256 256" " ${out#* }"
	done
	all_sound
	[ "${stat[cell.zero_loans]}" -ge 256 ] || fail "the zero frame has too few loans"
	equal "lent frames" "${stat[guest.zero-lender.lent]}" 0
	expect 0 lombard stop zero-lender zero-b1 zero-b2
	await_end zero-b3 0
}

test_to_one_guest_only() {
	launch wanted sleep ms=60000
	launch_lender choosy tag=12 pages=4 "to=$domid"
	launch stranger borrow-verify tag=12
	pause 0.5
	equal "who lives" "$(guest_names)" $'wanted\nchoosy\nstranger'
	all_sound
	equal "borrowed by the stranger" "${stat[guest.stranger.borrowed]}" 0
	stop_guests
}

# resident: how much memory the core has, in KiB.
resident() {
	local key value
	while read -r key value _; do
		[ "$key" != VmRSS: ] || printf '%d' "$value"
	done <"/proc/$cell_pid/status"
}

# Bug: a guest could make the core keep offers until it was out of memory, and with tens of
# thousands of them `lombard loans` and `lombard dump --loan` failed.
test_offer_limits() {
	local before first last row rows=0
	[ "${TESTBED:-}" != ept ] || skip "four million pages take minutes there"
	before=$(resident)
	expect 0 lombard run -d -n greedy -m 160M "$probe" offer-limits
	read -r domid _ console <<<"$out"
	await "$console" "probe: limits *"
	first=$(field first)
	last=$(field last)
	# 32 MiB for the loans; the rest is the sanitizer's.
	say "the core grew from $before to $(resident) KiB"
	[ $(($(resident) - before)) -lt 100000 ] || fail "the core grew from $before to $(resident) KiB"
	expect 0 lombard loans
	while read -r row; do
		rows=$((rows + 1))
	done <<<"$out"
	equal "loans that are shown" "$((rows - 1))" 4096
	says "$last  $domid " "${out##*$'\n'}"
	# What a client lends in the guest's name is not the guest's to prevent.
	expect 0 lombard dump greedy -o "$work/dump"
	expect 0 lombard dump --loan "$first" -o "$work/dump"
	expect 0 lombard dump --loan "$last" -o "$work/dump"
	expect 1 lombard dump --loan $((last + 7)) -o "$work/dump"
	says "no such loan" "$err"
	sound
	expect 0 lombard stop greedy
}

host_tests to_page to_anon lender_ends_first discard write_window touch_window bad_borrow many_rounds \
	return_and_borrow_again cow_borrower_writes lend_on zero_copy zero_range to_one_guest_only \
	offer_limits
