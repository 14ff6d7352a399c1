#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: BSD-2-Clause
#
# The first process of a Linux guest: says what it found, then does what the kernel's command line has as
# do=WORD: poweroff (if there is none), reboot, panic, halt, sleep, hold, disk, read, xen,A,B (linuxxen A B),
# run,A,B+C,D (A B && C D: programs that lend and use channels), or shell, which runs what comes in by the console.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

# What the kernel runs when it is told to from outside, as by `xl shutdown`.
mkdir /sbin
for name in poweroff reboot; do
	printf '#!/bin/sh\nexec /bin/%s -f\n' $name >/sbin/$name
	chmod +x /sbin/$name
done

what=poweroff
privcmd=
read -r words </proc/cmdline
for word in $words; do
	case $word in
	do=*) what=${word#do=} ;;
	xen_privcmd.*) privcmd=${word#*.} ;; # as modprobe would pass it
	esac
done
read -r uptime _ </proc/uptime
echo "guest: init at $uptime s, $(uname -r), $(grep -c ^processor /proc/cpuinfo) CPUs," \
	"$(sed -n 's/^MemTotal: *//p' /proc/meminfo), hypervisor $(cat /sys/hypervisor/type)" \
	"$(cat /sys/hypervisor/guest_type)"

# need_disk: /dev/xvda is there.
need_disk() {
	insmod /modules/xen-blkfront.ko || echo "guest: no xen-blkfront"
	n=0
	while [ ! -b /dev/xvda ] && [ $n -lt 100 ]; do
		n=$((n + 1))
		sleep 0.1
	done
	dmesg | grep blkfront:
}

case $what in
xen,*)
	for name in xen-gntdev xen-gntalloc xen-evtchn; do
		insmod "/modules/$name.ko"
	done
	insmod /modules/xen-privcmd.ko unrestricted=1
	# shellcheck disable=SC2046 # words
	linuxxen $(echo "${what#xen,}" | tr , ' ')
	linuxsimd
	poweroff -f
	;;
run,*)
	insmod /modules/xen-evtchn.ko
	insmod /modules/xen-privcmd.ko ${privcmd:+"$privcmd"}
	echo 8 >/proc/sys/vm/nr_hugepages
	sh -c "$(echo "${what#run,}" | sed 's/,/ /g; s/+/ \&\& /g')"
	echo "guest: all of it: status $?"
	poweroff -f
	;;
disk)
	# Writes for a while, then leaves it clean.
	need_disk
	mount -t ext4 /dev/xvda /mnt && echo "guest: mounted"
	for n in 1 2 3 4 5; do
		dd if=/dev/urandom "of=/mnt/file$n" bs=64k count=16 2>/dev/null
		sync
		echo "guest: wrote $n"
	done
	cat /mnt/file* | md5sum
	umount /mnt
	mount -t ext4 -o ro /dev/xvda /mnt
	cat /mnt/file* | md5sum
	umount /mnt && echo "guest: unmounted"
	poweroff -f
	;;
read)
	need_disk
	echo "guest: read-only is $(cat /sys/block/xvda/ro)"
	md5sum </dev/xvda
	dd if=/dev/zero of=/dev/xvda bs=4k count=1 2>/dev/null || echo "guest: not to be written"
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
