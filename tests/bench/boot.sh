#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# How long a Linux guest takes from its launch to its first process, beside QEMU's microvm with the same
# kernel and initrd, by turns; and what a guest takes of the host: its memory, and its process beside that.
# Runs in a testbed (`make bench-boot`), or wherever there is a linux/ (tests/testbed/linux.sh).
#
#   boot.sh [ROUNDS]
set -u
cd "${0%/*}/../.." || exit 1
export LC_ALL=C
rounds=${1:-5}
bin=$PWD/build/release/bin
linux=$PWD/linux
memory=256
append='noxsave quiet panic=-1 do=poweroff'

work=$(mktemp -d) || exit 1
export LOMBARD_SOCKET=$work/cell.sock
trap 'rm -rf "$work"' EXIT

die() {
	printf 'boot.sh: %s\n' "$*" >&2
	exit 1
}

# until_init COMMAND...: ms from now to the guest's word, in $ms; what its own clock says then, in $own; and until
# it has ended, in $ms_end.
until_init() {
	local start=${EPOCHREALTIME/./} line
	ms=
	while IFS= read -r line; do
		if [[ $line =~ 'guest: init at '([0-9.]+)' s' ]]; then
			ms=$(((${EPOCHREALTIME/./} - start) / 1000))
			own=${BASH_REMATCH[1]}
		fi
		printf '%s\n' "$line" >>"$work/console"
	done < <("$@" 2>&1 </dev/null)
	ms_end=$(((${EPOCHREALTIME/./} - start) / 1000))
	[ -n "$ms" ] || die "no guest came to its init: $* ($(tail -n 5 "$work/console"))"
}

boot_lombard() {
	until_init "$bin/lombard" run --kernel "$linux/vmlinuz" --initrd "$linux/initrd" \
		--mem "${memory}M" --append "console=hvc0 $append"
}

# Without its clock chip this kernel waits for it for ever; XSAVE: see docs/testing.md.
boot_qemu() {
	until_init qemu-system-x86_64 -M microvm,rtc=on -accel kvm -cpu host,-xsave -m "$memory" -nodefaults \
		-no-user-config -display none -no-reboot -serial stdio \
		-kernel "$linux/vmlinuz" -initrd "$linux/initrd" -append "console=ttyS0 $append"
}

# hundredths A B: A / B, with two digits behind the point.
hundredths() { printf '%d.%02d' $(($1 / $2)) $(($1 * 100 / $2 % 100)); }

median() {
	local sorted
	mapfile -t sorted < <(printf '%s\n' "$@" | sort -n)
	printf '%d' "${sorted[$#/2]}"
}

# memory_of PID KEY...: KiB of a process.  The guest's memory is shared (Pss_Shmem), all else is not.
memory_of() {
	local file=/proc/$1/smaps_rollup key value sum=0
	shift
	while read -r key value _; do
		[[ " $* " != *" ${key%:} "* ]] || sum=$((sum + value))
	done <"$file"
	printf '%d' "$sum"
}

measure_memory() {
	local console pid
	read -r _ _ console < <("$bin/lombard" run -d -n held --kernel "$linux/vmlinuz" \
		--initrd "$linux/initrd" --mem "${memory}M" --append 'console=hvc0 noxsave quiet do=hold')
	until grep -q 'guest: init at' "$console"; do sleep 0.1; done
	pid=$("$bin/lombard" list | awk '$2 == "held" { print $4 }')
	printf 'of %d MiB a Linux guest takes %d KiB; its process takes %d KiB beside that\n' "$memory" \
		"$(memory_of "$pid" Pss_Shmem)" "$(memory_of "$pid" Pss_Anon Pss_File)"
	"$bin/lombard" stop held >/dev/null
}

[ -r "$linux/vmlinuz" ] || die "there is no $linux/vmlinuz"
"$bin/lombardd" >"$work/cell.log" 2>&1 </dev/null &
until "$bin/lombard" list >/dev/null 2>&1; do sleep 0.05; done
ours=()
theirs=()
ratios=() # of each round, in hundredths
qemu=$(command -v qemu-system-x86_64)
for ((i = 0; i < rounds; i++)); do
	boot_lombard
	ours+=("$ms")
	printf 'lombard run        %6d ms to init (the kernel says %s s), %6d ms to the end\n' "$ms" "$own" "$ms_end"
	[ -n "$qemu" ] || continue
	boot_qemu
	theirs+=("$ms")
	printf 'QEMU microvm       %6d ms to init (the kernel says %s s), %6d ms to the end\n' "$ms" "$own" "$ms_end"
	ratios+=($((ours[i] * 100 / ms)))
done
printf 'median of %d: lombard run %d ms' "$rounds" "$(median "${ours[@]}")"
if [ -n "$qemu" ]; then
	printf ', QEMU microvm %d ms: %s times; of each round: %s times' "$(median "${theirs[@]}")" \
		"$(hundredths "$(median "${ours[@]}")" "$(median "${theirs[@]}")")" \
		"$(hundredths "$(median "${ratios[@]}")" 100)"
else
	printf ' (there is no QEMU here)'
fi
echo
measure_memory
"$bin/lombard" shutdown
wait
