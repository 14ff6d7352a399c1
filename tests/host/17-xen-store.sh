#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A cell with Debian's xenstored: what guests, Xen's tools and the host share in it; streams
# (libxenvchan) and consoles between guests and programs of the host.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/store.sh"

limit=120
vchan=$guests/vchan.elf

# row_of PATTERN TEXT: the first line like this.
row_of() {
	local row
	while read -r row; do
		# shellcheck disable=SC2053
		if [[ $row == $1 ]]; then
			say "$row"
			return
		fi
	done <<<"$2"
}

# ---- the cell and its store ----

test_start() {
	local directory
	store_cell
	directory=$LOMBARD_SOCKET.xenstore
	expect 0 lombard env
	says "export XENSTORED_RUNDIR='$directory'" "$out"
	reads /local/domain/0/name Domain-0
	reads /local/domain/0/domid 0
	reads /local/pool/0/name Pool-0
	# What is relative is domain 0's own.
	expect 0 xs write a/b "some text"
	reads /local/domain/0/a/b "some text"
	expect 0 xs ls -fp /local/domain/0/a
	says '/local/domain/0/a/b = "some text"   (n0)' "$out"
	expect 1 xs read /no/such
	# Once is enough; and a client may ask for it again.
	expect 0 lombard start --xenstore
	says "already, pid $cell_pid" "$out"
	expect 0 lombard start
	store_end
}

# A cell without one says so, and does not get one later.
test_none() {
	need_tools
	expect 1 lombard start --xenstore
	says "runs without a xenstore" "$err"
	expect 0 lombard env
	[[ $out != *XENSTORED_RUNDIR* ]] || fail "there is none to point to: $out"
	run env XENSTORED_RUNDIR=/nonexistent "$bin/lombard" xen xl list
	says "has no xenstore, which xl wants: \`lombard start --xenstore\`" "$err"
	run lombard xen lsevtchn 0
	[[ $err != *xenstore* ]] || fail "it wants none: $err"
	run_probe 0 store-none
	says "probe: store-none: ok" "$out"
	expect 2 "$bin/lombardd" --socket "$work/none.sock" --xenstore --exit-when-idle
	says "never idle" "$err"
}

# What can't be started leaves no cell.
test_no_xenstored() {
	mkdir -p "$work/$test_name/bin"
	export LOMBARD_SOCKET=$work/$test_name/cell.sock
	printf '#!/bin/sh\nexit 9\n' >"$work/$test_name/bin/xenstored"
	chmod +x "$work/$test_name/bin/xenstored"
	expect 1 env LOMBARD_XEN_LIBS=/nonexistent "$bin/lombard" start --xenstore
	says "no xenstore: " "$err"
	says "ended with status 1" "$err"
	expect 1 lombard list
	[ ! -e "$LOMBARD_SOCKET.xenstore" ] || fail "its directory is left"
}

# Bug: the end of a cell waited 20 s for a store that did not come up.
test_never_comes() {
	local start
	mkdir -p "$work/never"
	cp "$bin/lombardd" "$work/never"
	# Stands where lombardd looks for what starts xenstored.
	printf '#!/bin/sh\nkill -STOP $$\n' >"$work/never/lombard"
	chmod +x "$work/never/lombard"
	export LOMBARD_SOCKET=$work/never/cell.sock
	"$work/never/lombardd" --xenstore </dev/null >"$work/never/log" 2>&1 &
	cell_pid=$!
	until_true 10 answers || fail "no cell: $(<"$work/never/log")"
	start=$(now_ms)
	cell_stop || fail "the cell did not end well: $(<"$work/never/log")"
	[ $(($(now_ms) - start)) -lt 10000 ] || fail "that took $(($(now_ms) - start)) ms"
}

test_stock_test() {
	local n=0 row
	store_cell
	expect 0 lombard xen test-xenstore
	while read -r row; do
		[[ ! $row =~ :\ [0-9]+\ ns$ ]] || n=$((n + 1))
	done <<<"$out"
	equal "timings" "$n" 12
	store_end
}

# It is killed: the cell and its guests go on, tools say what is the matter, new guests have none.
test_killed() {
	store_cell
	launch before store-dead
	await "$console" "probe: writing"
	kill -KILL "$store_pid"
	until_true 5 has_line "$cell_log" "*the cell's xenstored was killed by signal 9*" || fail "nothing is logged"
	expect 1 xs read /local/domain/0/name
	says "the cell's xenstored was killed by signal 9" "$err"
	expect 1 lombard xen xl list
	says "the cell's xenstored was killed by signal 9" "$err"
	expect 1 lombard start --xenstore
	says "killed by signal 9" "$err"
	run_probe 0 hello
	run_probe 0 store-none
	await_end before 0
	await "$console" "probe: store-dead: ok"
	store_end
}

# It hangs: guests are launched and end, a little later; when it goes on it learns of their ends.
test_hangs() {
	store_cell
	launch before spin
	local first=$domid
	kill -STOP "$store_pid"
	expect 0 lombard stop before
	launch during store-none
	await_end during 0
	has_line "$cell_log" "*xenstored does not answer*" || fail "nothing is logged"
	kill -CONT "$store_pid"
	until_true 30 no_node "/local/domain/$first" || fail "the nodes of an ended guest stay"
	launch after store-own name=after
	await_end after 0
	store_end
}

is_starting() { [[ $(lombard list) == *" $1  starting "* ]]; }

# A launch that waits for it can be stopped; who stops it is told as with any guest.
test_stopped_while_it_starts() {
	local run_pid
	store_cell
	kill -STOP "$store_pid"
	"$bin/lombard" run -d -n slow -m 8M "$probe" hello >"$work/slow" 2>&1 &
	run_pid=$!
	until_true 5 is_starting slow || fail "it is not starting: $(lombard list)"
	expect 1 lombard pause slow
	says "slow is still being started" "$err"
	expect 0 lombard stop slow
	equal "what stop says" "$out" "slow: stopped, status 126: stopped"
	wait "$run_pid"
	equal "status of lombard run" "$?" 1
	expect 126 lombard wait slow
	kill -CONT "$store_pid"
	store_end
}

# It hangs when the cell ends, with a guest that it should still remove.
test_hangs_at_the_end() {
	store_cell
	launch guest spin
	kill -STOP "$store_pid"
	expect 0 lombard shutdown
	until_true 20 gone "$cell_pid" || fail "the cell does not end"
	until_true 5 gone "$store_pid" || fail "xenstored is left"
	[ ! -e "$LOMBARD_SOCKET.xenstore" ] || fail "its files are left"
}

# The cell is killed: its store goes with it, and the next cell starts as if nothing had been.
test_cell_killed() {
	store_cell
	launch guest spin
	kill -KILL "$cell_pid"
	until_true 5 gone "$store_pid" || fail "xenstored outlives its cell"
	until_true 5 no_leftovers "$LOMBARD_TEST" || fail "left: $(leftovers "$LOMBARD_TEST")"
	# As long as it is dying, it may take a connection that it then drops.
	until_true 10 lombard start >/dev/null 2>&1 || fail "no new cell"
	[ ! -e "$LOMBARD_SOCKET.xenstore" ] || fail "the old cell's directory is left"
	expect 0 lombard shutdown
	store_cell
	expect 1 xs read /local/domain/1/name
	store_end
}

# ---- guests in it ----

probe_passes() {
	expect 0 lombard run -n "${2:-probe}" -m 8M "$probe" "$@"
	says "probe: $1: ok" "$out"
}

test_guest() {
	store_cell
	expect 0 lombard run -n me -m 8M "$probe" store-own name=me
	says "probe: store-own: ok" "$out"
	probe_passes store-nodes
	probe_passes store-big
	probe_passes store-transactions
	probe_passes store-watches
	sound
	store_end
}

# The nodes that tools look for, with libxl's permissions; gone with the guest.
test_nodes() {
	local n uuid
	store_cell
	launch shown spin
	n=/local/domain/$domid
	reads "$n/name" shown
	reads "$n/domid" "$domid"
	reads "$n/memory/static-max" 8192
	reads "$n/memory/target" 8192
	reads "$n/console/type" xenconsoled
	reads "$n/cpu/0/availability" online
	expect 0 xs read "$n/vm"
	uuid=$out
	reads "$uuid/name" shown
	expect 0 xs ls -fp "$n"
	says "$n/name = \"shown\"   (n0,r$domid)" "$out"
	says "$n/control/shutdown = \"\"   (n$domid)" "$out"
	says "$n/control = \"\"   (n0,r$domid)" "$out"
	says "$n/data = \"\"   (n$domid)" "$out"
	expect 0 lombard stop shown
	until_true 10 no_node "$n" || fail "the guest's nodes stay"
	until_true 10 no_node "$uuid" || fail "$uuid stays"
	no_node "/libxl/$domid" || fail "libxl's node stays"
	store_end
}

# watch WHAT N: in the background, until N events have come.
watch() {
	rm -f "$work/watch" # the last one said the same
	"$bin/lombard" xen xenstore-watch -n "$2" "$1" >"$work/watch" 2>&1 </dev/null &
	watch_pid=$!
	await "$work/watch" "$1"
}

# Whoever watches is told of guests that come, and of those that go, however they go.
test_watches() {
	local how
	store_cell
	watch @introduceDomain 2
	launch one spin
	until_true 10 gone "$watch_pid" || fail "nobody was introduced: $(<"$work/watch")"
	expect 0 lombard stop one
	for how in stop kill end; do
		# It has to live until the watch is there.
		if [ "$how" = end ]; then
			launch end sleep ms=$((3000 * scale))
		else
			launch "$how" spin
		fi
		watch @releaseDomain 2
		[ "$how" != stop ] || expect 0 lombard stop stop
		[ "$how" != kill ] || kill -KILL "$vmm_pid"
		until_true 10 gone "$watch_pid" || fail "nobody was released by $how: $(<"$work/watch")"
		until_true 10 no_node "/local/domain/$domid" || fail "nodes are left after $how"
	done
	store_end
}

# Two guests and the host read what the others write.
test_shared() {
	local one
	store_cell
	launch one store-meet set=data/mine to=first wait=data/go until=now
	one=$domid
	await "$console" "probe: waiting"
	launch two store-meet set=data/mine to=second "wait=/local/domain/$one/data/mine" until=done
	await "$console" "probe: waiting"
	reads "/local/domain/$one/data/mine" first
	reads "/local/domain/$domid/data/mine" second
	expect 0 xs write "/local/domain/$one/data/mine" "done"
	await_end two 0
	await "$console" "probe: /local/domain/$one/data/mine is done"
	expect 0 xs write "/local/domain/$one/data/go" now
	await_end one 0
	store_end
}

# Killed while they speak to it, by many at once: the store serves the others.
test_killed_guests() {
	local n name pids=()
	store_cell
	launch witness store-spin
	for ((n = 0; n < 8; n++)); do
		for name in a b c; do
			launch "$name" store-spin
			await "$console" "probe: spinning"
			pids+=("$vmm_pid")
		done
		kill -KILL "${pids[@]}"
		pids=()
		for name in a b c; do
			await_end "$name" 126
		done
	done
	expect 0 xs list /local/domain
	until_true 10 only_witness || fail "nodes are left: $(xs ls -fp /local/domain; cat "$cell_log")"
	probe_passes store-transactions
	expect 0 lombard stop witness
	store_end
}

only_witness() { [ "$(xs list /local/domain)" = $'0\n1' ]; }

# ---- xl and its relatives ----

test_xl() {
	local w row
	store_cell
	launch busy spin
	expect 0 lombard xen xl list
	read -r -a w <<<"$(row_of 'busy *' "$out")"
	equal "its number" "${w[1]}" "$domid"
	expect 0 lombard xen xl domid busy
	equal "xl domid" "$out" "$domid"
	expect 0 lombard xen xl vcpu-list busy
	says "busy " "$out"
	expect 0 lombard xen xl sharing
	says "busy " "$out"
	expect 0 lombard xen xl dmesg
	says "busy (domain $domid) started" "$out"
	expect 0 lombard xen xentop -b -i 1
	row=$(row_of 'busy *' "$out")
	says " 8192 " "$row"
	expect 0 lombard xen xl uptime
	says ":" "$(row_of 'busy *' "$out")"
	expect 0 lombard xen xl domname "$domid"
	equal "xl domname" "$out" busy
	expect 0 lombard xen xl pause busy
	expect 0 lombard xen xl list
	read -r -a w <<<"$(row_of 'busy *' "$out")"
	equal "its state" "${w[4]}" --p---
	expect 0 lombard xen xl unpause busy
	expect 0 lombard xen xl rename busy other
	expect 0 lombard xen xl domid other
	expect 0 lombard xen xl destroy other
	until_true 10 no_guests || fail "it lives"
	expect 0 lombard xen xl list
	equal "its row" "$(row_of '*busy*' "$out")$(row_of '*other*' "$out")" ""
	until_true 10 no_node "/local/domain/$domid" || fail "nodes are left"
	store_end
}

# The store's and the console's ports, as tools see them.
test_ports() {
	store_cell
	launch shown spin
	expect 0 lombard xen lsevtchn "$domid"
	says "1: VCPU 0: Interdomain (Waiting connection) - Remote Domain 0" "$out"
	says "2: VCPU 0: Interdomain (Connected) - Remote Domain 0, Port " "$out"
	expect 0 lombard stop shown
	store_end
}

# Bug: at its end a cell waited for the thread of a store that it could not have.
test_long_path() {
	local path=$work/long/cell.sock
	mkdir "$work/long"
	while [ "${#path}" -lt 95 ]; do
		path=${path/cell/cell-}
	done
	export LOMBARD_SOCKET=$path
	"$bin/lombardd" --xenstore </dev/null >"$work/long/log" 2>&1 &
	cell_pid=$!
	until_true 10 answers || fail "no cell: $(<"$work/long/log")"
	says 'no xenstore: ' "$(<"$work/long/log")"
	run lombard start --xenstore
	equal status "$status" 1
	says 'runs without a xenstore' "$err"
	cell_stop || fail "the cell did not end well: $(<"$work/long/log")"
	[[ $(<"$work/long/log") != *wake-up* ]] || fail "it talked to its thread: $(<"$work/long/log")"
}

# ---- streams ----

# serving: a guest that serves a stream, and a proxy that is its client, at $dir/c.
serving() {
	dir=$work/$test_name
	rm -f "$dir/c"
	expect 0 lombard run -d -n server -m 8M "$vchan" serve=data/v
	read -r domid _ console <<<"$out"
	await "$console" "vchan: serving"
	find_vmm "$domid"
	start_proxy client "$domid" "/local/domain/$domid/data/v" "$dir/c"
	proxy=$job
	until_true 10 there "$dir/c" || fail "the proxy does not listen: $(<"$work/$test_name.client")"
}

test_stream_guest_serves() {
	local dir proxy
	store_cell
	serving
	expect 0 "$bin/host/unixend" connect "$dir/c" send 406667
	says "unixend: 406667 bytes came back" "$out"
	await_end server 0
	await "$console" "vchan: closed after 406667 bytes"
	kill_job "$proxy"
	store_end
}

test_stream_guest_connects() {
	local dir=$work/$test_name proxy
	store_cell
	# The guest first: who is not there yet can't be given the right to read.
	expect 0 lombard run -d -n client -m 8M "$vchan" connect=/local/domain/0/data/w
	read -r domid _ console <<<"$out"
	start_end end listen "$dir/s" send 406667
	until_true 10 there "$dir/s" || fail "nobody listens"
	start_proxy server --mode=server "$domid" data/w "$dir/s"
	proxy=$job
	await "$console" "vchan: connected"
	said end "unixend: 406667 bytes came back, *"
	await_end client 0
	kill_job "$proxy"
	store_end
}

test_stream_proxies() {
	local dir=$work/$test_name server client
	store_cell
	start_end mirror listen "$dir/s" mirror
	until_true 10 there "$dir/s" || fail "nobody listens"
	start_proxy server --mode=server 0 data/v "$dir/s"
	server=$job
	until_true 10 node /local/domain/0/data/v/ring-ref || fail "nothing is served"
	start_proxy client 0 /local/domain/0/data/v "$dir/c"
	client=$job
	until_true 10 there "$dir/c" || fail "the proxy does not listen"
	expect 0 "$bin/host/unixend" connect "$dir/c" send 406667
	says "unixend: 406667 bytes came back" "$out"
	said mirror "unixend: closed after 406667 bytes, *"
	kill_job "$client"
	until_true 10 gone "$server" || kill_job "$server"
	store_end
}

# Whoever is killed, the other notices.
test_stream_proxy_killed() {
	local dir proxy
	store_cell
	serving
	start_end end connect "$dir/c" hold
	said end "unixend: held"
	kill_job "$proxy"
	said end "unixend: closed"
	await_end server 0
	await "$console" "vchan: closed after 5 bytes"
	store_end
}

test_stream_guest_killed() {
	local dir proxy
	store_cell
	serving
	start_end end connect "$dir/c" hold
	said end "unixend: held"
	kill -KILL "$vmm_pid"
	await_end server 126
	sound
	# As on Xen: the domain's page stays for who has mapped it, and says nothing new.
	alive "$proxy" || fail "the proxy is gone"
	kill_job "$proxy"
	said end "unixend: closed"
	store_end
}

# ---- consoles ----

test_console() {
	local dir=$work/$test_name daemon tty
	store_cell
	start daemon "$bin/lombard" xen xenconsoled -i --log=guest "--log-dir=$dir" \
		"--pid-file=$dir/xenconsoled.pid"
	daemon=$job
	launch talker console-ring served=1 lines=200
	await "$console" "probe: written"
	await "$dir/guest-talker.log" "ring: a line of text"
	until_true 10 has_tty || fail "there is no terminal: $(<"$work/$test_name.daemon")"
	expect 0 xs read "/local/domain/$domid/console/tty"
	tty=$out
	start attached "$bin/lombard" xen xenconsole "$domid"
	said attached "ring: a line of text*"
	printf 'some words\n' >"$tty"
	await "$console" "probe: typed some words*"
	await_end talker 0
	until_true 10 has_line "$dir/guest-talker.log" "ring: end*" || fail "the end is not in the log"
	equal "lines" "$(count_lines "$dir/guest-talker.log" "ring: a line of text*")" 200
	kill_job "$job"
	kill_job "$daemon"
	store_end
}

has_tty() { [[ $(xs read "/local/domain/$domid/console/tty") == /dev/* ]]; }

# count_lines FILE PATTERN
count_lines() {
	local n=0 row
	while read -r row; do
		# shellcheck disable=SC2053
		[[ $row != $2 ]] || n=$((n + 1))
	done <"$1"
	say "$n"
}

host_tests start none long_path no_xenstored never_comes stock_test killed hangs stopped_while_it_starts hangs_at_the_end cell_killed \
	guest nodes watches shared killed_guests xl ports stream_guest_serves stream_guest_connects \
	stream_proxies stream_proxy_killed stream_guest_killed console
