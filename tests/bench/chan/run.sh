#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Run the channel bench with huge pages, if they can be had, and draw what it measured.
#
#	run.sh BIN_DIR GUEST_DIR CSV_DIR EFFORT
set -u
cd "$(dirname "$0")/../../.." || exit

bin=$1 guests=$2 csv=$3 effort=$4
here=tests/bench/chan
pages=/proc/sys/vm/nr_hugepages
wanted=1000 # of 2 MiB: three arenas and what their breaks take, and the peers' memory
before=
huge=()

# Huge pages stay reserved no longer than we run.
restore() {
	[ -z "$before" ] || echo "$before" >"$pages"
}
trap restore EXIT
trap 'exit 130' INT TERM

reserve() {
	local free all got
	grep -q '^Hugepagesize: *2048 kB' /proc/meminfo || return
	free=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
	if [ "$free" -lt "$wanted" ] && [ -w "$pages" ]; then
		before=$(<"$pages")
		all=$((before + wanted - free))
		echo "$all" >"$pages"
		got=$(<"$pages")
		echo "huge pages: vm.nr_hugepages was $before, $got while this runs"
		free=$((free + got - before))
	fi
	if [ "$free" -ge "$wanted" ]; then
		huge=(--huge)
	else
		echo "huge pages: $free of $wanted free; what finds none uses 4 KiB frames (sysctl vm.nr_hugepages=$wanted)"
	fi
}

# plot FILE: one picture of one table, plot-WHAT-FRAMES-depthN.csv
plot() {
	local name cross=$huge_cross
	name=$(basename "$1" .csv)
	case $name in *-base-*) cross=$base_cross ;; esac
	gnuplot -e "name='${name#plot-}'; cross=$cross; dir='$csv'" "$here/plot.gp"
}

draw() {
	local file huge_cross base_cross seen
	if ! command -v gnuplot >/dev/null && ! tests/tools/install-packages.sh gnuplot-nox; then
		echo "no plots: gnuplot is not installed"
		return
	fi
	read -r huge_cross base_cross seen <"$csv/crossover.txt"
	for file in "$csv"/plot-*-depth*.csv; do
		plot "$file" || return
	done
	gnuplot -e "cross=$huge_cross; seen=$seen; dir='$csv'" "$here/crossover.gp" || return
	echo "plots: $csv/*.png"
}

reserve
rm -f "$csv"/crossover.txt "$csv"/plot-*.csv
"$bin/bench/chan" --vmm="$bin/lombard-vmm" --peer="$bin/bench/chanpeer" --guest="$guests/probe.elf" \
	--csv="$csv" --effort="$effort" "${huge[@]}" || exit
if [ -f "$csv/crossover.txt" ]; then draw || echo "no plots: gnuplot failed"; fi
