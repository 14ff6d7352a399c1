#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A Debian kernel for the testbeds, by name, from apt.
#
#   kernel.sh SERIES|PACKAGE
#
# SERIES, as 6.1, means the newest linux-image-SERIES.*-cloud-amd64 that apt knows.  Prints the
# directory where it lies in the cache (LOMBARD_CACHE, else ~/.cache/lombard), with
#
#   vmlinuz  vmlinux (the same, uncompressed, with its PVH entry)  package  modules/*.ko
#   tree/ (all of the package)
#
# A kernel that is in the cache is not fetched again.
set -u
export LC_ALL=C

wanted=${1:?usage: kernel.sh SERIES|PACKAGE}
cache=${LOMBARD_CACHE:-$HOME/.cache/lombard}/kernel
modules='irqbypass kvm kvm-amd kvm-intel'
. "${0%/*}/take-module.sh"
work=

die() {
	printf 'kernel.sh: %s\n' "$*" >&2
	exit 1
}

# newest SERIES: a package's name.  Signed and unsigned ones hold the same kernel.
newest() {
	local series=${1//./\\.} all best
	all=$(apt-cache search --names-only "^linux-image-$series\.[0-9].*-cloud-amd64(-unsigned)?\$") || return
	all=$(awk '{ print $1 }' <<<"$all")
	# shellcheck disable=SC2001 # at the end of each line, not anywhere
	best=$(sed 's/-unsigned$//' <<<"$all" | sort -V | tail -n 1)
	grep -x -m1 -e "$best" <<<"$all" || grep -x -m1 -e "$best-unsigned" <<<"$all"
}

find_package() {
	case $wanted in
	linux-image-*) printf '%s\n' "$wanted" ;;
	*) newest "$wanted" ;;
	esac
}

# apt's lists may be missing or old; they are refreshed only when something can not be had.
refresh() {
	[ "$(id -u)" = 0 ] || die "apt's lists are old or missing: run apt-get update"
	echo "refreshing the package lists" >&2
	apt-get update -qq >&2 || die "apt-get update failed"
}

version_of() { apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p'; }

# Into the current directory, as whoever runs this: apt's own user may not write here.
download() { apt-get download -qq -o APT::Sandbox::User=root "$1" >&2; }

# u32 FILE OFFSET COUNT: little-endian numbers, as x86 reads them.
u32() { od -An -tu4 -j "$2" -N $((4 * $3)) "$1"; }

# unpack_vmlinux VMLINUZ OUT: the payload of a bzImage (Documentation/arch/x86/boot.rst).  Its last
# four bytes are the unpacked length, which not every unpacker would take.
unpack_vmlinux() {
	local image=$1 sectors offset length unpack
	sectors=$(od -An -tu1 -j $((0x1f1)) -N1 "$image")
	read -r offset length < <(u32 "$image" $((0x248)) 2)
	offset=$(((sectors + 1) * 512 + offset))
	case $(od -An -tx1 -j "$offset" -N4 "$image") in
	' 02 21 4c 18') unpack='lz4 -dcq' ;;
	' 28 b5 2f fd') unpack='zstd -dcq' ;;
	' fd 37 7a 58') unpack='xz -dcq' ;;
	' 1f 8b '*) unpack='gzip -dcq' ;;
	*) die "the kernel in $image is compressed in a way that is not known here" ;;
	esac
	tail -c +$((offset + 1)) "$image" | head -c $((length - 4)) | $unpack >"$2" ||
		die "the kernel in $image can not be unpacked"
}

# fill PACKAGE: the current directory becomes the cache's entry.
fill() {
	local module
	download "$1" || { refresh && download "$1"; } || die "$1 can not be downloaded"
	dpkg-deb -x ./*.deb tree || die "$1 can not be unpacked"
	rm ./*.deb
	cp tree/boot/vmlinuz-* vmlinuz
	unpack_vmlinux vmlinuz vmlinux
	mkdir modules
	for module in $modules; do
		take_module tree "$module" modules || die "this kernel has no module $module"
	done
	printf '%s %s\n' "$1" "$(version_of "$1")" >package
}

package=$(find_package)
[ -n "$package" ] || { refresh && package=$(find_package); }
[ -n "$package" ] || die "apt knows no kernel $wanted"
dir=$cache/${package}_$(version_of "$package")
if [ ! -d "$dir" ]; then
	echo "fetching $package" >&2
	mkdir -p "$cache" || die "$cache can not be made"
	work=$(mktemp -d "$cache/new.XXXXXX") || die "$cache can not be written"
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && fill "$package") || exit 1
	mv -T "$work" "$dir" || die "$dir can not be made"
fi
printf '%s\n' "$dir"
