#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Domains that Xen's tools build from outside: `xl create`, and libxenctrl by hand.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/xl.sh"

limit=120
prober=$bin/host/xenprobe

need_tools() {
	local dirs=(/usr/lib/xen-[0-9]*/bin)
	[ -d "${dirs[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	tools=${dirs[0]}
	mkdir -p /var/run/xen || skip "/var/run/xen, where xl has its locks, can't be made"
}

store_answers() { lombard xen xenstore-exists / 2>/dev/null; }

# Debian's xenstored and xenconsoled, for this test.
start_store() {
	need_tools
	export XENSTORED_RUNDIR=$work/$test_name.store
	logs=$work/$test_name.logs
	mkdir -p "$XENSTORED_RUNDIR" "$logs"
	lombard xen xenstored -N --pid-file "$XENSTORED_RUNDIR/pid" </dev/null &
	store_pid=$!
	until_true 10 store_answers || fail "no xenstored"
	expect 0 lombard xen xen-init-dom0
	lombard xen xenconsoled -i --pid-file "$XENSTORED_RUNDIR/console" --log=guest --log-dir="$logs" </dev/null &
	console_pid=$!
}

# Those xl that watch domains in the background, of this file's cells.
watchers() {
	local dir word
	for dir in /proc/[0-9]*; do
		[[ $dir/exe -ef $tools/xl ]] || continue
		while IFS= read -r -d '' word; do
			[[ $word != "LOMBARD_TEST=$work"* ]] || say "${dir#/proc/}"
		done 2>/dev/null <"$dir/environ"
	done
}

no_watchers() { [ -z "$(watchers)" ]; }

# all_closed: what an xl in the background has mapped is wired until it has seen its domain's end.
all_closed() {
	until_true 10 no_watchers || fail "xl is still there"
	closed
}

stop_store() {
	local pid
	for pid in $(watchers); do
		kill -KILL "$pid" 2>/dev/null
	done
	until_true 5 no_watchers || fail "xl is still there"
	kill "$console_pid" "$store_pid"
	wait "$console_pid" "$store_pid" || true
}

create_flags=
# create NAME CMDLINE [LINE...]: a PVH domain with 32 MiB, by `xl create`.
create() {
	local name=$1 cmdline=$2
	shift 2
	printf '%s\n' "name=\"$name\"" 'type="pvh"' "kernel=\"$probe\"" "cmdline=\"$cmdline\"" \
		'memory=32' 'vcpus=1' "$@" >"$work/$name.cfg"
	# shellcheck disable=SC2086
	expect 0 xl create $create_flags "$work/$name.cfg"
	find_domain "$name"
}

# find_domain NAME: what the xenstore and the cell say of it; false when it is not there.
find_domain() {
	run xl domid "$1"
	[ "$status" = 0 ] || return 1
	domid=$out
	find_vmm "$domid"
	console=$(lombard list | while read -r number _ _ _ row; do
		[ "$number" != "$domid" ] || say "${row##* }"
	done)
}

flags_are() { [[ $(xl_state "$1") == "$2" ]]; }
domain_gone() { ! xl domid "$1" >/dev/null 2>&1; }

test_create() {
	start_store
	create small count
	await "$console" "probe: count *"
	[[ $(xl_state small) == ?-???? && $(xl_state small) != *p* ]] || fail "state $(xl_state small)"
	expect 0 xl list -l small
	says '"type": "pvh"' "$out"
	expect 0 lombard xen xenstore-read "/local/domain/$domid/name"
	equal "the name in the store" "$out" small
	# Both rings are where libxl has put them, and granted.
	expect 0 lombard xen xenstore-read "/local/domain/$domid/console/ring-ref"
	equal "the console's page" "$out" $((0xfefff))
	sound
	expect 0 xl pause small
	says p "$(xl_state small)"
	expect 0 lombard xen "$tools/xenctx" "$domid"
	says "rip: " "$out"
	# xl asks for a local APIC for each.
	expect 0 lombard xen "$tools/xen-hvmctx" "$domid"
	says "LAPIC registers:" "$out"
	expect 0 xl unpause small
	expect 0 xl destroy small
	no_guests || fail "it is still there: $(guest_names)"
	run lombard xen xenstore-exists "/local/domain/$domid"
	[ "$status" != 0 ] || fail "it is still in the store"
	all_closed
	stop_store
}

# By way of the background xl, which sees it in the store and in the domain's state.
test_poweroff() {
	start_store
	create small hello
	until_true 20 domain_gone small || fail "it is still there: $(xl_state small)"
	until_true 5 no_guests || fail "it is still there: $(guest_names)"
	all_closed
	stop_store
}

test_crash_is_preserved() {
	start_store
	create small crash 'on_crash="preserve"'
	until_true 20 flags_are small '---sc-' || fail "state $(xl_state small)"
	equal "who is there" "$(guest_names)" "guest$domid"
	expect 0 xl destroy small
	no_guests || fail "it is still there: $(guest_names)"
	stop_store
}

first= # of two domains with the same name
second_came() { find_domain small && [ "$domid" != "$first" ]; }

# A reboot is another domain with the same name.
test_reboot() {
	start_store
	create small "shutdown reason=1" 'on_reboot="restart"'
	first=$domid
	until_true 30 second_came || fail "there is no second one"
	# It shuts down again at once, and so on.
	stop_store
	stop_guests
}

# count_of WORD: in what a tool has printed.
count_of() {
	local rest=$out n=0
	while [[ $rest == *"$1"* ]]; do
		rest=${rest#*"$1"}
		n=$((n + 1))
	done
	printf '%d' "$n"
}

# Their APICs have the numbers that xl's tables give them: each second one.
# Three vCPUs, of which two run and one has not been started: xl's configuration with two more than one.
test_several_vcpus() {
	local one two
	start_store
	create many "smp vcpus=2 apics=2 end=spin" 'vcpus=3'
	await "$console" "probe: 2 processors run"
	expect 0 xl vcpu-list many
	equal "vCPUs" "$(count_of $'\nmany ')" 3
	expect 0 lombard pause "guest$domid"
	expect 0 lombard xen "$tools/xen-hvmctx" "$domid"
	say "$out"
	equal "CPU records" "$(count_of "CPU:")" 2
	equal "LAPIC records" "$(count_of "LAPIC:")" 2
	equal "LAPIC registers" "$(count_of "LAPIC registers:")" 2
	expect 0 lombard xen "$tools/xenctx" "$domid" 0
	one=$(register rip)
	expect 0 lombard xen "$tools/xenctx" "$domid" 1
	two=$(register rip)
	[ "$one" != "$two" ] || fail "both vCPUs are at $one"
	equal "cs of the second" "$(register cs)" 8 # CPL 0
	# It stands still.
	expect 0 lombard xen "$tools/xenctx" "$domid" 1
	equal "its rip later on" "$(register rip)" "$two"
	expect 0 lombard unpause "guest$domid"
	expect 0 lombard xen "$prober" states "$domid" 20
	expect 0 xl destroy many
	no_guests || fail "it is still there: $(guest_names)"
	all_closed
	stop_store
}

# A domain that was built lends to others.  While the xl that has built it is there, what that has mapped
# is wired; so it does not stay (-e), and the domain does not run before it is gone (-p).
test_lends_to_others() {
	start_store
	create_flags='-p -e'
	create lender "lend-wait tag=31 pages=32 write=1"
	expect 0 xl unpause lender
	await "$console" "probe: lent id=*"
	launch reader borrow-verify tag=31 "seconds=$((1 * scale))"
	await_end reader 0
	sound
	expect 0 xl destroy lender
	stop_store
}

# Its process dies: the domain has crashed, as its tools see it, and waits for them.
test_process_dies() {
	start_store
	create small count 'on_crash="preserve"'
	await "$console" "probe: count *"
	kill -KILL "$vmm_pid"
	until_true 10 flags_are small '---sc-' || fail "state $(xl_state small)"
	expect 0 xl destroy small
	no_guests || fail "it is still there: $(guest_names)"
	stop_store
}

# What can't be had is refused before anything is there.
test_refused() {
	start_store
	printf '%s\n' 'name="big"' 'type="pvh"' "kernel=\"$probe\"" 'memory=32' 'vcpus=17' >"$work/big.cfg"
	run xl create "$work/big.cfg"
	[ "$status" != 0 ] || fail "too many vCPUs"
	printf '%s\n' 'name="big"' 'type="pv"' "kernel=\"$probe\"" 'memory=32' >"$work/big.cfg"
	run xl create "$work/big.cfg"
	[ "$status" != 0 ] || fail "a PV domain"
	printf '%s\n' 'name="big"' 'type="pvh"' 'kernel="/etc/passwd"' 'memory=32' >"$work/big.cfg"
	run xl create "$work/big.cfg"
	[ "$status" != 0 ] || fail "a kernel that is none"
	no_guests || fail "left: $(guest_names)"
	all_closed
	stop_store
}

# ---- libxenctrl by hand ----

# Domains at every stage of their making, which are stopped, or go with their cell.
test_unfinished() {
	local names
	expect 0 lombard xen "$prober" domains 3 bare
	expect 0 lombard xen "$prober" domains 3 memory
	equal "how many" "$(guest_names | while read -r _; do printf x; done)" xxxxxx
	sound
	# shellcheck disable=SC2046
	expect 0 lombard stop $(guest_names)
	no_guests || fail "left: $(guest_names)"
	closed
	own_cell ended
	expect 0 lombard xen "$prober" domains 2 bare
	expect 0 lombard xen "$prober" domains 2 memory
	end_cell
}

# What is wrong, and which error it is.
test_errors() {
	expect 0 lombard xen "$prober" bad-domains
	says "as they should be" "$out"
	no_guests || fail "left: $(guest_names)"
}

has_shut_down() { [[ $(lombard list) == *shutdown* ]]; }

# Xen's own tests of a domain's grant table as a resource, and of its paging pool.
test_of_resources() {
	need_tools
	expect 0 lombard xen "$tools/test-resource"
	says "Test grant table" "$out"
	[[ $out != *Fail* ]] || fail "it says that it failed"
	no_guests || fail "left: $(guest_names)"
	expect 0 lombard xen "$tools/test-paging-mempool"
	[[ $out != *Fail* ]] || fail "it says that it failed"
	no_guests || fail "left: $(guest_names)"
}

# Unpaused without a state: it runs from where a processor begins, and crashes; nobody else minds.
test_without_state() {
	expect 0 lombard xen "$prober" domains 1 started
	domid=$out
	until_true 10 has_shut_down || fail "$(lombard list)"
	run lombard wait "$domid"
	[ "$status" != 0 ] || fail "status 0"
	expect 0 lombard stop "$domid"
	closed
}

test_processes_killed_while_built() {
	local n
	for ((n = 0; n < 8; n++)); do
		"$bin/lombard" xen "$prober" domains 4 memory >/dev/null 2>&1 &
		pause "0.0$((RANDOM % 10))"
		for pid in $(leftovers "$work/cell"); do
			[ "$pid" = "$cell_pid" ] || [ "$pid" = "$!" ] || kill -KILL "$pid" 2>/dev/null
		done
		wait "$!"
		sound
		stop_guests
	done
	closed
}

host_tests create poweroff crash_is_preserved reboot several_vcpus lends_to_others process_dies refused unfinished \
	errors of_resources without_state processes_killed_while_built
