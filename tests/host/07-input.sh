#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Input that is wrong: images, names, sizes, packets, descriptors; and two cells at one place.
. "${BASH_SOURCE[0]%/*}/lib.sh"

# ---- images, made from a good one ----

# le BYTES NUMBER: little-endian, as printf escapes.
le() {
	local n=$2 i
	for ((i = 0; i < $1; i++)); do
		printf '\\x%02x' $((n & 255))
		n=$((n >> 8))
	done
}

# patch OFFSET BYTES NUMBER: in $work/bad.elf.
patch() {
	# shellcheck disable=SC2059
	printf "$(le "$2" "$3")" | dd of="$work/bad.elf" bs=1 seek="$1" conv=notrunc 2>/dev/null
}

good_image() { cp "$probe" "$work/bad.elf"; }

# number OFFSET BYTES: of the good image.
number() {
	local byte n=0 i
	for ((i = $2 - 1; i >= 0; i--)); do
		LC_ALL=C IFS= read -r -d '' -n 1 byte < <(dd if="$probe" bs=1 skip=$(($1 + i)) count=1 2>/dev/null)
		n=$((n << 8 | $(printf '%d' "'$byte") & 255))
	done
	printf '%d' "$n"
}

# Program header N of the image: where it begins.  (64-bit ELF, headers after the file header.)
phdr() { printf '%d' $((64 + 56 * $1)); }

# find_phdr TYPE: the number of the first one of that type.
find_phdr() {
	local i
	for ((i = 0; i < $(number 56 2); i++)); do
		[ "$(number "$(phdr "$i")" 4)" != "$1" ] || break
	done
	printf '%d' "$i"
}

# refused [TEXT]: the image is refused with a sentence, and the cell does not mind.
refused() {
	run lombard run -m 8M "$work/bad.elf" hello
	equal "status of lombard run" "$status" 1
	says "${1:-bad.elf}" "$err"
	run_probe 0 hello
}

test_truncated_image() {
	local len
	for len in 0 1 3 4 16 52 63 64 100 120 200 4095 4096 20000; do
		head -c "$len" "$probe" >"$work/bad.elf"
		refused "can't be loaded"
	done
}

test_not_elf() {
	printf 'GARBAGE GARBAGE GARBAGE' >"$work/bad.elf"
	refused "not an ELF file"
	head -c 100000 /dev/zero >"$work/bad.elf"
	refused "not an ELF file"
	cp "${BASH_SOURCE[0]}" "$work/bad.elf"
	refused "not an ELF file"
}

test_wrong_machine() {
	good_image
	patch 18 2 183 # EM_AARCH64
	refused "another processor"
	good_image
	patch 16 2 1 # ET_REL
	refused "not an executable one"
	good_image
	patch 5 1 2 # big-endian
	refused
}

test_no_note() {
	good_image
	patch "$(phdr "$(find_phdr 4)")" 4 0
	refused "no Xen note PHYS32_ENTRY"
	expect 1 lombard run "$bin/lombard"
	says "lombard: cannot run" "$err"
}

test_wild_note() {
	local note
	note=$(phdr "$(find_phdr 4)")
	good_image
	patch $((note + 32)) 8 $((1 << 40))
	refused "note segment"
	good_image
	patch $((note + 8)) 8 $((1 << 62))
	refused "note segment"
	good_image
	patch $((note + 32)) 8 7
	refused
}

test_program_headers() {
	good_image
	patch 56 2 0
	refused "no program headers"
	good_image
	patch 56 2 65534
	refused
	good_image
	patch 32 8 $((1 << 62))
	refused
	good_image
	patch 32 8 -1
	refused
}

# bad_segment FIELD-OFFSET NUMBER [TEXT]: the one that holds the code.
bad_segment() {
	local load
	load=$(phdr $(($(find_phdr 1) + 1)))
	good_image
	patch $((load + $1)) 8 "$2"
	refused "${3:-}"
}

test_segments() {
	local n
	for n in $((1 << 31)) $((1 << 32)) $((1 << 40)) $((1 << 62)) -1 -4096; do
		bad_segment 8 "$n" "longer than the file" # offset
		bad_segment 24 "$n"                       # address
		bad_segment 32 "$n" "longer than the file" # bytes in the file
		bad_segment 40 "$n"                       # bytes in memory
	done
	bad_segment 24 $((8 * 1048576 - 4096)) "give it more" # over the end of RAM
	bad_segment 40 1 "own memory"
}

# Overlapping segments are loaded in their order; the guest that they make is its own affair.
test_overlapping_segments() {
	local load
	good_image
	load=$(phdr "$(find_phdr 1)")
	patch $((load + 56 + 24)) 8 "$(number $((load + 24)) 8)"
	run timeout 20 "$bin/lombard" run -m 8M "$work/bad.elf" hello
	[ "$status" != 0 ] || says "probe: hello: ok" "$out"
	run_probe 0 hello
}

test_image_too_large() { expect 1 lombard run -m 2M "$guests/counter.elf"; }

test_image_kinds() {
	mkdir "$work/bad.elf"
	run lombard run "$work/bad.elf"
	equal "status for a directory" "$status" 1
	run lombard run /dev/zero
	equal "status for a device" "$status" 1
	says "not a regular file" "$err"
	run lombard run "$work/nowhere"
	equal "status for nothing" "$status" 1
	says "No such file" "$err"
	rm -r "$work/bad.elf"
}

# ---- what the command refuses, and what the cell refuses ----

test_names() {
	local name
	# The last three would be taken for something else where a guest is named.
	for name in 'with blank' 'sla/sh' '../../up' .hidden -dash $'new\nline' $'\x80\xff' \
		abcdefghijklmnopqrstuvwxyzabcdef 5 any host; do
		run lombard run -d "--name=$name" -m 8M "$probe" hello
		equal "status for the name '$name'" "$status" 1
		[ -n "$err" ] || fail "nothing is said about the name '$name'"
	done
	launch abcdefghijklmnopqrstuvwxyzabcde sleep ms=60000
	run lombard run -d -n abcdefghijklmnopqrstuvwxyzabcde -m 8M "$probe" hello
	equal "status for a name twice" "$status" 1
	says "choose another name" "$err"
	expect 0 lombard run -d -n 5th -m 8M "$probe" sleep ms=60000
	stop_guests
}

test_sizes() {
	local size
	for size in 0 1 4095 4097 -1 x 8MB 1e9 18446744073709551616; do
		expect 2 lombard run "--memory=$size" "$probe" hello
		expect 2 lombard run "--windows=$size" "$probe" hello
	done
	for size in 4K 1M 65540M 1024G 9223372036854771712; do
		expect 1 lombard run -m "$size" "$probe" hello
		says "a guest can have 2 MiB to 64 GiB" "$err"
	done
	for size in 65G 1024G 9223372036854771712; do
		expect 1 lombard run -m 8M -w "$size" "$probe" hello
		says "window area" "$err"
	done
}

test_long_command_line() {
	local words
	words=$(le 600 1)
	run lombard run -m 8M "$probe" hello "$words"
	equal "status" "$status" 1
	says "less than" "$err"
	run_probe 0 hello "${words:0:1900}"
}

# ---- packets ----

# raw STEP...: of rawclient.
raw() {
	run "$bin/host/rawclient" "$LOMBARD_SOCKET" "$@"
	equal "status of rawclient" "$status" 0
}

# no REQUEST TEXT: answered with an error that says so.
no() {
	raw send "$1" recv
	says '"ok":false' "${out// /}"
	says "$2" "$out"
}

# Who does not speak JSON is hung up on.
test_garbage() {
	local text
	for text in x '{' '[]' '"text"' 17 null '{"op": "list"} x' '{"op": "list", "op": "list"}' \
		$'{"op": "\xff\xfe"}' '{"op": "a\u0000b"}' $'\x01\x02\x03' '{"op": "list"'; do
		raw send "$text" recv
		equal "the answer to $text" "$out" end
	done
	answers || fail "the cell is gone"
}

test_unknown_operations() {
	local text
	no '{}' 'no such operation'
	no '{"op": "fly"}' 'no such operation'
	no '{"op": 17}' 'no such operation'
	no '{"op": ["list"]}' 'no such operation'
	no '{"op": ""}' 'no such operation'
	# What libxenctrl does has no other way.
	for text in stop pause unpause; do
		no "{\"op\": \"$text\", \"guest\": 1}" 'no such operation'
	done
}

test_wrong_fields() {
	local guest
	for guest in 32000 -1 0 65537 4294967297 9223372036854775807 1.5 '"nobody"' '""' null '[]' '{}' true; do
		no "{\"op\": \"dismiss\", \"guest\": $guest}" 'no such guest'
		no "{\"op\": \"list\", \"guest\": $guest}" 'no such guest'
		no "{\"op\": \"wait\", \"guest\": $guest}" 'no such guest'
		no "{\"op\": \"lend\", \"from\": $guest, \"to\": 0, \"gfn\": 0, \"pages\": 1}" ''
	done
	no '{"op": "dismiss"}' 'no such guest'
	no '{"op": "return"}' 'no loan 0'
	no '{"op": "return", "id": -1}' 'whole number'
	no '{"op": "return", "id": "x"}' 'whole number'
	no '{"op": "return", "id": 9223372036854775807}' 'no loan'
	no '{"op": "map"}' 'no such loan'
	no '{"op": "map", "id": 7777777, "first": 0, "pages": 1}' 'no such loan'
	no '{"op": "lend", "to": "any"}' 'one open file'
	no '{"op": "lend", "to": "any", "kind": "gift"}' '"page'
	no '{"op": "run", "memory": -4096}' 'whole number'
	no '{"op": "run", "memory": 8388608.0}' 'whole number'
	no '{"op": "run", "memory": 9223372036854775807}' 'multiples'
	no '{"op": "run", "vcpus": 17}' 'vCPUs'
	no '{"op": "run", "name": 5}' 'text'
}

# Guests are Xen's domains: only host programs are turned out by the cell.
test_dismiss_is_for_programs() {
	launch resident sleep ms=60000
	no '{"op": "dismiss", "guest": "resident"}' 'resident is no host program'
	no "{\"op\": \"dismiss\", \"guest\": $domid}" 'xc_domain_destroy'
	equal "who lives" "$(guest_names)" resident
	expect 0 lombard stop resident
	no '{"op": "dismiss", "guest": "resident"}' 'resident is no host program'
}

# One guest, and its words, when it has ended, too.
test_list_of_one() {
	launch other sleep ms=60000
	launch single sleep ms=60000
	raw send '{"op": "list", "guest": "single"}' recv
	says "\"domid\":$domid," "${out// /}"
	says '"ended":false' "${out// /}"
	[[ $out != *other* ]] || fail "others are in it: $out"
	expect 0 lombard stop single other
	raw send "{\"op\": \"list\", \"guest\": $domid}" recv
	says '"name":"single"' "${out// /}"
	says '"ended":true' "${out// /}"
	says '"pid":0' "${out// /}"
}

test_lend_ranges() {
	local pages gfn
	launch ranges sleep ms=60000
	for gfn in 2048 1048576 4503599627370495 9223372036854775807; do
		for pages in 0 1 1048577 4294967296 4294967297 2305843009213693953 9223372036854775807; do
			no "{\"op\": \"lend\", \"from\": \"ranges\", \"to\": \"any\", \"gfn\": $gfn, \"pages\": $pages}" ''
			sound
		done
	done
	no '{"op": "lend", "from": "ranges", "to": "ranges", "gfn": 0, "pages": 1}' ''
	expect 0 lombard stop ranges
}

test_wrong_descriptors() {
	local run='{"op": "run", "memory": 8388608}'
	no "$run" 'wants the image'
	raw fd "$probe" send "$run" recv
	says 'wants the image' "$out"
	raw fd "$probe" fd "$probe" fd "$probe" fd "$probe" send "$run" recv
	says 'wants the image' "$out"
	raw fd "$probe" fd "$probe" fd "$probe" fd "$probe" fd "$probe" send "$run" recv
	equal "the answer to too many descriptors" "$out" end
	raw socket fd /dev/null fd /dev/null send "$run" recv
	says '"ok":false' "${out// /}"
	raw fd /dev/null fd /dev/null fd /dev/null send "$run" recv
	says 'not a regular file' "$out"
	raw socket send '{"op": "lend", "to": "any"}' recv
	says 'only a regular file' "$out"
	raw fd /dev/null send '{"op": "list"}' recv
	says '"ok":true' "${out// /}"
}

# A console that can't be written to is no reason to stop a guest.
test_wrong_console() {
	raw fd "$probe" fd /dev/null fd /dev/null send '{"op": "run", "memory": 8388608, "cmdline": "hello x"}' \
		recv recv
	says '"reason":"poweroff"' "${out// /}"
}

test_huge_packets() {
	local n
	for n in 65535 65536 65537 1000000 3000000; do
		raw bytes "$n" recv
		equal "the answer to $n bytes" "$out" end
	done
}

test_silent_client() {
	local client
	"$bin/host/rawclient" "$LOMBARD_SOCKET" say there sleep 30000 >"$work/silent" &
	client=$!
	await "$work/silent" there
	run_probe 0 hello
	sound
	kill -KILL "$client"
}

# Half a request is none, and a client that never reads does not stop the others.
test_deaf_client() {
	local n steps=()
	for ((n = 0; n < 200; n++)); do
		steps+=(send '{"op": "stats"}')
	done
	timeout 5 "$bin/host/rawclient" "$LOMBARD_SOCKET" "${steps[@]}" >"$work/deaf"
	run_probe 0 hello
	sound
}

has_fds_below() { [ "$(fds "$cell_pid")" -lt "$1" ]; }

# More than the cell serves: the others get in again when they are gone.
test_many_connections() {
	local client before
	before=$(fds "$cell_pid")
	"$bin/host/rawclient" "$LOMBARD_SOCKET" more 1000 say there sleep 60000 >"$work/many" &
	client=$!
	await "$work/many" there
	run_probe 0 hello
	run timeout 20 "$bin/host/rawclient" "$LOMBARD_SOCKET" more 100 sleep 200
	kill -KILL "$client"
	until_true 20 has_fds_below $((before + 10)) || fail "connections are left"
	run_probe 0 hello
}

# ticks_of PID: the processor time it has used, in hundredths of a second.
ticks_of() {
	local stat fields
	stat=$(<"/proc/$1/stat")
	read -r -a fields <<<"${stat##*) }"
	printf '%d' $((fields[11] + fields[12]))
}

# Bug: with a client at the door and no descriptor left for it, the cell used a processor up.
test_no_descriptor_left() {
	local client clients=() before ticks
	ulimit -n 40
	own_cell few
	# Two, because they are as short of descriptors.
	for client in 1 2; do
		"$bin/host/rawclient" "$LOMBARD_SOCKET" more 30 say there sleep 60000 >"$work/few.$client" &
		clients+=($!)
		await "$work/few.$client" there
	done
	pause 0.5
	[ "$(fds "$cell_pid")" -ge 40 ] || fail "the cell has descriptors left: $(fds "$cell_pid")"
	before=$(ticks_of "$cell_pid")
	pause 3
	ticks=$(($(ticks_of "$cell_pid") - before))
	[ "$ticks" -le 8 ] || fail "$ticks ticks in 3 seconds"
	kill -KILL "${clients[@]}"
	until_true 10 answers || fail "nobody is let in any more"
	run_probe 0 hello
	end_cell
}

# ---- where the cell is ----

test_second_cell() {
	run "$bin/lombardd"
	[ "$status" != 0 ] || fail "two cells at one socket"
	says "another cell runs at $LOMBARD_SOCKET" "$err"
	answers || fail "the first cell is gone"
	expect 0 lombard start
	says "pid $cell_pid" "$out"
}

test_stale_socket() {
	own_cell stale
	kill -KILL "$cell_pid"
	wait "$cell_pid" 2>/dev/null
	[ -S "$LOMBARD_SOCKET" ] || fail "no stale socket to test with"
	expect 1 lombard list
	says "no cell is running there" "$err"
	"$bin/lombardd" >>"$cell_log" 2>&1 &
	cell_pid=$!
	until_true 10 answers || fail "no cell over a stale socket"
	run_probe 0 hello
	end_cell
}

test_bad_socket_paths() {
	local long
	long=/tmp/$(le 40 1)
	run "$bin/lombardd" --socket "$long"
	equal "status for a long path" "$status" 1
	says "too long" "$err"
	run "$bin/lombardd" --socket "$work/no/such/dir/cell.sock"
	equal "status for no directory" "$status" 1
	run "$bin/lombardd" --socket /proc/cell.sock
	equal "status for /proc" "$status" 1
	expect 1 lombard --socket "$long" list
	says "at most 107 bytes" "$err"
	expect 1 lombard --socket "$probe" list
	expect 2 lombard --socket '' list
}

# ---- who may use the cell ----

# need_others: processes that are not root's, with one group.
need_others() {
	[ "$EUID" = 0 ] || skip "only root can be somebody else"
	setpriv --reuid=nobody --regid=games --clear-groups true 2>/dev/null ||
		skip "no setpriv (util-linux), or no user nobody, or no group games"
	# Behind the sockets' own permissions nothing is hidden but by this.
	chmod 711 "$work"
}

# as_member GROUP COMMAND...: somebody who is in that group only.  An answer has no file to go to.
as_member() { setpriv --reuid=nobody --regid="$1" --clear-groups env -u ASAN_OPTIONS -u UBSAN_OPTIONS "${@:2}"; }

test_group() {
	need_others
	expect 2 "$bin/lombardd" --group no-such-group
	says 'no group named no-such-group' "$err"
	expect 2 lombard start --group no-such-group
	export LOMBARD_SOCKET=$work/group.cell/cell.sock
	"$bin/lombardd" --group games </dev/null >>"$host_logs/group.cell" 2>&1 &
	cell_pid=$!
	until_true 10 answers || fail "no cell: $(<"$host_logs/group.cell")"
	expect 0 as_member games "$bin/lombard" list
	expect 1 as_member daemon "$bin/lombard" list
	says 'join the group that owns the socket' "$err"
	launch seen hello
	await_end seen 0
	expect 0 as_member games cat "$console"
	expect 1 as_member daemon cat "$console"
	expect 0 lombard start --group games
	expect 1 lombard start --group daemon
	says 'does not belong to the group daemon' "$err"
	cell_stop || fail "the cell did not end well"
}

# Who is not root can have a cell of his own, but not for a group that he is not in.
test_group_of_others() {
	need_others
	mkdir "$work/nobodys"
	chown nobody "$work/nobodys"
	run as_member games "$bin/lombardd" --socket "$work/nobodys/cell.sock" --group daemon
	equal status "$status" 1
	says 'Operation not permitted' "$err"
	[ -z "$(ls "$work/nobodys")" ] || fail "left: $(ls "$work/nobodys")"
}

test_group_of_the_store() {
	local tools=(/usr/lib/xen-[0-9]*/bin)
	need_others
	[ -d "${tools[0]}" ] || skip "Xen's tools are not here (xen-utils-4.17)"
	mkdir "$work/stored"
	chmod 711 "$work/stored"
	export LOMBARD_SOCKET=$work/stored/cell.sock
	expect 0 lombard start --xenstore --group games
	expect 0 as_member games "$bin/lombard" xen xenstore-read /local/domain/0/domid
	run as_member daemon "$bin/lombard" xen xenstore-read /local/domain/0/domid
	[ "$status" != 0 ] || fail "the store is open to others"
	expect 0 lombard shutdown
}

# Started by hand, the VMM tells that this is not how.
test_vmm_by_hand() {
	run "$bin/lombard-vmm"
	equal "status" "$status" 2
	says "lombard run" "$err"
}

host_tests truncated_image not_elf wrong_machine no_note wild_note program_headers segments \
	overlapping_segments image_too_large image_kinds names sizes long_command_line garbage \
	unknown_operations wrong_fields dismiss_is_for_programs list_of_one lend_ranges wrong_descriptors wrong_console huge_packets \
	silent_client deaf_client many_connections no_descriptor_left second_cell stale_socket bad_socket_paths \
	vmm_by_hand group group_of_others group_of_the_store
