#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: BSD-2-Clause
#
# The first process of a Linux guest: says what it found, then does what the kernel's command line has as
# do=WORD: poweroff (if there is none), reboot, panic, halt, sleep, hold, xen,A,B (linuxxen A B), or shell,
# which runs what comes in by the console.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

what=poweroff
read -r words </proc/cmdline
for word in $words; do
	case $word in do=*) what=${word#do=} ;; esac
done
read -r uptime _ </proc/uptime
echo "guest: init at $uptime s, $(uname -r), $(grep -c ^processor /proc/cpuinfo) CPUs," \
	"$(sed -n 's/^MemTotal: *//p' /proc/meminfo), hypervisor $(cat /sys/hypervisor/type)" \
	"$(cat /sys/hypervisor/guest_type)"

case $what in
xen,*)
	for name in xen-gntdev xen-gntalloc xen-evtchn; do
		insmod "/modules/$name.ko"
	done
	# shellcheck disable=SC2046 # words
	linuxxen $(echo "${what#xen,}" | tr , ' ')
	poweroff -f
	;;
sleep)
	# Needs a timer that interrupts.
	for n in 1 2 3; do
		sleep 0.3
		echo "guest: slept $n times"
	done
	poweroff -f
	;;
panic)
	echo 1 >/proc/sys/kernel/sysrq
	echo c >/proc/sysrq-trigger
	;;
reboot) reboot -f ;;
hold)
	while :; do
		sleep 60
	done
	;;
shell)
	sh
	poweroff -f
	;;
*) poweroff -f ;;
esac
