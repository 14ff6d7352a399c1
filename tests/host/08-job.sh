#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The main job, as a user starts it.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=300

test_main_job() {
	local why
	command -v xxhsum >/dev/null || skip "there is no xxhsum"
	run "$host_root/host-tools/main-job.sh" "$bin" "$guests"
	[ "$status" = 0 ] || {
		why=${out##*FAILED}
		fail "status $status: ${why%%$'\n'*} ${err##*$'\n'}"
	}
	says "comparisons held" "$out"
}

# Bug: the whole file comes into memory, and it was begun with any file.
test_files_that_cannot_be() {
	command -v xxhsum >/dev/null || skip "there is no xxhsum"
	dd if=/dev/null of="$work/vast" bs=1M seek=8000000 2>/dev/null
	: >"$work/empty"
	expect 1 "$host_root/host-tools/main-job.sh" "$bin" "$guests" "$work/vast"
	says "takes 8000256 MiB of memory" "$err"
	expect 1 "$host_root/host-tools/main-job.sh" "$bin" "$guests" "$work/empty"
	says "is empty" "$err"
	expect 1 "$host_root/host-tools/main-job.sh" "$bin" "$guests" "$work/nowhere"
	says "is not a file that can be read" "$err"
}

# Bug: figures of more than 2^31 were cut off, so files of more than 2 GiB failed.
test_large_figures() {
	local sum account=$work/account
	printf '/big 1 1 1 3000000000\n/big 1 1 1 3000000000\n' >"$account"
	# shellcheck disable=SC1090
	sum=$(. <(grep -v '^main$' "$host_root/host-tools/main-job.sh") "$bin" "$guests" &&
		object "$account" /big 0)
	equal "a sum" "$sum" 6000000000
}

host_tests main_job files_that_cannot_be large_figures
