#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a small guest gets out of a disk that lombard-blk serves (guest/probe/diskbench.c), beside the same
# pattern by a program of the host on the same file (floor.c).  Both take turns, round after round, so that
# whatever else the machine does meets both; medians are shown, and the medians of the rounds' ratios.
#
#	run.sh BUILD GUESTS [EFFORT [BESIDE]]
#
# EFFORT: percent of the rounds.  BESIDE: another build, which has its turn in each round, too.
# WAYS: only what begins with this (write 0|1, KiB, depth, persistent 0|1), as "0 4 1".
set -u
cd "${0%/*}/../../.." || exit 1
export LC_ALL=C

builds=("$(cd "$1" && pwd)") || exit 1
guests=$2
effort=${3:-100}
[ -z "${4:-}" ] || builds+=("$(cd "$4" && pwd)") || exit 1
rounds=$((9 * effort / 100))
[ "$rounds" -ge 3 ] || rounds=3
ms=150
size=16 # MiB: the host's page cache has it all

work=$(mktemp -d) || exit 1
img=$work/disk.img
ways=()   # operation, KiB, depth, persistent
declare -A speeds # way,who -> KB/s of each round

die() {
	printf 'bench-blk: %s\n' "$*" >&2
	exit 1
}

at_cell() { LOMBARD_SOCKET=$work/cell$1.sock "${builds[$1]}/bin/lombard" "${@:2}"; }

clean_up() {
	local i
	for i in "${!builds[@]}"; do
		[ ! -S "$work/cell$i.sock" ] || at_cell "$i" shutdown
	done
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# field KEY TEXT: the value of KEY=value.
field() {
	local rest=" $2"
	rest=${rest#*[ ]"$1="}
	printf '%s' "${rest%%[!0-9]*}"
}

# speed TEXT: KB/s.
speed() { printf '%d' $(($(field bytes "$1") * 1000 / $(field us "$1"))); }

median() {
	local sorted
	mapfile -t sorted < <(printf '%s\n' "$@" | sort -n)
	printf '%d' "${sorted[$#/2]}"
}

thousandths() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

# measure_guest BUILD OPERATION KIB DEPTH PERSISTENT: $out
measure_guest() {
	local how=(write="$2" kib="$3" depth="$4" persistent="$5" ms="$ms")
	[ "$3" -le 44 ] || how+=(indirect=1)
	out=$(at_cell "$1" run -m 48M --disk "$img" "$guests/probe.elf" disk-bench "${how[@]}" 2>&1) ||
		die "the guest has failed: $out"
	out=${out#*probe: bytes=}
	out=bytes=${out%%$'\n'*}
}

measure_floor() {
	out=$("${builds[0]}/bin/bench/blkfloor" "$img" write="$1" kib="$2" depth="$3" ms="$ms") ||
		die "the floor has failed"
}

one_round() {
	local way i
	for way in "${ways[@]}"; do
		# shellcheck disable=SC2086
		measure_floor $way
		speeds[$way,floor]+=" $(speed "$out")"
		for i in "${!builds[@]}"; do
			# shellcheck disable=SC2086
			measure_guest "$i" $way
			speeds[$way,$i]+=" $(speed "$out")"
			told[$way,$i]=$out
		done
	done
}

# ratio WAY WHO OTHER: the median of the rounds' ratios, in thousandths.
ratio() {
	local a b i all=()
	read -ra a <<<"${speeds[$1,$2]}"
	read -ra b <<<"${speeds[$1,$3]}"
	for i in "${!a[@]}"; do all+=($((a[i] * 1000 / b[i]))); done
	median "${all[@]}"
}

# per_hundred KEY TEXT: what is counted, for a hundred requests.
per_hundred() { printf '%d' $(($(field "$1" "$2") * 100 / $(field requests "$2"))); }

print_way() {
	local op kib depth persistent floor ours
	read -r op kib depth persistent <<<"$1"
	# shellcheck disable=SC2086
	floor=$(median ${speeds[$1,floor]})
	# shellcheck disable=SC2086
	ours=$(median ${speeds[$1,0]})
	printf '%-6s %4d KiB %6d %11s %10s %10s %7s %9d %9d' "$([ "$op" = 0 ] && echo read || echo write)" "$kib" \
		"$depth" "$([ "$persistent" = 1 ] && echo kept || echo mapped)" "$(thousandths "$ours")" \
		"$(thousandths "$floor")" "$(thousandths "$(ratio "$1" 0 floor)")" \
		"$(per_hundred sent "${told[$1,0]}")" "$(per_hundred slept "${told[$1,0]}")"
	[ "${#builds[@]}" = 1 ] || printf ' %8s' "$(thousandths "$(ratio "$1" 0 1)")"
	printf '\n'
}

print_all() {
	local way
	printf '\nMedians of %d rounds, MB/s; events for 100 requests in the last one.\n\n' "$rounds"
	printf '%-15s %6s %11s %10s %10s %7s %9s %9s' "" depth grants guest floor ratio sent awaited
	[ "${#builds[@]}" = 1 ] || printf ' %8s' beside
	printf '\n'
	for way in "${ways[@]}"; do print_way "$way"; done
}

declare -A told # way,build -> the last round's line
for op in 0 1; do
	for kib in 4 128; do
		for depth in 1 32; do
			for persistent in 1 0; do
				[[ "$op $kib $depth $persistent" != "${WAYS:-}"* ]] || ways+=("$op $kib $depth $persistent")
			done
		done
	done
done
dd if=/dev/urandom of="$img" bs=1M count="$size" 2>/dev/null || die "no disk"
for i in "${!builds[@]}"; do
	at_cell "$i" start --xenstore >/dev/null || die "no cell"
done
start=$SECONDS
for ((n = 0; n < rounds; n++)); do one_round; done
print_all
printf '\n%d s on %s, the file on %s; load %s\n' $((SECONDS - start)) "$(uname -r)" \
	"$(stat -f -c %T "$img")" "$(cut -d' ' -f1-3 /proc/loadavg)"
