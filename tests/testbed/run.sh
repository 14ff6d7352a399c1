#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Lombard on real nested paging, on a machine that has none: boots a Debian kernel with KVM in a
# machine made of software, runs tests or a command of yours inside, and judges what came out.
#
#   run.sh [OPTION...]                  the test suite of the vendor (suite.sh)
#   run.sh [OPTION...] --test NAME      one test of it; NAME as in `suite.sh list`
#   run.sh [OPTION...] --shell          an interactive shell inside
#   run.sh [OPTION...] --fetch          nothing: fetch what the others need
#   run.sh [OPTION...] COMMAND...       this command inside, in the root of the repository's copy
#
#   --vendor npt|ept    AMD nested paging (QEMU), or Intel EPT (Bochs); npt
#   --kernel K[:ARGS]   a series, as 6.1 or 6.12, or the name of a linux-image package, and more
#                       arguments for it; 6.1; given several times, one after the other
#   --build DIR         what goes inside (build/release), and
#   --guests DIR        the guests' images (build/guest)
#   --processors N      of the NPT machine (2); 1 for guests with interrupts: see machine.sh
#   --with-qemu         QEMU goes inside, too, for comparisons
#   --with-debian       a Debian for guests to boot (debian.sh): its disk is /dev/vda inside; NPT only
#   --limit SECONDS     of wall time for each kernel; then the machine is ended (1200)
#
# Results are kept in build/testbed/VENDOR-K (VENDOR-K-N with N processors, if not 2): console, results/ (command.log, dmesg, facts, logs of
# the tests).  Kernels lie in the cache: see kernel.sh.  The last line counts; the exit status is 0
# when nothing failed.
set -u
export LC_ALL=C

here=$(cd "${0%/*}" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/machine.sh"
. "$here/judge.sh"

vendor=npt
kernels=()
build=$root/build/release
guests=$root/build/guest
limit=1200
processors=2
more=
mode=run
command=()

die() {
	printf 'testbed: %s\n' "$*" >&2
	exit 2
}

usage() {
	sed -n '3,/^set -u/s/^# \{0,1\}//p' "$0"
	exit "$1"
}

options() {
	while [ $# -gt 0 ]; do
		case $1 in
		--shell) mode=shell ;;
		--fetch) mode=fetch ;;
		--with-qemu) more=qemu ;;
		--with-debian) more=debian ;;
		--help) usage 0 ;;
		--vendor | --kernel | --build | --guests | --processors | --limit | --test)
			[ $# -ge 2 ] || die "$1 wants a value"
			option "$1" "$2"
			shift
			;;
		--*) usage 2 >&2 ;;
		*)
			command=("$@")
			break
			;;
		esac
		shift
	done
	case $vendor in npt | ept) ;; *) die "the vendor is npt or ept, not $vendor" ;; esac
	[ "${#kernels[@]}" -gt 0 ] || kernels=(6.1)
	[ "${#command[@]}" -gt 0 ] || command=(tests/testbed/suite.sh "$vendor")
	[ "$mode" = run ] || command=()
}

option() {
	case $1 in
	--vendor) vendor=$2 ;;
	--kernel) kernels+=("$2") ;;
	--build) build=$(realpath "$2") ;;
	--guests) guests=$(realpath "$2") ;;
	--processors) processors=$2 ;;
	--limit) limit=$2 ;;
	--test) command=(tests/testbed/suite.sh "$2") ;;
	esac
}

packages() {
	local name=machine_packages_$vendor
	# shellcheck disable=SC2086
	"$root/tests/tools/install-packages.sh" busybox-static lz4 zstd xz-utils xxhash e2fsprogs ${!name} || exit 2
}

write_settings() {
	local size=()
	[ "$mode" != shell ] || read -ra size < <(stty size)
	{
		declare -p vendor command
		printf 'rows=%s cols=%s\n' "${size[0]:-}" "${size[1]:-}"
	} >"$1"
}

# The console comes by as it is written: with the time, and into a file.
show_console() {
	local start=${EPOCHREALTIME/./} line
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%$'\r'}
		printf '%s\n' "$line" >&4
		printf '%7.1f  %s\n' "$(((${EPOCHREALTIME/./} - start) / 100000))e-1" "$line"
	done 4>"$1"
}

# prepare K[:ARGS]: fill a fresh $dir, set $kernel_dir, $debian_dir and $more_arguments.
prepare() {
	dir=$root/build/testbed/$vendor-${1%%:*}
	[ "$processors" = 2 ] || dir+=-$processors
	more_arguments=
	[[ $1 != *:* ]] || more_arguments=${1#*:}
	kernel_dir=$("$here/kernel.sh" "${1%%:*}") || exit 2
	rm -rf "$dir"
	mkdir -p "$dir/results" || exit 2
	write_settings "$dir/settings"
	debian_dir=
	[ "$more" != debian ] || debian_dir=$("$here/debian.sh" "$kernel_dir") || echo "testbed: there will be no Debian" >&2
	"$here/initramfs.sh" "$dir/initramfs.cpio" "$kernel_dir" "$build" "$guests" "$dir/settings" "${debian_dir:-${more#debian}}" || exit 2
}

run_one() {
	local status
	prepare "$1"
	echo "== $vendor, $(cat "$kernel_dir/package") $more_arguments: ${command[*]}"
	"machine_$vendor" "$dir" "$kernel_dir" "$limit" 3>&1 >"$dir/machine.log" 2>&1 |
		show_console "$dir/console"
	status=${PIPESTATUS[0]}
	tar -C "$dir/results" -xzf "$dir/results.tar.gz" 2>/dev/null
	judge "$dir" "$vendor" "$status" "$limit"
}

options "$@"
packages
if [ "$mode" = fetch ]; then
	for name in "${kernels[@]}"; do
		kernel_dir=$("$here/kernel.sh" "${name%%:*}") || exit 2
		[ "$more" != debian ] || "$here/debian.sh" "$kernel_dir" >/dev/null
	done
	echo "$vendor, ${kernels[*]}: everything is there"
	exit
fi
if [ "$mode" = shell ]; then
	prepare "${kernels[0]}"
	"machine_shell_$vendor" "$dir" "$kernel_dir"
	exit
fi
for name in "${kernels[@]}"; do
	run_one "$name"
done
judge_totals
