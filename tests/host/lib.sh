# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the files of host tests share.  A file defines functions test_NAME and ends with
#
#	host_tests NAME...
#
# Each test runs in a subshell and a process group of its own, with a time limit; whatever it prints
# goes to its log.  It fails by `fail WHY`, is left out by `skip WHY`, and passes by coming to its
# end.  One cell serves all tests of a file: after each test no guest may be left in it, its audit
# must be clean, the ledger must equal the kernel's figures, and no sanitizer may have spoken.
#
#	NN-topic.sh [NAME...]		run these tests of the file, or all
#
#	HOST_BUILD	the build directory with bin/ (build/asan)
#	HOST_GUESTS	the guests' images (build/guest)
#	HOST_LOGS	where logs are kept (HOST_BUILD/logs/host)
#	HOST_SCALE	multiplies all time limits (1)
#	HOST_SEED	for the tests that kill at random moments (the clock)
#
# Needs bash, chmod, cp, cat, dd, head, mkdir, mktemp, rm, timeout and tr only, beside what is tested.
set -u
export LC_ALL=C

host_root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
host_build=$(cd "${HOST_BUILD:-$host_root/build/asan}" && pwd) || exit 1
bin=$host_build/bin
guests=$(cd "${HOST_GUESTS:-$host_root/build/guest}" && pwd) || exit 1
probe=$guests/probe.elf
scale=${HOST_SCALE:-1}
host_topic=${0##*/}
host_topic=${host_topic%.sh}
host_logs=${HOST_LOGS:-$host_build/logs/host}/$host_topic
host_failed=0

work=       # this file's own directory: the cell's socket, whatever tests make
cell_pid=   # the lombardd of the current cell
cell_log=   # what it and its VMMs say
limit=60    # seconds for each test, times $scale
test_name=  # the one that runs

# Sleeping without a process: reading what nobody ever writes.
exec {pause_fd}<> <(:)

# pause SECONDS
pause() {
	local nothing
	read -r -t "$1" -u "$pause_fd" nothing || true
}

say() { printf '%s\n' "$*"; }

# fail WHY, skip WHY: end the test.  Not inside $(...): there only the substitution would end.
fail() {
	[ -e "$work/why" ] || printf '%s\n' "$*" >"$work/why"
	say "FAIL: $*"
	exit 1
}

skip() {
	printf '%s\n' "$*" >"$work/why"
	exit 77
}

now_ms() { printf '%d' $((${EPOCHREALTIME/./} / 1000)); }

# What is tried again and again does not fork: in a testbed that would be half of its time.
deadline() { printf -v "$1" '%d' $((${EPOCHREALTIME/./} + $2 * 1000000 * scale)); }
over() { [ "${EPOCHREALTIME/./}" -ge "$1" ]; }

# until_true SECONDS COMMAND...: try it until it succeeds; false when the time is over.
until_true() {
	local end
	deadline end "$1"
	shift
	until "$@"; do
		! over "$end" || return 1
		pause 0.02
	done
}

# In the background call the program itself: $! is its pid then.
lombard() { "$bin/lombard" "$@"; }

# ---- running commands ----

status= # of the last `run`
out=    # what it printed
err=

# run COMMAND...: fill status, out and err.
run() {
	say "+ $*"
	"$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
	out=$(<"$work/out")
	err=$(<"$work/err")
	say "$out"
	say "$err"
	say "= $status"
}

# expect STATUS COMMAND...
expect() {
	local want=$1
	shift
	run "$@"
	[ "$status" = "$want" ] || fail "$*: status $status, not $want: $err"
}

# within MS COMMAND...: it succeeds, and takes less than that, times $scale.
within() {
	local most=$(($1 * scale)) took
	shift
	took=$(now_ms)
	expect 0 "$@"
	took=$(($(now_ms) - took))
	[ "$took" -lt "$most" ] || fail "$* took $took ms"
}

# says PATTERN TEXT: a glob pattern.
says() {
	# shellcheck disable=SC2053
	[[ $2 == *$1* ]] || fail "no '$1' in '$2'"
}

# equal WHAT GOT WANT
equal() { [ "$2" = "$3" ] || fail "$1: $2, not $3"; }

# register NAME: its value in what xen-hvmctx or xenctx has printed, without zeroes in front.
register() {
	local rest=" ${out//[$'\n\t']/ }"
	rest=${rest#*[ ]"$1"[: ]}
	[[ $rest =~ ^[\ :]*(0x)?0*([0-9a-f]+) ]] || fail "there is no $1"
	printf '%s' "${BASH_REMATCH[2]}"
}

# ---- guests ----

domid=   # of the last `launch`
console= # the file with its output
vmm_pid=

# launch NAME ARGUMENT...: a detached probe with 8 MiB.
launch() {
	local name=$1
	shift
	expect 0 lombard run -d -n "$name" -m 8M "$probe" "$@"
	read -r domid _ console <<<"$out"
	find_vmm "$domid"
}

# find_vmm DOMID: set vmm_pid; empty when the guest has ended already.
find_vmm() {
	local number pid row
	vmm_pid=
	while read -r row; do
		read -r number _ _ pid _ <<<"$row"
		[ "$number" != "$1" ] || vmm_pid=$pid
	done < <(exec "$bin/lombard" list)
}

# run_probe STATUS ARGUMENT...: in the foreground.
run_probe() {
	local want=$1
	shift
	expect "$want" lombard run -m 8M "$probe" "$@"
}

line= # the last one that `await` saw

# The file need not be there yet.
has_line() {
	while read -r line; do
		# shellcheck disable=SC2053
		[[ $line != $2 ]] || return 0
	done 2>/dev/null <"$1"
	return 1
}

# await FILE PATTERN [SECONDS]: a line that looks like this glob pattern.
await() {
	until_true "${3:-20}" has_line "$1" "$2" 2>/dev/null || fail "no line '$2' in ${1##*/}: $(cat "$1" 2>&1)"
	say "$line"
}

# field KEY: the value of KEY=value in $line.
field() {
	local rest=" $line"
	rest=${rest#*[ ]"$1="}
	printf '%s' "${rest%%[ ]*}"
}

# await_end GUEST STATUS
await_end() { expect "$2" lombard wait "$1"; }

# ---- the account ----

declare -A stat=() # cell.KEY, guest.NAME.KEY, object.PATH.KEY, channel.NAME.KEY after take_stats
findings=

# One line of the JSON that `lombard stats --json` prints, a key or a brace in each.
take_stats_line() {
	local key=$1 value=$2
	case $key in
	objects) stats_at=object ;;
	guests) stats_at=guest ;;
	channels) stats_at=channel ;;
	zero_loans) stats_at=cell ;;
	domid) return ;; # comes before the name
	ended) stat[cell.ended]=$((${stat[cell.ended]} + 1)) ;;
	esac
	if [ "$key" = name ]; then
		stats_name=${value#\"}
		stats_name=${stats_name%\"}.
	elif [ "$stats_at" = cell ]; then
		stat[cell.$key]=$value
	else
		stat[$stats_at.$stats_name$key]=$value
	fi
}

# take_stats [cell]: the account with an audit, or only what is in there of the cell as a whole: bash
# takes long to read the rest.  False when lombard says that something is wrong.
take_stats() {
	local text row key stats_at=cell stats_name='' ok=0
	text=$(exec "$bin/lombard" stats --audit --json 2>"$work/stats.err") || ok=1
	stat=([cell.ended]=0)
	findings=$(<"$work/stats.err")
	[ "${1:-}" != cell ] || text=${text%%\"guests\":*}
	while read -r row; do
		row=${row%,}
		[[ $row == \"*\":\ * ]] || continue
		key=${row#\"}
		take_stats_line "${key%%\"*}" "${row#*\": }"
	done <<<"$text"
	return "$ok"
}

stats_agree() {
	take_stats "$@" || fail "the account is wrong: ${findings:-$(lombard stats --audit 2>&1)}"
	equal "the ledger's sums are the kernel's" "${stat[cell.equal]}" true
}

# sound: the ledger's invariants hold and its sums are the kernel's; all_sound fills all of stat[], too.
sound() { stats_agree cell; }
all_sound() { stats_agree; }

no_guests() {
	local name
	while read -r _ name _; do
		[ "$name" = NAME ] || return 1
	done < <(exec "$bin/lombard" list)
}

guest_names() {
	local name
	while read -r _ name _; do
		[ "$name" = NAME ] || say "$name"
	done < <(exec "$bin/lombard" list)
}

# closed: nothing is lent, orphaned or owned any more once the guests are gone.
closed() {
	no_guests || fail "guests are left: $(guest_names)"
	closed_cell
}

closed_cell() {
	local key
	sound
	for key in owned lent orphaned wired; do
		equal "$key frames at the end" "${stat[cell.$key]}" 0
	done
}

stop_guests() {
	local names
	names=$(guest_names)
	# shellcheck disable=SC2086
	[ -z "$names" ] || expect 0 lombard stop $names
}

recall_loans() {
	local id
	while read -r id _; do
		[ "$id" = ID ] || expect 0 lombard return "$id"
	done < <(exec "$bin/lombard" loans)
}

# ---- processes ----

# alive PID: it runs; one that only waits for its parent does not count.
alive() {
	local key value
	while read -r key value _; do
		[ "$key" != State: ] || [ "$value" = Z ] || return 0
	done 2>/dev/null <"/proc/$1/status"
	return 1
}

gone() { ! alive "$1"; }

# ours PID MARK: a process of Lombard that was started with this mark, or a longer one.
ours() {
	local word exe=/proc/$1/exe
	# Most processes are somebody else's: see that before anything slow.
	[[ $exe -ef $bin/lombard-vmm || $exe -ef $bin/lombardd || $exe -ef $bin/lombard ||
		$exe -ef $bin/lombard-blk ]] || return 1
	alive "$1" || return 1
	while IFS= read -r -d '' word; do
		[[ $word != "LOMBARD_TEST=$2"* ]] || return 0
	done 2>/dev/null <"/proc/$1/environ"
	return 1
}

# leftovers MARK: pids.
leftovers() {
	local dir
	for dir in /proc/[0-9]*; do
		! ours "${dir#/proc/}" "$1" || say "${dir#/proc/}"
	done
}

no_leftovers() {
	local dir
	for dir in /proc/[0-9]*; do
		! ours "${dir#/proc/}" "$1" || return 1
	done
}

# fds PID: how many descriptors it has open.
fds() {
	local list=(/proc/"$1"/fd/*)
	printf '%d' "${#list[@]}"
}

has_fds() { [ "$(fds "$1")" = "$2" ]; }

# least_fds PID: as fds, once they do not become fewer any more: what has ended before is closed.
least_fds() {
	local n least i
	least=$(fds "$1")
	for ((i = 0; i < 10; i++)); do
		pause 0.05
		n=$(fds "$1")
		[ "$n" -ge "$least" ] || { least=$n; i=0; }
	done
	printf '%d' "$least"
}

# need_single_interrupts: tests/testbed/machine.sh says why; check-linux has a machine with one processor.
need_single_interrupts() {
	[ "${TESTBED:-}" != npt ] || [ ! -e /sys/devices/system/cpu/cpu1 ] ||
		skip "this emulated machine interrupts guests twice now and then; one with a single processor does not"
}

# ---- cells ----

answers() { lombard list >/dev/null 2>&1; }

# cell_start NAME: the current cell is a new one, with its socket in a directory of that name.
cell_start() {
	local dir=$work/$1
	mkdir -p "$dir"
	export LOMBARD_SOCKET=$dir/cell.sock LOMBARD_TEST=$dir
	cell_log=$host_logs/$1.cell
	"$bin/lombardd" </dev/null >>"$cell_log" 2>&1 &
	cell_pid=$!
	until_true 10 answers
}

# cell_stop: false when it does not end, or not with status 0.
cell_stop() {
	local ended=0
	lombard shutdown || ended=1
	[ "$ended" = 0 ] || kill -KILL "$cell_pid" 2>/dev/null
	wait "$cell_pid" || ended=1
	return "$ended"
}

# own_cell NAME, end_cell: a test's own, which must end well and leave no process.
own_cell() { cell_start "$test_name.$1" || fail "no cell: $(<"$cell_log")"; }

end_cell() {
	cell_stop || fail "the cell did not end well: $(<"$cell_log")"
	until_true 2 no_leftovers "$LOMBARD_TEST" || fail "processes are left: $(leftovers "$LOMBARD_TEST")"
}

# ---- the runner of one file ----

# take_complaint: what sanitizers and our own checks have said first, in reports and in the cells' logs.
take_complaint() {
	local file row
	complaint=
	for file in "$work"/sanitizer.* "$host_logs"/*.cell; do
		[ -s "$file" ] || continue
		[[ $file != "$work"/sanitizer.* ]] || cp "$file" "$host_logs"
		while read -r row; do
			case $row in
			*'lombard: bug:'* | *'ERROR: '*Sanitizer* | *'WARNING: ThreadSanitizer'* | *'runtime error:'*)
				complaint="${file##*/}: $row"
				return
				;;
			esac
		done <"$file"
	done
}

# no_complaint: fail when there is one.
no_complaint() {
	take_complaint
	[ -z "$complaint" ] || fail "$complaint"
}

report() {
	local name=$1 result=$2 why=$3
	case $result in
	0) say "ok $host_topic/$name" ;;
	77) say "SKIP $host_topic/$name: $why" ;;
	*)
		say "FAIL $host_topic/$name: $why"
		host_failed=1
		;;
	esac
}

# The subshell of one test.
one_test() {
	trap - EXIT
	"test_$test_name"
}

# A test's processes are its process group's; those that left it bear its cell's mark.
run_group() {
	local end pid result
	deadline end "$limit"
	set -m
	one_test >"$host_logs/$test_name.log" 2>&1 &
	pid=$!
	set +m
	# Bash has been seen to leave it unreaped, and such a one can be sent signals: for as long as the limit.
	while alive "$pid"; do
		if over "$end"; then
			say "it took more than $((limit * scale)) s" >"$work/why"
			kill -KILL -- "-$pid"
		fi
		pause 0.02
	done
	wait "$pid" 2>/dev/null
	result=$?
	# Whatever is still in the group was started by the test and is in nobody's use.
	kill -KILL -- "-$pid" 2>/dev/null
	return "$result"
}

after_test() {
	test_name=$1
	expect 0 lombard list
	if [[ $out == *$'\n'* ]]; then
		say "left over: $(guest_names)"
		stop_guests
	fi
	recall_loans
	closed_cell
}

# The file's cell must be as good as new; else the next test gets another one.
check_cell() {
	local result=0
	(trap - EXIT; after_test "$1") >>"$host_logs/$1.log" 2>&1 || result=1
	[ "$result" = 0 ] || {
		kill -KILL "$cell_pid" 2>/dev/null
		wait "$cell_pid" 2>/dev/null
		cell_start cell
	}
	return "$result"
}

run_test() {
	local result
	test_name=$1
	rm -f "$work/why"
	run_group
	result=$?
	if [ "$result" = 0 ]; then
		check_cell "$test_name" || result=1
	else
		check_cell "$test_name"
	fi
	take_complaint
	if [ -n "$complaint" ] && [ "$complaint" != "$host_complaint" ]; then
		host_complaint=$complaint
		result=1
		say "$complaint" >"$work/why"
	fi
	[ -f "$work/why" ] || say "the test ended with status $result" >"$work/why"
	report "$test_name" "$result" "$(<"$work/why")"
}

# Why no guest can run here; empty when one can.
no_kvm() {
	local fd
	if [ ! -e /dev/kvm ]; then
		say "/dev/kvm does not exist"
	elif ! { exec {fd}<>/dev/kvm; } 2>/dev/null; then
		say "/dev/kvm can not be opened"
	fi
}

# Runs at every exit of the file.
host_end() {
	local pid
	trap - EXIT
	[ -z "$cell_pid" ] || kill -KILL "$cell_pid" 2>/dev/null
	for pid in $(leftovers "$work"); do
		kill -KILL "$pid"
	done
	rm -rf "$work"
}

# The last test of all: the file's cell ends, and nothing of it is left.
finish() {
	local why=''
	cell_stop >"$host_logs/end.log" 2>&1 || why="lombardd did not end with status 0"
	cell_pid=
	until_true 2 no_leftovers "$work/cell" || why="processes are left: $(leftovers "$work/cell")"
	[ ! -e "$LOMBARD_SOCKET" ] || why="the socket is left"
	[ -n "$why" ] || { take_complaint; why=$complaint; }
	[ "$why" != "$host_complaint" ] || why=
	if [ -n "$why" ]; then
		report end 1 "$why"
	else
		report end 0 ''
	fi
}

# host_tests NAME...: all tests of the file; its command line picks some.
host_tests() {
	local name why
	host_complaint=
	[ "${#host_picked[@]}" = 0 ] || set -- "${host_picked[@]}"
	why=$(no_kvm)
	if [ -n "$why" ]; then
		for name in "$@"; do
			report "$name" 77 "$why"
		done
		exit 0
	fi
	rm -rf "$host_logs"
	mkdir -p "$host_logs"
	work=$(mktemp -d "${TMPDIR:-/tmp}/lombard-host.XXXXXX") || exit 1
	trap host_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	export ASAN_OPTIONS=log_path=$work/sanitizer UBSAN_OPTIONS=print_stacktrace=1:log_path=$work/sanitizer
	export TSAN_OPTIONS=log_path=$work/sanitizer:second_deadlock_stack=1:history_size=4
	if ! cell_start cell; then
		report start 1 "no cell: $(<"$cell_log")"
		exit 1
	fi
	for name in "$@"; do
		if declare -F "test_$name" >/dev/null; then
			run_test "$name"
		else
			report "$name" 1 "there is no such test"
		fi
	done
	finish
	exit "$host_failed"
}

host_picked=("$@")
