#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `lombard pipe`, and the examples of channels, tell and hear, in every pairing.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=120
export LOMBARD_GUESTS=$guests

# ---- lombard pipe ----

# random_file NAME BYTES
random_file() { head -c "$2" /dev/urandom >"$work/$1"; }

# piped NAME OPTION...: it arrives as it is; the JSON is in `out`.
piped() {
	expect 0 lombard pipe --json "$work/$1" "${@:2}"
	says '"equal": true' "$out"
	no_guests || fail "still there: $(guest_names)"
	sound
}

# told KEY: a number or a text of the JSON in `out`.
told() {
	local rest=${out#*\""$1"\": }
	[ "$rest" != "$out" ] || fail "no $1 in '$out'"
	rest=${rest%%[,$'\n']*}
	rest=${rest#\"}
	printf '%s' "${rest%\"}"
}

test_small() {
	random_file small 100001
	expect 0 lombard pipe "$work/small"
	says "$work/small: 100001 bytes in " "$out"
	says "1 sealed messages of 2.0 MiB: " "$out"
	says ": equal" "$out"
	piped small
	equal "bytes" "$(told bytes)" 100001
	equal "bytes received" "$(told received_bytes)" 100001
	equal "messages" "$(told messages)" 1
	equal "the hashes" "$(told received_xxh64)" "$(told file_xxh64)"
}

# The hashes are those that XXH64's specification gives.
test_one_byte() {
	printf a >"$work/one"
	piped one
	equal "messages" "$(told messages)" 1
	equal "hash" "$(told received_xxh64)" d24ec4f1a98c6e5b
}

test_empty() {
	: >"$work/empty"
	piped empty
	equal "messages" "$(told messages)" 0
	equal "bytes" "$(told received_bytes)" 0
	equal "hash" "$(told received_xxh64)" ef46db3751d8e999
}

# Messages that do not end where pages do; as long as the file, and one byte more or less.
test_sizes() {
	local size
	random_file some 12289
	for size in 1 4095 4097 12288 12289 12290 64M; do
		piped some --size "$size"
		equal "bytes" "$(told received_bytes)" 12289
	done
	piped some --size 1
	equal "messages" "$(told messages)" 12289
}

test_shared() {
	random_file some 5000000
	piped some --shared --size 1M
	equal "shared" "$(told shared)" 5
	equal "lent" "$(told lent)" 0
	equal "strength" "$(told strength)" shared
}

# Longer than any copy that the sink takes: they must be lent.
test_lent() {
	random_file some 50000000
	piped some --sealed --size 16M
	equal "messages" "$(told messages)" 3
	[ "$(told lent)" -ge 2 ] || fail "$(told lent) messages were lent"
}

# 100 MB, the second half a hole.
test_large() {
	random_file large 50000000
	dd if=/dev/null of="$work/large" bs=1 seek=100000000 2>/dev/null
	piped large
	equal "bytes" "$(told received_bytes)" 100000000
	rm "$work/large"
}

# More than what is lent at a time; what was read before is forgotten meanwhile.
test_segments() {
	local pid most=0 resident
	dd if=/dev/null of="$work/long" bs=1M seek=600 2>/dev/null
	"$bin/lombard" pipe --shared "$work/long" >"$work/long.out" 2>&1 &
	pid=$!
	while alive "$pid"; do
		# While a page is being read the ledger has it, and the kernel not yet.
		take_stats || [ -z "$findings" ] || fail "the account is wrong: $findings"
		resident=${stat[object.$work/long.resident]:-0}
		[ "$resident" -le "$most" ] || most=$resident
		pause 0.1
	done
	wait "$pid" || fail "$(<"$work/long.out")"
	says "629145600 bytes in" "$(<"$work/long.out")"
	[ "$most" -le 65536 ] || fail "$most pages of the file were in memory"
}

# begin_long OPTION...: a pipe that goes on for a minute, in the background; pipe_pid, its words in
# $work/long.out; wait until bytes flow.
begin_long() {
	dd if=/dev/null of="$work/endless" bs=1M seek=20000 2>/dev/null
	"$bin/lombard" pipe "$work/endless" "$@" >"$work/long.out" 2>&1 &
	pipe_pid=$!
	until_true 10 flowing || fail "nothing flows: $(<"$work/long.out")"
}

flowing() {
	take_stats && [ "${stat[object.$work/endless.resident]:-0}" -gt 3000 ]
}

# ended_with STATUS TEXT: the pipe ends, says so, and leaves nothing.
ended_with() {
	local ended
	until_true 10 gone "$pipe_pid" || fail "lombard pipe is still there"
	wait "$pipe_pid"
	ended=$?
	say "$(<"$work/long.out")"
	equal "status" "$ended" "$1"
	says "$2" "$(<"$work/long.out")"
	no_guests || fail "still there: $(guest_names)"
	[ "$(lombard loans)" = "${loans_before}" ] || fail "still lent: $(lombard loans)"
	sound
}

loans_before=
end_killed() {
	local number name pid row
	loans_before=$(lombard loans)
	begin_long
	while read -r row; do
		read -r number name _ pid _ <<<"$row"
		[ "$name" != "$1-$pipe_pid" ] || kill -KILL "$pid"
	done < <(lombard list)
	ended_with 1 "the guest $1-$pipe_pid ended too early: killed, status 126"
}

test_source_killed() { end_killed source; }
test_sink_killed() { end_killed sink; }

test_stopped() {
	loans_before=$(lombard loans)
	begin_long --shared
	expect 0 lombard stop "sink-$pipe_pid"
	ended_with 1 "the guest sink-$pipe_pid ended too early: stopped, status 126"
}

test_interrupted() {
	loans_before=$(lombard loans)
	begin_long
	kill -INT "$pipe_pid"
	ended_with 130 ''
	begin_long
	kill -TERM "$pipe_pid"
	ended_with 143 ''
	begin_long
	kill -HUP "$pipe_pid"
	ended_with 129 ''
}

# Where Xen's libraries are missing, hanging up is what stops the guests.
test_interrupted_without_libraries() {
	LOMBARD_XEN_LIBS=/nonexistent begin_long
	kill -INT "$pipe_pid"
	wait "$pipe_pid"
	equal "status" "$?" 130
	says 'cannot stop the guests: ' "$(<"$work/long.out")"
	until_true 5 no_guests || fail "still there: $(guest_names)"
}

# Without a chance to clean up: the guests end all the same, and so does what was lent to the source.
test_pipe_killed() {
	begin_long
	lombard loans
	kill -KILL "$pipe_pid"
	wait "$pipe_pid"
	until_true 5 no_guests || fail "still there: $(guest_names)"
	until_true 5 no_loans || fail "still lent: $(lombard loans)"
}

no_loans() { [[ $(lombard loans) != *$'\n'* ]]; }

test_cell_killed() {
	own_cell killed
	begin_long
	kill -KILL "$cell_pid"
	wait "$cell_pid" 2>/dev/null
	until_true 10 gone "$pipe_pid" || fail "lombard pipe is still there"
	wait "$pipe_pid" && fail "it claims success"
	says "the cell at $LOMBARD_SOCKET ended" "$(<"$work/long.out")"
	until_true 5 no_leftovers "$LOMBARD_TEST" || fail "processes are left"
}

# Without a cell it makes one, which ends with it.
test_no_cell() {
	mkdir "$work/alone"
	export LOMBARD_SOCKET=$work/alone/cell.sock LOMBARD_TEST=$work/alone
	random_file some 300000
	expect 0 lombard pipe "$work/some"
	says ": equal" "$out"
	until_true 10 no_leftovers "$LOMBARD_TEST" || fail "its cell is still there"
}

# Two at once are not in each other's way.
test_two() {
	local one two
	random_file one 3000000
	random_file two 4000000
	"$bin/lombard" pipe "$work/one" --size 10K >"$work/one.out" 2>&1 &
	one=$!
	"$bin/lombard" pipe "$work/two" --size 20K >"$work/two.out" 2>&1 &
	two=$!
	wait "$one" || fail "$(<"$work/one.out")"
	wait "$two" || fail "$(<"$work/two.out")"
}

# refused STATUS TEXT ARGUMENT...
refused() {
	expect "$1" lombard pipe "${@:3}"
	says "$2" "$err"
}

test_bad_files() {
	mkdir "$work/directory"
	refused 1 "No such file" "$work/nowhere"
	refused 1 "only a regular file" "$work/directory"
	refused 1 "only a regular file" /dev/zero
	refused 1 "has changed meanwhile" /proc/self/status
	random_file some 10
	LOMBARD_GUESTS=$work/directory refused 1 "set LOMBARD_GUESTS" "$work/some"
	cp "$work/some" "$work/directory/pipe.elf"
	LOMBARD_GUESTS=$work/directory refused 1 "cannot run the source" "$work/some"
	rm -r "$work/directory"
}

test_bad_options() {
	random_file some 10
	refused 2 "which FILE" --shared
	refused 2 "not both" --shared --sealed "$work/some"
	refused 2 "--size" --size 0 "$work/some"
	refused 2 "at most 64M" --size 65M "$work/some"
	refused 2 "--memory" --memory 5000 "$work/some"
	refused 1 "memory" --memory 1M "$work/some"
	# Too little for its tables: its own words are repeated.
	refused 1 "can't make a channel" --memory 2M "$work/some"
	says "give it 16M or more (--memory)" "$err"
}

# ---- the examples ----

declare -A console_of=() pid_of=() # of what `start` started

# start guest|host NAME PROGRAM ARGUMENT...
start() {
	local kind=$1 name=$2 program=$3
	shift 3
	say "+ $kind $name: $program $*"
	if [ "$kind" = guest ]; then
		expect 0 lombard run -d -n "$name" -m 32M -w 512M "$guests/$program.elf" "$@"
		read -r _ _ console <<<"$out"
		console_of[$name]=$console
		pid_of[$name]=
	else
		console_of[$name]=$work/$name.out
		"$bin/examples/$program" "$@" >"${console_of[$name]}" 2>&1 </dev/null &
		pid_of[$name]=$!
	fi
}

# ends NAME: well; its last words are in `line`.
ends() {
	if [ -z "${pid_of[$1]}" ]; then
		await_end "$1" 0
	else
		wait "${pid_of[$1]}" || fail "$1: $(<"${console_of[$1]}")"
	fi
	await "${console_of[$1]}" "????: messages=*"
}

# agree NAME MESSAGES BYTES: what `told_line` says, too.
agree() {
	ends "$1"
	equal "messages of $1" "$(field messages)" "$2"
	equal "bytes of $1" "$(field bytes)" "$3"
	equal "hash of $1" "$(field xxh64)" "$hash"
}

# directions MESSAGES BYTES STRENGTH ARGUMENT...: all four, all of which arrives.
directions() {
	local messages=$1 bytes=$2 strength=$3 from to hash
	shift 3
	for from in guest host; do
		for to in guest host; do
			say "== $from to $to: $*"
			start "$to" hearer hear line
			start "$from" teller tell line "$@"
			ends teller
			hash=$(field xxh64)
			equal "$strength messages" "$(field "$strength")" "$messages"
			agree hearer "$messages" "$bytes"
			until_true 5 no_guests || fail "still there: $(guest_names)"
			sound
		done
	done
}

test_examples_copied() { directions 1000 1234000 copied count=1000 bytes=1234 lend=2000; }
test_examples_lent() { directions 30 9000030 lent count=30 bytes=300001 lend=4096; }
test_examples_shared() { directions 30 9000030 shared count=30 bytes=300001 strength=shared; }

test_examples_words() {
	local kind hash
	for kind in guest host; do
		start "$kind" hearer hear words show=1
		start guest teller tell words say one two
		ends teller
		hash=$(field xxh64)
		await "${console_of[hearer]}" "hear: one"
		await "${console_of[hearer]}" "hear: two"
		agree hearer 2 6
	done
	until_true 5 no_guests || fail "still there: $(guest_names)"
}

# One lend of 2 MiB for eight who hear: it lies in memory, and in the account, once.
test_one_to_many() {
	local n kind=guest hash
	start guest teller tell all peers=8 count=2 bytes=2097152 lend=4096
	for n in 1 2 3 4 5 6 7 8; do
		start "$kind" "hearer$n" hear all "hold=$((3000 * scale))"
		[ "$n" -lt 4 ] || kind=host
	done
	until_true 10 all_seen || fail "not all of them borrow: $(lombard stats)"
	sound
	equal "frames that are lent" "${stat[cell.lent]}" 1024
	ends teller
	hash=$(field xxh64)
	equal "lent messages" "$(field lent)" 2
	for n in 1 2 3 4 5 6 7 8; do
		agree "hearer$n" 2 4194304
	done
	until_true 5 no_guests || fail "still there: $(guest_names)"
	closed
}

# Eight have the arena mapped, and none has released anything.
all_seen() {
	local key readers=0
	take_stats || fail "the account is wrong: $findings"
	for key in "${!stat[@]}"; do
		[[ $key != guest.*.borrowed ]] || [ "${stat[$key]}" -lt 1024 ] || readers=$((readers + 1))
	done
	[ "$readers" = 8 ] && [ "${stat[channel.all.seals]:-0}" = 2 ]
}

test_examples_usage() {
	expect 1 "$bin/examples/tell"
	says "usage: tell NAME" "$err"
	expect 1 "$bin/examples/hear"
	says "usage: hear NAME" "$err"
	expect 1 "$bin/examples/hear" nobody patience=0
	says "hear: can't connect: error -" "$err"
	expect 1 "$bin/examples/tell" line strength=weak
	says "sealed or shared" "$err"
	expect 1 "$bin/examples/tell" line count=x
	says "not a number" "$err"
}

host_tests small one_byte empty sizes shared lent large segments source_killed sink_killed stopped \
	interrupted interrupted_without_libraries pipe_killed cell_killed no_cell two bad_files bad_options examples_copied \
	examples_lent examples_shared examples_words one_to_many examples_usage
