#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Booting, ending and crashing, and the ABI as far as one guest alone can try it.
. "${BASH_SOURCE[0]%/*}/lib.sh"

# passes NAME ARGUMENT...: a test of the probe that needs nobody else.
passes() {
	run_probe 0 "$@"
	says "probe: $1: ok" "$out"
	equal "what lombard has to say" "$err" ""
}

test_hello() {
	passes hello one two=2 --three
	says "hello: argument 2 is 'one'" "$out"
	says "hello: argument 3 is 'two=2'" "$out"
	says "hello: argument 4 is '--three'" "$out"
}

test_list() {
	run_probe 0 list
	says "lend-store" "$out"
}

test_unknown_test() {
	run_probe 98 no-such-test
	says "there is no test no-such-test" "$out"
}

test_no_arguments() {
	expect 1 lombard run "$probe"
	says "usage:" "$out"
}

test_exit_status() {
	local n
	for n in 0 1 2 77 123 127 255; do
		run_probe "$n" exit "status=$n"
		equal "what lombard has to say" "$err" ""
	done
}

test_shutdown_poweroff() { run_probe 0 shutdown reason=0; }
test_shutdown_reboot() { run_probe 0 shutdown reason=1; }
test_shutdown_crash() { run_probe 124 shutdown reason=3; }
# Reasons that Xen has, and Lombard can't follow: suspend, watchdog, soft reset.
test_shutdown_impossible() {
	local reason
	for reason in 2 4 5; do
		run_probe 125 shutdown "reason=$reason"
		says "reason $reason, which is none" "$err"
	done
}

# The hypercall is refused; the guests' library turns to SHUTDOWN_crash then.
test_shutdown_unknown() {
	local reason
	for reason in 6 255 4294967295; do
		run_probe 124 shutdown "reason=$reason"
	done
}

# crashes NAME VECTOR: the guest's own handler tells what happened.
crashes() {
	run_probe 124 "$1"
	says "vector $2 " "$out"
}

test_crash_undefined() { crashes crash 6; }
test_crash_protection() { crashes crash-gp 13; }
test_crash_null() {
	crashes crash-null 14
	says "cr2 0x10 " "$out"
}
test_crash_high() {
	crashes crash-high 13 # not canonical
}
test_crash_stack() { crashes crash-stack 14; }

test_triple_fault() {
	run_probe 124 triple-fault
	says "triple fault" "$err"
}

test_crash_is_told() {
	launch crasher crash
	expect 124 lombard wait crasher
	says "crasher: crash, status 124" "$out"
}

test_wild_pointers() { passes wild-pointers; }
test_wild_ports() { passes wild-ports; }
test_unknown_calls() { passes unknown-calls; }

# They are counted, and the last one is told.
test_unknown_calls_are_counted() {
	launch counted unknown-calls
	expect 0 lombard wait counted
	take_stats || fail "$findings"
	equal "unknown hypercalls" "${stat[guest.counted.count]}" 12
	equal "the last of them" "${stat[guest.counted.hypercall]}.${stat[guest.counted.op]}" 18.99
	lombard stats >"$work/stats.txt" || fail "no account"
	grep -Eq '^counted +12 +18 +99$' "$work/stats.txt" || fail "$(<"$work/stats.txt")"
}

# Events, timers and clocks of those that take interrupts.
# It counts interrupts.
test_upcalls() {
	need_single_interrupts
	expect 0 lombard run -m 8M --vcpus 2 "$probe" upcall
	says 'probe: upcall: ok' "$out"
}

test_across_pages() { passes across-pages; }
test_bad_lend() { passes bad-lend; }
test_bad_discard() { passes bad-discard; }
test_discard() { passes discard; }
test_bad_id() { passes bad-id; }
test_event_loopback() { passes event-loopback; }
test_poll_timeout() { passes poll-timeout; }
test_memory() { passes memory; }
test_balloon() { passes balloon; }
test_lend_again() { passes lend-again; }

test_lend_store() {
	passes lend-store
	says "probe: lock cmpxchg16b: ok" "$out"
	says "probe: a hypercall's result: ok" "$out"
}

test_sleep() {
	passes sleep ms=50
	says "probe: slept" "$out"
}

# cpu_ticks: hundredths of a second of processor time that the last guest's process has used.
cpu_ticks() {
	local stat
	read -r stat <"/proc/$vmm_pid/stat" || fail "the guest is gone"
	read -ra stat <<<"${stat##*) }"
	ticks=$((stat[11] + stat[12]))
}

# What the VMM has given up: root, and all system calls that it does not make anyway.
test_privileges() {
	local key value uid='' seccomp=''
	launch jailed sleep ms=600000
	while read -r key value _; do
		case $key in
		Uid:) uid=$value ;;
		Seccomp:) seccomp=$value ;;
		esac
	done <"/proc/$vmm_pid/status"
	[ "$uid" -ge $((0x70000000)) ] || fail "its user is $uid"
	# The runtimes of sanitizers need more than a VMM.
	[[ $host_build != */release ]] || equal "system call filter" "$seccomp" 2
	expect 0 lombard stop jailed
}

# A guest that sleeps leaves the processor alone.  (It once looked at its clock all the time, where
# the TSC counts in its own way while the vCPU does not run.)
test_idle_guest_uses_no_processor() {
	local before ticks
	launch idler sleep ms=600000
	pause 1
	cpu_ticks
	before=$ticks
	pause 3
	cpu_ticks
	[ $((ticks - before)) -le 30 ] || fail "$((ticks - before)) ticks in 3 seconds of sleep"
	expect 0 lombard stop idler
}

test_bench_lend() {
	passes bench-lend pages=16 rounds=101
	passes bench-lend pages=1 rounds=101 write=1
}

test_memory_sizes() {
	local size
	for size in 4M 64M 512M 3584M 3588M 8G; do
		expect 0 lombard run -m "$size" "$probe" hello
	done
}

test_window_sizes() {
	local size
	for size in 4K 2M 64G; do
		expect 0 lombard run -m 8M -w "$size" "$probe" hello
	done
}

test_stop() {
	launch spinner spin
	await "$console" "probe: spinning"
	expect 0 lombard stop spinner
	says "spinner: stopped, status 126" "$out"
	expect 126 lombard wait spinner
}

# A foreground guest that spins, in the background of this test.
start_spinner() {
	rm -f "$work/spin"
	"$bin/lombard" run -m 8M "$probe" spin >"$work/spin" &
	client=$!
	await "$work/spin" "probe: spinning"
}

test_stopped_by_another() {
	start_spinner
	expect 0 lombard stop "$(guest_names)"
	wait "$client"
	equal "status of lombard run" "$?" 126
}

test_interrupted() {
	start_spinner
	kill -TERM "$client"
	wait "$client"
	equal "status of lombard run" "$?" 143
	until_true 5 no_guests || fail "the guest survived"
}

test_console_input_ends() {
	run lombard run -m 8M "$probe" hello </dev/null
	equal "status" "$status" 0
}

test_console_reader_gone() {
	lombard run -m 8M "$probe" list > >(:) || fail "status $?"
}

test_cell_starts_by_itself() {
	mkdir "$work/auto"
	LOMBARD_SOCKET=$work/auto/cell.sock LOMBARD_TEST=$work/auto run_probe 7 exit status=7
	until_true 5 no_leftovers "$work/auto" || fail "the cell did not end with its last guest"
}

# What scripts read: each command's JSON.
test_json() {
	local id
	launch stopped spin
	launch stopped-too spin
	expect 0 lombard lend --file "$probe" --to any --tag 1 --json
	id=${out#*\"id\": }
	id=${id%%,*}
	expect 0 lombard return --json "$id"
	says '"windows": 0' "$out"
	expect 1 lombard stop --json stopped nobody stopped-too
	says '"name": "stopped",' "$out"
	says '"name": "stopped-too",' "$out"
	says '"reason": "stopped"' "$out"
	says '"status": 126' "$out"
	says "no such guest" "$err"
	expect 0 lombard start --json
	says "\"pid\": $cell_pid" "$out"
	says "\"socket\": \"$LOMBARD_SOCKET\"" "$out"
	says '"started": false' "$out"
}

test_start_json() {
	mkdir "$work/started"
	export LOMBARD_SOCKET=$work/started/cell.sock LOMBARD_TEST=$work/started
	expect 0 lombard start --json
	says '"started": true' "$out"
	expect 0 lombard shutdown
}

test_remembers_ends() {
	local n
	for n in 1 2 3; do
		launch "past$n" exit "status=$n"
	done
	for n in 3 1 2; do
		expect "$n" lombard wait "past$n"
	done
	expect 1 lombard wait never-there
	says "no such guest" "$err"
}

# size FILE: its bytes.
size() { wc -c <"$1"; }

# Bug: the console file of a detached guest grew until the file system was full.
test_console_file_is_limited() {
	launch talker talk bytes=20000000
	await_end talker 0
	equal "bytes in the console file" "$(size "$console")" $((16 << 20))
	# A client's own file is the client's to limit.
	lombard run -m 8M "$probe" talk bytes=20000000 >"$work/talk" </dev/null || fail "talk: status $?"
	[ "$(size "$work/talk")" -gt 20000000 ] || fail "$(size "$work/talk") bytes"
	rm "$work/talk"
}

# Bug: the console file of a launch that failed stayed until the cell's end.
test_failed_launch_leaves_no_console() {
	local before after
	before=("${LOMBARD_SOCKET%/*}"/*.console)
	expect 1 lombard run -d -m 8M /dev/null
	after=("${LOMBARD_SOCKET%/*}"/*.console)
	equal "console files" "${after[*]}" "${before[*]}"
	launch good hello
	await_end good 0
	[ -f "$console" ] || fail "no console file"
}

host_tests hello list unknown_test no_arguments exit_status \
	shutdown_poweroff shutdown_reboot shutdown_crash shutdown_impossible shutdown_unknown \
	crash_undefined crash_protection crash_null crash_high crash_stack \
	triple_fault crash_is_told wild_pointers wild_ports unknown_calls unknown_calls_are_counted upcalls across_pages bad_lend \
	bad_discard discard bad_id event_loopback poll_timeout memory balloon lend_again lend_store sleep \
	privileges idle_guest_uses_no_processor bench_lend memory_sizes window_sizes stop stopped_by_another interrupted console_input_ends \
	console_reader_gone console_file_is_limited failed_launch_leaves_no_console cell_starts_by_itself json start_json \
	remembers_ends
