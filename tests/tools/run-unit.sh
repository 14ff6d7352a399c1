#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-unit.sh unit|threads: run what tests/module.mk built into $B, one line for each program, logs
# in $B/logs, totals at the end.  Status 0 only if everything that should pass did, and what must
# fail failed.
#
#   TESTS        Criterion programs ("unit")
#   STEPS SEED   of the model; TIMEOUT seconds for each program; SECONDS_EACH of the threaded ones

set -u
mode=$1
timeout=${TIMEOUT:-300}
logs=$B/logs
passed=0 failed=0 skipped=0
mkdir -p "$logs"

# A sanitizer that finds something must end the process: Criterion ignores an exit status of its own.
export ASAN_OPTIONS="abort_on_error=1:detect_leaks=1:allocator_may_return_null=1:disable_coredump=1"
export UBSAN_OPTIONS="abort_on_error=1:print_stacktrace=1"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:history_size=4"

say()
{
	printf '  %-7s %-28s %s\n' "$1" "$2" "$3"
}

# pass|fail NAME WORDS: count and show; a failure shows the end of its log.
pass()
{
	passed=$((passed + 1))
	say ok "$1" "$2"
}

fail()
{
	failed=$((failed + 1))
	say FAILED "$1" "$2"
	# A sanitizer says first what is wrong, a test program last.
	sed 's/^/        | /' "$logs/$(log_of "$1")" | awk '{ l[NR] = $0 } END {
		for (i = 1; i <= NR; i++)
			if (i <= 25 || i > NR - 15)
				print l[i]
			else if (i == 26)
				print "        | ..." }'
}

log_of()
{
	printf '%s.log' "$1" | tr '/ ' '--'
}

# run NAME COMMAND...: status in $rc, output in the log.
run()
{
	name=$1
	shift
	timeout --kill-after=10 "$timeout" "$@" >"$logs/$(log_of "$name")" 2>&1 </dev/null
	rc=$?
}

# A number out of Criterion's last line, e.g. Tested.
figure()
{
	sed -n "s/.*Synthesis:.*$2: \([0-9]*\).*/\1/p" "$logs/$(log_of "$1")" | tail -n 1
}

# The exit status alone is not enough: a program that ran fewer tests than it has must not pass.
criterion_program()
{
	run "$1" "$B/bin/$1" --list
	listed=$(grep -c '── ' "$logs/$(log_of "$1")")
	run "$1" "$B/bin/$1" --short-filename
	tested=$(figure "$1" Tested)
	good=$(figure "$1" Passing)
	if [ "$rc" -eq 0 ] && [ "${tested:-0}" -gt 0 ] && [ "$tested" = "$listed" ] &&
		[ "$tested" = "$good" ]; then
		pass "$1" "$tested tests"
	else
		fail "$1" "status $rc, ${good:-no} of $listed tests passed"
	fi
}

# A plain program says in its last line what it did.
plain_program()
{
	run "$@"
	if [ "$rc" -eq 0 ]; then
		pass "$1" "$(tail -n 1 "$logs/$(log_of "$1")")"
	elif [ "$rc" -eq 77 ]; then
		skipped=$((skipped + 1))
		say skipped "$1" "$(tail -n 1 "$logs/$(log_of "$1")")"
	else
		fail "$1" "status $rc"
	fi
}

# A test that must fail does, with these words in its log; else all that passes above means nothing.
must_fail()
{
	run "known_bad/$1" "$B/bin/unit/known_bad" --filter "known_bad/$1"
	if [ "$rc" -ne 0 ] && [ "$(figure "known_bad/$1" Tested)" = 1 ] &&
		grep -q "$2" "$logs/$(log_of "known_bad/$1")"; then
		pass "known_bad/$1" "fails, as it must"
	else
		fail "known_bad/$1" "status $rc: it must fail with: $2"
	fi
}

unit()
{
	must_fail assertion 'Assertion Failed'
	must_fail leak 'memory leaked'
	must_fail leak_at_exit 'LeakSanitizer: detected memory leaks'
	must_fail address 'AddressSanitizer: heap-use-after-free'
	must_fail undefined 'runtime error: .*overflow'
	must_fail invariant 'an invariant is broken'
	run known_bad/control "$B/bin/unit/known_bad" --filter 'known_bad/control'
	if [ "$rc" -eq 0 ]; then
		pass known_bad/control "passes, as it must"
	else
		fail known_bad/control "status $rc"
	fi
	plain_program check-pure tests/tools/check-pure.sh
	for t in $TESTS; do
		criterion_program "$t"
	done
	# shellcheck disable=SC2086
	plain_program unit/chan_fuzz "$B/bin/unit/chan_fuzz" -runs=20000 ${SEED:+-seed=$SEED}
	grep 'seed' "$logs/$(log_of unit/chan_fuzz)" | sed 's/^/          /'
	# shellcheck disable=SC2086
	plain_program unit/model "$B/bin/unit/model" --steps "$STEPS" ${SEED:+--seed $SEED}
	grep 'seed' "$logs/$(log_of unit/model)" | head -n 1 | sed 's/^/          /'
}

threads()
{
	plain_program unit/stress_lock "$B/bin/unit/stress_lock" "$SECONDS_EACH"
	# shellcheck disable=SC2086
	plain_program unit/stress_arena "$B/bin/unit/stress_arena" "$SECONDS_EACH" $SEED
	grep 'seed' "$logs/$(log_of unit/stress_arena)" | sed 's/^/          /'
	# shellcheck disable=SC2086
	plain_program unit/stress_grant "$B/bin/unit/stress_grant" "$SECONDS_EACH" $SEED
	grep 'seed' "$logs/$(log_of unit/stress_grant)" | sed 's/^/          /'
	# shellcheck disable=SC2086
	plain_program unit/stress_chan "$B/bin/unit/stress_chan" "$SECONDS_EACH" $SEED
	grep 'seed' "$logs/$(log_of unit/stress_chan)" | sed 's/^/          /'
	for n in 2 4 8; do
		# shellcheck disable=SC2086
		plain_program "unit/model $n" "$B/bin/unit/model" --threads $n \
			--seconds "$SECONDS_EACH" --steps 1000000000 ${SEED:+--seed $SEED}
		grep 'seed' "$logs/$(log_of "unit/model $n")" | head -n 1 | sed 's/^/          /'
	done
}

$mode
echo "$passed passed, $failed failed, $skipped skipped (logs: $logs)"
[ "$failed" -eq 0 ]
