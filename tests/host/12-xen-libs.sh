#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `lombard xen`, `lombard env`, and Lombard's libraries underneath Debian's libxenctrl: handles of
# all kinds, many of them, and programs that are killed.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=120
prober=$bin/host/xenprobe

# The program has no sanitizer: it could not be started with what `lombard xen` preloads.
probe_xen() { lombard xen "$prober" "$@"; }

need_tools() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -d "${dirs[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	tools=${dirs[0]}
}

# start_probe WORD ARGUMENT...: in the background, until it has said a line that begins with WORD.
start_probe() {
	"$bin/lombard" xen "$prober" "${@:2}" >"$work/$test_name.probe" 2>&1 </dev/null &
	probe_pid=$!
	await "$work/$test_name.probe" "$1*"
}

kill_probe() {
	kill -KILL "$probe_pid"
	wait "$probe_pid" 2>/dev/null
}

# ---- lombard xen and lombard env ----

test_version() {
	expect 0 probe_xen version
	says 'version: 4.17.lombard, ' "$out"
	says 'hvm-3.0-x86_64' "$out"
}

test_fork() {
	expect 0 probe_xen fork
	says 'before: 4.17.lombard' "$out"
	says 'child: 4.17.lombard' "$out"
	says 'after: 4.17.lombard' "$out"
}

# The status is the command's; what is not there is said.
test_statuses() {
	expect 7 lombard xen sh -c 'exit 7'
	expect 127 lombard xen no-such-tool
	says 'cannot run no-such-tool' "$err"
	expect 126 lombard xen /
	expect 2 lombard xen
	says 'which COMMAND?' "$err"
	expect 0 lombard xen printf '%s|' -x --help
	equal "arguments" "$out" '-x|--help|'
	expect 0 lombard xen --help
	says 'COMMAND' "$out"
	expect 2 lombard env some
	expect 0 env LOMBARD_XEN_LIBS="$host_build/lib/xen" "$bin/lombard" xen "$prober" version
	expect 1 env LOMBARD_XEN_LIBS=/nonexistent "$bin/lombard" xen "$prober" version
	says 'LOMBARD_XEN_LIBS' "$err"
}

# Before a tool can crash because there is no Xen.
test_no_cell() {
	local path=$work/none/cell.sock
	expect 1 lombard -s "$path" xen "$prober" version
	says "cannot reach the cell at $path" "$err"
	says 'lombard start' "$err"
	run env "LOMBARD_SOCKET=$path" LD_LIBRARY_PATH="$host_build/lib/xen" "$prober" version
	equal "status" "$status" 1
	says "cannot reach the cell at $path" "$err"
	says 'lombard start' "$err"
}

# In a testbed everything is busybox, which is linked statically and has no printenv.
need_programs() { [ -z "${TESTBED:-}" ] || skip "programs here load no libraries"; }

# The tool itself, not Debian's wrapper, which wants Xen; and also when the program finds it itself.
test_finds_tools() {
	need_tools
	need_programs
	expect 0 lombard xen sh -c 'command -v xl; command -v xentop'
	equal "tools" "$out" "$tools/xl"$'\n'"$tools/xentop"
	expect 0 env -u PATH "$bin/lombard" xen /usr/bin/printenv PATH
	says ':/usr/bin:' "$out:"
}

test_env() {
	local odd="$work/it's odd"
	need_programs
	mkdir -p "$odd"
	expect 0 lombard env
	says "export LOMBARD_SOCKET='$LOMBARD_SOCKET'" "$out"
	expect 0 bash -c "$out"$'\n'"exec '$prober' version"
	says 'version: 4.17.lombard' "$out"
	# Relative and in need of quotes; the cell need not be there.
	cd "$odd" || fail "no $odd"
	expect 0 lombard -s cell.sock env
	expect 0 bash -c "$out"$'\n''printenv LOMBARD_SOCKET'
	equal "socket" "$out" "$odd/cell.sock"
}

# What a program has in these variables already stays.
test_env_adds() {
	need_programs
	expect 0 env LD_LIBRARY_PATH=/somewhere "$bin/lombard" xen printenv LD_LIBRARY_PATH
	equal "libraries" "$out" "$host_build/lib/xen:/somewhere"
}

test_files_of_the_kernel() {
	need_programs
	expect 0 lombard xen cat /proc/xen/xsd_port
	equal "port" "$out" 1
	expect 0 lombard xen sh -c 'wc -c </proc/xen/xsd_kva'
	equal "bytes" "$out" 4096
}

# symbols FILE: what a library gives, with versions.
symbols() {
	local name type
	nm -D --defined-only "$1" | while read -r _ type name; do
		[ "$type" = A ] || say "$name"
	done
}

# The same functions with the same versions as Xen's, and nothing else.
test_symbols() {
	local lib ours xens=/usr/lib/x86_64-linux-gnu
	[ -n "$(command -v nm)" ] || skip "nm is not here (binutils)"
	[ -e "$xens/libxencall.so.1" ] || skip "Xen's libraries are not here"
	for lib in call evtchn foreignmemory gnttab; do
		ours=$(symbols "$host_build/lib/xen/libxen$lib.so.1")
		says 'open@@VERS_1.0' "$ours"
		equal "libxen$lib" "$ours" "$(symbols "$xens/libxen$lib.so.1")"
	done
}

# ---- handles ----

# All handles of a program are one connection; none is left.
test_many_handles() {
	local before
	before=$(least_fds "$cell_pid")
	expect 0 probe_xen opens 3000
	says 'opens: 1 descriptors for 3000 handles, 0 left' "$out"
	expect 0 probe_xen churn 3000
	says 'churn: 3000 handles' "$out"
	until_true 5 has_fds "$cell_pid" "$before" || fail "$(fds "$cell_pid") descriptors, not $before"
}

test_events() {
	expect 0 probe_xen events
	says 'events: from ' "$out"
}

# Many programs come and go at once.
test_many_programs() {
	local i pids=() before
	before=$(least_fds "$cell_pid")
	for i in {1..12}; do
		probe_xen churn 200 >"$work/many.$i" 2>&1 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || fail "a program failed: $(cat "$work"/many.*)"
	done
	until_true 5 has_fds "$cell_pid" "$before" || fail "$(fds "$cell_pid") descriptors, not $before"
}

# ---- memory of guests ----

test_maps() {
	local before
	launch shown spin
	before=$(least_fds "$cell_pid")
	expect 0 probe_xen maps "$domid" 500
	says "maps: 500 of domain $domid" "$out"
	expect 1 probe_xen maps 99 1
	says 'xenforeignmemory_map: No such process' "$out"
	until_true 5 has_fds "$cell_pid" "$before" || fail "$(fds "$cell_pid") descriptors, not $before"
	sound
	expect 0 lombard stop shown
}

# The guest goes while a program has its pages.
test_guest_ends_first() {
	launch shown spin
	start_probe view: view "$domid" 200
	expect 0 lombard stop shown
	kill_probe
	until_true 5 closed_now || closed
}

closed_now() { (closed) >/dev/null 2>&1; }

# ---- programs that are killed ----

# nothing_left DESCRIPTORS: after a program's death.
nothing_left() {
	until_true 5 has_fds "$cell_pid" "$1" || fail "$(fds "$cell_pid") descriptors, not $1"
	sound
}

test_killed_while_calling() {
	local before i
	before=$(least_fds "$cell_pid")
	for i in {1..20}; do
		start_probe 'calls: go' calls
		pause "0.0$((RANDOM % 90 + 10))"
		kill_probe
	done
	nothing_left "$before"
}

test_killed_with_a_map() {
	local before
	launch shown spin
	before=$(least_fds "$cell_pid")
	start_probe view: view "$domid" 500
	kill_probe
	nothing_left "$before"
	expect 0 lombard stop shown
}

test_killed_with_all_handles() {
	local before
	before=$(least_fds "$cell_pid")
	start_probe hold: hold
	kill_probe
	nothing_left "$before"
}

# The cell ends under a program: everything fails, nothing crashes, and what was mapped is memory.
test_cell_ends_first() {
	local feed
	own_cell one
	exec {feed}<> <(:)
	"$bin/lombard" xen "$prober" lost <&"$feed" >"$work/lost" 2>&1 &
	probe_pid=$!
	await "$work/lost" 'lost: ready*'
	end_cell
	say go >&"$feed"
	wait "$probe_pid"
	equal "status" "$?" 0
	says 'lost: all failed, as they must' "$(<"$work/lost")"
}

# ---- Debian's own ----

test_stock_tools() {
	need_tools
	launch shown spin
	expect 0 lombard xen xen-cpuid -d
	says 'Raw' "$out"
	expect 0 lombard xen xenpm get-cpu-topology
	says 'core' "$out"
	expect 0 lombard stop shown
}

host_tests version fork statuses no_cell finds_tools env env_adds files_of_the_kernel symbols many_handles \
	events many_programs maps guest_ends_first killed_while_calling killed_with_a_map \
	killed_with_all_handles cell_ends_first stock_tools
