#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A Debian to boot in a guest: a disk image made by debootstrap, with a kernel of kernel.sh and the
# initrd that Debian's own tools make for it.
#
#   debian.sh KERNEL-DIR
#
# KERNEL-DIR is what kernel.sh prints.  Prints the directory where the image lies in the cache
# (LOMBARD_CACHE, else ~/.cache/lombard), with
#
#   disk (raw, ext4, one file system without partitions)  vmlinuz  initrd
#
# One logs in as root, without a password, on hvc0.  What is in the cache is not made again.  Making it
# takes two minutes and wants root, for chroot.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

kernel=$(realpath "${1:?usage: debian.sh KERNEL-DIR}")
cache=${LOMBARD_CACHE:-$HOME/.cache/lombard}/debian
suite=bookworm
mirror=http://deb.debian.org/debian
packages=systemd-sysv,udev,dbus,login,e2fsprogs,initramfs-tools,kmod,procps,zstd,xxhash
size=900M
work=

die() {
	printf 'debian.sh: %s\n' "$*" >&2
	exit 1
}

# A log is shown only when something fails.
quietly() {
	"$@" >>"$work/log" 2>&1 </dev/null || {
		tail -n 20 "$work/log" >&2
		die "$1 failed"
	}
}

# Only what a disk of a Xen guest wants is in the initrd: it is unpacked in a machine made of software.
configure() {
	local root=$1
	printf 'MODULES=list\nBUSYBOX=n\nCOMPRESS=zstd\n' >"$root/etc/initramfs-tools/conf.d/lombard"
	echo xen-blkfront >>"$root/etc/initramfs-tools/modules"
	echo '/dev/xvda / ext4 defaults 0 1' >"$root/etc/fstab"
	echo lombard >"$root/etc/hostname"
	sed -i 's/^root:[^:]*:/root::/' "$root/etc/shadow"
	rm -f "$root"/etc/systemd/system/{timers,getty,multi-user}.target.wants/*
}

# fill: the current directory becomes the cache's entry.
fill() {
	local root=$work/root version
	quietly debootstrap --variant=minbase "--include=$packages" "$suite" "$root" "$mirror"
	quietly cp -r "$kernel"/tree/boot/. "$root/boot"
	quietly cp -r "$kernel/tree/lib/modules" "$root/lib"
	version=$(ls "$kernel/tree/lib/modules")
	configure "$root"
	quietly chroot "$root" depmod "$version"
	quietly chroot "$root" update-initramfs -c -k "$version"
	quietly chroot "$root" apt-get clean
	cp "$kernel/vmlinuz" vmlinuz
	cp "$root/boot/initrd.img-$version" initrd
	quietly mke2fs -q -t ext4 -L root -d "$root" disk "$size"
	rm -rf "$root" log
}

name=${kernel##*/}_$(cksum <"$0" | cut -d ' ' -f 1)
dir=$cache/$name
if [ ! -d "$dir" ]; then
	[ "$(id -u)" = 0 ] || die "a Debian image can be made by root only"
	"${0%/*}/../tools/install-packages.sh" debootstrap e2fsprogs || exit 1
	echo "making a Debian image (two minutes)" >&2
	mkdir -p "$cache" || die "$cache can not be made"
	work=$(mktemp -d "$cache/new.XXXXXX") || die "$cache can not be written"
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && fill) || exit 1
	mv -T "$work" "$dir" || die "$dir can not be made"
fi
printf '%s\n' "$dir"
