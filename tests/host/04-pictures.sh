#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Loans to the host: pictures of guests that go on writing, and clients that die with them.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=120 # seconds for each test, times $scale

# A guest that writes all the time; its pages are in gfn.
launch_writer() {
	launch "$1" lend-wait "tag=$2" pages=64 write=1
	await "$console" "probe: lent id=*"
	id=$(field id)
	gfn=$(field gfn)
}

# same A B
same() {
	local a b
	mapfile -d '' a <"$1"
	mapfile -d '' b <"$2"
	[ "${#a[*]}" = "${#b[*]}" ] && [ "${a[*]}" = "${b[*]}" ]
}

no_loans() {
	local rows
	mapfile -t rows < <(lombard loans)
	[ "${#rows[@]}" -le "$1" ]
}

# has_broken GUEST PAGES
has_broken() { take_stats && [ "${stat[guest.$1.write]}" -ge "$2" ]; }

# Not before its first round is over: a page that is lent twice is broken once.
test_hold() {
	launch_writer held 1
	until_true 20 has_broken held 64 || fail "the guest does not write"
	expect 0 lombard dump held --gfn "$gfn" --pages 64 --hold "$scale" -o "$work/picture"
	all_sound
	[ "${stat[guest.held.write]}" -ge 128 ] || fail "the guest did not write meanwhile"
	expect 0 lombard stop held
}

test_whole_memory() {
	launch_writer whole 2
	expect 0 lombard dump whole --hold 1 -o "$work/all"
	says "wrote 2048 pages, 8.0 MiB" "$err"
	sound
	expect 0 lombard stop whole
}

test_to_stdout() {
	launch_writer piped 3
	run lombard dump piped --gfn "$gfn" --pages 2 -o -
	equal "status" "$status" 0
	expect 0 lombard stop piped
}

# What the guest lent to anyone is there for the host, as it was lent.
test_loan() {
	launch_writer owner 4
	expect 0 lombard dump --loan "$id" -o "$work/first"
	pause 0.2
	expect 0 lombard dump --loan "$id" -o "$work/second"
	same "$work/first" "$work/second" || fail "the loan has changed"
	expect 0 lombard dump owner --gfn "$gfn" --pages 64 -o "$work/now"
	! same "$work/first" "$work/now" || fail "the guest does not write"
	expect 1 lombard dump --loan 999999 -o "$work/none"
	says "there is no such loan" "$err"
	expect 0 lombard stop owner
}

# A reader keeps its picture when the guest is gone.
test_guest_killed() {
	local pid
	launch_writer mortal 5
	rm -f "$work/dump.err"
	"$bin/lombard" dump mortal --gfn "$gfn" --pages 64 --hold 2 -o "$work/mortal" 2>"$work/dump.err" &
	pid=$!
	await "$work/dump.err" "*wrote 64 pages*"
	kill -KILL "$vmm_pid"
	await_end mortal 126
	sound
	wait "$pid"
	equal "status of dump" "$?" 0
	closed
}

# hold_loan: a client holds a loan of the guest NAME to the host; its pid in `client`, its loan in id.
hold_loan() {
	rm -f "$work/lend"
	"$bin/lombard" lend --from "$1" --gfn "$gfn" --pages 64 --to host >"$work/lend" 2>/dev/null &
	client=$!
	await "$work/lend" "[0-9]*"
	id=$line
}

test_client_killed() {
	launch_writer lender6 6
	hold_loan lender6
	expect 0 lombard dump --loan "$id" -o "$work/held"
	kill -KILL "$client"
	until_true 5 no_loans 2 || fail "the client's loan outlives it: $(lombard loans)"
	expect 1 lombard dump --loan "$id" -o "$work/held"
	sound
	expect 0 lombard stop lender6
}

test_dump_killed() {
	local client n
	launch_writer lender7 7
	for n in 1 2 3; do
		rm -f "$work/dump.err"
		"$bin/lombard" dump lender7 --hold 100 -o "$work/dump" 2>"$work/dump.err" &
		client=$!
		await "$work/dump.err" "*wrote 2048 pages*"
		kill -KILL "$client"
		until_true 5 no_loans 2 || fail "the client's loan outlives it"
		sound
	done
	expect 0 lombard stop lender7
}

# Each sees its own moment, and the end of one is not the other's.
test_two_clients() {
	local one two
	launch_writer shared 8
	"$bin/lombard" dump shared --gfn "$gfn" --pages 64 --hold 1 -o "$work/one" 2>/dev/null &
	one=$!
	"$bin/lombard" dump shared --gfn "$gfn" --pages 64 --hold 2 -o "$work/two" 2>/dev/null &
	two=$!
	wait "$one"
	equal "status of the first" "$?" 0
	sound
	wait "$two"
	equal "status of the second" "$?" 0
	sound
	expect 0 lombard stop shared
}

# Only the connection that has the loan may map it on, and another one returns nothing of it.
test_stranger_maps() {
	launch_writer lender9 9
	hold_loan lender9
	run "$bin/host/rawclient" "$LOMBARD_SOCKET" \
		send "{\"op\": \"map\", \"id\": $id, \"first\": 0, \"pages\": 64}" recv \
		send "{\"op\": \"map\", \"id\": $id, \"first\": 63, \"pages\": 2}" recv \
		send "{\"op\": \"map\", \"id\": $id, \"first\": 0, \"pages\": 4097}" recv \
		send "{\"op\": \"return\", \"id\": $id}" recv
	equal "status of rawclient" "$status" 0
	says '"extents"' "$out"
	says 'no such pages in the loan' "$out"
	sound
	kill -KILL "$client"
	expect 0 lombard stop lender9
}

test_bad_ranges() {
	launch_writer small 10
	expect 1 lombard dump small --gfn 2048 -o "$work/none"
	expect 1 lombard dump small --gfn 2047 --pages 2 -o "$work/none"
	says "no memory of the guest" "$err"
	expect 1 lombard dump small --gfn 0x100000 --pages 1 -o "$work/none"
	expect 1 lombard dump small --gfn 9223372036854775807 --pages 1 -o "$work/none"
	expect 1 lombard dump small --pages 9223372036854775807 -o "$work/none"
	expect 1 lombard dump nobody -o "$work/none"
	expect 2 lombard dump -o "$work/none"
	sound
	expect 0 lombard stop small
}

# The page that the guest shares with the hypervisor is written by both: it is refused.
# The shared info page can't be frozen: the picture has a copy of it.
test_wired_page() {
	launch waiter sleep ms=60000
	await "$console" "probe: sleeping"
	expect 0 lombard dump waiter -o "$work/waiter"
	sound
	expect 0 lombard stop waiter
}

# Regression: a guest that wrote to every second page of what it had lent ran out of mappings.
test_scattered_writes() {
	local most
	most=$(</proc/sys/vm/max_map_count)
	[ "$scale" = 1 ] || skip "it wants 300 MiB, and a minute"
	[ "$most" -le 65530 ] || skip "vm.max_map_count is $most: nothing is short"
	expect 0 lombard run -d -n scattered -m 320M "$probe" lend-scattered pages=66400
	await_end scattered 0
	sound
}

host_tests hold whole_memory to_stdout loan guest_killed client_killed dump_killed two_clients \
	stranger_maps bad_ranges wired_page scattered_writes
