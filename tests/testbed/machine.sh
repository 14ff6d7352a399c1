# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The two machines that have nested paging in software.  For each vendor V:
#
#   machine_packages_V
#   machine_V DIR KERNEL-DIR LIMIT   run DIR/initramfs.cpio: console to descriptor 3, results to
#                                    DIR/results.tar.gz, the machine's own words to standard output;
#                                    ends when it is switched off, or with status 137 after LIMIT s
#   machine_shell_V DIR KERNEL-DIR   the same with the console on the terminal
#
# $more_arguments are added to the kernel's; where $debian_dir is set, the machine has its disk, whatever is
# written there being lost at its end.  Times inside mean little.  What counts is that every second-level entry is walked, and its
# violations reported, as AMD's and Intel's manuals say.

kernel_arguments='console=ttyS0 panic=-1 loglevel=5 mitigations=off maxcpus=1 tsc=reliable'

# ---- AMD nested paging: QEMU's software SVM ----

machine_packages_npt='qemu-system-x86 seabios'

# One thread for both processors: with one for each, QEMU 7.2 now and then misreads page tables of a
# nested guest, which then ends in a triple fault although its memory is as it should be.
#
# But when that thread turns to the other processor, a nested guest that has just been interrupted may get
# the same interrupt once more, with interrupts off, too: QEMU does not forget what VMRUN has injected
# before something else is delivered.  Guests with interrupts then crash now and then; small ones have
# none.  In a machine with one processor there is nothing to turn to.
#
# Its TSC is this processor's: so fast it counts, whatever the kernel inside thinks when it has measured while
# the host was busy.  A clock that runs 20 times too fast was seen, and everything times out.
#
# qemu DIR KERNEL-DIR LIMIT ARGUMENT...
qemu() {
	local dir=$1 kernel=$2 limit=$3 disk=() khz
	shift 3
	khz=$("$build/bin/testbed/tsckhz") || return 1
	[ -z "$debian_dir" ] || disk=(-drive "file=$debian_dir/disk,if=virtio,format=raw,snapshot=on")
	timeout --foreground --signal=KILL "$limit" qemu-system-x86_64 -M pc -accel tcg,thread=single -cpu max,+svm,+npt -smp "$processors" -m 1024 \
		-nodefaults -no-user-config -display none -no-reboot \
		-monitor "unix:$dir/monitor,server=on,wait=off" \
		-kernel "$kernel/vmlinux" -initrd "$dir/initramfs.cpio" -append "$kernel_arguments tsc_early_khz=$khz $more_arguments" "${disk[@]}" "$@"
}

# Now and then, with nested guests, QEMU does not wake an idle processor for its timer's interrupt, and all stands
# still until another one comes.  A key is one.
wake_ups() {
	echo '{"execute": "qmp_capabilities"}'
	while sleep 2; do
		echo '{"execute": "send-key", "arguments": {"keys": [{"type": "qcode", "data": "shift"}]}}' || return
	done
}

machine_npt() {
	wake_ups 2>/dev/null | qemu "$@" -qmp stdio -serial file:/dev/fd/3 -serial "file:$1/results.tar.gz" >/dev/null
}

machine_shell_npt() {
	qemu "$1" "$2" infinity -serial mon:stdio -serial "file:$1/results.tar.gz"
}

# ---- Intel EPT: Bochs' software VMX ----

machine_packages_ept='bochs bochs-term bochsbios vgabios xorriso isolinux syslinux-common bsdutils'

# Bochs' time is made of instructions: so many are a second, and so fast its TSC counts, whatever the
# processor's model says of itself.
bochs_hz=50000000
# Bochs tells a size of the compacted XSAVE area that Linux does not believe, and would use no XSAVE at all then.
bochs_arguments="$kernel_arguments clearcpuid=xsavec,xsaves nokaslr tsc_early_khz=$((bochs_hz / 1000)) no_timer_check"

bochs_cd() {
	local dir=$1 kernel=$2
	rm -rf "$dir/cd"
	mkdir "$dir/cd"
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$dir/cd"
	cp "$kernel/vmlinuz" "$dir/cd"
	cp "$dir/initramfs.cpio" "$dir/cd/initrd" # reading more is faster there than unpacking
	cat >"$dir/cd/isolinux.cfg" <<-END
		default linux
		label linux
		kernel vmlinuz
		append initrd=initrd $bochs_arguments $more_arguments
	END
	xorriso -as mkisofs -quiet -o "$dir/cd.iso" -b isolinux.bin -c boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table "$dir/cd" 2>/dev/null
}

# bochs_config DIR COM1
bochs_config() {
	cat >"$1/bochsrc" <<-END
		config_interface: textconfig
		display_library: term
		cpu: model=corei7_skylake_x, count=1, ips=$bochs_hz
		memory: guest=1024, host=1024
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
		ata0-master: type=cdrom, path=$1/cd.iso, status=inserted
		boot: cdrom
		com1: enabled=1, $2
		com2: enabled=1, mode=file, dev=$1/results.tar.gz
		clock: sync=none
		log: $1/bochs.log
		panic: action=fatal
		error: action=report
		info: action=ignore
		debug: action=ignore
	END
	echo c >"$1/bochs.commands"
}

# bochs_drain SCREEN: its display is a terminal of its own making, which it names on its first one.
# Nobody sees anything there, but somebody has to read: when that terminal is full, the machine stands
# still.  Ends with the machine, or when it is killed.
bochs_drain() {
	local name='' n
	for ((n = 0; n < 100; n++)); do
		name=$(grep -a -o '/dev/pts/[0-9]*' "$1" 2>/dev/null) && break
		sleep 0.1
	done
	[ -z "$name" ] || exec cat "$name"
}

# Its only text display wants a terminal, too.
bochs_on_a_terminal() {
	local dir=$1 limit=$2 drain
	: >"$dir/bochs.screen"
	bochs_drain "$dir/bochs.screen" >/dev/null 2>&1 </dev/null &
	drain=$!
	script -qfec "stty rows 25 cols 80; exec timeout --foreground --signal=KILL $limit \
		bochs -q -f '$dir/bochsrc' -rc '$dir/bochs.commands'" "$dir/bochs.screen" >/dev/null
	set -- $?
	kill "$drain" 2>/dev/null
	wait "$drain" 2>/dev/null
	return "$1"
}

machine_ept() {
	local dir=$1 kernel=$2 limit=$3
	bochs_cd "$dir" "$kernel" || return 1
	bochs_config "$dir" "mode=file, dev=/dev/fd/3"
	bochs_on_a_terminal "$dir" "$limit" </dev/null
}

machine_shell_ept() {
	local dir=$1 kernel=$2 saved
	bochs_cd "$dir" "$kernel" || return 1
	bochs_config "$dir" "mode=term, dev=$(tty)"
	saved=$(stty -g)
	bochs_on_a_terminal "$dir" infinity </dev/null
	stty "$saved"
}
