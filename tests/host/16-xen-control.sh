#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Guests that are paused, whatever they are doing, and go on; their registers.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/xl.sh"

rounds=${HOST_ROUNDS:-12}

state_of() {
	local name state row
	while read -r row; do
		read -r _ name state _ <<<"$row"
		[ "$name" != "$1" ] || say "$state"
	done < <(lombard list)
}

# count_of FILE: the number in the last whole line that a counting guest has printed.
count_of() {
	local text rest
	text=$(<"$1")
	rest=${text##*probe: count }
	[ "$rest" = "$text" ] || printf '%d' "${rest%%[!0-9]*}"
}

counts_beyond() { [ "$(count_of "$1")" -gt "$2" ]; }

# Console output that was on its way when a guest was paused has arrived after this.
stands() {
	local before
	pause 0.2
	before=$(count_of "$console")
	pause 0.5
	equal "the count of a paused guest" "$(count_of "$console")" "$before"
}

goes_on() {
	local before
	before=$(count_of "$console")
	until_true 10 counts_beyond "$console" "$before" || fail "it does not go on after $before"
}

test_pause() {
	launch counter count
	await "$console" "probe: count *"
	equal "the state" "$(state_of counter)" running
	expect 0 lombard pause counter
	equal "the state" "$(state_of counter)" paused
	equal "what pause prints" "$out" ""
	stands
	expect 0 lombard unpause "$domid"
	equal "the state" "$(state_of counter)" running
	goes_on
	sound
	expect 0 lombard stop counter
}

test_pauses_count() {
	local n
	launch counter count
	await "$console" "probe: count *"
	expect 0 lombard pause counter
	expect 0 lombard pause counter
	equal "what the second pause prints" "$out" "counter: paused 2 times"
	expect 0 lombard unpause counter
	equal "the state after one unpause" "$(state_of counter)" paused
	stands
	expect 0 lombard unpause counter
	goes_on
	expect 1 lombard unpause counter
	says "counter is not paused" "$err"
	for ((n = 0; n < 15; n++)); do
		lombard pause counter counter counter counter counter counter counter counter \
			counter counter counter counter counter counter counter counter counter >/dev/null ||
			fail "pause $n"
	done
	expect 1 lombard pause counter
	says "paused 255 times already" "$err"
	equal "the state" "$(state_of counter)" paused
	expect 0 lombard stop counter
}

test_who_can_not() {
	expect 1 lombard pause nobody
	says "no such guest" "$err"
	expect 2 lombard pause
	launch short hello
	await_end short 0
	expect 1 lombard pause short
	says "short has ended" "$err"
}

# A sleeper whose time is over while it is paused wakes up at once afterwards, and not before.
test_paused_in_poll() {
	launch sleeper sleep "ms=$((600 * scale))"
	await "$console" "probe: sleeping"
	expect 0 lombard pause sleeper
	pause "$((1 * scale))"
	! has_line "$console" "probe: slept*" || fail "it woke up while it was paused"
	expect 0 lombard unpause sleeper
	await_end sleeper 0
	await "$console" "probe: slept * us"
}

# Again and again, so that it is paused at any step of its sleep; it says itself if it woke too early.
test_paused_often_in_poll() {
	local n=0
	launch sleeper sleep "ms=$((3000 * scale))"
	await "$console" "probe: sleeping"
	while lombard pause sleeper 2>/dev/null; do
		n=$((n + 1))
		# A pause does not undo the hypercall by which it ends, if that is under way.
		lombard unpause sleeper 2>/dev/null || break
	done
	say "$n times"
	[ "$n" -gt 1 ] || fail "paused $n times only"
	await_end sleeper 0
	await "$console" "probe: slept * us"
}

# An event for a guest that is paused in its wait for it.
test_event_while_paused() {
	launch waiter borrow-verify tag=21 "seconds=$((1 * scale))"
	pause 0.2
	expect 0 lombard pause waiter
	local waiter_console=$console
	launch lender lend-wait tag=21 pages=32 write=1
	await "$console" "probe: lent id=*"
	pause 0.2
	! has_line "$waiter_console" "probe: borrowed*" || fail "it borrowed while it was paused"
	expect 0 lombard unpause waiter
	await_end waiter 0
	await "$waiter_console" "probe: verified * times"
	stop_guests
}

calls_beyond() {
	take_stats
	[ "${stat[guest.$1.hypercalls]}" -gt "$2" ]
}

# A lender that overwrites what it lends, and its borrower, paused by turns in whatever they do.
# The probes check all they read; that they go on is seen in their hypercalls.  (Names that no guest
# had before: the account has those that ended, too.)
test_paused_at_work() {
	local n who before
	launch owner lend-loop tag=22 pages=64 seconds=100
	launch tenant borrow-loop tag=22 seconds=100
	await "$console" "probe: borrowing"
	for ((n = 0; n < rounds; n++)); do
		for who in owner tenant; do
			expect 0 lombard pause "$who"
			take_stats
			before=${stat[guest.$who.hypercalls]}
			pause "0.0$((RANDOM % 9 + 1))"
			take_stats
			# One may have been under way.
			[ "${stat[guest.$who.hypercalls]}" -le $((before + 1)) ] ||
				fail "$who made hypercalls while it was paused"
			all_sound
			expect 0 lombard unpause "$who"
		done
	done
	for who in owner tenant; do
		take_stats
		until_true 20 calls_beyond "$who" "${stat[guest.$who.hypercalls]}" || fail "$who does not go on"
	done
	equal "who lives" "$(guest_names)" $'owner\ntenant'
	expect 0 lombard stop owner tenant
}

# A call that takes long: it stops in the middle, goes on, and is no hindrance to the guest's end.
# (Once pausing came back at once, and the call went on.)
test_paused_in_a_long_call() {
	local before
	expect 0 lombard run -d -n caller -m 32M "$probe" grant-long count=1500000
	read -r domid _ console <<<"$out"
	await "$console" "probe: 1500000 in one call" 60
	within 1000 lombard pause caller
	take_stats
	before=${stat[guest.caller.hypercalls]}
	pause 0.5
	take_stats
	# One may have been under way.
	[ "${stat[guest.caller.hypercalls]}" -le $((before + 1)) ] || fail "the call goes on"
	expect 0 lombard unpause caller
	until_true 20 calls_beyond caller $((before + 1000)) || fail "the call does not go on"
	within 1000 lombard stop caller
	run_probe 0 grant-long count=1000
}

# The lender is paused while its borrower reads; what the borrower maps is still there afterwards.
test_paused_lender_is_read() {
	launch lender lend-wait tag=23 pages=32 write=1
	await "$console" "probe: lent id=*"
	expect 0 lombard pause lender
	launch reader borrow-verify tag=23 "seconds=$((1 * scale))"
	await_end reader 0
	await "$console" "probe: verified * times"
	# The host reads it, too, through a loan of its own.
	expect 0 lombard dump lender -o "$work/dump"
	expect 0 lombard unpause lender
	stop_guests
}

test_killed_while_paused() {
	launch counter count
	await "$console" "probe: count *"
	expect 0 lombard pause counter
	kill -KILL "$vmm_pid"
	await_end counter 126
	says "counter: killed, status 126: its process " "$out"
	expect 1 lombard unpause counter
	says "counter has ended" "$err"
}

test_stopped_while_paused() {
	launch counter count
	expect 0 lombard pause counter
	expect 0 lombard stop counter
	says "counter: stopped, status 126" "$out"
}

# Its process does not run: whoever pauses it waits for a while, others do not, and then it is lost.
test_process_that_hangs() {
	local pid
	launch frozen count
	await "$console" "probe: count *"
	kill -STOP "$vmm_pid"
	"$bin/lombard" pause frozen >"$work/pause" 2>&1 &
	pid=$!
	pause 0.2
	launch lively count
	await "$console" "probe: count *"
	expect 0 lombard pause lively
	stands
	alive "$pid" || fail "pause did not wait: $(<"$work/pause")"
	until_true 20 gone "$pid" || fail "pause hangs"
	says "frozen has ended" "$(<"$work/pause")"
	await_end frozen 126
	says "its process does not answer any more" "$out"
	expect 0 lombard unpause lively
	goes_on
	expect 0 lombard stop lively
}

# The cell's end, kind or not, is the end of guests that are paused, too.
test_core_ends() {
	own_cell killed
	launch counter count
	expect 0 lombard pause counter
	kill -KILL "$cell_pid"
	wait "$cell_pid" 2>/dev/null
	until_true 2 no_leftovers "$LOMBARD_TEST" || fail "left: $(leftovers "$LOMBARD_TEST")"
	own_cell ended
	launch counter count
	expect 0 lombard pause counter
	end_cell
}

test_client_killed() {
	local client
	rm -f "$work/count"
	rm -f "$work/count"
	"$bin/lombard" run -n counter -m 8M "$probe" count >"$work/count" &
	client=$!
	await "$work/count" "probe: count *"
	expect 0 lombard pause counter
	kill -KILL "$client"
	until_true 5 no_guests || fail "the guest outlives its client"
}

# ---- by libxenctrl, and no other way ----

# Whatever the command asks for is refused, or it finds no libraries: the guest does not notice.
test_refused() {
	local lib word
	mkdir -p "$work/refuse"
	for lib in evtchn gnttab foreignmemory; do
		cp "$host_build/lib/xen/libxen$lib.so.1" "$work/refuse"
	done
	cp "$bin/host/libxencall-refuses.so" "$work/refuse/libxencall.so.1"
	launch counter count
	await "$console" "probe: count *"
	export LOMBARD_XEN_LIBS=$work/refuse REFUSE_CALL=1 # EPERM
	for word in pause unpause stop; do
		expect 1 lombard "$word" counter
		equal "what $word says" "$err" "lombard: cannot $word counter: Operation not permitted"
		equal "what $word prints" "$out" ""
	done
	expect 1 lombard list
	equal "what list says" "$err" "lombard: cannot list the guests: Operation not permitted"
	REFUSE_CALL=3 expect 1 lombard pause counter # ESRCH
	equal "of one that has ended meanwhile" "$err" "lombard: cannot pause counter: counter has ended"
	REFUSE_CALL=32 expect 1 lombard stop counter # EPIPE
	says "cannot stop counter: the cell at $LOMBARD_SOCKET ended" "$err"
	REFUSE_OPEN=13 expect 1 lombard pause counter # EACCES
	says "cannot reach the cell at $LOMBARD_SOCKET: Permission denied; use sudo" "$err"
	unset LOMBARD_XEN_LIBS
	equal "the state" "$(state_of counter)" running
	goes_on
	expect 0 lombard stop counter
}

# Neither Lombard's libraries, nor Debian's; what needs none goes on working.
test_no_libraries() {
	local word
	launch counter count
	await "$console" "probe: count *"
	mkdir -p "$work/broken"
	: >"$work/broken/libxenctrl.so.4.17"
	for word in pause unpause stop; do
		LOMBARD_XEN_LIBS=/nonexistent expect 1 lombard "$word" counter
		says "lombard: cannot $word counter: Lombard's libraries for libxenctrl are not there; set LOMBARD_XEN_LIBS" "$err"
		LD_LIBRARY_PATH=$work/broken expect 1 lombard "$word" counter
		says "lombard: cannot $word counter: $work/broken/libxenctrl.so.4.17: " "$err"
		says "in the package libxenmisc4.17" "$err"
	done
	LOMBARD_XEN_LIBS=/nonexistent expect 1 lombard list
	says "cannot list the guests: Lombard's libraries" "$err"
	LOMBARD_XEN_LIBS=/nonexistent expect 0 lombard dump counter -o "$work/dump"
	LOMBARD_XEN_LIBS=/nonexistent run_probe 0 hello
	goes_on
	expect 0 lombard stop counter
	LOMBARD_XEN_LIBS=/nonexistent expect 0 lombard list
	# Told from what is remembered, and by hanging up.
	LOMBARD_XEN_LIBS=/nonexistent expect 0 lombard stop counter
	says "counter: stopped, status 126" "$out"
}

# Whoever runs it interrupts it: it ends with its client.
test_interrupted_without_libraries() {
	local client
	rm -f "$work/count"
	rm -f "$work/count"
	LOMBARD_XEN_LIBS=/nonexistent "$bin/lombard" run -n counter -m 8M "$probe" count >"$work/count" 2>"$work/why-not" &
	client=$!
	await "$work/count" "probe: count *"
	kill -INT "$client"
	wait "$client"
	equal "status" "$?" 130
	says "cannot stop the guest: Lombard's libraries" "$(<"$work/why-not")"
	until_true 5 no_guests || fail "the guest survived"
}

# The libraries are told where the cell is, whatever the environment says.
test_socket_by_option() {
	local socket=$LOMBARD_SOCKET
	launch counter count
	export LOMBARD_SOCKET=/nonexistent/cell.sock
	expect 0 lombard -s "$socket" pause counter
	expect 0 lombard -s "$socket" list
	says " paused " "$out"
	unset LOMBARD_SOCKET
	expect 0 lombard -s "$socket" unpause counter
	cd "${socket%/*}" || fail "no ${socket%/*}"
	expect 0 lombard -s "${socket##*/}" stop counter
	expect 0 lombard -s "$socket" list
}

# fact KEY: of the last guest that `lombard list --json` has printed.
fact() {
	local rest=${out##*\""$1"\": }
	printf '%s' "${rest%%[,[:space:]]*}"
}

# What `list` shows is what the account and the tools have.
test_list_facts() {
	launch filled lend-wait pages=512 tag=26
	await "$console" "probe: lent id=*"
	expect 0 lombard pause filled
	all_sound
	expect 0 lombard list --json
	equal "bytes in use" "$(fact used)" \
		$(((${stat[guest.filled.owned]} + ${stat[guest.filled.lent]} + ${stat[guest.filled.wired]}) * 4096))
	[ "$(fact used)" -gt $((512 * 4096)) ] || fail "it uses $(fact used) bytes"
	equal "bytes that it has" "$(fact memory)" $((8 << 20))
	equal "vCPUs" "$(fact vcpus)" 1
	equal "state" "$(fact state)" '"paused"'
	launch spinner spin
	pause 0.5
	expect 0 lombard list --json
	[[ $(fact cpu) != 0.0* ]] || fail "a guest that spins took $(fact cpu) s"
	stop_guests
}

# More than libxenctrl is asked for at a time.
test_many_are_listed() {
	local n names
	for ((n = 0; n < 140; n++)); do
		lombard run -d -n "many$n" -m 2M "$probe" sleep ms=600000 >/dev/null || fail "launch $n"
	done
	read -ra names <<<"$(guest_names | tr '\n' ' ')"
	equal "how many are listed" "${#names[@]}" 140
	equal "the last one" "${names[139]}" many139
	stop_guests
}

# ---- the same by Xen's tools, and a look at registers ----

prober=$bin/host/xenprobe

need_tools() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -d "${dirs[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	tools=${dirs[0]}
}

test_registers() {
	local rip cr3 rsp code
	need_tools
	launch counter count
	await "$console" "probe: count *"
	expect 0 lombard pause counter
	expect 0 lombard xen "$tools/xen-hvmctx" "$domid"
	says "magic 0x54381286, version 1" "$out"
	says "MTRR: PAT 0x7040600070406" "$out"
	rip=$(register rip)
	cr3=$(register cr3)
	rsp=$(register rsp)
	equal "cs" "$(register cs)" 1b # CPL 3
	expect 0 lombard xen "$tools/xenctx" -a "$domid"
	equal "rip of both tools" "$(register rip)" "$rip"
	equal "cr3 of both tools" "$(register cr3)" "$cr3"
	equal "rsp of both tools" "$(register rsp)" "$rsp"
	# What the vCPU is about to execute is what lies there in memory, where addresses are physical.
	code=${out#*<}
	expect 0 lombard dump counter -o "$work/memory"
	equal "the code at rip" "$(printf '%s' "${code:0:2}")" \
		"$(od -An -tx1 -j $((16#$rip)) -N1 "$work/memory" | tr -d ' ')"
	# The page table's first entry leads to another table, the guest's.
	[ "$(od -An -tx8 -j $((16#$cr3)) -N8 "$work/memory" | tr -d ' 0')" != "" ] || fail "no page table at cr3"
	expect 0 lombard unpause counter
	goes_on
	expect 0 lombard stop counter
}

# Whatever it is doing, its state is taken away and given back, and it notices nothing.  (On QEMU's
# software SVM it stood still afterwards, each of its hypercalls a #GP: see set_sregs in hv/vmm/state.c.)
test_states() {
	need_tools
	launch counter count
	await "$console" "probe: count *"
	expect 0 lombard xen "$prober" states "$domid" 200
	says "states: 200 of domain $domid, 1328 bytes" "$out"
	goes_on
	expect 0 lombard stop counter
}

test_states_at_work() {
	local who n
	need_tools
	launch owner2 lend-loop tag=24 pages=16 "seconds=$((6 * scale))"
	launch tenant2 borrow-loop tag=24 "seconds=$((6 * scale))"
	launch sleeper2 sleep "ms=$((3000 * scale))"
	for ((n = 0; n < rounds; n++)); do
		for who in $((domid - 2)) $((domid - 1)) "$domid"; do
			run lombard xen "$prober" states "$who" 5
			[ "$status" = 0 ] || [[ $out == *"No such process"* ]] || fail "$out"
		done
	done
	for who in owner2 tenant2 sleeper2; do
		await_end "$who" 0
	done
}

test_crash_by_tool() {
	need_tools
	launch counter count
	await "$console" "probe: count *"
	expect 0 lombard xen "$tools/xen-hvmcrash" "$domid"
	run lombard wait counter
	says "counter: " "$out"
	[ "$status" != 0 ] || fail "it did not crash"
	sound
}

store_answers() { lombard xen xenstore-exists / 2>/dev/null; }

# xl wants a xenstore, and there the name of a domain.
test_xl() {
	local store_pid state
	need_tools
	export XENSTORED_RUNDIR=$work/$test_name.store
	mkdir -p "$XENSTORED_RUNDIR"
	lombard xen xenstored -N --pid-file "$XENSTORED_RUNDIR/pid" </dev/null &
	store_pid=$!
	until_true 10 store_answers || fail "no xenstored"
	expect 0 lombard xen xen-init-dom0
	launch counter count
	expect 0 lombard xen xenstore-write "/local/domain/$domid/name" counter
	await "$console" "probe: count *"
	expect 0 xl pause counter
	expect 0 xl list
	says p "$(xl_state counter)"
	stands
	expect 0 xl unpause counter
	goes_on
	expect 0 xl list
	state=$(xl_state counter)
	[[ $state != *p* ]] || fail "xl list says $state"
	run xl trigger counter power
	says "Send trigger 'power' failed: Operation not supported" "$err"
	expect 0 xl destroy counter
	no_guests || fail "it is still there: $(guest_names)"
	run lombard wait counter
	says "counter: stopped, status 126" "$out"
	kill "$store_pid"
	wait "$store_pid" || true
}

# ---- the special area ----

test_special_area() {
	run_probe 0 special
	says "special area is memory" "$out"
	run_probe 125 beyond-special at=$((0xfbfff000))
	says "0xfbfff000" "$err"
	run_probe 125 beyond-special at=$((0xff000000))
	says "0xff000000" "$err"
}

# Somebody else lends it, too; it is in the account, and goes with its guest.
test_special_area_is_lent() {
	local id
	launch special special stay=1
	await "$console" "probe: special area is memory"
	sound
	expect 0 lombard lend --from special --gfn 0xfc000 --pages 65 --to any --cow --tag 25
	id=${out%% *}
	run_probe 0 borrow-write tag=25
	expect 0 lombard return "$id"
	# Over its end.
	expect 1 lombard lend --from special --gfn 0xfefff --pages 2 --to any
	sound
	expect 0 lombard stop special
	closed
}

host_tests pause pauses_count who_can_not paused_in_poll paused_often_in_poll event_while_paused \
	paused_at_work paused_in_a_long_call paused_lender_is_read killed_while_paused stopped_while_paused \
	process_that_hangs core_ends client_killed refused no_libraries interrupted_without_libraries \
	socket_by_option list_facts many_are_listed registers states states_at_work crash_by_tool xl \
	special_area special_area_is_lent
