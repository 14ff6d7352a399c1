#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# That a loan is broken by a violation of the second level: inside a testbed, what the processor
# reported to KVM beside what the ledger says.  Runs as a file of tests/host does.
. "${BASH_SOURCE[0]%/*}/../host/lib.sh"
. "${BASH_SOURCE[0]%/*}/faults.sh"

# observed TEXT: a sentence for the report.
observed() {
	say "$1"
	printf '%s\n' "$1" >>"$TESTBED_RESULTS/observed"
}

gfn= # of the lender's first page
pages=64

launch_lender() {
	launch "$1" lend-wait tag=1 "pages=$pages" "${@:2}"
	await "$console" "probe: lent id=*" 60
	gfn=$(field gfn)
}

counted() { take_stats && [ "${stat[$1]}" = "$2" ]; }

# each_page_violated TEXT GFN: the processor saw a write violation at each page from there on.
each_page_violated() {
	faults_in "$2" "$pages"
	observed "$1: $pages pages broken, as lombard stats counts; write violations of read-only \
entries, as kvm_page_fault counts: $violations, at $violated of these pages"
	equal "pages with a write violation" "$violated" "$pages"
}

# The lender reads and then writes each page that it lent; a borrower reads them meanwhile.
lender_writes() {
	launch_lender "lender-$1" "kind=$2" write=1 pause=3
	faults_start
	launch "borrower-$1" borrow-verify tag=1 seconds=5
	until_true 60 counted "guest.lender-$1.write" "$pages" ||
		fail "broken by writes: ${stat[guest.lender-$1.write]}, not $pages"
	each_page_violated "the lender writes, lent to $1" "$gfn"
	await_end "borrower-$1" 0
	expect 0 lombard stop "lender-$1"
}

test_lender_writes_to_page() { lender_writes page 1; }
test_lender_writes_to_anon() { lender_writes anon 2; }

# A copy-on-write borrower reads its window, the first at gfn 0x100000, and then writes there.
test_borrower_writes() {
	launch_lender cow-lender kind=2
	faults_start
	launch cow-borrower borrow-write tag=1
	await_end cow-borrower 0
	each_page_violated "the borrower writes, lent to anon" 0x100000
	expect 0 lombard stop cow-lender
}

# A write into a read-only window ends the guest; it never read there, so its entry was not present.
test_write_into_window() {
	launch_lender window-lender
	faults_start
	launch culprit write-window tag=1
	await_end culprit 125
	faults_in 0x100000 "$pages"
	observed "a write into a read-only window: write faults, as kvm_page_fault counts: $writes, \
at $written page"
	equal "pages with a write fault" "$written" 1
	expect 0 lombard stop window-lender
}

# The control: as long as nobody writes, nothing is violated.
test_nobody_writes() {
	local reader
	launch_lender reader pause=1
	reader=$vmm_pid
	faults_start
	launch reader2 borrow-verify tag=1 seconds=1
	await_end reader2 0
	# The borrower has a page of its own at this gfn, and writes there.
	faults_in "$gfn" "$pages" "$reader"
	observed "nobody writes: write violations at $violated of the $pages lent pages"
	equal "pages with a write violation" "$violated" 0
	faults_in 0x100000 "$pages"
	equal "pages of the window with a write violation" "$violated" 0
	expect 0 lombard stop reader
}

# KVM's own counters, while a guest runs.
test_kvm_counters() {
	local name value
	launch_lender counters write=1
	for name in pf_taken pf_fixed pf_guest exits io_exits; do
		value=$(cat /sys/kernel/debug/kvm/$name 2>/dev/null) || continue
		observed "KVM's statistics for one guest that writes into $pages lent pages: $name $value"
	done
	value=$(cat /sys/kernel/debug/kvm/pf_fixed)
	[ "$value" -ge "$pages" ] || fail "pf_fixed is $value"
	expect 0 lombard stop counters
}

host_tests lender_writes_to_page lender_writes_to_anon borrower_writes write_into_window \
	nobody_writes kvm_counters
