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

host_tests main_job
