#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tests one after the other, and one table at the end.
#
#	run-check.sh STAGE...
#
# A stage is a make target whose last line says `N passed, N failed, N skipped`.
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

for stage in "$@"; do
	echo "== make $stage"
	begin=$SECONDS
	make --no-print-directory "$stage" 2>&1 | tee "$logs/$stage.log"
	rc=${PIPESTATUS[0]}
	read -r p f s < <(counts "$logs/$stage.log")
	# A stage that fails without a failed test has failed all the same.
	if [ "$rc" != 0 ] && [ "$f" = 0 ]; then f=1; fi
	total=($((total[0] + p)) $((total[1] + f)) $((total[2] + s)))
	[ "$f" = 0 ] || status=1
	table+=("$(printf '%-16s %8d %8d %8d %7ds' "$stage" "$p" "$f" "$s" $((SECONDS - begin)))")
done

printf '\n%-16s %8s %8s %8s %8s\n' stage passed failed skipped time
printf '%s\n' "${table[@]}"
echo
echo "${total[0]} passed, ${total[1]} failed, ${total[2]} skipped"
exit $status
