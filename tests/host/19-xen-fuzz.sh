#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Random hypercalls through the real library, while guests lend and borrow, and programs that die in
# the middle of them: the cell loses nothing.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=120
fuzzer=$bin/host/xenfuzz
seed=${HOST_SEED:-$EPOCHSECONDS}

need_xen() { [ -d /usr/lib/xen-4.17/bin ] || skip "Debian's xen-utils-4.17 is not here"; }

# launch_guests: ids of four that are there to be fuzzed, in the array ids.  They may be stopped by it.
launch_guests() {
	ids=()
	launch lender lend-wait tag=1 pages=64 kind=1 write=1
	ids+=("$domid")
	launch borrower borrow-verify tag=1 seconds=0
	ids+=("$domid")
	launch spinner spin
	ids+=("$domid")
	launch sleeper sleep ms=600000
	ids+=("$domid")
}

# sane: everything works as before, after the guests have been taken away.
sane() {
	local name
	for name in $(guest_names); do
		run lombard stop "$name"
	done
	until_true 10 no_guests || fail "guests are left: $(guest_names)"
	sound
	run_probe 0 hello
}

test_random_calls() {
	local ids good calls
	need_xen
	launch_guests
	say "seed $seed"
	expect 0 lombard xen "$fuzzer" "$seed" "$((5 * scale))" 0 "${ids[@]}"
	line=$(<"$work/out")
	calls=$(field calls)
	good=$(field good)
	[ "$calls" -gt 1000 ] || fail "$calls calls only"
	[ "$good" -gt $((calls / 200)) ] || fail "$good of $calls calls were good"
	[ "$good" -lt "$calls" ] || fail "all calls were good"
	says "EFAULT=" "$out"
	says "ENOSYS=" "$out"
	sane
}

test_killed_in_the_middle() {
	local ids n pid
	need_xen
	launch_guests
	for n in 1 2 3 4 5 6; do
		"$bin/lombard" xen "$fuzzer" $((seed + n)) 60 "${ids[@]}" </dev/null >/dev/null 2>&1 &
		pid=$!
		pause "0.$(((seed + n * 7) % 6 + 2))"
		kill -KILL "$pid"
		wait "$pid" 2>/dev/null
		answers || fail "the cell does not answer after $n"
	done
	sane
}

test_several_at_once() {
	local ids n pids=()
	need_xen
	launch_guests
	for n in 1 2 3; do
		"$bin/lombard" xen "$fuzzer" $((seed * 3 + n)) "$((3 * scale))" 0 "${ids[@]}" \
			</dev/null >"$work/fuzz.$n" 2>&1 &
		pids+=($!)
	done
	for n in 0 1 2; do
		wait "${pids[n]}" || fail "a library failed: $(<"$work/fuzz.$((n + 1))")"
	done
	sane
}

host_tests random_calls killed_in_the_middle several_at_once
