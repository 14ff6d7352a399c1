#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A whole Debian as guest, from its disk: a login, programs that apt has installed, a clean file system after it
# was switched off.  tests/testbed/debian.sh makes it; run.sh --with-debian puts it where this looks.
#
# HOST_DEBIAN is a directory with vmlinuz and initrd (debian/ beside tests/ if absent), HOST_DEBIAN_DISK
# the disk that goes with them (/dev/vda).
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/store.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

limit=300
debian=${HOST_DEBIAN:-$host_root/debian}
disk=${HOST_DEBIAN_DISK:-/dev/vda}

need_debian() {
	[ -r "$debian/vmlinuz" ] || skip "there is no Debian here (tests/testbed/debian.sh makes one)"
	[ -r "$disk" ] || skip "$disk, the Debian's disk, is not here"
}

typing= # descriptor: what is written there is typed at the guest's console
screen= # file with what it shows
seen=0  # lines of it that were looked at

# open_console GUEST
open_console() {
	screen=$work/$test_name/screen
	mkfifo "$work/$test_name/keys"
	"$bin/lombard" console "$1" <"$work/$test_name/keys" >"$screen" 2>&1 &
	exec {typing}>"$work/$test_name/keys"
}

# Something that looks like this has come since the last such call; prompts end without a line's end.
shown() {
	local text
	# The guest may have to share the only processor with this.
	pause 1
	text=$(tr -d '\r\0' <"$screen" | tail -c +$((seen + 1)))
	# shellcheck disable=SC2053
	[[ $text == *$1* ]]
}

# await_screen PATTERN [SECONDS]
await_screen() {
	until_true "${2:-20}" shown "$1" || fail "the console does not show '$1': $(tail -c 2000 "$screen")"
	seen=$(tr -d '\r\0' <"$screen" | wc -c)
}

# type_in COMMAND: and wait until it is done; its words are in $out.
typed=0
type_in() {
	local before
	typed=$((typed + 1))
	before=$(tr -d '\r\0' <"$screen" | wc -c)
	# The echo shows the words with quotes, so only the answer has them without.
	printf '%s; echo "do""ne" %d $?\n' "$1" "$typed" >&"$typing"
	await_screen "done $typed [0-9]" 60
	out=$(tr -d '\r\0' <"$screen" | tail -c +$((before + 1)))
	say "$out"
}

test_boots_to_a_login() {
	need_debian
	store_cell
	expect 0 lombard run -d -n debian --kernel "$debian/vmlinuz" --initrd "$debian/initrd" --disk "$disk" \
		--append "root=/dev/xvda ro $linux_words quiet" --mem 320M --vcpus 1
	open_console debian
	await_screen 'lombard login:' 240
	printf 'root\n' >&"$typing"
	await_screen 'root@lombard:' 60
	# shellcheck disable=SC2016 # the guest expands them
	type_in 'echo hypervisor $(cat /sys/hypervisor/type) root $(findmnt -no SOURCE,OPTIONS /)'
	says 'hypervisor xen root /dev/xvda rw' "$out"
	type_in 'dpkg -s xxhash | grep Status; seq 100000 >/root/numbers; xxhsum -H64 /root/numbers'
	says 'Status: install ok installed' "$out"
	says "$(seq 100000 | xxhsum -H64 | cut -c 1-16)  /root/numbers" "$out"
	printf 'poweroff\n' >&"$typing"
	await_end debian 0
	exec {typing}>&-
	until_true 10 no_disk_nodes || fail "the disk is still in use"
	expect 0 e2fsck -fn "$disk"
	store_end
}

host_tests boots_to_a_login
