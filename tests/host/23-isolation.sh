#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Guests that are out to do harm (guest/fuzz) beside guests and host programs that have to go on
# (guest/victim): wild hypercalls, grants rewritten while they are mapped, storms of events, rings that
# lie.
#
#	HOST_FUZZ	how many seconds for all of it (60)
#	HOST_SEED	the seed, which is printed: the same choices again, as far as the others let them
. "${BASH_SOURCE[0]%/*}/lib.sh"

seconds=${HOST_FUZZ:-$((60 / scale))}
least=$((10 + 10 * scale)) # nobody comes to anything in less
[ "$seconds" -ge "$least" ] || seconds=$least
ring_seconds=$((seconds / 5))
limit=$((120 + seconds))
seed=$((10#${HOST_SEED:-$EPOCHSECONDS} % 1000000))
fuzz=$guests/fuzz.elf
victim=$guests/victim.elf

# How much more memory of its own lombardd may have at the end than after two seconds, in KiB.
# Sanitizers keep up to 256 MiB of what is freed, and need memory to watch it: 300 MiB were seen, 50 with 32 kept.
growth=16384
[[ $host_build == */release ]] || growth=$((growth + 393216))

# ---- attackers ----

# announced FILE: the status that the guest said it would end with; nothing if it did not say.
announced() {
	local row last=
	while read -r row; do
		[[ $row != 'fuzz: last act: '* ]] || last=${row##* }
	done <"$1"
	printf '%s' "$last"
}

# hurt HOW NAME: what somebody does to a guest while it does its worst.  It may have ended before.
hurt() {
	case $1 in
	pause) in_time pause "$2" && pause 0.2 && in_time unpause "$2" ;;
	dump) in_time dump -o /dev/null "$2" ;;
	stop) in_time stop "$2" ;;
	kill)
		find_vmm "$(domid_of "$2")"
		[ -z "$vmm_pid" ] || kill -KILL "$vmm_pid"
		;;
	esac
}

# in_time COMMAND...: of lombard; that it hangs is wrong.
in_time() {
	local status
	timeout $((30 * scale)) "$bin/lombard" "$@"
	status=$?
	[ "$status" != 124 ] || say "lombard $* hangs" >>"$lives/wrong"
	return "$status"
}

domid_of() {
	local number name row
	while read -r row; do
		read -r number name _ <<<"$row"
		[ "$name" != "$1" ] || printf '%s' "$number"
	done < <(lombard list)
}

# life NAME SEED MS HOW VCPUS: one attacker from its start to its end.  What is wrong goes to the file `wrong`.
life() {
	local name=$1 how=$4 status want pid
	"$bin/lombard" run -n "$name" -m 16M -c "$5" "$fuzz" "seed=$2" "ms=$3" "vcpus=$5" "${known[@]}" \
		>"$lives/$name.out" 2>"$lives/$name.err" </dev/null &
	pid=$!
	if [ "$how" != nothing ]; then
		until_true 20 has_line "$lives/$name.out" 'fuzz: seed *' # it runs
		pause "$((RANDOM % ($3 / 1000))).$((RANDOM % 10))"
		hurt "$how" "$name" >>"$lives/$name.hurt" 2>&1
	fi
	until_true $(($3 / 1000 + 30)) gone "$pid" || stuck "$name" "$pid"
	wait "$pid"
	status=$?
	want=$(announced "$lives/$name.out")
	say "$name: seed $2, $how: status $status: $(<"$lives/$name.err")"
	case $how in
	stop | kill) [ "$status" != 126 ] || return ;;
	esac
	if [ "$status" != "$want" ]; then
		say "$name (seed $2) ended with status $status, not ${want:-of its own}: $(<"$lives/$name.err")"
		tail -n 3 "$lives/$name.out"
	elif [ "$status" = 125 ] && [ ! -s "$lives/$name.err" ]; then
		say "$name (seed $2) was stopped without a word"
	fi >>"$lives/wrong"
}

# stuck NAME PID: it has not ended in time.
stuck() {
	say "$1 does not end: $(lombard list)" >>"$lives/wrong"
	kill -KILL "$2"
}

# attacker NUMBER SECONDS: one life after the other.
attacker() {
	local n=0 ms ends=$(($(now_ms) + $2 * 1000)) how
	local -a ways=(nothing nothing nothing pause dump stop kill)
	RANDOM=$(((seed + $1) % 32768))
	while :; do
		ms=$((2000 + RANDOM % 6000))
		[ "$ms" -lt $((ends - $(now_ms))) ] || ms=$((ends - $(now_ms)))
		[ "$ms" -ge 1000 ] || break
		how=${ways[RANDOM % ${#ways[@]}]}
		life "fuzz$1.$n" "$((seed * 100 + $1 * 50 + n))" "$ms" "$how" $(($1 + 1))
		n=$((n + 1))
	done
}

# attack SECONDS: two attackers at once, the second one with two vCPUs.
attack() {
	local n pids=()
	for n in 0 1; do
		attacker "$n" "$1" >"$lives/attacker$n" 2>&1 &
		pids+=($!)
	done
	wait "${pids[@]}"
	cat "$lives"/attacker*
	[ ! -s "$lives/wrong" ] || fail "$(<"$lives/wrong")"
}

# ---- what they have done ----

declare -A good=() bad=() kind=() results=()

# One line: OPERATION KIND ok=N e22=N s1=N ...
add_counts() {
	local name=$1 count
	kind[$name]=$2
	shift 2
	for count in "$@"; do
		results[$name.${count%%=*}]=$((${results[$name.${count%%=*}]:-0} + ${count#*=}))
		if [[ $count == ok=* ]]; then
			good[$name]=$((${good[$name]:-0} + ${count#*=}))
		else
			bad[$name]=$((${bad[$name]:-0} + ${count#*=}))
		fi
	done
}

add_all_counts() {
	local file row
	for file in "$lives"/*.out; do
		while read -r row; do
			# shellcheck disable=SC2086
			[[ $row != 'fuzz: count '* ]] || add_counts ${row#fuzz: count }
		done <"$file"
	done
}

# reached: every operation has been refused, and done, as it should be.
reached() {
	local name key row total=0 missing=()
	add_all_counts
	for name in "${!kind[@]}"; do
		row="$name:"
		for key in "${!results[@]}"; do
			[[ $key != "$name".@(ok|[es]+([0-9])) ]] || row+=" ${key##*.}=${results[$key]}"
		done
		say "$row"
		total=$((total + ${good[$name]:-0} + ${bad[$name]:-0}))
		[ "${kind[$name]}" = fails ] || [ "${good[$name]:-0}" -gt 0 ] || missing+=("$name: never done")
		[ "${kind[$name]}" = works ] || [ "${bad[$name]:-0}" -gt 0 ] || missing+=("$name: never refused")
	done
	say "$total calls of ${#kind[@]} operations"
	[ "$total" -gt 100 ] || fail "only $total calls were made"
	# In a short time, or on a slow machine, not all of them can be.
	[ "$seconds" -lt 30 ] || [ "$scale" -gt 1 ] || [ "${#kind[@]}" -gt 50 ] ||
		fail "only ${#kind[@]} operations were tried"
	[ "$seconds" -lt 30 ] || [ "$scale" -gt 1 ] || [ "${#missing[@]}" = 0 ] || fail "${missing[*]}"
}

# ---- those that have to go on ----

# start_victims SECONDS
start_victims() {
	local ms=$(($1 * 1000)) next
	launch number hello
	await_end number 0
	next=$((domid + 1))
	start_victim first pair "with=$((next + 1))" first=1 "ms=$ms"
	equal "the first one's number" "$domid" "$next"
	start_victim second pair "with=$next" first=0 "ms=$ms"
	start_victim open open "ms=$ms"
	await "${console_of[first]}" "victim: pair rounds=*"
	known=("a=$next" "b=$((next + 1))" "c=$((next + 2))")
}

declare -A console_of=()

start_victim() {
	local name=$1
	shift
	expect 0 lombard run -d -n "$name" -m 16M "$victim" "$@"
	read -r domid _ console <<<"$out"
	console_of[$name]=$console
}

# last_numbers NAME: line is the last one with numbers that it has printed.
last_numbers() {
	local row
	line=
	while read -r row; do
		[[ $row != *=* ]] || line=$row
	done <"${console_of[$1]}"
}

# ended_well NAME KEY LEAST
ended_well() {
	local count
	await_end "$1" 0
	await "${console_of[$1]}" "victim: all was well"
	last_numbers "$1"
	say "$1: $line"
	count=$(field "$2")
	[ "$count" -ge "$3" ] || fail "$1 came to $2=$count only"
}

# host_goes_on END: lends a file, looks at pictures of a victim, until SECONDS is that; says how often.
host_goes_on() {
	local end=$1 n=0 id
	head -c 300000 /dev/urandom >"$lives/file"
	while [ "$SECONDS" -lt "$end" ]; do
		id=$(lombard lend --file "$lives/file" --to any --tag "$n") || break
		lombard dump --hold 1 -o "$lives/picture" first || break
		lombard dump --loan "$id" -o "$lives/seen" || break
		cmp -n 300000 "$lives/file" "$lives/seen" || break
		lombard return "$id" || break
		lombard stats --audit >"$lives/stats" 2>&1 || break
		n=$((n + 1))
	done
	[ "$SECONDS" -ge "$end" ] || say "the host can't go on after $n rounds: $(<"$lives/stats")"
	say "rounds=$n"
}

# anonymous: KiB of lombardd's own memory.
anonymous() {
	local key value
	while read -r key value _; do
		[ "$key" != RssAnon: ] || printf '%d' "$value"
	done <"/proc/$cell_pid/status"
}

# own_fds: but for those of guests that are remembered.
own_fds() {
	take_stats
	printf '%d' $(($(fds "$cell_pid") - ${stat[cell.ended]}))
}

no_more_fds() { [ "$(own_fds)" -le "$1" ]; }

test_attack() {
	local lives=$work/lives known=() length=$((seconds - ring_seconds)) end host_pid fds_before before
	mkdir "$lives"
	say "seed $seed, $seconds s (HOST_SEED=$seed HOST_FUZZ=$seconds)"
	pause 0.3 # for the connection of whoever asked last
	fds_before=$(own_fds)
	end=$((SECONDS + length))
	start_victims "$length"
	attack 2
	before=$(anonymous)
	# What it has begun it can finish before the victims end.
	host_goes_on "$((end - 6))" >"$lives/host" 2>&1 &
	host_pid=$!
	attack "$((end - 2 - SECONDS))"
	answers || fail "lombardd does not answer"
	wait "$host_pid"
	line=$(tail -n 1 "$lives/host")
	[[ $(<"$lives/host") != *"can't go on"* ]] || fail "$(<"$lives/host")"
	[ "$(field rounds)" -gt 0 ] || fail "the host did nothing"
	ended_well first rounds "$((1 + length / 2 / (scale * scale)))"
	ended_well second rounds "$((1 + length / 2 / (scale * scale)))"
	ended_well open loans "$((10 / scale))"
	reached
	closed
	until_true 5 no_more_fds "$fds_before" ||
		fail "lombardd had $fds_before descriptors, and has $(own_fds)"
	say "lombardd: $before KiB, then $(anonymous)"
	[ $(($(anonymous) - before)) -lt "$growth" ] || fail "lombardd has grown from $before to $(anonymous) KiB"
}

# ---- rings ----

# A cell of this test's own with Debian's xenstored; the guests' rings lie to it.
store_cell() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -d "${dirs[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	command -v xenstore-read >/dev/null || skip "xenstore-utils is not here"
	mkdir -p "$work/$test_name"
	export LOMBARD_SOCKET=$work/$test_name/cell.sock LOMBARD_TEST=$work/$test_name
	cell_log=$LOMBARD_SOCKET.log
	expect 0 lombard start --xenstore
	cell_pid=${out##* }
}

store_end() {
	closed
	expect 0 lombard shutdown
	until_true 10 gone "$cell_pid" || fail "the cell does not end: $(<"$cell_log")"
	cp "$cell_log" "$host_logs/$test_name.cell"
	no_complaint
}

# An honest guest and the host use the store meanwhile, for so many seconds.
store_goes_on() {
	local end=$((SECONDS + $1)) n=0
	while [ "$SECONDS" -lt "$end" ]; do
		n=$((n + 1))
		expect 0 lombard xen xenstore-write tool/isolation "$n"
		expect 0 lombard xen xenstore-read tool/isolation
		equal "what stands in the store" "$out" "$n"
		run_probe 0 store-nodes
		run_probe 0 store-transactions
	done
	say "$n rounds beside them"
}

test_rings() {
	local lives=$work/rings known=() pid
	mkdir "$lives"
	store_cell
	say "seed $seed, $ring_seconds s"
	attack "$ring_seconds" &
	pid=$!
	store_goes_on "$((ring_seconds - 1))"
	wait "$pid" || exit 1
	says 'rings: store yes, console yes' "$(<"$lives/fuzz0.0.out")"
	says 'the second vCPU runs' "$(<"$lives/fuzz1.0.out")"
	store_end
}

host_tests attack rings
