# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a run in a testbed was worth.  Beside the tests that ran inside, these have to hold: it came
# to its end, the processor and KVM were what the vendor's name claims, and the kernel had no
# complaint of its own.

judge_passed=0
judge_failed=0
judge_skipped=0
judge_table=()

# Words of the kernel that mean that something broke, whoever was to blame.
judge_complaints='BUG:|kernel BUG|Oops|WARNING:|Call Trace|general protection|unable to handle'
judge_complaints+='|soft lockup|hard LOCKUP|blocked for more than|rcu.*stall|Kernel panic|Out of memory'
judge_complaints+='|oom-kill|page allocation failure|Bad page|kvm.*(bug|unexpected|[fF]ail)'

# fact DIR KEY
fact() { sed -n "s/^$2=//p" "$1/results/facts" 2>/dev/null; }

# verdict NAME WHY: passed if there is no WHY.
verdict() {
	if [ -z "$2" ]; then
		echo "ok $1"
	else
		echo "FAIL $1: $2"
	fi
}

why_no_end() {
	local dir=$1 status=$2 limit=$3
	if [ "$status" = 137 ]; then
		echo "the machine was ended after $limit s"
	elif [ ! -s "$dir/results/facts" ]; then
		echo "the machine ended (status $status) without results; see machine.log"
	elif ! grep -q '^testbed: the end' "$dir/console"; then
		echo "no end marker on the console"
	fi
}

why_other_machine() {
	local dir=$1
	if [ "$(fact "$dir" flag)" = none ]; then
		echo "the processor lacks the flag"
	elif [ "$(fact "$dir" module)" = none ]; then
		echo "KVM's module is not loaded"
	elif [ "$(fact "$dir" nested)" != Y ]; then
		echo "nested paging is off: '$(fact "$dir" nested)'"
	fi
}

# Behind the mark that init.sh left: what a kernel thinks of an emulated machine while it boots is not
# about us.  The console has what came after the results, or what came when there are none.
why_complaint() {
	local log
	for log in "$1/results/dmesg" "$1/console"; do
		[ ! -f "$log" ] || sed '1,/testbed: the start/d' "$log"
	done | grep -E -m1 "$judge_complaints"
}

# verdicts DIR STATUS LIMIT: a line for each test, those inside included.  A command that is no
# list of tests is one.
verdicts() {
	local dir=$1 inside
	verdict testbed/end "$(why_no_end "$@")"
	verdict testbed/vendor "$(why_other_machine "$dir")"
	verdict testbed/kernel-log "$(why_complaint "$dir")"
	inside=$(grep -E '^(ok|FAIL|SKIP) ' "$dir/results/command.log" 2>/dev/null)
	case $(fact "$dir" status) in
	'') ;;
	0) inside=${inside:-ok command} ;;
	*) grep -q '^FAIL' <<<"$inside" || inside+=$'\n'"FAIL command: status $(fact "$dir" status)" ;;
	esac
	# Without results there is still what the console showed.
	printf '%s\n' "${inside:-$(grep -E '^(ok|FAIL|SKIP) ' "$dir/console")}"
}

print_report() {
	local dir=$1 vendor=$2
	echo "-- $vendor: Linux $(fact "$dir" kernel) on $(fact "$dir" processor)"
	echo "   flag $(fact "$dir" flag), module $(fact "$dir" module), $vendor=$(fact "$dir" nested)"
	echo "   second-level faults reported to KVM: $(fact "$dir" faults), of them writes to present \
entries: $(fact "$dir" violations)"
	[ ! -f "$dir/results/observed" ] || sed 's/^/   /' "$dir/results/observed"
}

# judge DIR VENDOR STATUS LIMIT: print the report of one run and add it to the totals.
judge() {
	local dir=$1 vendor=$2 passed failed skipped
	shift 2
	print_report "$dir" "$vendor"
	verdicts "$dir" "$@" >"$dir/verdicts"
	grep -E '^FAIL |^SKIP |^ok testbed/' "$dir/verdicts" | sed 's/^/   /'
	passed=$(grep -c '^ok ' "$dir/verdicts")
	failed=$(grep -c '^FAIL ' "$dir/verdicts")
	skipped=$(grep -c '^SKIP ' "$dir/verdicts")
	judge_passed=$((judge_passed + passed))
	judge_failed=$((judge_failed + failed))
	judge_skipped=$((judge_skipped + skipped))
	judge_table+=("$(printf '%-12s %8d %8d %8d   logs: %s' "${dir##*/}" "$passed" "$failed" \
		"$skipped" "${dir#"$PWD"/}")")
}

# judge_totals: the table, the line that counts, and the exit status.
judge_totals() {
	printf '\n%-12s %8s %8s %8s\n' testbed passed failed skipped
	printf '%s\n' "${judge_table[@]}" ''
	echo "$judge_passed passed, $judge_failed failed, $judge_skipped skipped"
	[ "$judge_failed" = 0 ]
}
