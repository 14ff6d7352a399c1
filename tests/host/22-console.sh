#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Guests' consoles: the ring and the hypercall, `lombard console` at terminals and in scripts, several
# clients, those that are slow, stopped or killed, and xenconsoled in between.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

limit=180
typist=$bin/host/typist
detach=$'type:\x1d'

# at_terminal STATUS STEP... -- ARGUMENT...: lombard in a terminal.
at_terminal() {
	local want=$1 steps=()
	shift
	while [ "$1" != -- ]; do
		steps+=("$1")
		shift
	done
	shift
	expect "$want" "$typist" "${steps[@]}" -- "$bin/lombard" "$@"
}

# attach NAME GUEST OPTION...: a client in the background that types nothing; its output is in a file.
attach() {
	"$bin/lombard" console "${@:2}" >"$work/$test_name.$1" 2>"$work/$test_name.$1.err" </dev/null &
	client=$!
}

# await_seen NAME TEXT: among many lines.
await_seen() { until_true 30 grep -q "$2" "$(seen "$1")" || fail "no '$2': $(tail -n 3 "$(seen "$1")")"; }

seen() { printf '%s' "$work/$test_name.$1"; }

# ---- in the foreground ----

test_pipes() {
	run bash -c 'printf "one\ntwo\nquit\n" | "$0" run -m 8M "$1" console-lines' "$bin/lombard" "$probe"
	equal status "$status" 0
	says "probe: heard one" "$out"
	says "probe: heard two" "$out"
	run bash -c 'printf "three\nquit\n" | "$0" run -m 8M "$1" console-lines by=call' "$bin/lombard" "$probe"
	equal status "$status" 0
	says "probe: heard three" "$out"
}

# All of it arrives, in order, though the reader is slow at first; the last words, too.
test_flood() {
	lombard run -m 8M "$probe" console-flood lines=5000 </dev/null | { pause 1; cat; } >"$work/flood"
	equal "lines" "$(grep -c '^flood ' "$work/flood")" 5000
	equal "in order" "$(grep '^flood ' "$work/flood" | md5sum)" "$(numbered 5000 | md5sum)"
}

# numbered N: the lines of console-flood.
numbered() {
	local n
	for ((n = 1; n <= $1; n++)); do
		printf 'flood %09d\n' "$n"
	done
}

test_lies() {
	run_probe 0 console-lies
	says "honest again" "$out"
	sound
}

# A small guest: lines are edited here; the key that detaches leaves it to itself.
test_detach() {
	at_terminal 0 "see:listening" lines $'type:hallo\b\b\x7f\n' "see:probe: heard" "$detach" \
		"see:detached from lines, which goes on" -- run -n lines -m 8M "$probe" console-lines
	expect 0 lombard list
	says " lines " "$out"
	at_terminal 0 "see:probe: listening" "see:probe: heard" $'type:more\n' "see:probe: heard more" "$detach" \
		"see:detached from lines" -- console lines
	at_terminal 0 "see:heard more" $'type:quit\n' "see:lines has ended: poweroff, status 0" -- console lines
}

# Ctrl-C ends a small guest that runs in the foreground, as ever, and leaves one that is looked at alone.
test_interrupted() {
	at_terminal 130 "see:listening" $'type:\x03' "see:stopped" -- run -n kid -m 8M "$probe" console-lines
	launch kid console-lines
	at_terminal 130 "see:listening" $'type:\x03' -- console kid
	at_terminal 143 "see:listening" term -- console kid
	expect 0 lombard stop kid
	says "kid: stopped, status 126" "$out"
}

# Raw: all bytes are the guest's, and come back as they are.
test_raw() {
	launch raw console-bytes
	at_terminal 0 "see:ready" raw $'type:\x03' "see:<03>" $'type:\x1a' "see:<26>" $'type:\r' "see:<13>" \
		$'type:\n' "see:<10>" $'type:\x04' "see:<04>" "$detach" "see:detached from raw" lines -- console -r raw
	at_terminal 0 "see:<04>" raw $'type:\x1d' "see:<29>" $'type:\x01' "see:detached" \
		-- console -r -e ^A raw
	at_terminal 0 raw "see:<29>" stop cont raw "type:q" "see:<113>" "see:raw has ended: poweroff, status 0" lines \
		-- console -r -e none raw
	# Bug: a hang-up left the terminal raw.
	launch raw console-bytes
	at_terminal 129 "see:ready" raw hup lines -- console -r raw
	expect 0 lombard stop raw
}

# Who closes its window, or is killed, harms nobody; whoever owns a guest takes it along.
test_window_closed() {
	launch guest console-lines
	at_terminal 129 "see:listening" window -- console guest
	at_terminal 137 "see:listening" kill -- console guest
	at_terminal 0 "see:listening" $'type:alive\n' "see:heard alive" "$detach" -- console guest
	at_terminal 137 "see:listening" kill -- run -n owned -m 8M "$probe" console-lines
	until_true 10 not_listed owned || fail "a guest outlives its terminal"
	expect 0 lombard stop guest
}

not_listed() { ! lombard list | grep -q " $1 "; }

# ---- several, and bad ones ----

test_two_clients() {
	local one two
	launch both console-lines
	await "$console" "probe: listening"
	attach one both
	one=$client
	attach two both --new
	two=$client
	await "$(seen one)" "probe: listening"
	at_terminal 0 "see:listening" $'type:from a terminal\n' "see:heard from a terminal" "$detach" -- console both
	await "$(seen one)" "probe: heard from a terminal*"
	await "$(seen two)" "probe: heard from a terminal*"
	! has_line "$(seen two)" "*listening*" || fail "--new shows what is old"
	run bash -c 'printf "from a pipe\nquit\n" | "$0" console both' "$bin/lombard"
	equal "status" "$status" 0
	says "heard from a pipe" "$out"
	says "both has ended: poweroff, status 0" "$err"
	wait "$one" || fail "a client's status is $?"
	wait "$two" || fail "a client's status is $?"
	await "$(seen two)" "probe: console-lines: ok"
	await "$(seen two).err" "lombard: both has ended: poweroff, status 0"
}

# Stopped: the guest and the others go on; when it goes on, it finds a mark, and the newest lines.
test_stopped_client() {
	local slow quick
	launch flooding console-flood by=call lines=100000 wait=1 stay=1
	attach slow flooding
	slow=$client
	await "$(seen slow)" "probe: waiting"
	kill -STOP "$slow"
	attach quick flooding
	quick=$client
	printf '\n' | "$bin/lombard" console flooding >/dev/null 2>&1 &
	await_seen quick "flood 000100000"
	kill -CONT "$slow"
	await_seen slow "flood 000100000"
	await_seen slow "bytes of output were dropped]"
	expect 0 lombard stop flooding
	wait "$slow"
	equal "its status" "$?" 126
	await "$(seen slow).err" "lombard: flooding has ended: stopped, status 126*"
	wait "$quick"
	sound
}

# The scroll: the last lines only, from the beginning of one on.
test_scroll() {
	local first
	launch flooded console-flood by=call lines=12000 stay=1
	until_true 30 grep -q "probe: flooded" "$console" || fail "it does not flood"
	attach late flooded
	await_seen late "flood 000012000"
	read -r first <"$(seen late)"
	[[ $first == "flood 0000"* && $first != "flood 000000001" ]] || fail "it begins with '$first'"
	[ "$(grep -c . "$(seen late)")" -gt 8000 ] || fail "that is little"
	expect 0 lombard stop flooded
}

test_many_clients() {
	local n pids=() before
	launch busy console-lines
	before=$(fds "$vmm_pid")
	for ((n = 0; n < 16; n++)); do
		attach "$n" busy
		pids+=("$client")
		await "$(seen "$n")" "probe: listening"
	done
	expect 1 lombard console busy
	says "busy has as many clients at its console as can be" "$err"
	kill -KILL "${pids[@]}"
	until_true 10 has_fds "$vmm_pid" "$before" || fail "it keeps $(fds "$vmm_pid") descriptors, not $before"
	at_terminal 0 "see:listening" $'type:quit\n' "see:has ended" -- console busy
}

# Input that nobody reads waits, and the key that detaches is seen all the same.
test_unread_input() {
	local before ticks
	launch deaf spin
	(while printf '0123456789012345678901234567890123456789\n'; do :; done) 2>/dev/null |
		"$bin/lombard" console deaf >"$(seen typing)" 2>&1 &
	client=$!
	await "$(seen typing)" "probe: spinning"
	at_terminal 0 "see:spinning" $'type:hello\n' "$detach" "see:detached" -- console deaf
	expect 0 lombard stop deaf
	until_true 10 gone "$client" || fail "it does not end with the guest"
}

test_ends() {
	launch crash spin
	attach client crash
	await "$(seen client)" "probe: spinning"
	kill -KILL "$vmm_pid"
	wait "$client"
	equal "its status" "$?" 126
	await "$(seen client).err" "lombard: crash has ended: killed, status 126*"
	expect 1 lombard console crash
	says "crash has ended" "$err"
	expect 1 lombard console nobody
	says "there is no such guest" "$err"
	expect 2 lombard console
	expect 2 lombard console -e '' nobody
}

test_paused() {
	launch still console-lines
	await "$console" "probe: listening"
	expect 0 lombard pause still
	attach client still
	await "$(seen client)" "probe: listening"
	expect 0 lombard unpause still
	at_terminal 0 "see:listening" $'type:quit\n' "see:has ended" -- console still
	wait "$client" || fail "its status is $?"
}

test_log() {
	run bash -c 'printf "a\nquit\n" | "$0" run --console-log "$2" -m 8M "$1" console-lines' "$bin/lombard" "$probe" "$work/log"
	equal "status" "$status" 0
	says "probe: heard a" "$out"
	says "probe: console-lines: ok" "$(<"$work/log")"
	# More than a console file may have.
	expect 0 lombard run -d -n logged --console-log "$work/log2" -m 8M "$probe" talk bytes=20000000
	says " logged $work/log2" "$out"
	await_end logged 0
	equal "bytes" "$(tr -cd . <"$work/log2" | wc -c)" 20000000
	launch logged console-lines
	await "$console" "probe: listening"
	run bash -c 'printf "b\nquit\n" | "$0" console --log "$1" logged >"$2"' "$bin/lombard" "$work/log3" "$work/seen"
	says "probe: console-lines: ok" "$(<"$work/log3")"
	cmp -s "$work/seen" "$work/log3" || fail "the client's log is not what it has shown"
	expect 1 lombard run --console-log /no/such/file -m 8M "$probe" hello
	says "cannot open the log" "$err"
	# A disk that is full is told of, and holds nobody up.
	expect 0 lombard run --console-log /dev/full -m 8M "$probe" hello
	says "probe: hello: ok" "$out"
	await "$cell_log" "lombard-vmm: the console of guest* loses its log: No space left on device"
	expect 0 lombard run -d -n full --console-log /dev/full -m 8M "$probe" hello
	await "$cell_log" "lombard-vmm: the console of full loses its output: No space left on device"
	await_end full 0
}

# Bug: the log ended when the guest was detached from.
test_log_goes_on() {
	at_terminal 0 "see:listening" $'type:one\n' "see:heard one" "$detach" "see:detached from talker" \
		-- run -n talker --console-log "$work/log4" -m 8M "$probe" console-lines
	at_terminal 0 "see:heard one" $'type:two\n' "see:heard two" $'type:quit\n' "see:has ended" -- console talker
	says "probe: heard one" "$(<"$work/log4")"
	says "probe: heard two" "$(<"$work/log4")"
	says "probe: console-lines: ok" "$(<"$work/log4")"
}

# asks REQUEST ANSWER
asks() {
	expect 0 "$bin/host/rawclient" "$LOMBARD_SOCKET" send "$1" recv
	says "$2" "$out"
}

# A connection that is not the guest's owner can't give it up.
test_protocol() {
	asks '{"op":"detach"}' "runs no guest in the foreground"
	asks '{"op":"console","guest":"nobody"}' "no such guest"
	asks '{"op":"console"}' "no such guest"
}

# ---- Linux ----

# A shell at hvc0: what is typed there is done there, and Ctrl-C is the guest's.
test_linux() {
	need_linux
	expect 0 lombard run -d -n linux --kernel "$linux/vmlinuz" --initrd "$linux/initrd" \
		--append "$linux_words quiet do=shell" --memory 256M
	at_terminal 0 "see:guest: init at" raw $'type:echo here is $((6 * 7))\r' "see:here is 42" "$detach" \
		"see:detached from linux" lines -- console linux
	at_terminal 0 "see:guest: init at" "see:here is 42" raw $'type:cat /sys/hypervisor/type\r' "see:xen" \
		$'type:poweroff -f\r' "see:linux has ended: poweroff, status 0" lines -- console linux
}

# In the foreground of a terminal, detached from, and come back to by a script.
test_linux_in_the_foreground() {
	need_linux
	at_terminal 0 "see:guest: init at" raw $'type:echo $((41 + 1)) times\r' "see:42 times" "$detach" \
		"see:detached from front, which goes on" lines -- run -n front --kernel "$linux/vmlinuz" \
		--initrd "$linux/initrd" --append "$linux_words quiet do=shell" --memory 256M
	run bash -c 'printf "echo and \$((6 * 7)) more\npoweroff -f\n" | "$0" console front' "$bin/lombard"
	equal status "$status" 0
	says "42 times" "$out"
	says "and 42 more" "$out"
	says "front has ended: poweroff, status 0" "$err"
}

# ---- xenconsoled ----

test_xenconsoled() {
	local dirs=(/usr/lib/xen-[0-9]*/bin) daemon log
	[ -d "${dirs[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	mkdir -p "$work/xc"
	export LOMBARD_SOCKET=$work/xc/cell.sock LOMBARD_TEST=$work/xc
	expect 0 lombard start --xenstore
	launch guest console-lines
	await "$console" "probe: listening"
	at_terminal 0 "see:listening" $'type:before\n' "see:heard before" "$detach" -- console guest
	"$bin/lombard" xen xenconsoled -i "--pid-file=$work/xc/pid" </dev/null >"$work/xc/daemon" 2>&1 &
	daemon=$!
	until_true 20 bound || fail "xenconsoled does not come: $(<"$work/xc/daemon")"
	expect 0 lombard xen xenstore-read "/local/domain/$domid/console/tty"
	# It serves the ring: what is typed at Lombard's console waits.
	printf 'by xenconsoled\n' >"$out"
	await "$console" "probe: heard by xenconsoled*"
	attach client guest
	kill -KILL "$daemon"
	wait "$daemon" 2>/dev/null
	until_true 10 unbound || fail "its port stays bound"
	at_terminal 0 "see:heard by xenconsoled" $'type:after\n' "see:heard after" $'type:quit\n' "see:has ended" -- console guest
	wait "$client"
	await "$(seen client)" "probe: heard after"
	expect 0 lombard shutdown
}

ports() { lombard xen lsevtchn "$domid"; }
bound() { [[ $(ports) == *"1: VCPU 0: Interdomain (Connected)"* ]]; }
unbound() { [[ $(ports) == *"1: VCPU 0: Interdomain (Waiting connection)"* ]]; }

host_tests pipes flood lies detach interrupted raw window_closed two_clients stopped_client scroll many_clients \
	unread_input ends paused log log_goes_on protocol linux linux_in_the_foreground xenconsoled
