# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause

# take_module TREE NAME DIR: a module of the kernel that was unpacked to TREE, uncompressed, as busybox takes them.
# False when it has none of this name; it may be built in.
take_module() {
	local file
	file=$(find "$1/lib/modules" -name "$2.ko" -o -name "$2.ko.xz" | head -n 1)
	case $file in
	*.xz) xz -dc "$file" >"$3/$2.ko" ;;
	?*) cp "$file" "$3/$2.ko" ;;
	*) return 1 ;;
	esac
}
