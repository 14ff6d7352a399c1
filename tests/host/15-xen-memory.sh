#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Guests' memory in the hands of Xen's tools: foreign maps and sharing, with xen-memshare as Debian
# has it.
. "${BASH_SOURCE[0]%/*}/lib.sh"

x() { lombard xen "$@"; }
xenmem() { x "$bin/host/xenmem" "$@"; }
memshare() { x xen-memshare "$@"; }

# For the background: $! is the program itself.
becomes() { exec "$bin/lombard" xen "$@"; }

declare -A dom gfn mailbox vmm # by guest's name

# serve NAME ARGUMENT...: a guest that serves its pages, its pages' place and its mailbox's.
serve() {
	launch "$1" serve-pages "${@:2}"
	await "$console" "probe: pages gfn=*"
	dom[$1]=$domid
	vmm[$1]=$vmm_pid
	gfn[$1]=$(field gfn)
	mailbox[$1]=$(field mailbox)
}

# page GUEST I: its gfn.
page() { printf '%d' $((${gfn[$1]} + $2)); }

# ask GUEST OP PAGE WORD VALUE: 1 write, 2 sum, 3 discard, 4 end; the answer in `out`.
ask() { expect 0 xenmem "${dom[$1]}" map w "${mailbox[$1]}" 1 ask "${@:2}"; }

# sum GUEST I: what the guest reads in page I.
sum() {
	ask "$1" 2 "$2" 0 0
	printf -v sum '%s' "$out"
}
sum=

finish_guest() {
	local name
	for name; do
		ask "$name" 4 0 0 0
		await_end "$name" 0
	done
}

# refuses ERROR COMMAND...: the tool fails, and that is why.
refuses() {
	run "${@:2}"
	[ "$status" != 0 ] || fail "${*:2}: no error"
	says "$1" "$out$err"
}

# info USED FREED: what `xen-memshare info` says, and xl info in other words.  The tool has the two
# the wrong way round: "used" is what sharing saves, "freed" the frames that are shared.
info() {
	expect 0 memshare info
	says "used = $2"$'\n'"freed = $1" "$out"$'\n'
}

no_errors() {
	expect 0 memshare audit
	says "Audit returned 0 errors." "$out"
	all_sound
}

# handle_of GUEST I: nominate it.
handle=
handle_of() {
	expect 0 memshare nominate "${dom[$1]}" "$(page "$1" "$2")"
	says "handle = 0x" "$out"
	handle=${out##*= }
}

# share CLIENT I SOURCE J: nominate and share.
share() {
	local source_handle
	handle_of "$3" "$4"
	source_handle=$handle
	handle_of "$1" "$2"
	expect 0 memshare share "${dom[$1]}" "$(page "$1" "$2")" "$handle" \
		"${dom[$3]}" "$(page "$3" "$4")" "$source_handle"
}

# ---- foreign maps ----

test_map_is_live() {
	local lines want
	serve live pages=8
	sum live 2
	want=$sum
	expect 0 xenmem "$domid" map r "$(page live 0)" 8 sum 2 try 2
	equal "sum by a map" "$out" "$want"$'\n'refused
	# What the guest writes is seen in a map, what a map writes by the guest.
	xenmem "$domid" map r "$(page live 2)" 1 say mapped sum 0 new \
		map w "${mailbox[live]}" 1 ask 1 2 0 77 map r "$(page live 2)" 1 sum 0 \
		>"$work/live" || fail "$(<"$work/live")"
	mapfile -t lines <"$work/live"
	equal "sum before" "${lines[1]}" "$want"
	[ "${lines[3]}" != "$want" ] || fail "the guest's write is not seen"
	sum live 2
	equal "sum after" "${lines[3]}" "$sum"
	expect 0 xenmem "$domid" map w "$(page live 2)" 1 poke 0 78 sum 0 unmap
	want=$out
	sum live 2
	equal "sum after the map's write" "$sum" "$want"
	all_sound
	equal "wired" "${stat[guest.live.wired]}" 1
	finish_guest live
}

test_map_errors() {
	serve errors pages=4
	refuses EINVAL xenmem "$domid" map w 0xfffff0 1
	refuses ESRCH xenmem 31000 map w 1 1
	refuses ESRCH xenmem 0 map r 1 1
	refuses ESRCH xenmem 32752 map r 1 1
	refuses EINVAL xenmem "$domid" map r "$(page errors 0)" 0
	expect 0 xenmem "$domid" scatter r "$(page errors 0)" 0xffffffffff "$(page errors 3)" - \
		sum 0 sum 2
	says "ok EINVAL ok" "$out"
	all_sound
	equal "wired" "${stat[guest.errors.wired]}" 1
	finish_guest errors
}

# Maps count, end by the library's call, when their addresses are used again, and with the handle.
test_map_counts() {
	local tool
	serve counts pages=8
	becomes "$bin/host/xenmem" "$domid" map w "$(page counts 0)" 4 new map w "$(page counts 0)" 6 unmap \
		map r "$(page counts 2)" 4 say two hold >"$work/counts" &
	tool=$!
	await "$work/counts" two
	all_sound
	equal "wired by two" "${stat[guest.counts.wired]}" 7
	kill -KILL "$tool"
	wait "$tool"
	until_true 5 wired_are counts 1 || fail "${stat[guest.counts.wired]} pages are wired"
	finish_guest counts
}

wired_are() {
	all_sound
	[ "${stat[guest.$1.wired]}" = "$2" ]
}

# A wired page is not lent; a page on loan is seen as it was lent, and a writer breaks the loan.
test_map_and_loans() {
	local lines tool want
	serve loans pages=8
	sum loans 1
	want=$sum
	becomes "$bin/host/xenmem" "$domid" map w "$(page loans 0)" 1 say held hold >"$work/held" &
	tool=$!
	await "$work/held" held
	refuses "wired" lombard lend --from loans --gfn "$(page loans 0)" --pages 2 --to any
	kill -KILL "$tool"
	wait "$tool"
	expect 0 lombard lend --from loans --gfn "$(page loans 1)" --pages 1 --to any --tag 50
	becomes "$bin/host/xenmem" "$domid" map r "$(page loans 1)" 1 say looks sum 0 new \
		map w "${mailbox[loans]}" 1 ask 1 1 0 5 say wrote hold >"$work/looks" &
	tool=$!
	await "$work/looks" wrote
	mapfile -t lines <"$work/looks"
	equal "sum of the lent page" "${lines[1]}" "$want"
	sum loans 1
	[ "$sum" != "$want" ] || fail "the guest did not write"
	no_errors
	kill -KILL "$tool"
	wait "$tool"
	recall_loans
	finish_guest loans
}

test_guest_ends_while_mapped() {
	local tool want
	serve ends pages=8
	sum ends 3
	want=$sum
	becomes "$bin/host/xenmem" "$domid" map w "$(page ends 0)" 4 say mapped hold >"$work/ends" &
	tool=$!
	await "$work/ends" mapped
	expect 0 lombard stop ends
	sound
	equal "wired frames of nobody" "${stat[cell.wired]}" 4
	kill -KILL "$tool"
	wait "$tool"
	until_true 5 nothing_wired || fail "${stat[cell.wired]} frames are wired"
	sound
	equal "frames" "${stat[cell.owned]}" 0
}

nothing_wired() {
	take_stats
	[ "${stat[cell.wired]}" = 0 ]
}

# ---- sharing ----

# frames ARGUMENT...: the lines in `out`.
frames() {
	run "$bin/host/frames" "$@"
	[ "$status" != 77 ] || skip "the kernel hides frame numbers from this user"
	equal "status of frames" "$status" 0
}

# one_frame GUEST I OTHER J: both map the same physical frame, which lies in GUEST's store.
one_frame() {
	local want
	sum "$1" "$2"
	want=$sum
	sum "$3" "$4"
	equal "what $3 reads" "$sum" "$want"
	frames "${vmm[$1]}" store "$1" "$(page "$1" "$2")" 1
	want=$out
	[ -n "$want" ] || fail "$1's page is not there"
	frames "${vmm[$3]}" store "$1" "$(page "$1" "$2")" 1
	equal "the frame of $3" "$out" "$want"
}

test_share_and_break() {
	local before want
	serve left pages=8 fill=3
	serve right pages=8 fill=3
	all_sound
	before=$((${stat[cell.owned]} + ${stat[cell.lent]}))
	share right 4 left 4
	sum left 4
	want=$sum
	one_frame left 4 right 4
	info 1 1
	expect 0 memshare debug-gfn "${dom[left]}" "$(page left 4)"
	no_errors
	equal "frames after sharing" $((${stat[cell.owned]} + ${stat[cell.lent]})) $((before - 1))
	equal "lent" "${stat[guest.left.lent]}" 1
	equal "borrowed" "${stat[guest.right.borrowed]}" 1
	# The client writes: both see the right bytes.
	ask right 1 4 0 99
	sum left 4
	equal "left after right's write" "$sum" "$want"
	sum right 4
	[ "$sum" != "$want" ] || fail "right does not see its own write"
	info 1 0
	no_errors
	equal "broken by right" "${stat[guest.right.write]}" 1
	# The source writes, too: nobody shares its page any more, so nothing is copied.
	ask left 1 4 0 99
	sum right 4
	want=$sum
	sum left 4
	equal "both wrote the same" "$sum" "$want"
	info 0 0
	no_errors
	equal "copied for left" "${stat[guest.left.bytes_copied]}" 0
	finish_guest left right
}

test_source_writes() {
	local want
	serve src pages=8 fill=4
	serve dst pages=8 fill=4
	share dst 1 src 1
	one_frame src 1 dst 1
	sum dst 1
	want=$sum
	ask src 1 1 3 1234
	sum dst 1
	equal "dst after src's write" "$sum" "$want"
	info 1 0
	no_errors
	ask dst 1 1 3 1234
	sum dst 1
	want=$sum
	sum src 1
	equal "both wrote the same" "$sum" "$want"
	info 0 0
	no_errors
	finish_guest src dst
}

test_unshare() {
	local want
	serve u1 pages=8 fill=5
	serve u2 pages=8 fill=5
	share u2 2 u1 2
	sum u1 2
	want=$sum
	info 1 1
	expect 0 memshare unshare "${dom[u2]}" "$(page u2 2)"
	info 1 0
	no_errors
	sum u2 2
	equal "u2 after unshare" "$sum" "$want"
	expect 0 memshare unshare "${dom[u1]}" "$(page u1 2)"
	info 0 0
	no_errors
	finish_guest u1 u2
}

test_range() {
	local i
	serve r1 pages=16 fill=6
	serve r2 pages=16 fill=6
	equal "both have their pages at the same place" "${gfn[r1]}" "${gfn[r2]}"
	refuses "Invalid argument" memshare range "${dom[r1]}" "${dom[r2]}" "$(page r1 0)" "$(page r1 15)"
	expect 0 memshare enable "${dom[r2]}"
	expect 0 memshare range "${dom[r1]}" "${dom[r2]}" "$(page r1 0)" "$(page r1 15)"
	info 16 16
	for i in 0 7 15; do
		one_frame r1 "$i" r2 "$i"
	done
	no_errors
	equal "borrowed" "${stat[guest.r2.borrowed]}" 16
	# Once more: they are shared already.  The pages behind them were never touched.
	expect 0 memshare range "${dom[r1]}" "${dom[r2]}" "$(page r1 0)" "$(page r1 20)"
	info 16 16
	ask r2 1 3 0 1
	ask r2 1 17 0 1
	info 16 15
	no_errors
	refuses "Invalid argument" memshare range "${dom[r1]}" "${dom[r2]}" 0 0xffffff
	expect 0 memshare disable "${dom[r2]}"
	refuses "Invalid argument" memshare range "${dom[r1]}" "${dom[r2]}" "$(page r1 0)" "$(page r1 1)"
	finish_guest r1 r2
	info 0 0
}

test_add_to_physmap() {
	local lines want
	serve a1 pages=8 fill=7
	serve a2 pages=8 fill=8
	handle_of a1 5
	sum a1 5
	want=$sum
	expect 0 memshare enable "${dom[a2]}"
	# Pages that were touched, or are none, are refused; page 9 was never touched.  The tool means the
	# other handle.
	refuses "problem with source handle" memshare add-to-physmap "${dom[a2]}" "$(page a2 1)" \
		"${dom[a1]}" "$(page a1 5)" "$handle"
	refuses "problem with source handle" memshare add-to-physmap "${dom[a2]}" 0xffffff \
		"${dom[a1]}" "$(page a1 5)" "$handle"
	expect 0 memshare add-to-physmap "${dom[a2]}" "$(page a2 9)" \
		"${dom[a1]}" "$(page a1 5)" "$handle"
	one_frame a1 5 a2 9
	ask a2 3 1 0 0
	expect 0 memshare add-to-physmap "${dom[a2]}" "$(page a2 1)" \
		"${dom[a1]}" "$(page a1 5)" "$handle"
	info 1 2
	sum a2 1
	equal "what a2 reads" "$sum" "$want"
	frames "${vmm[a2]}" store a1 "$(page a1 5)" 1
	mapfile -t lines <<<"$out"
	equal "mappings of the frame" "${#lines[@]}" 2
	equal "the second one" "${lines[1]}" "${lines[0]}"
	no_errors
	ask a2 1 9 0 4
	sum a1 5
	equal "a1 after a2's write" "$sum" "$want"
	info 1 1
	no_errors
	finish_guest a1 a2
}

# bad_share WHOSE PAGE HANDLE PAGE HANDLE: of b2 (client) and b1.
bad_share() {
	refuses "problem with $1 handle" memshare share "${dom[b2]}" "$(page b2 "$2")" "$3" \
		"${dom[b1]}" "$(page b1 "$4")" "$5"
}

test_bad_handles() {
	local h1 h2
	serve b1 pages=8 fill=9
	serve b2 pages=8 fill=9
	handle_of b1 0
	h1=$handle
	handle_of b1 0
	equal "the handle of a page nominated again" "$handle" "$h1"
	handle_of b2 0
	h2=$handle
	# The tool has it the wrong way round: the source's is its "client handle".
	bad_share "client" 0 "$h2" 0 0
	bad_share "source" 0 "$h1" 0 "$h1"
	bad_share "source" 1 "$h2" 0 "$h1"
	bad_share "client" 0 "$h2" 1 "$h1"
	refuses "No such process" memshare nominate 31000 1
	refuses "Operation not permitted" memshare nominate 0 1
	refuses "Invalid argument" memshare nominate "${dom[b1]}" 0xffffffff
	refuses "Device or resource busy" memshare_while_mapped b1 3
	# A handle is worth nothing once its page has been written to.
	ask b1 1 0 0 1
	bad_share "client" 0 "$h2" 0 "$h1"
	info 1 0
	no_errors
	finish_guest b1 b2
	info 0 0
}

# memshare_while_mapped GUEST I: nominate a page that somebody has mapped.
memshare_while_mapped() {
	local result tool
	rm -f "$work/mapped"
	becomes "$bin/host/xenmem" "${dom[$1]}" map w "$(page "$1" "$2")" 1 say mapped hold >"$work/mapped" &
	tool=$!
	await "$work/mapped" mapped >&2
	memshare nominate "${dom[$1]}" "$(page "$1" "$2")"
	result=$?
	kill -KILL "$tool"
	wait "$tool"
	return "$result"
}

test_guests_die_while_shared() {
	local want
	serve d1 pages=8 fill=10
	serve d2 pages=8 fill=10
	serve d3 pages=8 fill=10
	share d2 1 d1 1
	share d3 1 d2 1
	share d3 2 d1 2
	info 2 3
	sum d3 1
	want=$sum
	expect 0 lombard stop d1
	info 2 1
	no_errors
	sum d3 1
	equal "d3 after d1's end" "$sum" "$want"
	kill -KILL "${vmm[d3]}"
	await_end d3 126
	info 1 0
	no_errors
	sum d2 1
	equal "d2 after d3's end" "$sum" "$want"
	finish_guest d2
	info 0 0
}

# It makes no difference when who asked for it is gone: what is shared stays shared.
test_tool_is_killed() {
	local n tool
	serve k1 pages=64 fill=11
	serve k2 pages=64 fill=11
	expect 0 memshare enable "${dom[k2]}"
	for n in 1 2 3 4 5 6; do
		becomes xen-memshare range "${dom[k1]}" "${dom[k2]}" "$(page k1 0)" "$(page k1 63)" &
		tool=$!
		pause "0.0$n"
		kill -KILL "$tool" 2>/dev/null
		wait "$tool"
		no_errors
		ask k1 1 "$n" 0 "$n"
		ask k2 1 "$((n + 1))" 0 "$n"
	done
	no_errors
	finish_guest k1 k2
	info 0 0
}

# Pages that are granted, and that nobody has mapped, by their references.
test_share_by_grants() {
	local refs=() handles=() domids=() n
	for n in 1 2; do
		launch "granter$n" grant-leave to=0
		await "$console" "probe: granted ref=*"
		domids+=("$domid")
		refs+=("$(field ref)")
		expect 0 xenmem "$domid" nominate-gref "${refs[n - 1]}"
		handles+=("$out")
	done
	refuses EINVAL xenmem "$domid" nominate-gref 500
	refuses EINVAL xenmem "$domid" nominate-gref 100000000
	refuses EINVAL xenmem "$domid" debug-gref 500
	refuses ESRCH xenmem 31000 nominate-gref 8
	refuses EBADF xenmem "${domids[1]}" share-gref "${refs[1]}" "${handles[0]}" \
		"${domids[0]}" "${refs[0]}" "${handles[0]}"
	expect 0 xenmem "${domids[1]}" share-gref "${refs[1]}" "${handles[1]}" \
		"${domids[0]}" "${refs[0]}" "${handles[0]}" debug-gref "${refs[1]}"
	equal "pages that share the frame" "$out" 2
	info 1 1
	no_errors
	stop_guests
	info 0 0
}

host_tests map_is_live map_errors map_counts map_and_loans guest_ends_while_mapped share_and_break \
	source_writes unshare range add_to_physmap bad_handles guests_die_while_shared tool_is_killed \
	share_by_grants
