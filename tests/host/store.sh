# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the files of host tests share that want a cell with a xenstore; read after lib.sh.

need_tools() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -d "${dirs[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	command -v xenstore-read >/dev/null || skip "xenstore-utils is not here"
}

# store_cell: a cell of this test's own, with a store; store_end: it ends well.
store_cell() {
	need_tools
	mkdir -p "$work/$test_name"
	export LOMBARD_SOCKET=$work/$test_name/cell.sock LOMBARD_TEST=$work/$test_name
	cell_log=$LOMBARD_SOCKET.log
	expect 0 lombard start --xenstore
	says "a cell is running at $LOMBARD_SOCKET, pid " "$out"
	cell_pid=${out##* }
	store_pid=$(<"$LOMBARD_SOCKET.xenstore/pid")
}

store_end() {
	closed_soon
	expect 0 lombard shutdown
	until_true 10 gone "$cell_pid" || fail "the cell does not end: $(<"$cell_log")"
	until_true 5 gone "$store_pid" || fail "xenstored is left"
	[ ! -e "$LOMBARD_SOCKET.xenstore" ] || fail "files are left: $(echo "$LOMBARD_SOCKET.xenstore"/*)"
	cp "$cell_log" "$host_logs/$test_name.cell"
	no_complaint
}

closed_now() { (closed) >/dev/null 2>&1; }
closed_soon() { until_true 10 closed_now || closed; }

xs() { lombard xen "xenstore-$1" "${@:2}"; }

# reads PATH VALUE: that is what stands there.
reads() {
	expect 0 xs read "$1"
	equal "$1" "$out" "$2"
}

no_node() { ! xs exists "$1" >/dev/null 2>&1; }
node() { xs exists "$1" >/dev/null 2>&1; }

no_disk_nodes() { [[ $(xs ls -f 2>/dev/null) != *vbd/[0-9]* ]]; }

# ---- streams ----

job= # pid of the last program in the background

# start NAME PROGRAM...: in the background; what it says goes to a file.
start() {
	"${@:2}" >"$work/$test_name.$1" 2>&1 </dev/null &
	job=$!
}

# Ends of a stream (unixend.c), and the program of Xen's that carries one.
start_end() { start "$1" "$bin/host/unixend" "${@:2}"; }
start_proxy() { start "$1" "$bin/lombard" xen vchan-socket-proxy "${@:2}"; }

# said NAME LINE
said() { await "$work/$test_name.$1" "$2"; }

kill_job() {
	kill -KILL "$1"
	wait "$1" 2>/dev/null || true
}

there() { [ -S "$1" ]; }
