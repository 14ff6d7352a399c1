#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The first process inside a testbed: makes a system of what initramfs.sh packed, loads KVM, runs a
# command or a shell, sends the results out by the second serial port, and switches off.
#
# /lombard/settings, written by run.sh, says what to do:
#
#   vendor      npt or ept
#   command     an array; empty for a shell
#   rows, cols  of the terminal, for a shell
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm-256color TMPDIR=/tmp LC_ALL=C
/bin/busybox --install -s 2>/dev/null

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd
ip link set lo up

rows=
cols=
command=()
. /lombard/settings
. /lombard/tests/testbed/faults.sh
cd /lombard || exit 1

export TESTBED=$vendor TESTBED_RESULTS=/results
# What a test waits for takes longer in here; what it does over and over, it does less often.
export HOST_BUILD=/lombard/build/release HOST_LOGS=/results/host HOST_SCALE=4 HOST_ROUNDS=3

case $vendor in
npt) flag=svm module=kvm-amd ;;
ept) flag=vmx module=kvm-intel ;;
esac

# One machine stays (hold.c); only then the other processors come, which were kept from booting.
load_kvm() {
	local name word
	for name in irqbypass kvm "$module"; do
		insmod "/modules/$name.ko"
	done
	exec {held}< <(exec build/release/bin/testbed/hold)
	read -r word <&"$held" || echo "testbed: KVM holds no machine: $word"
	faults_count_all
	for name in /sys/devices/system/cpu/cpu[1-9]*/online; do
		[ ! -e "$name" ] || echo 1 >"$name"
	done
}

# The disk of a Debian, if there is one.
load_disk() {
	local name
	[ -e /modules/disk/list ] || return 0
	while read -r name; do
		insmod "/modules/disk/$name.ko"
	done </modules/disk/list
}

# Facts for the report, a KEY=VALUE in each line.
facts() {
	local cpu
	read -r _ _ cpu < <(grep -m1 '^model name' /proc/cpuinfo)
	printf 'kernel=%s\n' "$(uname -r)"
	printf 'processor=%s\n' "${cpu#*: }"
	printf 'flag=%s\n' "$(grep -m1 '^flags' /proc/cpuinfo | grep -ow -e "$flag" || echo none)"
	printf 'module=%s\n' "$(lsmod | grep -o "^${module/-/_}" || echo none)"
	printf 'nested=%s\n' "$(cat "/sys/module/${module/-/_}/parameters/$vendor" 2>/dev/null)"
}

# One serial port is the console, the other takes whatever /results holds.
send_results() {
	stty -F /dev/ttyS1 raw -echo
	tar -C /results -cz . >/dev/ttyS1
}

run_shell() {
	[ -z "$rows" ] || stty -F /dev/ttyS0 rows "$rows" cols "$cols"
	echo "Lombard's testbed ($vendor, Linux $(uname -r)); the shell's end is the testbed's end."
	echo "Try: tests/testbed/suite.sh list"
	setsid cttyhack bash -i
}

run_command() {
	local status tee n
	"${command[@]}" > >(tee /results/command.log) 2>&1 </dev/null
	status=$?
	tee=$!
	# What the command left behind may still have the pipe: not for ever.
	for n in {1..20}; do
		! kill -0 "$tee" 2>/dev/null || sleep 0.05
	done
	{
		facts
		faults_summary
		printf 'status=%s\n' "$status"
	} >/results/facts
	dmesg >/results/dmesg
	send_results
	echo "testbed: the end, status $status"
}

echo "<3>testbed: the start" >/dev/kmsg
load_kvm
load_disk
if [ "${#command[@]}" = 0 ]; then
	run_shell
else
	run_command
fi
sync
poweroff -f
