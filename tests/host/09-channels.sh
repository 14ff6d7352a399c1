#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Channels between guests and host programs, in every pairing: contents, early writes, deaths, names,
# several readers, huge frames, and what programs may not do.
. "${BASH_SOURCE[0]%/*}/lib.sh"

soak=${HOST_SOAK:-$((60 / scale))} # seconds
limit=$((120 + soak))
chanhost=$bin/host/chanhost

declare -A console_of=() pid_of=() # of what `start` started

# start guest|host NAME ROLE [KEY=VALUE...]
start() {
	local kind=$1 name=$2
	shift 2
	say "+ $kind $name: $*"
	if [ "$kind" = guest ]; then
		expect 0 lombard run -d -n "$name" -m 32M -w 512M "$probe" "$@"
		read -r domid _ console <<<"$out"
		console_of[$name]=$console
		pid_of[$name]=
	else
		console_of[$name]=$work/$name.out
		# What another test's program of that name has said is not to be seen.
		: >"${console_of[$name]}"
		"$chanhost" "$@" >"${console_of[$name]}" 2>&1 </dev/null &
		pid_of[$name]=$!
	fi
}

# sees NAME PATTERN [SECONDS]: it prints such a line.
sees() { await "${console_of[$1]}" "$2" "${3:-20}"; }

died= # when a death began that others have to notice, in ms

# told NAME PATTERN: it is told of the death within a second, and says so.
told() {
	local after
	sees "$1" "$2" 5
	after=$(($(now_ms) - died))
	say "$1 was told after $after ms"
	[ "$after" -le $((1000 * scale)) ] || fail "$1 was told of a death after $after ms"
}

# ends NAME STATUS: it ends, with this exit status.
ends() {
	local ended
	if [ -z "${pid_of[$1]}" ]; then
		await_end "$1" "$2"
	else
		wait "${pid_of[$1]}"
		ended=$?
		say "$1: $(<"${console_of[$1]}")"
		equal "status of $1" "$ended" "$2"
	fi
}

# kill_it NAME: without a chance to say goodbye.
kill_it() {
	local pid=${pid_of[$1]}
	if [ -z "$pid" ]; then
		find_vmm "$(domid_of "$1")"
		died=$(now_ms)
		kill -KILL "$vmm_pid"
		await_end "$1" 126
	else
		died=$(now_ms)
		kill -KILL "$pid"
		wait "$pid"
	fi
}

domid_of() {
	local number name row
	while read -r row; do
		read -r number name _ <<<"$row"
		[ "$name" != "$1" ] || say "$number"
	done < <(lombard list)
}

# quiet: all have left the cell; host programs do so a moment after their end.
quiet() { until_true 5 no_guests || fail "still there: $(guest_names)"; }

# stream FROM TO ARGUMENT...: a receiver that makes the channel, a sender that connects; both check.
stream() {
	local from=$1 to=$2
	shift 2
	start "$to" sink chan-recv name=line create=1 "$@"
	start "$from" source chan-send name=line "$@"
	ends sink 0
	ends source 0
	quiet
	sound
}

# back FROM TO ARGUMENT...: the sender makes the channel.
back() {
	local from=$1 to=$2
	shift 2
	start "$from" source chan-send name=line create=1 "$@"
	start "$to" sink chan-recv name=line "$@"
	ends sink 0
	ends source 0
	quiet
	sound
}

each_pair() {
	local from to
	for from in guest host; do
		for to in guest host; do
			say "== $from to $to"
			"$1" "$from" "$to" "${@:2}"
		done
	done
}

# Where everything is slow, there is less to do; an arena's pages are touched one by one, too.
many="count=$((300 / scale)) arena=$((16 / scale))"
# shellcheck disable=SC2086 # two words
test_sealed() { each_pair stream $many bytes=1000000 random=1 lend=4096; }
test_copied() { each_pair stream "count=$((2000 / scale))" "arena=$((16 / scale))" bytes=3000 random=1; }
# shellcheck disable=SC2086
test_shared() { each_pair stream $many bytes=1000000 random=1 strength=2; }
# shellcheck disable=SC2086
test_backwards() { each_pair back $many bytes=1000000 random=1 lend=4096; }

# What the sender writes after sending is not seen, and costs him a copy.
early() {
	stream "$@" "count=$((200 / scale))" "arena=$((16 / scale))" bytes=500000 random=1 lend=4096 dirty=1 base=1
	sees source "probe: chan frame=4096 *"
	[ "$(field lent)" -ge 5 ] || fail "hardly anything was lent"
}

test_early_writes() { each_pair early; }

# A receiver that reads each message twice, with time between for the sender to spoil it.
test_early_writes_seen_late() {
	each_pair stream "count=$((40 / scale))" bytes=20000 lend=4096 arena=4 dirty=1 base=1 hold=10
}

# The sender goes away while a message is being read: the message stays, and the end is seen.
sender_goes() {
	local from=$1 to=$2 how=$3 i
	start "$to" holder chan-hold name=line create=1 bytes=100000
	start "$from" talker chan-stream name=line bytes=100000 lend=4096 arena=1
	sees holder "probe: holding"
	pause 0.2
	if [ "$how" = kill ]; then
		kill_it talker
	else
		died=$(now_ms)
		expect 0 lombard stop talker
	fi
	told holder "probe: held for * rounds"
	ends holder 0
	quiet
	sound
}

test_sender_killed() { each_pair sender_goes kill; }
test_sender_stopped() {
	sender_goes guest guest stop
	sender_goes guest host stop
}

# The receiver goes away in the midst of a stream: the sender is told, and gets its memory back.
receiver_goes() {
	start "$1" talker chan-stream name=line create=1 bytes=100000 lend=4096
	start "$2" listener chan-drain name=line bytes=100000
	sees listener "probe: draining"
	pause 0.3
	kill_it listener
	told talker "probe: streamed *"
	ends talker 0
	quiet
	sound
}

test_receiver_killed() { each_pair receiver_goes; }

# Somebody who never releases holds up nobody but the sender, and only as long as it lives.
never_releases() {
	start "$1" talker chan-stream name=line create=1 bytes=50000 lend=4096 arena=1
	start "$2" miser chan-recv name=line bytes=50000 keep=1 count=1000
	pause 1
	take_stats || fail "the account is wrong: $findings"
	[ "${stat[channel.line.seals]}" -ge 10 ] || fail "only ${stat[channel.line.seals]} seals"
	kill_it miser
	told talker "probe: streamed *"
	ends talker 0
	quiet
	all_sound
}

test_never_releases() { each_pair never_releases; }

test_names() {
	local name
	start guest namer chan-names name=taken
	ends namer 0
	start host namer chan-names name=taken
	ends namer 0
	# One for all of the cell, whoever has it.
	start guest owner chan-recv name=mine create=1
	sees owner "probe: created"
	start host thief chan-recv name=mine create=1
	ends thief 2
	sees thief "*create: got -17*"
	# Bug: the reason given was that a guest can't lend to itself.
	expect 1 lombard lend --from owner --gfn 0x100000 --pages 1 --to any
	says "pages of a channel can't be lent" "$err"
	expect 1 lombard lend --from owner --gfn 0x100 --pages 1 --to owner
	says "a guest can't lend to itself" "$err"
	expect 0 lombard stop owner
	quiet
}

test_self() {
	start guest lonely chan-self name=me random=1 bytes=1000000 lend=4096
	ends lonely 0
	start host lonely chan-self name=me random=1 bytes=1000000 lend=4096 dirty=1
	ends lonely 0
	quiet
	sound
}

# One connection serves all threads of a program, and is made anew when the last channel was closed.
test_threads() {
	start host busy chan-threads name=t count=50 bytes=100000 random=1 lend=4096 dirty=1 arena=2
	ends busy 0
	quiet
	sound
}

# Eight readers of one message share its frames.
test_eight_peers() {
	local n kind=guest
	start guest source chan-send name=all create=1 peers=8 count=100 bytes=500000 random=1 lend=4096 \
		arena=8 dirty=1 base=1
	sees source "probe: created"
	for n in 1 2 3 4 5 6 7 8; do
		start "$kind" "sink$n" chan-recv name=all count=100 bytes=500000 random=1 arena=1 hold=1
		[ "$n" -lt 4 ] || kind=host
	done
	for n in 1 2 3 4 5 6 7 8; do
		ends "sink$n" 0
	done
	ends source 0
	quiet
	sound
}

# ... and one of them that dies takes nothing from the others.
test_peer_of_many_dies() {
	local n
	start guest source chan-stream name=all create=1 peers=4 bytes=100000 lend=4096
	sees source "probe: created"
	for n in 1 2; do
		start guest "sink$n" chan-drain name=all bytes=100000 arena=1
	done
	for n in 3 4; do
		start host "sink$n" chan-drain name=all bytes=100000 arena=1
	done
	sees source "probe: streaming"
	pause 0.3
	kill_it sink1
	pause 0.2
	kill_it sink3
	pause 0.3
	all_sound
	equal "peers that are left" "${stat[channel.all.live]}" 2
	died=$(now_ms)
	expect 0 lombard stop source
	told sink2 "probe: drained *"
	told sink4 "probe: drained *"
	ends sink2 0
	ends sink4 0
	quiet
	all_sound
}

# A reader that writes: a guest is stopped, with a sentence; a host program gets SIGSEGV.
test_write_to_peer() {
	start guest owner chan-stream name=mine create=1 peers=2 bytes=10000 lend=4096
	sees owner "probe: created"
	start guest vandal chan-scribble name=mine
	start host hooligan chan-scribble name=mine
	ends vandal 125
	says "in the area of channel" "$out"
	says ", mine of owner (domain" "$out"
	says "where it may only read" "$out"
	# 139: killed by SIGSEGV.  A sanitizer catches it and says so.
	wait "${pid_of[hooligan]}"
	case $? in
	139) ;;
	1) says SEGV "$(<"${console_of[hooligan]}")$(cat "$work"/sanitizer.* 2>/dev/null)" ;;
	*) fail "the program could write: $(<"${console_of[hooligan]}")" ;;
	esac
	rm -f "$work"/sanitizer.*
	sees owner "probe: streamed *" 5
	ends owner 0
	quiet
	sound
}

# The cell shows who is connected to whom; programs can be turned out.
test_program_is_listed() {
	start host talker chan-stream name=line create=1 bytes=1000 arena=1
	sees talker "probe: created"
	run lombard list
	says "(host program)" "$out"
	says " ${pid_of[talker]} " "$out"
	start guest listener chan-drain name=line bytes=1000
	sees listener "probe: draining"
	expect 0 lombard stats
	says "line" "$out"
	all_sound
	equal "pages of the arena" "${stat[channel.line.arena_pages]}" 256
	died=$(now_ms)
	expect 0 lombard stop "$(guest_names_like program)"
	told talker "probe: streamed *"
	ends talker 0
	told listener "probe: drained *"
	ends listener 0
	quiet
}

guest_names_like() {
	local name
	for name in $(guest_names); do
		[[ $name != "$1"* ]] || say "$name"
	done
}

# A program that is still there when its cell ends is told so.
test_cell_ends() {
	own_cell ends
	start host talker chan-stream name=line create=1 bytes=1000
	start host listener chan-drain name=line bytes=1000
	sees listener "probe: draining"
	pause 0.2
	died=$(now_ms)
	end_cell
	told talker "probe: streamed *"
	ends talker 0
	ends listener 0
}

# Regression: what a program holds of a message stays as it is when the cell ends in order.
cell_ends_while_held() {
	own_cell "$1"
	start host holder chan-hold name=line create=1 bytes=2000000
	start "$1" talker chan-stream name=line bytes=2000000 lend=4096 arena=8
	sees holder "probe: holding"
	pause 0.2
	died=$(now_ms)
	end_cell
	told holder "probe: held for * rounds"
	ends holder 0
	[ "$1" = guest ] || ends talker 0
}

test_cell_ends_while_held() {
	cell_ends_while_held host
	cell_ends_while_held guest
}

test_cell_killed() {
	own_cell killed
	start host talker chan-stream name=line create=1 bytes=10000 lend=4096
	start host listener chan-drain name=line bytes=10000
	sees listener "probe: draining"
	pause 0.2
	died=$(now_ms)
	kill -KILL "$cell_pid"
	wait "$cell_pid" 2>/dev/null
	told talker "probe: streamed *"
	ends talker 0
	ends listener 0
}

# ---- without the library ----

both() {
	start guest tester "$@"
	ends tester 0
	start host tester "$@"
	ends tester 0
	quiet
	sound
}

test_bad_arguments() { both chan-bad; }
test_rules() { both chan-rules; }

test_alien() {
	start guest tester chan-alien
	ends tester 0
}

# Random commands with random arguments, by several that know each other's names.
test_fuzz() {
	local n seed=${HOST_SEED:-$EPOCHSECONDS}
	say "seed $seed"
	start guest g1 chan-fuzz "seed=$seed" "seconds=$((4 * scale))"
	start host h1 chan-fuzz "seed=$((seed + 1))" "seconds=$((4 * scale))"
	start guest g2 chan-fuzz "seed=$((seed + 2))" seconds=1000
	start host h2 chan-fuzz "seed=$((seed + 3))" seconds=1000
	for n in 1 2 3 4 5 6; do
		pause 0.5
		sound
	done
	kill_it h2
	kill_it g2
	sound
	ends g1 0
	ends h1 0
	quiet
	sound
}

# ---- frames of 2 MiB ----

huge_file=/proc/sys/vm/nr_hugepages
free_file=/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages

# add_huge PAGES: reserve so many more, or, below 0, fewer.
add_huge() {
	local now
	now=$(<$huge_file)
	{ say $((now + $1)) >$huge_file; } 2>/dev/null
}

# reserve_huge PAGES: skip when they can't be had.  They go back when the test ends.
reserve_huge() {
	[ -r "$free_file" ] || skip "the kernel has no pages of 2 MiB"
	add_huge "$1" || skip "only root reserves huge pages"
	# shellcheck disable=SC2064
	trap "add_huge -$1" EXIT
	[ "$(<$free_file)" -ge "$1" ] || skip "the host has no $1 huge pages to spare"
}

huge_stream() {
	stream "$@" count=60 bytes=9000000 random=1 lend=4096 arena=32 dirty=1
	# Others may have taken them.
	[ "$(<$free_file)" -ge 100 ] || skip "somebody else uses huge pages"
	sees source "probe: chan frame=2097152 *"
}

test_huge() {
	reserve_huge 100
	each_pair huge_stream
}

# Too few: the arena has small frames, and the log says why.
test_huge_missing() {
	[ "$(<$free_file)" = 0 ] || skip "the host has huge pages"
	own_cell small
	stream guest guest count=10 bytes=100000 lend=4096 arena=2
	[ "$(<$free_file)" = 0 ] || skip "somebody else reserves huge pages"
	sees source "probe: chan frame=4096 *"
	says "wants 1 pages of 2 MiB, and 0 are free" "$(<"$cell_log")"
	says "sysctl vm.nr_hugepages" "$(<"$cell_log")"
	end_cell
}

# Breaks that find no huge page any more stop the writer, and nobody else.
test_huge_exhausted() {
	reserve_huge 4
	[ "$(<$free_file)" = 4 ] || skip "others use huge pages"
	# Who dies accepts: one who connects and dies before he is accepted was never there.
	start guest talker chan-send name=line create=1 count=4 bytes=2000000 lend=4096 arena=8 dirty=1
	start guest holder chan-hold name=line bytes=2000000 base=1
	ends talker 125
	says "talker (domain " "$out"
	sees holder "probe: held for * rounds" 3
	ends holder 0
	quiet
	sound
}

# ---- at random ----

test_random_deaths() {
	local n name kinds=(guest host) names=(talker one two)
	RANDOM=${HOST_SEED:-$((EPOCHSECONDS % 32768))}
	say "seed $RANDOM"
	for ((n = 0; n < 12; n++)); do
		start "${kinds[RANDOM % 2]}" talker chan-stream name=line create=1 peers=2 bytes=200000 \
			random=1 lend=4096 dirty=$((RANDOM % 2)) arena=4
		start "${kinds[RANDOM % 2]}" one chan-drain name=line bytes=200000 random=1 arena=1
		start "${kinds[RANDOM % 2]}" two chan-drain name=line bytes=200000 random=1 arena=1
		pause "0.$((RANDOM % 6))"
		kill_it "${names[RANDOM % 3]}" || true
		pause 0.1
		sound
		for name in talker one two; do
			if [ -z "${pid_of[$name]}" ]; then
				expect 0 lombard stop "$name"
			else
				kill -KILL "${pid_of[$name]}" 2>/dev/null
			fi
		done
		wait
		quiet
		sound
	done
}

# duplex ARGUMENT...: one channel, both its ends send and receive at once, each message sealed or shared.
duplex() {
	local kinds=(guest host) sizes=(64 5000 100000 $((4000000 / scale)))
	local settings="bytes=${sizes[RANDOM % 4]} random=1 strength=3 lend=4096 arena=8"
	# shellcheck disable=SC2086 # words
	start "${kinds[RANDOM % 2]}" here chan-duplex name=both create=1 "dirty=$((RANDOM % 2))" $settings "$@"
	# shellcheck disable=SC2086
	start "${kinds[RANDOM % 2]}" there chan-duplex name=both "dirty=$((RANDOM % 2))" $settings "$@"
}

# What one has sent, all of it, the other has received.
both_complete() {
	local sent received
	ends here 0
	ends there 0
	sees here "probe: duplex * complete=1"
	sent=$(field sent)
	received=$(field received)
	sees there "probe: duplex * complete=1"
	equal "what came there" "$(field received)" "$sent"
	equal "what came here" "$received" "$(field sent)"
	messages=$((messages + sent + received))
}

# One of them dies; the other has to notice, and what it got was right to the last byte.
one_dies() {
	local who=(here there) victim=$((RANDOM % 2))
	sees here "probe: both ways"
	sees there "probe: both ways"
	pause "$((RANDOM % 2)).$((RANDOM % 10))"
	sound
	kill_it "${who[victim]}"
	told "${who[1 - victim]}" "probe: duplex *"
	ends "${who[1 - victim]}" 0
}

# Until the time is over, by turns: to an orderly end, to a death; then nothing is left.
test_soak() {
	local start=$SECONDS rounds=0 messages=0
	RANDOM=${HOST_SEED:-$((EPOCHSECONDS % 32768))}
	say "seed $RANDOM, $soak s"
	while ((SECONDS - start < soak)); do
		duplex "seconds=$((1 + RANDOM % 3))"
		both_complete
		quiet
		sound
		duplex seconds=1000 deaths=1
		one_dies
		quiet
		sound
		rounds=$((rounds + 1))
	done
	say "$rounds rounds, $messages messages in those that ended well"
	equal "frames of the cell" "${stat[cell.total]}" 0
}

host_tests sealed copied shared backwards early_writes early_writes_seen_late sender_killed \
	sender_stopped receiver_killed never_releases names self threads eight_peers peer_of_many_dies \
	write_to_peer program_is_listed cell_ends cell_ends_while_held cell_killed bad_arguments rules alien fuzz huge \
	huge_missing huge_exhausted random_deaths soak
