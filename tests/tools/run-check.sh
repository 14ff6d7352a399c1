#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tests one after the other, and one table at the end.
#
#	run-check.sh STAGE... [--together STAGE...]
#
# A stage is a make target whose last line says `N passed, N failed, N skipped`.  Those behind
# --together do not mind each other: as many run at once as there are processors.
set -u
cd "$(dirname "$0")/../.." || exit

logs=build/check
mkdir -p "$logs"
table=()
total=(0 0 0)
status=0

# The counts of a stage: its last matching line, or one failure if it says nothing.
counts() {
	local line
	line=$(grep -Eo '[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped' "$1" | tail -n 1)
	[ -n "$line" ] || line='0 passed, 1 failed, 0 skipped'
	read -r p _ f _ s _ <<<"${line//,/}"
	printf '%s %s %s\n' "$p" "$f" "$s"
}

# run STAGE: its output into its log; its status and its seconds into files beside it.
run() {
	local begin=$SECONDS rc
	make --no-print-directory "$1" >"$logs/$1.log" 2>&1
	rc=$?
	echo "$rc $((SECONDS - begin))" >"$logs/$1.end"
}

# show STAGE PREFIX: its output as it comes, until it has ended.
show() {
	tail -n +1 --pid="$2" -f "$logs/$1.log" | sed -u "s/^/$3/"
}

# add_up STAGE: into the table and the totals.
add_up() {
	local p f s rc=1 time=0
	read -r p f s < <(counts "$logs/$1.log")
	read -r rc time <"$logs/$1.end"
	# A stage that fails without a failed test has failed all the same.
	if [ "$rc" != 0 ] && [ "$f" = 0 ]; then f=1; fi
	total=($((total[0] + p)) $((total[1] + f)) $((total[2] + s)))
	[ "$f" = 0 ] || status=1
	table+=("$(printf '%-16s %8d %8d %8d %7ds' "$1" "$p" "$f" "$s" "$time")")
}

# failures STAGE: what failed in it, a line each; a test told of twice is one.
failures() {
	grep -Eo '(^| )FAIL(ED)? .*' "$logs/$1.log" | sed -E "s/^ *FAIL(ED)? +/FAIL $1: /" | awk '!seen[$0]++'
}

# start STAGE PREFIX
start() {
	rm -f "$logs/$1.end"
	: >"$logs/$1.log"
	echo "== make $1"
	run "$1" &
	show "$1" $! "$2" &
}

stages=()
together=()
for word in "$@"; do
	if [ "$word" = --together ]; then
		together=("${@:$((${#stages[@]} + 2))}")
		break
	fi
	stages+=("$word")
done

for stage in "${stages[@]}"; do
	start "$stage" ''
	wait
	add_up "$stage"
done

for stage in "${together[@]}"; do
	# Each stage is two jobs: itself, and who shows it.
	while [ "$(jobs -rp | wc -l)" -ge $((2 * $(nproc))) ]; do
		wait -n
	done
	start "$stage" "$stage: "
done
wait
for stage in "${together[@]}"; do
	add_up "$stage"
done

printf '\n%-16s %8s %8s %8s %8s\n' stage passed failed skipped time
printf '%s\n' "${table[@]}" ''
for stage in "${stages[@]}" "${together[@]}"; do
	failures "$stage"
done
echo "${total[0]} passed, ${total[1]} failed, ${total[2]} skipped"
exit $status
