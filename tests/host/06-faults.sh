#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The Nth system call or allocation fails (hv/lib/sys.h), for N = 1, 2, ... until a run gets by
# without it.  Whatever fails says so, nothing crashes, hangs or leaks, and the cell goes on.
# Needs a build with LOMBARD_FAULTS; from the 40th on, N grows in steps, unless HOST_EVERY is 1: then
# every single call fails once, which takes hours; HOST_FROM=N begins there.
. "${BASH_SOURCE[0]%/*}/lib.sh"

every=${HOST_EVERY:-0}
from=${HOST_FROM:-1}
limit=$((every ? 14400 : 400))

triggered() { [[ $(<"$cell_log") == *'fails, as asked'* ]]; }

faults_built() { grep -q LOMBARD_FAIL_SYS "$bin/lombardd"; }

need_faults() { faults_built || skip "this build has no LOMBARD_FAULTS"; }

next_n() { n=$((n < 40 || every ? n + 1 : n + 1 + n / 16)); }

# try COMMAND...: it may fail, but then it says why, and in time.
try() {
	run timeout -s KILL 30 "$bin/lombard" "$@"
	[ "$status" = 0 ] || [ -n "$out$err" ] || fail "N=$n: $1 failed with $status and without a word"
	[ "$status" -le 126 ] || fail "N=$n: $1 ended with status $status"
	return "$status"
}

# lent_to_host: out lists a loan of a guest to the host.
lent_to_host() {
	local lender borrower row
	while read -r row; do
		read -r _ lender borrower _ <<<"$row"
		[ "$lender" = host ] || [ "$borrower" != host ] || return 0
	done <<<"$out"
	return 1
}

lends_nothing_to_host() {
	run lombard loans
	[ "$status" = 0 ] && ! lent_to_host
}

# A client has a picture made and hangs up.
picture_of() {
	run "$bin/host/rawclient" "$LOMBARD_SOCKET" \
		send "{\"op\": \"lend\", \"from\": \"$1\", \"to\": 0, \"gfn\": 256, \"pages\": 4}" recv
	until_true 5 lends_nothing_to_host || fail "N=$n: a loan to the host outlives its client"
}

# Launch, lend, break, return, stop: alone, with a file, and between guests.
scenario() {
	try run -m 8M "$probe" lend-again
	if try lend --file "$work/file" --to any --cow --tag 1; then
		try run -m 8M "$probe" borrow-write tag=1
	fi
	if try run -d -n owner -m 8M "$probe" spin; then
		picture_of owner
		if try lend --from owner --gfn 0x100 --pages 600 --to any --cow --tag 2; then
			try run -m 8M "$probe" borrow-write tag=2
		fi
		try dump owner -o "$work/dump"
		try stop owner
	fi
}

# The cell is as good as new.  (A run without the failure has nothing to recover from.)
recovered() {
	if ! triggered; then
		stop_guests
		end_cell
		return
	fi
	run_probe 0 lend-again
	stop_guests
	recall_loans
	closed
	end_cell
}

# fail_each RUN: RUN starts a cell in which the Nth call fails, and uses it.
fail_each() {
	local run=$1 hits=0
	need_faults
	head -c 20000 "$probe" >"$work/file"
	for ((n = from; n < 5000; )); do
		say "== N=$n"
		"$run"
		triggered || break
		hits=$((hits + 1))
		next_n
	done
	[ "$hits" -gt 10 ] || fail "only $hits calls failed: are they counted?"
	say "the last N was $n, $hits runs"
}

run_lombardd() {
	export LOMBARD_FAIL_SYS=lombardd:$n
	own_cell "$n"
	unset LOMBARD_FAIL_SYS
	scenario
	recovered
}

test_lombardd() { fail_each run_lombardd; }

# The next VMM to be started fails at its Nth call, and only that one.
make_vmm_wrapper() {
	cat >"$work/vmm" <<-END
		#!/bin/bash
		if [ -e "$work/order" ]; then
			read -r LOMBARD_FAIL_SYS <"$work/order"
			rm "$work/order"
			export LOMBARD_FAIL_SYS
		fi
		exec "$bin/lombard-vmm"
	END
	chmod +x "$work/vmm"
	export LOMBARD_VMM=$work/vmm
}

run_vmm_alone() {
	own_cell "$n"
	say "lombard-vmm:$n" >"$work/order"
	try run -m 8M "$probe" lend-store
	recovered
}

run_vmm_borrower() {
	own_cell "$n"
	launch lender lend-wait tag=3 pages=16 kind=2 write=1
	await "$console" "probe: lent id=*"
	say "lombard-vmm:$n" >"$work/order"
	try run -m 8M "$probe" borrow-write tag=3
	sound
	recovered
}

test_vmm_alone() {
	make_vmm_wrapper
	fail_each run_vmm_alone
}

test_vmm_borrower() {
	make_vmm_wrapper
	fail_each run_vmm_borrower
}

# Both ends of a channel in one program, or one guest: sealed, broken, seen, released, closed.
talk() {
	run timeout -s KILL 30 "$@" chan-self name=me count=10 bytes=20000 lend=4096 dirty=1 arena=1
	[ "$status" = 0 ] || [ -n "$out$err" ] || fail "N=$n: failed with $status and without a word"
	[ "$status" -le 126 ] || [ "$status" = 139 ] || fail "N=$n: status $status"
}

talk_twice() {
	talk "$bin/host/chanhost"
	talk "$bin/lombard" run -m 32M "$probe"
}

run_channels() {
	export LOMBARD_FAIL_SYS=lombardd:$n
	own_cell "$n"
	unset LOMBARD_FAIL_SYS
	talk_twice
	recovered
}

test_channels() { fail_each run_channels; }

# The program's own calls.
run_program() {
	own_cell "$n"
	LOMBARD_FAIL_SYS=chanhost:$n talk "$bin/host/chanhost"
	say "$err" >>"$cell_log"
	recovered
}

test_program() { fail_each run_program; }

# A domain that a Xen tool makes and gives memory.
run_domain() {
	local names
	export LOMBARD_FAIL_SYS=lombardd:$n
	own_cell "$n"
	unset LOMBARD_FAIL_SYS
	run timeout -s KILL 30 "$bin/lombard" xen "$bin/host/xenprobe" domains 1 memory
	[ "$status" = 0 ] || [ -n "$out$err" ] || fail "N=$n: failed with $status and without a word"
	[ "$status" -le 126 ] || fail "N=$n: status $status"
	# It stays until it is stopped, and one of these may be what fails.
	for _ in 1 2; do
		names=$(guest_names)
		# shellcheck disable=SC2086
		[ -z "$names" ] || run "$bin/lombard" stop $names
	done
	# If nothing has failed so far, the end of the cell may be what does.
	if triggered; then
		recovered
	else
		cell_stop || true
	fi
}

test_domain() { fail_each run_domain; }

host_tests lombardd vmm_alone vmm_borrower channels program domain
