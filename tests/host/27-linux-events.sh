#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Linux guests that share pages and send events, by the devices that Linux has for it (linuxxen.c).
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

limit=480

# options WORDS: of a guest that runs linuxxen with them, separated by commas.
options() { linux_options "do=xen,$1"; }

# runs WORDS [OPTION...]: all of it goes well.
runs() {
	local arguments
	mapfile -t arguments < <(options "$1")
	shift
	expect 0 lombard run "${arguments[@]}" "$@"
	says 'linuxxen: ok' "$out"
}

# The largest vector registers that a guest should have here.
vectors() {
	local flags
	read_flags
	case $linux_words$flags in
	*noxsave*) echo xmm ;;
	*' avx512f '*) echo zmm ;;
	*' avx '*) echo ymm ;;
	*) echo xmm ;;
	esac
}

# Hypercalls that Linux tries though they are not there, as FIFO event channels, are counted.
test_alone() {
	need_linux
	runs self --name counted
	says 'guest: init at' "$out"
	says 'hypervisor xen PVH' "$out"
	says 'linuxxen: grants: 200 maps' "$out"
	says 'linuxxen: events: 200 rounds' "$out"
	says "linuxsimd: $(vectors) registers are kept" "$out"
	take_stats || fail "$findings"
	[ "${stat[guest.counted.count]}" -ge 1 ] || fail "no unknown hypercall was counted"
	[ "${stat[guest.counted.count]}" -le 20 ] || fail "${stat[guest.counted.count]} unknown hypercalls"
}

test_alone_on_two_cpus() {
	need_linux
	runs self --vcpus 2
}

test_two_guests() {
	local arguments console domid port ref
	need_linux
	mapfile -t arguments < <(options offer)
	expect 0 lombard run -d -n offerer "${arguments[@]}"
	read -r domid _ console <<<"$out"
	await "$console" '*linuxxen: offers *' 240
	read -r _ _ ref port < <(grep -o 'offers.*' "$console" | tr -d '\r')
	runs "take,$domid,$ref,$port"
	says 'linuxxen: took 200 events' "$out"
	await_end offerer 0
	grep -q 'the other has answered' "$console" || fail "the offerer has seen nothing: $(tail -n 5 "$console")"
}

host_tests alone alone_on_two_cpus two_guests
