#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What `make install` puts down works from there: commands, guests, man pages, and the channel library
# with the programs of its man page, built as a user would.
. "${BASH_SOURCE[0]%/*}/lib.sh"

limit=300
prefix=/usr/local
variant=${host_build##*/} # release, asan-clang, ...

# tree: an installation, made once for all tests of this file.
tree() {
	local compiler=gcc word
	for word in make pkg-config gcc; do
		command -v $word >/dev/null || skip "there is no $word"
	done
	stage=$work/stage
	[ ! -e "$stage" ] || return 0
	[[ $variant != *-* ]] || compiler=${variant#*-}
	# Paths as make itself has them: it writes them into what it knows of dependencies.
	expect 0 make -C "$host_root" "VARIANT=${variant%%-*}" "CC=$compiler" "B=${host_build#"$host_root"/}" \
		"GUEST_B=${guests#"$host_root"/}" install "DESTDIR=$stage" "PREFIX=$prefix"
}

# There are no other files than these, and a page for each command.
test_files() {
	local file have want command
	tree
	have=$(cd "$stage$prefix" && printf '%s\n' bin/* include/* include/lombard/* lib/* lib/pkgconfig/*)
	want="bin/lombard
bin/lombard-blk
bin/lombard-vmm
bin/lombardd
include/lombard
include/lombard-chan.h
include/lombard-loan.h
include/lombard/chan.h
include/lombard/loan.h
lib/liblombard-chan.a
lib/liblombard-chan.so
lib/liblombard-chan.so.0
lib/liblombard-chan.so.0.1
lib/lombard
lib/pkgconfig
lib/pkgconfig/lombard-chan.pc"
	equal "what is installed" "$have" "$want"
	for file in "$guests"/*.elf; do
		[ -r "$stage$prefix/lib/lombard/guests/${file##*/}" ] || fail "no guest ${file##*/}"
	done
	for file in libxencall.so.1 libxenevtchn.so.1 libxenforeignmemory.so.1 libxengnttab.so.1 liblombard-xenpaths.so; do
		[ -x "$stage$prefix/lib/lombard/xen/$file" ] || fail "no $file"
	done
	for command in run list stop wait lend loans return dump stats start shutdown pipe xen; do
		[ -r "$stage$prefix/share/man/man1/lombard-$command.1" ] || fail "no page of $command"
	done
	[ -r "$stage$prefix/share/man/man3/lombard-chan.3" ] || fail "no page of the library"
	for command in lombardd lombard-blk; do
		[ -r "$stage$prefix/share/man/man8/$command.8" ] || fail "no page of $command"
	done
}

# The libraries for Xen's tools are found where they were installed.
test_xen() {
	tree
	unset LOMBARD_XEN_LIBS
	expect 0 "$stage$prefix/bin/lombard" xen printenv LD_LIBRARY_PATH
	equal "libraries" "$out" "$stage$prefix/lib/lombard/xen"
	expect 0 "$stage$prefix/bin/lombard" xen "$host_build/bin/host/xenprobe" version
	says 'version: 4.17.lombard' "$out"
	# Its own are linked into it.
	expect 0 ldd "$stage$prefix/bin/lombard-blk"
	[[ $out != *libxenevtchn* && $out != *libxengnttab* ]] || fail "lombard-blk uses libraries: $out"
}

# So are those for what the command itself does with guests.
test_control() {
	local lombard
	tree
	lombard=$stage$prefix/bin/lombard
	unset LOMBARD_XEN_LIBS
	launch counted sleep ms=60000
	expect 0 "$lombard" pause counted
	expect 0 "$lombard" list
	says " paused " "$out"
	expect 0 "$lombard" stop counted
	says "counted: stopped, status 126" "$out"
}

# With a cell of its own, and the guests' images where they were installed.
test_commands() {
	tree
	unset LOMBARD_GUESTS
	export LOMBARD_SOCKET=$work/installed.sock
	say "$(<"$host_root/LICENSE")" >"$work/text"
	expect 0 timeout 60 "$stage$prefix/bin/lombard" pipe "$work/text"
	says ": equal" "$out"
	until_true 5 test ! -e "$LOMBARD_SOCKET" || fail "the cell did not end with its last guest"
}

# man_example NUMBER: the text of that display of lombard-chan(3).
man_example() {
	local row n=0 inside=
	while IFS= read -r row; do
		case $row in
		.Bd*) n=$((n + 1)) inside=yes ;;
		.Ed) inside= ;;
		*) [ -z "$inside" ] || [ "$n" != "$1" ] || say "${row//\\e/\\}" ;;
		esac
	done <"$stage$prefix/share/man/man3/lombard-chan.3"
}

# build NAME: from NAME.c, as pkg-config says for what was installed.
build() {
	local flags sanitizer=()
	case $variant in
	asan*) sanitizer=('-fsanitize=address,undefined') ;;
	tsan*) sanitizer=(-fsanitize=thread) ;;
	esac
	flags=$(PKG_CONFIG_LIBDIR=$stage$prefix/lib/pkgconfig:$(pkg-config --variable pc_path pkg-config) \
		PKG_CONFIG_SYSROOT_DIR=$stage pkg-config --cflags --libs lombard-chan) || fail "pkg-config failed"
	# shellcheck disable=SC2086 # words
	expect 0 gcc -Wall -Wextra -Werror "${sanitizer[@]}" -o "$work/$1" "$work/$1.c" $flags
}

somebody() { ! no_guests; }

# The man page's receiver prints what the man page's sender, as a whole program, sends.
test_example() {
	local receiver text='what was sent'
	tree
	man_example 1 >"$work/receive.c"
	{
		say '#include <lombard-chan.h>'
		say '#include <string.h>'
		say 'int main(int argc, char **argv) {'
		say 'const char *data = argv[argc - 1]; size_t len = strlen(data);'
		man_example 2
		# All of the arena is free again when the receiver has released what is in it.
		say 'struct chan_info info;'
		say 'if (chan_info(ch, &info) || chan_alloc(ch, info.arena_bytes, chan_after(20000000000), &buf)) return 1;'
		say 'chan_close(ch); return 0; }'
	} >"$work/send.c"
	build receive
	build send
	export LD_LIBRARY_PATH=$stage$prefix/lib
	"$work/receive" >"$work/received" &
	receiver=$!
	until_true 10 somebody || fail "the receiver did not come"
	expect 0 timeout 30 "$work/send" "$text"
	wait "$receiver" || fail "the receiver ended with status $?"
	equal "what was received" "$(<"$work/received")" "$text"
}

host_tests files xen control commands example
