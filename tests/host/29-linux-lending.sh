#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs in Linux guests that lend and borrow (linuxloan.c), and the examples of channels there: with themselves,
# with another Linux guest, with small guests and with programs of the host.
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

limit=480
patience=300 # seconds, until a Linux guest has booted
examples=$bin/examples

# options COMMANDS: of a guest that runs A,B+C,D (A B && C D).
options() { linux_options "xen_privcmd.unrestricted=1 do=run,$1"; }

# boot NAME COMMANDS: in the background; its console is in `console`.
boot() {
	local arguments
	mapfile -t arguments < <(options "$2")
	expect 0 lombard run -d -n "$1" "${arguments[@]}"
	read -r domid _ console <<<"$out"
}

# finished NAME CONSOLE: all of it went well.
finished() {
	await_end "$1" 0
	grep -aq 'all of it: status 0' "$2" || fail "$1: $(tail -n 5 "$2")"
}

# hash_of TEXT: the last one that an example has said there.
hash_of() {
	local rest=${1##*xxh64=}
	[ "$rest" != "$1" ] || fail "no hash in '$1'"
	printf '%s' "${rest:0:16}"
}

# same WHAT TEXT WORDS FILE: the line of the guest's console that begins with WORDS says the same hash as TEXT.
same() {
	local line
	until_true 60 grep -aq "$3" "$4" || fail "no line '$3' for $1"
	line=$(grep -a "$3" "$4" | tr -d '\r')
	equal "hash of $1" "$(hash_of "$line")" "$(hash_of "$2")"
}

# What is lent in whole pages is read in place, and stays as it was.
test_two_guests() {
	local arguments first second
	need_linux
	boot first "linuxloan,lend,5,1500+tell,line,count=20,bytes=1500000,lend=4096+hear,back,patience=$patience"
	first=$console
	mapfile -t arguments < <(options "linuxloan,borrow,5+hear,line,patience=$patience+tell,back")
	expect 0 lombard run "${arguments[@]}"
	second=$out
	says 'all of it: status 0' "$second"
	says 'borrowed 1500 pages' "$second"
	says 'messages=20 bytes=30000000' "$second"
	finished first "$first"
	grep -aq 'lent=20 copied=0' "$first" || fail "the messages were not lent"
	same line "$(grep -a 'hear:' <<<"$second")" tell: "$first"
	same back "$(grep -a 'tell:' <<<"$second")" hear: "$first"
}

# What one Linux guest does for test_one_guest, in this order.
commands=(
	'linuxloan,self'
	'linuxloan,lend,10,64'
	'linuxloan,borrow,20,1500'
	'linuxloan,write,30'
	'linuxloan,killed,40'
	'tell,a,count=10'
	"hear,b,patience=$patience"
	'tell,c,count=30'
	"hear,d,patience=$patience"
	'!,timeout,-s,KILL,4,tell,e,count=100000000'
	'rmmod,xen_privcmd'
	'insmod,/modules/xen-privcmd.ko'
	'linuxloan,restricted'
)

# lends WHAT ARGUMENT...: a small guest does until the Linux guest has done WHAT with it.
lends() {
	local what=$1
	shift
	launch lender lend-wait "$@"
	await "$linux_console" "*linuxloan: $what: ok*" 60
	expect 0 lombard stop lender
	await_end lender 126
}

# With itself, small guests and programs of the host; a program that is killed, whose system closes its ports, and
# so its channel for the other side; and privcmd without the parameter.
test_one_guest() {
	local linux_console listener all
	need_linux
	printf -v all '+%s' "${commands[@]}"
	boot mixed "${all#+}"
	linux_console=$console
	"$examples/hear" e patience=$patience >"$work/e.out" 2>&1 </dev/null &
	listener=$!

	await "$linux_console" '*linuxloan: self: ok*' 240
	expect 0 lombard run -m 8M "$probe" borrow-verify tag=10 seconds=2
	says 'verified' "$out"
	lends borrow tag=20 pages=64 write=1 pause=1
	lends write tag=30 pages=16 kind=2
	lends killed tag=40 pages=16
	expect 0 lombard run -m 32M "$guests/hear.elf" a
	same 'a, to a small guest' "$out" 'tell: messages=10 ' "$linux_console"
	expect 0 lombard run -m 32M "$guests/tell.elf" b count=20
	same 'b, from a small guest' "$out" 'hear: messages=20 ' "$linux_console"
	expect 0 "$examples/hear" c
	same 'c, to the host' "$out" 'tell: messages=30 ' "$linux_console"
	expect 0 "$examples/tell" d count=40
	same 'd, from the host' "$out" 'hear: messages=40 ' "$linux_console"
	wait "$listener" || fail "who heard a program that was killed: status $?"
	says 'hear: messages=' "$(<"$work/e.out")"
	finished mixed "$linux_console"
	grep -aq 'linuxloan: restricted: ok' "$linux_console" || fail "privcmd was not restricted"
}

host_tests two_guests one_guest
