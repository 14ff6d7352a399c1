#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-pure.sh [DIR]: hv/uvm must stay free of Linux, KVM and Xen: no file of DIR (hv/uvm) may
# include their headers, nor any of our own headers that does.  First it is shown to notice: a bad
# file of each kind has to be found.
#
# System headers include Linux ones in turn (errno.h does), so only #include lines of our own files
# count; which of our files an object reads is what the compiler says (-MM).

set -u
CC=${CC:-gcc}
forbidden='<(linux/|asm/|asm-generic/|xen/|sys/ioctl\.h|sys/mman\.h|.*kvm)|"(xen/|.*kvm)'

# impure FILE.c INCLUDE-DIR: print the forbidden lines in what FILE.c reads of ours; 0 if there are.
impure()
{
	reads=$($CC -MM -MT x -std=gnu11 -D_GNU_SOURCE -I"$2" -Ihv "$1") || {
		echo "$1: does not compile"
		return 0
	}
	# shellcheck disable=SC2046,SC1003
	set -- $(printf '%s' "$reads" | tr -d '\\' | tr '\n' ' ' | sed 's/^x://')
	grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*($forbidden)" /dev/null "$@"
}

notices()
{
	printf '%s\n' "$1" >"$tmp/hidden.h"
	printf '#include "hidden.h"\n' >"$tmp/bad.c"
	impure "$tmp/bad.c" "$tmp" >/dev/null || {
		echo "check-pure: does not notice: $1"
		exit 1
	}
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
notices '#include <linux/types.h>'
notices '#include <asm/types.h>'
notices '#include <sys/ioctl.h>'
notices '#  include <sys/mman.h>'
notices '#include <linux/kvm.h>'
printf '#include <errno.h>\n' >"$tmp/good.c"
if impure "$tmp/good.c" "$tmp"; then
	echo "check-pure: finds something where nothing is"
	exit 1
fi

n=0 bad=0
for f in "${1:-hv/uvm}"/*.c; do
	n=$((n + 1))
	impure "$f" hv && bad=$((bad + 1))
done
[ "$bad" -eq 0 ] || exit 1
echo "$n files include nothing of Linux, KVM or Xen"
