# SPDX-License-Identifier: BSD-2-Clause
# Throughput (depth 8) or time (depth 1) over message length, of one table.
# Given: name of the table (transport-huge-depth8, ...), cross (bytes), dir.
set datafile separator ","
set terminal pngcairo size 1000,700 noenhanced
set output dir."/".name.".png"
deep = strstrt(name, "depth8") > 0
set title sprintf("%s, depth %d, %s frames", strstrt(name, "transport") > 0 ? "transport only" : \
	"end to end", deep ? 8 : 1, strstrt(name, "huge") > 0 ? "2 MiB" : "4 KiB")
set logscale xy
set grid
set key outside right
set xlabel "bytes of a message"
set xtics ("64" 64, "256" 256, "1K" 1024, "4K" 4096, "16K" 16384, "64K" 65536, "256K" 262144, \
	"1M" 1048576, "4M" 4194304, "16M" 16777216, "64M" 67108864)
set xrange [48:90000000]
if (deep) {
	set ylabel "GB/s"
} else {
	set ylabel "us from sending to release"
}
set arrow from cross, graph 0 to cross, graph 1 nohead dashtype 2
set label "lent from here" at cross, graph 0.03 offset 0.5, 0
# Where there is no figure, the field is empty.
y(i) = deep ? column(1) / column(i) : column(i) / 1000
plot for [i = 2:10] dir."/plot-".name.".csv" using 1:(y(i)) \
	with linespoints linewidth (i == 2 ? 3 : 1) title columnheader(i)
