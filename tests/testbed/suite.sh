#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is run inside a testbed.  A line for each test: ok, FAIL or SKIP, its name, and why.
#
#   suite.sh npt        all there is; on the older kernel, what depends on KVM
#   suite.sh linux      those with Linux guests, for a machine with one processor
#   suite.sh ept        what fits into a quarter of an hour there
#   suite.sh NAME       one: main-job, unit, FILE or FILE/TEST of tests/host, violations[/TEST]
#   suite.sh list       the names
set -u
cd "${0%/*}/../.." || exit 1
export LC_ALL=C TERM=dumb

bin=build/release/bin
status=0

# one NAME COMMAND...: a whole program as one test; its output is shown.
one() {
	local name=$1 result
	shift
	"$@" </dev/null
	result=$?
	if [ "$result" = 0 ]; then
		echo "ok $name"
	else
		echo "FAIL $name: status $result"
		status=1
	fi
}

# file PATH TEST...: a file of host tests.  One that breaks off without a word has failed, too.
file() {
	local result path=$1 name=${1##*/}
	shift
	"$path" "$@"
	result=$?
	[ "$result" -le 1 ] || echo "FAIL ${name%.sh}: it ended with status $result"
	[ "$result" = 0 ] || status=1
}

# Unit tests of the code that speaks to the kernel; where Criterion's words are for people.  Unpacking
# kernels for two minutes is none of that.
unit() {
	local program
	for program in "$bin"/unit/vmm/*; do
		[ ! -x "$program" ] || [[ $program == */test_pvh_linux ]] || one "unit/${program##*/}" "$program" --short-filename \
			"--xml=$TESTBED_RESULTS/${program##*/}.xml"
	done
}

# FILE [LOG]: the main job; without FILE it takes its own, a small one and one of 100 MB.
main_job() { one main-job host-tools/main-job.sh "$bin" build/guest "$@"; }

violations() { file tests/testbed/violations.sh "$@"; }

# host [FILE...]: as run-host.sh has it; all of tests/host if absent.
host() { tests/tools/run-host.sh "$PWD/build/release" "$@" </dev/null || status=1; }

list() {
	local path
	printf '%s\n' main-job unit violations
	for path in tests/host/[0-9]*.sh; do
		path=${path##*/}
		echo "${path%.sh}"
	done
}

# by_name NAME
by_name() {
	local path=tests/host/${1%%/*}.sh test=()
	[[ $1 != */* ]] || test=("${1#*/}")
	case $1 in
	main-job) main_job ;;
	unit) unit ;;
	violations | violations/*) violations "${test[@]}" ;;
	*)
		if [ -x "$path" ]; then
			file "$path" "${test[@]}"
		else
			echo "FAIL $1: there is no such test; suite.sh list shows all"
			status=1
		fi
		;;
	esac
}

case ${1:?usage: suite.sh npt|linux|ept|NAME|list} in
list) list ;;
npt)
	violations
	unit
	# The main job is among them.  The older kernel differs in what pages and vCPUs see.
	case $(uname -r) in
	6.1.*)
		host 01 02 03 04 05 06 08 09 17-xen-store
		file tests/host/16-xen-control.sh pause registers states
		;;
	*) host ;;
	esac
	;;
linux)
	host 20-linux-boot 27-linux-events 28-linux-vchan 29-linux-lending 30-linux-xl 24-linux-disk 25-debian
	file tests/host/22-console.sh linux linux_in_the_foreground
	file tests/host/01-abi.sh upcalls
	;;
ept)
	violations
	by_name 01-abi/hello
	by_name 02-loans
	file tests/host/09-channels.sh rules sealed early_writes receiver_killed
	# Of each kind of Xen tool one.
	file tests/host/13-xen-info.sh xl_info xl_list xentop
	file tests/host/14-xen-events.sh guests guest_grants_host
	file tests/host/15-xen-memory.sh share_and_break range
	file tests/host/16-xen-control.sh pause registers states xl
	file tests/host/17-xen-store.sh guest stream_guest_serves console
	file tests/host/18-xen-create.sh create poweroff
	by_name 27-linux-events/alone
	main_job /usr/share/common-licenses/GPL-3
	;;
*) by_name "$1" ;;
esac
exit "$status"
