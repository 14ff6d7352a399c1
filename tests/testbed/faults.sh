# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Counting second-level faults inside a testbed: histograms of the tracepoint kvm:kvm_page_fault, that
# is, of what the processor reported to KVM.  $vendor or $TESTBED says how to read its error code.

faults_event=/sys/kernel/tracing/events/kvm/kvm_page_fault
faults_by_code='hist:keys=error_code.hex'
faults_by_place='hist:keys=common_pid,fault_address.hex,error_code.hex:size=16384'

# violation_p CODE: a write that a present entry did not allow.
violation_p() {
	local code=$1
	case ${vendor:-$TESTBED} in
	# AMD: a page fault's error code: bit 0 present, bit 1 write.
	npt) (((code & 3) == 3)) ;;
	# Intel: the exit qualification: bit 1 a write, bits 3 to 5 what the entry allows.
	ept) ((code & 2 && code & 0x38)) ;;
	esac
}

# For the whole run.
faults_count_all() { echo "$faults_by_code" >"$faults_event/trigger"; }

# faults_start, faults_stop: a second histogram, by guest-physical address, from zero.
faults_start() {
	faults_stop
	echo "$faults_by_place" >>"$faults_event/trigger"
}

faults_stop() { ! grep -q fault_address "$faults_event/trigger" || echo "!$faults_by_place" >>"$faults_event/trigger"; }

# faults_rows: THREAD ADDRESS CODE COUNT of each row; THREAD and ADDRESS - in the histogram without.
faults_rows() {
	sed -nE \
		-e 's/^\{ common_pid: *([0-9]+), fault_address: *([0-9a-f]+), error_code: *([0-9a-f]+) *\} hitcount: *([0-9]+).*/\1 0x\2 0x\3 \4/p' \
		-e 's/^\{ error_code: *([0-9a-f]+) *\} hitcount: *([0-9]+).*/- - 0x\1 \2/p' \
		"$faults_event/hist"
}

# faults_summary: totals of the whole run.
faults_summary() {
	local address code count all=0 violations=0
	while read -r _ address code count; do
		[ "$address" = - ] || continue
		all=$((all + count))
		! violation_p "$code" || violations=$((violations + count))
	done < <(faults_rows)
	printf 'faults=%d\nviolations=%d\n' "$all" "$violations"
}

# After faults_in: how many pages of the range had a write violation, and how many writes found no
# entry or one that did not allow them; and how many such faults there were in all.
violated=
violations=
written=
writes=

# faults_in GFN PAGES [PID]: look at a range, since faults_start; of all guests, or of that process.
faults_in() {
	local thread address code count
	declare -A seen=() seen_write=()
	violations=0 writes=0
	while read -r thread address code count; do
		[ "$address" != - ] || continue
		[ $# -lt 3 ] || [ -d "/proc/$3/task/$thread" ] || continue
		((address >> 12 >= $1 && address >> 12 < $1 + $2 && code & 2)) || continue
		seen_write[$((address >> 12))]=1
		writes=$((writes + count))
		violation_p "$code" || continue
		seen[$((address >> 12))]=1
		violations=$((violations + count))
	done < <(faults_rows)
	violated=${#seen[@]}
	written=${#seen_write[@]}
}
