#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Processes that die, or stop dead, at the worst moment.
. "${BASH_SOURCE[0]%/*}/lib.sh"

rounds=${HOST_ROUNDS:-12}
seed=$((10#${HOST_SEED:-${EPOCHREALTIME#*.}} % 32768))

# Moments of up to 400 ms, the same ones for the same seed.
random_pause() {
	local ms=$((RANDOM % 400))
	pause "0.$((ms / 100))$((ms / 10 % 10))$((ms % 10))"
}

# A guest that has ended and is remembered keeps one descriptor.
note_fds() {
	take_stats
	fds_before=$(($(least_fds "$cell_pid") - ${stat[cell.ended]}))
}

same_fds() {
	local want
	take_stats
	want=$((fds_before + ${stat[cell.ended]}))
	until_true 5 has_fds "$cell_pid" "$want" ||
		fail "lombardd should have $want descriptors, and has $(fds "$cell_pid")"
}

kill_vmm() {
	kill -KILL "$1" || fail "there is no process $1"
	until_true 5 gone "$1" || fail "the process $1 is still there"
}

# One lender that lends, overwrites and recalls all the time, and two borrowers; one of them dies.
# killed_at_random VICTIM: 0 the lender, 1 a borrower; many times.
killed_at_random() {
	local victim=$1 n names pids
	say "seed $seed"
	RANDOM=$seed
	note_fds
	for ((n = 0; n < rounds; n++)); do
		names=("l$victim.$n" "b$victim.$n" "c$victim.$n")
		launch "${names[0]}" lend-loop tag=1 pages=16 seconds=100 "kind=$((n % 2 + 1))"
		pids=("$vmm_pid")
		launch "${names[1]}" borrow-loop tag=1 seconds=100
		pids+=("$vmm_pid")
		launch "${names[2]}" borrow-loop tag=1 seconds=100
		random_pause
		kill_vmm "${pids[victim]}"
		await_end "${names[victim]}" 126
		says "${names[victim]}: killed, status 126: its process " "$out"
		sound
		unset "names[victim]"
		equal "who lives" "$(guest_names)" "$(printf '%s\n' "${names[@]}")"
		stop_guests
		closed
	done
	same_fds
}

test_lender_killed() { killed_at_random 0; }
test_borrower_killed() { killed_at_random 1; }

# Killed while it starts: lombardd must notice at whatever step it is.
test_killed_at_start() {
	local n pid
	note_fds
	say "seed $seed"
	RANDOM=$seed
	for ((n = 0; n < rounds; n++)); do
		"$bin/lombard" run -d -m 8M "$probe" spin >/dev/null 2>&1 &
		pause "0.00$((RANDOM % 10))"
		for pid in $(leftovers "$work/cell"); do
			[ "$pid" = "$cell_pid" ] || [ "$pid" = "$!" ] || kill -KILL "$pid" 2>/dev/null
		done
		wait "$!"
		sound
		stop_guests
	done
	same_fds
}

# The borrower reads the right bytes, whatever becomes of the lender.
test_lender_killed_borrower_reads() {
	local kind victim
	note_fds
	for kind in 1 2; do
		launch "gone$kind" lend-wait tag=2 pages=32 "kind=$kind" write=1
		victim=$vmm_pid
		await "$console" "probe: lent id=*"
		launch "reader$kind" borrow-verify tag=2 "seconds=$((2 * scale))"
		await "$console" "probe: borrowed*"
		kill_vmm "$victim"
		await_end "gone$kind" 126
		sound
		await_end "reader$kind" 0
		await "$console" "probe: verified * times"
		closed
	done
	same_fds
}

# The same without a write before: the frames become orphans.
test_orphans() {
	local victim
	launch giver lend-wait tag=3 pages=32
	victim=$vmm_pid
	await "$console" "probe: lent id=*"
	launch heir borrow-verify tag=3 "seconds=$((2 * scale))"
	await "$console" "probe: borrowed*"
	kill_vmm "$victim"
	await_end giver 126
	sound
	equal "orphaned frames" "${stat[cell.orphaned]}" 32
	await_end heir 0
	closed
}

test_foreground_client_killed() {
	local client
	note_fds
	rm -f "$work/spin"
	"$bin/lombard" run -m 8M "$probe" spin >"$work/spin" &
	client=$!
	await "$work/spin" "probe: spinning"
	kill -KILL "$client"
	until_true 5 no_guests || fail "the guest outlives its client"
	same_fds
}

test_detached_guest_stays() {
	launch detached spin
	await "$console" "probe: spinning"
	pause 0.3
	equal "who lives" "$(guest_names)" detached
	expect 0 lombard stop detached
}

# A VMM that does not run any more holds up its own guest only.
test_stopped_process() {
	local victim pid
	launch frozen lend-loop tag=4 pages=16 seconds=100
	victim=$vmm_pid
	launch watcher borrow-loop tag=4 seconds=100
	await "$console" "probe: borrowing"
	kill -STOP "$victim"
	launch lively lend-loop tag=5 pages=16 "seconds=$((1 * scale))"
	await_end lively 0
	"$bin/lombard" stats >/dev/null &
	pid=$!
	until_true 10 gone "$pid" || fail "stats hangs"
	"$bin/lombard" stop frozen >"$work/stop" &
	pid=$!
	until_true 10 gone "$pid" || fail "stop hangs"
	until_true 5 gone "$victim" || fail "the frozen process is still there"
	sound
	expect 0 lombard stop watcher
}

test_frozen_borrower() {
	local victim pid
	launch lender6 lend-loop tag=6 pages=16 "seconds=$((2 * scale))"
	launch frozen6 borrow-loop tag=6 seconds=100
	victim=$vmm_pid
	await "$console" "probe: borrowing"
	kill -STOP "$victim"
	await_end lender6 0
	sound
	expect 0 lombard stop frozen6
}

# shmem: KiB of shared memory on this machine.
shmem() {
	local key value
	while read -r key value _; do
		[ "$key" != Shmem: ] || printf '%s' "$value"
	done </proc/meminfo
}

little_shmem() { [ "$(shmem)" -lt "$1" ]; }

# Lombardd dies: its guests end by themselves, and their memory is free.
test_core_killed() {
	local before pid pids
	own_cell killed
	expect 0 lombard run -d -n big -m 256M "$probe" lend-wait tag=7 pages=32768 write=1
	read -r _ _ console <<<"$out"
	await "$console" "probe: lent id=*"
	launch borrower borrow-loop tag=8 seconds=100
	launch loop lend-loop tag=8 seconds=100
	before=$(shmem) # others use memory, too: look at the change only
	pids=$(leftovers "$LOMBARD_TEST")
	kill -KILL "$cell_pid"
	wait "$cell_pid" 2>/dev/null
	until_true 2 no_leftovers "$LOMBARD_TEST" || fail "of $pids there are left: $(leftovers "$LOMBARD_TEST")"
	until_true 5 little_shmem $((before - 65536)) || fail "the guest's memory is not free again"
}

# ... and its foreground client says so.
test_core_killed_client() {
	local client
	own_cell killed
	rm -f "$work/spin"
	"$bin/lombard" run -m 8M "$probe" spin >"$work/spin" 2>"$work/client.err" &
	client=$!
	await "$work/spin" "probe: spinning"
	kill -KILL "$cell_pid"
	wait "$cell_pid" 2>/dev/null
	wait "$client"
	equal "status of lombard run" "$?" 125
	says "the cell at $LOMBARD_SOCKET ended" "$(<"$work/client.err")"
	until_true 2 no_leftovers "$LOMBARD_TEST" || fail "left: $(leftovers "$LOMBARD_TEST")"
}

# A cell that is told to end does so with guests and clients about, and is not missed.
test_core_terminated() {
	local signal
	for signal in TERM HUP; do
		own_cell ended
		launch one lend-loop tag=9 seconds=100
		launch two borrow-loop tag=9 seconds=100
		await "$console" "probe: borrowing"
		kill -"$signal" "$cell_pid"
		wait "$cell_pid"
		equal "status of lombardd" "$?" 0
		until_true 2 no_leftovers "$LOMBARD_TEST" || fail "left: $(leftovers "$LOMBARD_TEST")"
		[ ! -e "$LOMBARD_SOCKET" ] || fail "the socket is left"
	done
}

# No loan's trace after all of it.
test_no_leak() {
	local n
	run_probe 0 hello
	note_fds
	for ((n = 0; n < rounds; n++)); do
		run_probe 0 lend-again
		run_probe 124 crash
		run lombard run -m 8M /dev/null
	done
	same_fds
	closed
}

host_tests lender_killed borrower_killed killed_at_start lender_killed_borrower_reads orphans \
	foreground_client_killed detached_guest_stays stopped_process frozen_borrower core_killed \
	core_killed_client core_terminated no_leak
