#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Event channels and grants, between guests, between programs of the host, and between both, by
# Debian's libraries' interface on Lombard's libraries underneath.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=120
granter=$bin/host/xengrant

# Without a role it says so; where it cannot be loaded, nobody does.
need_granter() {
	local status=0
	lombard xen "$granter" >"$work/granter" 2>&1 || status=$?
	[ "$status" != 127 ] || skip "Xen's libraries are not here: $(<"$work/granter")"
}

# The program has no sanitizer: it could not be started with what `lombard xen` preloads.
grant() {
	need_granter
	lombard xen "$granter" "$@"
}

# start_grant LINE ROLE ARGUMENT...: in the background, until it has said such a line.
start_grant() {
	local file=$work/$test_name.$2
	need_granter
	# What an earlier one has said must not be taken for this one's.
	rm -f "$file"
	"$bin/lombard" xen "$granter" "${@:2}" >"$file" 2>&1 </dev/null &
	grant_pid=$!
	await "$file" "$1"
}

# end_grant STATUS: it ends by itself.
end_grant() {
	wait "$grant_pid"
	equal "status of xengrant" "$?" "$1"
}

kill_grant() {
	kill -KILL "$grant_pid"
	wait "$grant_pid" 2>/dev/null || true
}

# next_domid: numbers are given in order: set next to that of the guest that is launched next.
next_domid() {
	launch number hello
	await_end number 0
	next=$((domid + 1))
}

# offer NAME ROLE ARGUMENT...: a guest that grants a page: domid, ref and port.
offer() {
	launch "$@"
	await "$console" 'probe: granted *'
	ref=$(field ref)
	port=$(field port)
}

ended_well() {
	await_end "$1" 0
	has_line "$console" "probe: $2: ok" || fail "$2 did not pass: $(<"$console")"
}

# stays_wired N: pages that somebody has mapped.
stays_wired() {
	sound
	equal "wired pages" "${stat[cell.wired]}" "$1"
}

# nothing_left: what programs had is gone; the core may come to it a little later.
nothing_left() {
	take_stats && [ "${stat[cell.wired]}" = 0 ] && [ "${stat[cell.owned]}" = 0 ]
}

# ---- one guest alone ----

passes() {
	run_probe 0 "$@"
	says "probe: $1: ok" "$out"
}

test_self() { passes grant-self; }
test_bad() { passes grant-bad; }

# Regression: closing, sending and unmasking wrote their structure back, and stopped a guest for it.
test_structure_is_only_read() { passes event-const; }
test_batch() { passes grant-batch; }
test_copies() { passes grant-copies; }

# ---- guests with each other ----

# guests_share RO: one grants, the other maps.
guests_share() {
	local next
	next_domid
	offer server grant-serve "to=$((next + 1))" "ro=$1"
	launch user grant-use "from=$domid" "ref=$ref" "port=$port" "ro=$1"
	equal "the second guest's number" "$domid" $((next + 1))
	ended_well user grant-use
	await_end server 0
	sound
}

test_guests() { guests_share 0; }
test_guests_readonly() { guests_share 1; }

# ---- guests and programs ----

test_guest_grants_host() {
	offer giver grant-serve to=0
	expect 0 grant use "$domid" "$ref" "$port" rw
	ended_well giver grant-serve
	sound
}

test_guest_grants_host_readonly() {
	offer giver grant-serve to=0 ro=1
	expect 0 grant use "$domid" "$ref" "$port" ro
	ended_well giver grant-serve
	sound
}

# host_shares rw|ro RO
host_shares() {
	local next
	next_domid
	start_grant 'granted *' serve "$next" "$1"
	launch taker grant-use from=0 "ref=$(field ref)" "port=$(field port)" "ro=$2"
	equal "the guest's number" "$domid" "$next"
	ended_well taker grant-use
	end_grant 0
	sound
}

test_host_grants_guest() { host_shares rw 0; }
test_host_grants_guest_readonly() { host_shares ro 1; }

test_guest_writes_readonly_page() {
	local next
	next_domid
	start_grant 'granted *' share "$next"
	expect 125 lombard run -m 8M "$probe" grant-write-ro from=0 "ref=$(field ref)"
	says 'writing to a page that is mapped read-only' "$out"
	says 'granted' "$err"
	kill_grant
}

test_refused() {
	offer giver grant-serve to=0 ro=1
	expect 0 grant refused "$domid" "$ref"
	# ESRCH, EINVAL, EPERM, EPERM, EPERM, EINVAL
	says 'nobody: 3' "$out"
	says 'outside: 22' "$out"
	says 'not granted: 1' "$out"
	says 'to write: 1' "$out"
	says "another's: 1" "$out"
	says 'no port: 22' "$out"
	expect 0 lombard stop giver
}

# A handle for one guest, as lombard-blk has it: others' ports are not to be had.
test_only_one_guest() {
	local first
	offer one grant-serve to=0 ro=1
	first=("$domid" "$port")
	offer two grant-serve to=0 ro=1
	expect 0 grant only "${first[@]}" "$domid" "$port"
	says 'refused' "$out"
	expect 0 lombard stop one two
}

test_table_is_a_resource() {
	offer giver grant-serve to=0 ro=1
	expect 0 grant table "$domid" "$ref"
	# GTF_permit_access and GTF_readonly; EINVAL
	says 'size=262144 flags=5 domid=0' "$out"
	says 'status frames: 22' "$out"
	says 'frame 64: 22' "$out"
	expect 0 lombard stop giver
}

# The number of frames, as Xen's own tool asks for it.
test_query_size() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -x "${dirs[0]}/xen-diag" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	offer giver grant-serve to=0
	expect 0 lombard xen xen-diag gnttab_query_size "$domid"
	says "domid=$domid: nr_frames=1, max_nr_frames=64" "$out"
	expect 0 lombard xen lsevtchn "$domid"
	says "$port: VCPU 0: Interdomain (Waiting connection) - Remote Domain 0" "$out"
	expect 0 lombard stop giver
}

test_event_storm() {
	launch stormy event-storm to=0 rounds=200
	await "$console" 'probe: ports *'
	expect 0 grant storm "$domid" "$(field first)" "$(field last)"
	says '64 of 64 ports were raised' "$out"
	ended_well stormy event-storm
}

# ---- who dies ----

# The byte is cleared, then the event comes, though the program's handles go in no order.
test_program_killed() {
	local n
	for n in 1 2 3 4 5; do
		offer watcher grant-watch to=0
		start_grant holding hold "$domid" "$ref" "$port"
		await "$console" 'probe: the partner lives'
		stays_wired 2 # and the guest's shared info page
		kill_grant
		await "$console" 'probe: the partner is gone'
		ended_well watcher grant-watch
	done
	sound
}

# Its own memory is gone with it.
test_guest_gone() {
	offer giver grant-leave to=0
	start_grant kept keep "$domid" "$ref" "$port"
	await_end giver 0
	# The page lives on as long as the program has it.
	stays_wired 1
	kill_grant
	until_true 5 nothing_left || fail "the page stays: $(lombard stats)"
	sound
}

test_guest_killed() {
	offer giver grant-watch to=0
	start_grant holding hold "$domid" "$ref" "$port"
	await "$console" 'probe: the partner lives'
	kill -KILL "$vmm_pid"
	await_end giver 126
	stays_wired 1
	kill_grant
	until_true 5 nothing_left || fail "the page stays: $(lombard stats)"
}

# A guest that has mapped a page of another dies.
test_mapper_killed() {
	local next
	next_domid
	offer giver grant-serve "to=$((next + 1))"
	launch user grant-use "from=$domid" "ref=$ref" "port=$port" wait=1
	await "$console" 'probe: mapped'
	stays_wired 3 # and two shared info pages
	kill -KILL "$vmm_pid"
	await_end user 126
	stays_wired 1
	expect 0 lombard stop giver
}

# ---- programs with each other ----

test_loop() { expect 0 grant loop; }

test_many_pages() {
	expect 0 grant many 3000
	says '3000 pages' "$out"
	until_true 5 nothing_left || fail "pages stay: $(lombard stats)"
}

test_programs() {
	local how
	for how in rw ro; do
		start_grant 'granted *' serve 0 "$how"
		expect 0 grant use 0 "$(field ref)" "$(field port)" "$how"
		end_grant 0
	done
	sound
}

test_sharer_killed() {
	local sharer
	start_grant 'granted *' share 0
	sharer=$grant_pid
	start_grant watching watch 0 "$(field ref)" "$(field port)"
	kill -KILL "$sharer"
	end_grant 0
	has_line "$work/$test_name.watch" gone || fail "it was not told: $(<"$work/$test_name.watch")"
	wait "$sharer" 2>/dev/null
	until_true 5 nothing_left || fail "pages stay: $(lombard stats)"
}

# ---- libxenvchan, by Debian's vchan-socket-proxy ----

store_answers() { lombard xen xenstore-exists "$@" 2>/dev/null; }

# start_store: Debian's xenstored, for this test.
start_store() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -x "${dirs[0]}/vchan-socket-proxy" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	export XENSTORED_RUNDIR=$work/$test_name.store
	mkdir -p "$XENSTORED_RUNDIR"
	"$bin/lombard" xen xenstored -N --pid-file "$XENSTORED_RUNDIR/pid" </dev/null &
	store_pid=$!
	until_true 10 store_answers / || fail "no xenstored"
	expect 0 lombard xen xenstore-write /local/domain/0/domid 0
}

# The cell must not see it any more afterwards.
stop_store() {
	kill "$store_pid"
	wait "$store_pid" || true
}

holds() { [ "$(<"$1")" = "$2" ]; }

# say_and_stay TEXT: the reader sees no end of it.
say_and_stay() {
	say "$1"
	pause 600
}

# start_vchan TO-SERVER TO-CLIENT: both ends, each of which gets something to pass on.
start_vchan() {
	rm -f "$work/server.out" "$work/client.out"
	"$bin/lombard" xen vchan-socket-proxy --mode=server 0 data/v - \
		< <(say_and_stay "$1") >"$work/server.out" &
	server_pid=$!
	until_true 10 store_answers /local/domain/0/data/v/event-channel || fail "no server"
	"$bin/lombard" xen vchan-socket-proxy 0 /local/domain/0/data/v - \
		< <(say_and_stay "$2") >"$work/client.out" &
	client_pid=$!
	until_true 20 holds "$work/server.out" "$2" || fail "what the server got is wrong"
	until_true 20 holds "$work/client.out" "$1" || fail "what the client got is wrong"
}

test_vchan() {
	local there back
	there=$(printf '%d\n' {1..50000})
	back=$(printf '%d\n' {60000..90000})
	start_store
	start_vchan "$back" "$there"
	sound
	kill -KILL "$client_pid"
	wait "$server_pid"
	equal "status of the server whose client was killed" "$?" 0
	wait "$client_pid" || true
	until_true 5 nothing_left || fail "pages stay: $(lombard stats)"
	# And the other way.
	expect 0 lombard xen xenstore-rm data/v
	start_vchan "$there" "$back"
	kill -KILL "$server_pid"
	wait "$client_pid"
	equal "status of the client whose server was killed" "$?" 0
	wait "$server_pid" || true
	until_true 5 nothing_left || fail "pages stay: $(lombard stats)"
	stop_store
}

host_tests self bad structure_is_only_read batch copies guests guests_readonly guest_grants_host \
	guest_grants_host_readonly host_grants_guest host_grants_guest_readonly \
	guest_writes_readonly_page refused only_one_guest table_is_a_resource query_size event_storm program_killed \
	guest_gone guest_killed mapper_killed loop many_pages programs sharer_killed vchan
