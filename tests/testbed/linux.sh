#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A Linux guest for the tests, from one of kernel.sh's directories:
#
#   linux.sh KERNEL-DIR OUT [PROGRAM...]      OUT/vmlinuz, OUT/initrd
#
# The initrd is busybox with linux-init.sh as its first process, the modules of the same kernel
# that a Xen guest wants, static programs as far as they have been built, and Debian's vchan-socket-proxy
# with its libraries, Xen's own, where it is installed here.
set -u
export LC_ALL=C

usage='usage: linux.sh KERNEL-DIR OUT [PROGRAM...]'
kernel=${1:?$usage}
out=${2:?$usage}
shift 2
here=$(cd "${0%/*}" && pwd)
. "$here/take-module.sh"
. "$here/take-program.sh"
modules='xen-gntdev xen-gntalloc xen-evtchn xen-privcmd xenfs xen-blkfront'

die() {
	printf 'linux.sh: %s\n' "$*" >&2
	exit 1
}

tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,mnt,tmp,modules} "$out" || exit 1
install "$(command -v busybox)" "$tree/bin/busybox" || die "there is no busybox"
install "$here/linux-init.sh" "$tree/init" || exit 1
for program; do
	[ ! -e "$program" ] || install "$program" "$tree/bin" || exit 1
done
# libxenstore cancels threads, for which libc loads libgcc_s.
for program in /usr/lib/xen-[0-9]*/bin/vchan-socket-proxy; do
	[ ! -e "$program" ] || take_program "$program" "$tree" /bin/vchan-socket-proxy || exit 1
	[ ! -e "$program" ] || take_program /lib/*/libgcc_s.so.1 "$tree" || exit 1
done
for name in $modules; do
	take_module "$kernel/tree" "$name" "$tree/modules" || die "this kernel has no module $name"
done
(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$out/initrd" || die "no archive"
install -m 644 "$kernel/vmlinuz" "$out/vmlinuz"
