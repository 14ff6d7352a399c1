#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What Xen's stock libraries and tools are told of a cell, against what Lombard and the kernel say.
. "${BASH_SOURCE[0]%/*}/lib.sh"

xeninfo=$bin/host/xeninfo
xen_bin=/usr/lib/xen-4.17/bin

have_xen() { [ -x "$xen_bin/xenpm" ] || skip "Debian's xen-utils-4.17 is not here"; }

# info WHAT [ARGUMENT...]: what libxenctrl says, in $out.
info() { expect 0 lombard xen "$xeninfo" "$@"; }

# row_of PATTERN TEXT: the first line that looks like this glob pattern.
row_of() {
	local row
	while IFS= read -r row; do
		# shellcheck disable=SC2053
		if [[ $row == $1 ]]; then
			say "$row"
			return
		fi
	done <<<"$2"
}

# domain DOMID: its line of `list` in $line.
domain() {
	info list
	line=$(row_of "domain=$1 *" "$out")
	[ -n "$line" ] || fail "no domain $1 in the list"
}

# vcpu DOMID: its vCPU 0 in $line.
vcpu() {
	info vcpu "$1" 0
	line=$out
}

# state DOMID KEY: this flag is set.
state() {
	domain "$1" >/dev/null
	[ "$(field "$2")" = 1 ]
}

# key_kb FILE KEY: a number of /proc/meminfo or its like.
key_kb() {
	local key value
	while read -r key value _; do
		[ "$key" != "$2:" ] || say "$value"
	done <"$1"
}

# cpus: how many CPUs this shell's kernel has present.
count_cpus() {
	local n=0 dir
	for dir in /sys/devices/system/cpu/cpu[0-9]*; do
		[ ! -d "$dir" ] || n=$((n + 1))
	done
	say "$n"
}

test_host() {
	have_xen
	info host
	line=$(row_of "cpus=*" "$out")
	equal "CPUs" "$(field cpus)" "$(count_cpus)"
	equal "memory" "$(field total_kb)" "$(($(key_kb /proc/meminfo MemTotal) / 4 * 4))"
	[[ $(field free_kb) -gt 0 && $(field free_kb) -le $(field total_kb) ]] || fail "free memory: $line"
	[ "$(field khz)" -gt 100000 ] || fail "the clock: $line"
	equal "scheduler (6 is credit2)" "$(field sched)" 6
	equal "domains in the pool" "$(field pool_domains)" 1
	says "second_pool=ENOENT" "$out"
}

test_list() {
	have_xen
	local a b row pages
	launch a sleep ms=60000
	await "$console" "probe: sleeping"
	a=$domid
	expect 0 lombard run -d -n b -m 12M "$probe" sleep ms=60000
	read -r b _ console <<<"$out"
	await "$console" "probe: sleeping"
	all_sound
	for row in "a $a 8192" "b $b 12288"; do
		read -r name id kb <<<"$row"
		domain "$id"
		equal "vCPUs" "$(field vcpus)" 1
		equal "what it may have" "$(field max_pages)" $((kb / 4))
		pages=$((${stat[guest.$name.owned]} + ${stat[guest.$name.wired]} + ${stat[guest.$name.lent]}))
		equal "frames of $name" "$(field tot_pages)" "$pages"
		equal "hvm" "$(field hvm)" 1
		equal "dying" "$(field dying)" 0
	done
	says "domain=0 " "$out"
	says "domains=3" "$out"
	info host
	says "pool_domains=3" "$out"
	expect 0 lombard stop a
	info list
	says "domains=2" "$out"
	[[ $out != *"domain=$a "* ]] || fail "a is still there"
	stop_guests
}

test_states_and_times() {
	have_xen
	local busy idle before
	launch idle sleep ms=60000
	await "$console" "probe: sleeping"
	idle=$domid
	launch busy spin
	await "$console" "probe: spinning"
	busy=$domid
	until_true 10 state "$busy" running || fail "a guest that spins never runs"
	until_true 10 state "$idle" blocked || fail "a guest that sleeps is never blocked"
	equal "its own handle" "$(field handle | tr -d 0-9a-f)" ""
	vcpu "$busy"
	before=$(field cpu_ns)
	pause 0.5
	vcpu "$busy"
	[ $(($(field cpu_ns) - before)) -gt 50000000 ] || fail "it took $(($(field cpu_ns) - before)) ns only"
	before=$(field cpu_ns)
	domain "$busy"
	[ "$(field cpu_ns)" -ge "$before" ] || fail "the guest took less time than its vCPU"
	vcpu "$idle"
	[ "$(field cpu_ns)" -lt "$before" ] || fail "the guest that sleeps took $(field cpu_ns) ns"
	expect 1 lombard xen "$xeninfo" vcpu "$idle" 1
	says "(22)" "$out"
	expect 1 lombard xen "$xeninfo" vcpu 30000 0
	says "(3)" "$out"
	stop_guests
}

some_guest() { ! no_guests; }

# A host program that uses channels is a guest to Lombard, and none to Xen.
test_programs_are_hidden() {
	have_xen
	local pid
	"$bin/host/chanhost" chan-recv name=hidden create=1 </dev/null >"$work/chanhost" 2>&1 &
	pid=$!
	until_true 10 some_guest || fail "no program came: $(<"$work/chanhost")"
	info list
	says "domains=1" "$out"
	kill "$pid"
	wait "$pid"
	until_true 10 no_guests || fail "the program is still there"
}

test_console() {
	have_xen
	local index
	info dmesg
	says "lombardd 0." "$out"
	launch heard exit status=3
	await_end heard 3
	info dmesg
	says "heard (domain $domid) started: 8192 KiB of memory" "$out"
	says "heard (domain $domid) ended: poweroff, status 3" "$out"
	line=$(row_of "index=*" "$out")
	index=$(field index)
	info keys h
	info dmesg "$index"
	says "key 'q': domains" "$out"
	[[ $out != *"heard"* ]] || fail "it began before $index"
	info dmesg-clear
	says "heard (domain $domid) ended" "$out"
	info dmesg
	equal "lines that are left" "$(row_of "\[*" "$out")" ""
}

# thread PID: the vCPU's thread of this VMM.
thread() {
	local dir comm
	for dir in /proc/"$1"/task/*; do
		read -r comm <"$dir/comm"
		[ "$comm" != vcpu0 ] || say "$dir"
	done
}

# nice DIR: the nice value of a thread: the 16th word behind its name.
nice_of() {
	local row words
	row=$(<"$1/stat")
	read -r -a words <<<"${row##*)}"
	say "${words[16]}"
}

test_scheduling() {
	have_xen
	local dir
	launch bound spin
	await "$console" "probe: spinning"
	dir=$(thread "$vmm_pid")
	info pin "$domid" 0 0
	says "Cpus_allowed_list:	0" "$(row_of 'Cpus_allowed_list:*' "$(<"$dir/status")")"
	vcpu "$domid"
	equal "hard affinity" "$(field hard)" 0x1
	equal "soft affinity" "$(field soft)" 0xff
	expect 1 lombard xen "$xeninfo" pin "$domid" 0 7
	says "xc_vcpu_setaffinity: Invalid argument" "$out"
	info weight "$domid"
	equal "weight at first" "$out" "weight=256 cap=0"
	info weight "$domid" 100
	equal "weight" "$out" "weight=100 cap=0"
	equal "nice value" "$(nice_of "$dir")" 4
	info weight "$domid" 1024
	equal "nice value" "$(nice_of "$dir")" -6
	stop_guests
}

test_configuration() {
	have_xen
	launch conf sleep ms=60000
	info max-mem "$domid" 4096
	info handle "$domid"
	domain "$domid"
	equal "what it may have" "$(field max_pages)" 1024
	equal "its handle" "$(field handle)" abababababababababababababababab
	info mempool "$domid"
	equal "pool at first" "$out" size=1048576
	info mempool "$domid" 2097152
	equal "pool" "$out" size=2097152
	info vcpus "$domid" 1
	expect 1 lombard xen "$xeninfo" vcpus "$domid" 2
	expect 1 lombard xen "$xeninfo" max-mem 0 4096
	says "Operation not permitted" "$out"
	expect 1 lombard xen "$xeninfo" max-mem 30000 4096
	says "No such process" "$out"
	stop_guests
}

# The guest sees what a tool sets, and may do less.
test_hvm_params() {
	have_xen
	# That of a xenstore's page, which a guest of this cell has not.
	launch told hvm-param index=1 value=0xfeffc
	await "$console" "probe: waiting for a parameter"
	info param "$domid" 1
	equal "at first" "$out" value=0
	expect 1 lombard xen "$xeninfo" param "$domid" 99
	says "Invalid argument" "$out"
	info param "$domid" 18 5
	equal "another" "$out" value=0x5
	expect 0 lombard xen "$xeninfo" param "$domid" 1 0xfeffc
	await_end told 0
}

test_policy() {
	local least=30
	have_xen
	# An emulated processor has few.
	[ -z "${TESTBED:-}" ] || least=8
	info policy
	says "leaves=120 msrs=2" "$out"
	line=$(row_of "serialised=*" "$out")
	[ "$(field serialised)" -gt "$least" ] || fail "too few leaves: $out"
	expect 0 lombard xen xen-cpuid -p
	says "Xen reports there are maximum 120 leaves and 2 MSRs" "$out"
	says "PV Max policy not supported by Xen" "$out"
	says "HVM Default policy: " "$out"
}

# xen-cpuid names the bits: those of the kernel's list that mean the same must be among them.
test_cpuid() {
	have_xen
	local flags word
	expect 0 lombard xen xen-cpuid -d
	flags=" $(row_of 'flags*' "$(</proc/cpuinfo)") "
	says "nr_features: 19" "$out"
	out="${out#*Dynamic sets:} "
	out=${out//$'\n'/ }
	for word in fpu sse2 aes avx2 bmi2 smap; do
		[[ $flags != *" $word "* ]] || says " ${word/#aes/aesni} " "$out"
	done
}

test_topology() {
	have_xen
	local cpu n=0 row core
	expect 0 lombard xen xenpm get-cpu-topology
	while read -r cpu core _; do
		[[ $cpu == CPU[0-9]* ]] || continue
		row=$(</sys/devices/system/cpu/cpu"${cpu#CPU}"/topology/core_id)
		equal "core of $cpu" "$core" "$row"
		n=$((n + 1))
	done <<<"$out"
	equal "CPUs" "$n" "$(count_cpus)"
}

test_shutdown() {
	have_xen
	launch victim sleep ms=60000
	await "$console" "probe: sleeping"
	expect 1 lombard xen "$xeninfo" shutdown "$domid" 2
	says "Operation not supported" "$out"
	info shutdown "$domid" 3
	await_end victim 124
	says "victim: crash, status 124" "$out"
	expect 1 lombard xen "$xeninfo" shutdown "$domid" 3
	says "No such process" "$out"
}

has_word() {
	info dmesg >/dev/null
	[[ $out == *"$1"* ]]
}

test_watchdog() {
	have_xen
	info watchdog 1
	equal "the first one" "$out" watchdog=1
	until_true 10 has_word "watchdog 1 of the host was not fed in time" || fail "nobody said so: $out"
}

# Guests come and go while somebody looks: what is listed is whole.
test_churn() {
	have_xen
	local n pid
	(
		for n in 1 2 3 4 5 6; do
			lombard run -m 8M "$probe" hello
			lombard run -m 8M "$probe" exit status=1
		done
	) >"$work/churn" 2>&1 &
	pid=$!
	n=0
	while alive "$pid"; do
		info list >/dev/null
		says "domain=0 " "$out"
		info host >/dev/null
		n=$((n + 1))
	done
	wait "$pid"
	[ "$n" -gt 2 ] || fail "looked $n times only"
	info list
	says "domains=1" "$out"
}

# ---- tools that want a xenstore ----

store_answers() { lombard xen xenstore-exists / 2>/dev/null; }

# start_store: Debian's xenstored for this test, with what xl wants to find there.
start_store() {
	have_xen
	export XENSTORED_RUNDIR=$work/$test_name.store
	mkdir -p "$XENSTORED_RUNDIR"
	lombard xen xenstored -N --pid-file "$XENSTORED_RUNDIR/pid" </dev/null &
	store_pid=$!
	until_true 10 store_answers || fail "no xenstored"
	expect 0 lombard xen xen-init-dom0
}

# It is killed with the test, if that fails; else the cell must not see it any more afterwards.
stop_store() {
	kill "$store_pid"
	wait "$store_pid" || true
}

# launch_named NAME ARGUMENT...: xl knows it by its name.
launch_named() {
	launch "$@"
	expect 0 lombard xen xenstore-write "/local/domain/$domid/name" "$1"
}

# value KEY: of `xl info` and its like, in $out.
value() {
	local row
	row=$(row_of "$1 *" "$out")
	say "${row#*: }"
}

test_xl_info() {
	start_store
	expect 0 lombard xen xl info -n
	equal "CPUs" "$(value nr_cpus)" "$(count_cpus)"
	equal "MiB" "$(value total_memory)" "$(($(key_kb /proc/meminfo MemTotal) / 1024))"
	[ "$(value free_memory)" -le "$(value total_memory)" ] || fail "more free than there is"
	equal "version" "$(value xen_version)" 4.17.lombard
	equal "kinds of guests" "$(value virt_caps)" "hvm hap gnttab-v1"
	equal "scheduler" "$(value xen_scheduler)" credit2
	equal "free CPUs" "$(value free_cpus)" 0
	says "numa_info " "$out"
	equal "complaints" "$err" ""
	stop_store
}

# words ROW: its words in the array w.
words() { read -r -a w <<<"$1"; }

test_xl_list() {
	local busy mib w
	start_store
	expect 0 lombard run -d -n filled -m 64M "$probe" lend-wait pages=4096 tag=77
	read -r domid _ console <<<"$out"
	await "$console" "probe: lent id=*"
	expect 0 lombard xen xenstore-write "/local/domain/$domid/name" filled
	all_sound
	launch_named busy spin
	busy=$domid
	until_true 10 state "$busy" running || fail "it never runs"
	expect 0 lombard xen xl list
	words "$(row_of 'Domain-0 *' "$out")"
	equal "vCPUs of the host" "${w[3]}" "$(count_cpus)"
	words "$(row_of 'filled *' "$out")"
	mib=$(((${stat[guest.filled.owned]} + ${stat[guest.filled.lent]} + ${stat[guest.filled.wired]}) / 256))
	[ "$mib" -ge 16 ] || fail "the guest has $mib MiB only"
	equal "MiB" "${w[2]}" "$mib"
	words "$(row_of 'busy *' "$out")"
	equal "its number" "${w[1]}" "$busy"
	equal "its state" "${w[4]}" r-----
	expect 0 lombard xen xl vcpu-list busy
	words "$(row_of 'busy *' "$out")"
	equal "state of its vCPU" "${w[4]}" r--
	equal "its affinity" "${w[*]:6}" "all / all"
	expect 0 lombard xen xl sharing
	says "filled " "$out"
	expect 0 lombard xen xl list -n
	equal "complaints" "$err" ""
	stop_guests
	expect 0 lombard xen xl list
	equal "who is left" "$(row_of 'filled *' "$out")$(row_of 'busy *' "$out")" ""
	stop_store
}

test_xl_console() {
	start_store
	launch_named spoken sleep ms=60000
	await "$console" "probe: sleeping"
	expect 0 lombard xen xl debug-keys q
	expect 0 lombard xen xl dmesg -c
	says "spoken (domain $domid) started" "$out"
	says "domain $domid (spoken): " "$out"
	expect 0 lombard xen xl dmesg
	equal "what is left" "$out" ""
	stop_guests
	stop_store
}

has_line_of() { [[ -f $1 && $(<"$1") == *"$2"* ]]; }

# Another guest each time: it may have been here before the log was followed.
is_logged() {
	run_probe 0 hello
	pause 0.3
	has_line_of "$work/hv-log/hypervisor.log" "ended: poweroff, status 0"
}

# xenconsoled is told of new lines by an event.
test_hypervisor_log() {
	local pid
	start_store
	mkdir "$work/hv-log"
	lombard xen xenconsoled -i --log=hv --log-dir="$work/hv-log" --pid-file="$work/hv-log/pid" &
	pid=$!
	until_true 10 test -f "$work/hv-log/hypervisor.log" || fail "no log"
	until_true 10 is_logged || fail "the end is not there: $(<"$work/hv-log/hypervisor.log")"
	kill "$pid"
	wait "$pid" || true
	stop_store
}

test_xl_scheduling() {
	local dir w
	start_store
	launch_named bound spin
	dir=$(thread "$vmm_pid")
	expect 0 lombard xen xl cpupool-list
	words "$(row_of 'Pool-0 *' "$out")"
	equal "the pool" "${w[*]:1}" "$(count_cpus) credit2 y 2"
	expect 0 lombard xen xl vcpu-pin bound 0 0
	says "Cpus_allowed_list:	0" "$(row_of 'Cpus_allowed_list:*' "$(<"$dir/status")")"
	expect 0 lombard xen xl vcpu-list bound
	words "$(row_of 'bound *' "$out")"
	equal "its affinity" "${w[*]:6}" "0 / all"
	expect 0 lombard xen xl sched-credit2 -d bound -w 512
	equal "nice value" "$(nice_of "$dir")" -3
	expect 0 lombard xen xl sched-credit2 -d bound
	words "$(row_of 'bound *' "$out")"
	equal "weight and cap" "${w[*]:2}" "512 0"
	stop_guests
	stop_store
}

# Two looks, a second apart: the second one has what happened between them.
test_xentop() {
	local w rows
	start_store
	launch_named loud spin
	await "$console" "probe: spinning"
	launch_named quiet sleep ms=60000
	await "$console" "probe: sleeping"
	all_sound
	expect 0 lombard xen xentop -b -i 2 -d 1
	rows=${out#*loud}
	rows="loud${rows#*loud}"
	words "$(row_of 'loud *' "$rows")"
	equal "state" "${w[1]}" -----r
	[ "${w[3]%.*}" -ge 1 ] || fail "it took ${w[3]}% of a CPU only: $rows"
	words "${rows##*$'\n'}"
	equal "the last row" "${w[0]} ${w[1]}" "quiet --b---"
	equal "KiB" "${w[4]}" $(((${stat[guest.quiet.owned]} + ${stat[guest.quiet.wired]}) * 4))
	equal "KiB at most" "${w[6]}" 8192
	stop_guests
	stop_store
}

host_tests host list states_and_times programs_are_hidden console scheduling configuration \
	hvm_params policy cpuid topology shutdown watchdog churn xl_info xl_list xl_console hypervisor_log \
	xl_scheduling xentop
