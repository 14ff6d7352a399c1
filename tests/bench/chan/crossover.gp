# SPDX-License-Identifier: BSD-2-Clause
# Sealed messages that are always lent, always copied, or as the library chooses.
# Given: cross, seen (bytes; 0: nowhere), dir.
set datafile separator ","
set terminal pngcairo size 1000,700 noenhanced
set output dir."/crossover.png"
set title "sealed, end to end, depth 8: where lending begins to pay"
set logscale xy
set grid
set key top left
set xlabel "bytes of a message"
set ylabel "us a message"
set xtics ("4K" 4096, "16K" 16384, "64K" 65536, "256K" 262144, "1M" 1048576, "4M" 4194304, "8M" 8388608)
set xrange [3000:10000000]
set arrow from cross, graph 0 to cross, graph 1 nohead dashtype 2
set label "the library lends from here" at cross, graph 0.03 right offset -0.5, 0
if (seen > 0) {
	set arrow from seen, graph 0 to seen, graph 1 nohead dashtype 3
	set label "the lines cross" at seen, graph 0.08 right offset -0.5, 0
}
plot for [i = 2:4] dir."/plot-crossover.csv" using 1:(column(i) / 1000) \
	with linespoints title columnheader(i)
