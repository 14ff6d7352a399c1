#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs the integration tests on this machine's KVM.
#
#   run-host.sh [BUILD-DIR [FILE...]]
#
# BUILD-DIR holds bin/ (build/asan if absent); FILE is the number or name of a file of tests/host, as
# 02 or 02-loans, or one test of it, as 02-loans/to_page; all if absent.  Logs are kept in
# BUILD-DIR/logs/host.  The exit status is 0 when nothing failed.  tests/host/lib.sh tells which variables the tests heed.
set -u
export LC_ALL=C

root=$(cd "${0%/*}/../.." && pwd)
export HOST_BUILD=${1:-${HOST_BUILD:-$root/build/asan}}
[ $# -eq 0 ] || shift
passed=0
failed=0
skipped=0

count_line() {
	case $1 in
	'ok '*) passed=$((passed + 1)) ;;
	'FAIL '*) failed=$((failed + 1)) ;;
	'SKIP '*) skipped=$((skipped + 1)) ;;
	esac
	printf '%s\n' "$1"
}

# picked FILE NAME...: is it to run?  tests: which of it; none: all.
picked() {
	local file=${1##*/} name whole=
	shift
	tests=()
	[ $# -gt 0 ] || return 0
	for name in "$@"; do
		[[ $file == "${name%%/*}"* ]] || continue
		case $name in
		*/*) tests+=("${name#*/}") ;;
		*) whole=1 ;;
		esac
	done
	[ -z "$whole" ] || tests=()
	[ -n "$whole" ] || [ "${#tests[@]}" -gt 0 ]
}

# A file that breaks off without a word has failed, too.
run_file() {
	local before=$failed line status start=$SECONDS
	while read -r line; do
		if [[ $line == 'status '* ]]; then
			status=${line#status }
		else
			count_line "$line"
		fi
	done < <(
		"$@"
		printf 'status %d\n' $?
	)
	[ "$status" = 0 ] || [ "$failed" -gt "$before" ] ||
		count_line "FAIL ${1##*/}: it ended with status $status"
	printf '     (%s: %d s)\n' "${1##*/}" $((SECONDS - start))
}

ran=
for file in "$root"/tests/host/[0-9]*.sh; do
	picked "$file" "$@" || continue
	run_file "$file" "${tests[@]}"
	ran=1
done
[ -n "$ran" ] || {
	printf 'there is no file of tests/host that is called so: %s\n' "$*" >&2
	exit 1
}
[ "$failed" = 0 ] || printf 'logs: %s\n' "$HOST_BUILD/logs/host"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
