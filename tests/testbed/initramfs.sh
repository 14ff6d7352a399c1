#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The whole system inside a testbed, as one cpio archive.
#
#   initramfs.sh OUT KERNEL-DIR BUILD GUESTS SETTINGS [qemu|DEBIAN-DIR]
#
# It holds a userland of busybox and bash, the programs of BUILD/bin (build/release), the guests'
# images, the scripts that test, the kernel's KVM modules, the same kernel for Linux guests, Xen's tools
# where they are installed here, with our libraries for them, and the libraries that all of it needs.
# SETTINGS is a file with variables for init.sh.  With "qemu" QEMU goes in, too, for its microvm.  DEBIAN-DIR
# is what debian.sh prints: its kernel and initrd come along, and what the machine needs to see the disk,
# and to look at its file system.
set -u
export LC_ALL=C

usage='usage: initramfs.sh OUT KERNEL-DIR BUILD GUESTS SETTINGS [qemu|DEBIAN-DIR]'
out=$(realpath -m "${1:?$usage}")
kernel=${2:?$usage}
build=${3:?$usage}
guests=${4:?$usage}
settings=${5:?$usage}
more=${6:-}
root=$(cd "${0%/*}/../.." && pwd)
. "$root/tests/testbed/take-module.sh"
. "$root/tests/testbed/take-program.sh"
ours=lombard # where the scripts lie inside, as they do in the repository

die() {
	printf 'initramfs.sh: %s\n' "$*" >&2
	exit 1
}

# add_program FILE [PLACE]
add_program() { take_program "$1" "$tree" "${2:-$1}" || die "$1 is missing"; }

add_userland() {
	mkdir -p "$tree"/{dev,proc,sys,tmp,run,root,results,bin,sbin,usr/bin,usr/sbin}
	add_program "$(command -v busybox)" /bin/busybox
	add_program /bin/bash
	add_program "$(command -v xxhsum)" /usr/bin/xxhsum
	# For guests' disks.
	add_program "$(command -v mke2fs)" /sbin/mke2fs
	add_program "$(command -v e2fsck)" /sbin/e2fsck
	install -D -m 644 /usr/share/common-licenses/GPL-3 \
		"$tree/usr/share/common-licenses/GPL-3" || die "there is no text to count"
	printf 'root:x:0:0:root:/root:/bin/bash\n' >"$tree/etc/passwd"
	printf 'root:x:0:\n' >"$tree/etc/group"
}

# Unit tests with a place here are those of the code that speaks to the kernel.
add_programs() {
	local file place
	while read -r file; do
		place=${file#"$build"/bin/}
		case $place in
		unit/vmm/* | [!u]* | u[!n]*) add_program "$file" "/$ours/build/release/bin/$place" ;;
		esac
	done < <(find "$build/bin" -type f -perm -u+x)
	install -D -t "$tree/$ours/build/guest" "$guests"/*.elf || die "no guests in $guests"
}

# Tests that find none of Xen's tools are skipped.  oxenstored is large, and no test wants it.
add_xen() {
	local file
	mkdir -p "$tree"/var/lib/xen "$tree"/var/log/xen "$tree"/run/lock
	ln -s ../run "$tree/var/run"
	ln -s ../run/lock "$tree/var/lock"
	# Threads of libxenstore are cancelled, for which libc loads the one; lombard loads the other.  No
	# program names them.
	for file in /lib/*/libgcc_s.so.1 /lib/*/libxenctrl.so.4.17; do
		add_program "$file"
	done
	for file in "$build"/lib/xen/*.so*; do
		install -D "$file" "$tree/$ours/build/release/lib/xen/${file##*/}" || die "$file is missing"
		take_libraries "$file" "$tree"
	done
	for file in /usr/lib/xen-[0-9]*/bin/* /usr/bin/xenstore-*; do
		if [[ $(head -c 4 "$file" 2>/dev/null) == $'\177ELF' && $file != */oxenstored ]]; then
			add_program "$file"
		fi
	done
	[ ! -f /etc/xen/xl.conf ] || install -D -m 644 /etc/xen/xl.conf "$tree/etc/xen/xl.conf"
}

# What linux.sh makes, for guests.
add_linux() {
	"$root/tests/testbed/linux.sh" "$kernel" "$tree/$ours/linux" "$build"/bin/host/{linuxxen,linuxsimd,unixend} \
		"$build"/bin/linux/* || exit 1
}

add_qemu() {
	local file
	add_program "$(command -v qemu-system-x86_64)"
	for file in bios-microvm.bin linuxboot_dma.bin pvh.bin; do
		install -D -m 644 "/usr/share/qemu/$file" "$tree/usr/share/qemu/$file" || die "$file is missing"
	done
}

# Some kernels have the bus built in.  They are loaded in the order of their list.
add_debian() {
	local name
	mkdir -p "$tree/modules/disk"
	for name in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
		if take_module "$kernel/tree" "$name" "$tree/modules/disk"; then
			echo "$name" >>"$tree/modules/disk/list"
		fi
	done
	add_program /sbin/e2fsck
	install -D -m 644 -t "$tree/$ours/debian" "$more"/{vmlinuz,initrd} || die "no Debian in $more"
}

add_scripts() {
	local file
	for file in "$root"/tests/{host,tools,testbed,bench}/*.sh "$root"/host-tools/*.sh; do
		install -D "$file" "$tree/$ours/${file#"$root"/}"
	done
	install -D -m 644 "$settings" "$tree/$ours/settings"
	install "$root/tests/testbed/init.sh" "$tree/init"
}

tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/etc"
add_userland
add_programs
add_xen
add_linux
case $more in
'') ;;
qemu) add_qemu ;;
*) add_debian ;;
esac
add_scripts
install -D -m 644 -t "$tree/modules" "$kernel"/modules/*.ko || die "no modules in $kernel"
(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$out" || die "no archive"
