#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The main job of Lombard, told step by step: guests count a host file, hash and edit pages that
# they were lent, and the host reads along, while one ledger accounts for every frame.
#
#   main-job.sh BIN GUESTS [FILE]
#
# BIN holds lombard, lombardd and lombard-vmm; GUESTS the guests' ELF images.  Without FILE a small
# licence text and then a 100 MB file made for the purpose are counted.  The exit status is 0 only
# when every comparison held.
set -u
export LC_ALL=C

bin=${1:?usage: main-job.sh BIN GUESTS [FILE]}
guests=${2:?usage: main-job.sh BIN GUESTS [FILE]}
given_file=${3:-}
small_file=/usr/share/common-licenses/GPL-3
big_bytes=100000000

work=
cell_pid=
checks=0
failures=0
line= # the last line that await saw
step_start=

say() { printf '%s\n' "$*"; }

# Begin a step, and say how long the one before took.
step() {
	[ -z "$step_start" ] || say "   (this step took $(since "$step_start") s)"
	step_start=$EPOCHREALTIME
	[ -z "$*" ] || printf '\n== %s\n' "$*"
}

die() {
	printf 'main job: %s\n' "$*" >&2
	exit 1
}

# check TEXT TEST-EXPRESSION...: one comparison, counted.
check() {
	local text=$1
	shift
	checks=$((checks + 1))
	if test "$@"; then
		say "   ok      $text"
	else
		failures=$((failures + 1))
		say "   FAILED  $text"
	fi
}

# Seconds with milliseconds since START (a value of $EPOCHREALTIME).
since() {
	local us=$((${EPOCHREALTIME/./} - ${1/./}))
	printf '%d.%03d' $((us / 1000000)) $((us / 1000 % 1000))
}

lombard() { "$bin/lombard" --socket "$work/cell.sock" "$@"; }

# Runs at every exit: nothing of the job may outlive it.
clean_up() {
	local status=$?
	trap - EXIT
	if [ -n "$work" ]; then
		[ ! -S "$work/cell.sock" ] || lombard shutdown || kill -KILL "$cell_pid"
		[ "$status" = 0 ] || show_logs >&2
		rm -rf "$work"
	fi
	exit "$status"
}

show_logs() {
	local log
	for log in "$work/cell.sock.log" "${console[@]}"; do
		[ -s "$log" ] || continue
		say "--- ${log#"$work/"} (its last lines)"
		tail -n 20 "$log"
	done
}

declare -A domid=() console=()
vmm_pids=()

# launch NAME MEMORY WINDOWS ARGUMENT...: a detached guest; fills domid and console.
launch() {
	local name=$1 memory=$2 windows=$3 start=$EPOCHREALTIME number called file
	shift 3
	read -r number called file < <(lombard run -d -n "$name" -m "$memory" -w "$windows" \
		"$guests/$name.elf" "$@") || die "the guest $name could not be launched"
	[ "$called" = "$name" ] || die "the guest $name came up as $called"
	domid[$name]=$number
	console[$name]=$file
	vmm_pids+=("$(lombard list | awk -v domid="$number" '$1 == domid { print $4 }')")
	say "   guest $name: domid $number, launched in $(since "$start") s"
}

# await NAME REGEX SECONDS [COMMAND...]: wait for a line on a guest's console, print it, leave it in `line`.  COMMAND
# says every few seconds how far it is.
await() {
	local name=$1 regex=$2 seconds=$3 tries=$(($3 * 20))
	shift 3
	while ! line=$(grep -E -m1 "$regex" "${console[$name]}" 2>/dev/null); do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "the guest $name did not print '$regex' within $seconds s"
		[ $((tries % 100)) != 0 ] || "${@:-true}"
		sleep 0.05
	done
	say "   $line"
}

# field KEY TEXT: the value of KEY=value in a line of a guest.
field() {
	local rest=" $2"
	rest=${rest#*[ ]"$1="}
	printf '%s' "${rest%%[ ]*}"
}

# column ACCOUNT NAME HEADING: one figure of the table of guests in the output of `stats`.
column() {
	awk -v name="$2" -v heading="$3" '
		$1 == "DOMID" { for (i = 1; i <= NF; i++) if ($i == heading) at = i }
		!NF { exit }
		$2 == name && at { print $at }' "$1"
}

# column_sum ACCOUNT HEADING: the same over all guests and the host.
column_sum() {
	awk -v heading="$2" '
		$1 == "DOMID" { for (i = 1; i <= NF; i++) if ($i == heading) at = i; next }
		!NF { exit }
		at { sum += $at }
		END { printf "%.0f\n", sum }' "$1"
}

# cell_figure ACCOUNT WORD: the number before the word in the account's last line.
cell_figure() {
	awk -v word="$2" '$1 == "cell:" { for (i = 3; i <= NF; i++) if ($i == word) print $(i - 1) }' "$1"
}

# zero_loans ACCOUNT: how often the one zero frame is lent.
zero_loans() { awk '$1 == "zero" && $2 == "frame:" { print $3 }' "$1"; }

# object ACCOUNT PATH FIELD-FROM-THE-END: a figure of each object of that name, summed up.  (%d of mawk ends at 2^31.)
object() {
	awk -v path="$2" -v back="$3" '
		index($0, path) == 1 { sum += $(NF - back) }
		END { printf "%.0f\n", sum }' "$1"
}

# A file is read as it is counted; at 20 MB/s if this machine is slow.
counting_time() { printf '%d' $((120 + $(stat -L -c %s "$1") / 20000000)); }

say_how_far() {
	local mib=$(($(stat -L -c %s "$1") >> 20))
	say "   ... $(($(lombard stats | object /dev/stdin "$1" 2) / 256)) of $mib MiB are read"
}

check_ledger() {
	local account=$1 when=$2
	check "$when: the ledger's sum is the kernel's figure" \
		"$(grep -c '^cell: .*: equal$' "$account")" = 1
	check "$when: every invariant of the ledger holds" \
		"$(grep -c '^audit: every invariant holds$' "$account")" = 1
}

# take_account FILE: `stats --audit` on the screen and in FILE.
take_account() {
	lombard stats --audit >"$1" || say "   (lombard stats: exit status $?)"
	sed 's/^/   /' "$1"
}

check_requirements() {
	local name missing=
	for name in lombard lombardd lombard-vmm; do
		[ -x "$bin/$name" ] || die "$bin/$name is missing; run make first"
	done
	for name in counter checker editor; do
		[ -r "$guests/$name.elf" ] || die "$guests/$name.elf is missing; run make first"
	done
	command -v xxhsum >/dev/null || die "xxhsum is missing; run make deps (package xxhash)"
	if [ ! -e /dev/kvm ]; then
		missing="/dev/kvm does not exist: the kernel's KVM module is not loaded"
	elif [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		missing="/dev/kvm may not be opened: use sudo, or join the group kvm"
	elif ! (exec 3<>/dev/kvm) 2>/dev/null; then
		missing="/dev/kvm can not be opened: virtualization is off, or kept from this machine"
	fi
	[ -z "$missing" ] || die "no guest can run here: $missing
main job: \`make check\` runs everything that needs no KVM."
}

# What is on loan is in memory: all of the file.
check_memory() {
	local need available
	need=$((($(stat -L -c %s "$1") >> 20) + 256))
	available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
	[ "$need" -le "$available" ] ||
		die "$1 would be lent as a whole, which takes $need MiB of memory, and $available MiB are there: take another file"
}

start_cell() {
	local start=$EPOCHREALTIME answer
	answer=$(lombard start) || die "the cell did not start"
	cell_pid=${answer##*pid }
	say "   $answer (in $(since "$start") s)"
}

# Windows of the counter and the editor have to hold the file, and some more.
window_size() {
	local bytes=$1
	printf '%dM' $((bytes / 1048576 + 256))
}

# lend_file FILE: read-only to the counter, copy-on-write to anyone.
lend_file() {
	local file=$1 start=$EPOCHREALTIME id
	id=$(lombard lend --file "$file" --to counter --tag 1) || die "the file could not be lent"
	say "   loan $id: $file, read-only, to counter"
	id=$(lombard lend --file "$file" --to any --cow --tag 3) || die "the file could not be lent"
	say "   loan $id: $file, copy-on-write, to anyone (both in $(since "$start") s)"
}

# compare_count FILE: the words in the counter's last line against wc's.
compare_count() {
	local lines words bytes
	read -r lines words bytes < <(wc <"$1")
	check "lines as wc counts them: $lines" "$(field lines "$line")" = "$lines"
	check "words as wc counts them: $words" "$(field words "$line")" = "$words"
	check "bytes as wc counts them: $bytes" "$(field bytes "$line")" = "$bytes"
}

# What was copied until the counter begins to overwrite: the pages that the editor changed, no others.
check_counting() {
	local account=$1 changed=$2
	check "counting copied nothing: neither the counter nor the checker has a copy of a page" \
		"$(($(column "$account" counter COPIED) + $(column "$account" checker COPIED)))" = 0
	check "the $changed pages that the editor changed were broken, no others" \
		"$(column "$account" editor BRK-BORROWER)/$(broken "$account")" = "$changed/$changed"
	check "as many pages were copied as were broken: $changed" \
		"$(column_sum "$account" COPIED)" = $((changed * 4096))
}

# let_go FILE: the counter overwrites its table while this offer is there.
let_go() {
	go=$(lombard lend --file "$1" --to counter --tag 5) || die "the counter could not be told to go on"
	await counter '^counter: overwrote ' 60
}

# What the host reads of the lent table now is what was lent.
read_lent_table() {
	local id=$1 pages=$2 hash=$3 start=$EPOCHREALTIME host_hash
	lombard dump --loan "$id" -o "$work/table" 2>&1 | sed 's/^/   /'
	host_hash=$(xxhsum -H64 <"$work/table" 2>/dev/null)
	say "   the host read $pages pages of loan $id in $(since "$start") s: xxh64=${host_hash%% *}"
	check "the table that the host reads is the one that was lent" "${host_hash%% *}" = "$hash"
}

# take_picture GFN PAGES SECONDS: of the counter's memory, while it writes there.
take_picture() {
	say "   a picture of the counter's memory at gfn $1, read again after $3 s:"
	lombard dump counter --gfn "$1" --pages "$2" --hold "$3" -o "$work/picture" 2>&1 |
		sed 's/^/   /'
	check "the picture of the running guest stood still" "${PIPESTATUS[0]}" = 0
	check "the picture has all $2 pages" "$(stat -c %s "$work/picture")" = $(($2 * 4096))
}

# broken ACCOUNT: pages broken by a write, by whoever.
broken() { printf '%d' $(($(column_sum "$1" BRK-WRITE) + $(column_sum "$1" BRK-BORROWER))); }

# check_copies ACCOUNT WHEN PAGES: so many pages of the counter were broken, and each was copied once.
check_copies() {
	local account=$1 when=$2 pages=$3
	say "   bytes copied: $(column_sum "$account" COPIED); loans broken by a write: $(broken "$account") pages"
	check "$when: $pages pages of the counter are broken" \
		"$(column "$account" counter BRK-WRITE)" = "$pages"
	check "$when: as many pages were copied as were broken" \
		"$(column_sum "$account" COPIED)" = $(($(broken "$account") * 4096))
}

check_reads() {
	local account=$1 file=$2 size pages read
	size=$(stat -L -c %s "$file")
	pages=$(((size + 4095) / 4096))
	read=$(object "$account" "$file" 0)
	say "   the file has $size bytes in $pages pages; read from it: $read bytes"
	check "two guests borrowed the file, and it was read once" \
		$(((read + 4095) / 4096)) = "$pages"
	check "each page of the file lies in one frame" "$(object "$account" "$file" 2)" = "$pages"
}

# finish_guest NAME: it has to end by itself, content.
finish_guest() {
	local answer status
	answer=$(lombard wait "${domid[$1]}")
	status=$?
	check "$answer" "$status" = 0
}

# The editor's own copies; it comes to its end while the counter waits.
edit_step() {
	step "the editor changes its own copy of it, and nobody notices"
	await editor '^editor: changed .* loan unharmed' 60
	changed=${line#editor: changed }
	changed=${changed%% *}
	await counter '^counter: lent table ' 60
	await editor '^editor: zero pages=[0-9]+ ok' 60
	finish_guest editor
	take_account "$work/counted"
	check_ledger "$work/counted" "after counting"
	check_counting "$work/counted" "$changed"
}

# The counter's own table: each of its pages is broken once, and once more where a picture was taken.
table_step() {
	local file=$1 loan hash pages seconds
	step "the counter lends its word table and overwrites it; the host reads what was lent"
	await counter '^counter: table ' 60
	hash=$(field xxh64 "$line")
	await counter '^counter: lent table ' 60
	loan=$line
	pages=$(field pages "$loan")
	let_go "$file"
	seconds=$((1 + 4 * $(field ms "$line") / 1000))
	take_account "$work/overwritten"
	check_copies "$work/overwritten" "after one round" "$pages"
	read_lent_table "$(field id "$loan")" "$pages" "$hash"
	# While the picture is held, the counter gets round at least once.
	take_picture "$(field gfn "$loan")" "$pages" "$seconds"

	step "the account while everything is lent"
	lombard loans | sed 's/^/   /'
	take_account "$work/lent"
	check_ledger "$work/lent" "while lent"
	check_copies "$work/lent" "after the picture" $((2 * pages))
	check_reads "$work/lent" "$file"
	await counter '^counter: lent zero ' 1
	check "the 64 pages that the counter lends without having touched them are one frame" \
		"$(zero_loans "$work/lent")" = 64
	lombard return "$go" >/dev/null || die "the counter could not be told to stop"

	step "what the guests say in the end"
	await counter '^counter: that were [0-9]+ rounds' 60
	await checker '^checker: table ' 60
	check "the checker's hash is the counter's" "$(field xxh64 "$line")" = "$hash"
	await checker '^checker: zero pages=[0-9]+ ok' 60
	finish_guest counter
	finish_guest checker
}

# The counter's file, read-only; everybody's, copy-on-write; then the counter's own table.
whole_job() {
	local file=$1 windows start
	windows=$(window_size "$(stat -L -c %s "$file")")

	step "three guests, one file: $file ($(stat -L -c %s "$file") bytes)"
	launch checker 64M 256M table-tag=2 zero-tag=4
	launch editor 64M "$windows" file-tag=3 zero-tag=4 pages=4096 every=16
	launch counter 64M "$windows" file-tag=1 table-tag=2 zero-tag=4 go-tag=5 \
		checker="${domid[checker]}" chunk=1024

	step "the host lends the file"
	start=$EPOCHREALTIME
	lend_file "$file"

	step "the counter counts it in place, without a copy"
	await counter '^counter: lines=' "$(counting_time "$file")" say_how_far "$file"
	say "   that was $(since "$start") s after lending"
	compare_count "$file"
	edit_step
	table_step "$file"
}

# Recall what the host lent.
return_loans() {
	local id
	for id in $(lombard loans | awk 'NR > 1 { print $1 }'); do
		lombard return "$id" >/dev/null || say "   loan $id could not be returned"
	done
}

close_account() {
	step "the closing account: every guest has ended, every loan is returned"
	return_loans
	take_account "$work/closed"
	check_ledger "$work/closed" "at the end"
	check "nothing is lent any more" "$(cell_figure "$work/closed" lent)" = 0
	check "no orphan is left" "$(cell_figure "$work/closed" orphaned)" = 0
	check "the zero frame is lent to nobody" "$(zero_loans "$work/closed")" = 0
	check "the cell has no frame at all" "$(cell_figure "$work/closed" 'frames;')" = 0
	check "no loan is open" "$(lombard loans | awk 'NR > 1' | wc -l)" = 0
}

# Text of this system, over and over, cut to length.
make_big_file() {
	local target=$1 source
	mkdir "$work/text"
	for source in /usr/share/common-licenses/* /etc/services /etc/mime.types; do
		[ ! -f "$source" ] || cat "$source"
	done >"$work/text/once" 2>/dev/null
	[ -s "$work/text/once" ] || die "this system has no text to make a big file from"
	while cat "$work/text/once"; do :; done 2>/dev/null | head -c "$big_bytes" >"$target"
	rm -r "$work/text"
}

count_big_file() {
	local file=$work/big start=$EPOCHREALTIME windows
	step "the counting step again, on a file of $big_bytes bytes"
	return_loans
	make_big_file "$file"
	say "   made in $(since "$start") s"
	windows=$(window_size "$big_bytes")
	launch checker 64M 256M table-tag=2 zero-tag=4
	launch counter 64M "$windows" file-tag=1 table-tag=2 zero-tag=4 \
		checker="${domid[checker]}" chunk=1024
	start=$EPOCHREALTIME
	lombard lend --file "$file" --to counter --tag 1 >/dev/null || die "the file could not be lent"
	await counter '^counter: lines=' 300
	say "   that was $(since "$start") s after lending"
	compare_count "$file"
	finish_guest counter
	finish_guest checker
	rm "$file"
}

# No process of Lombard has this number any more; one that only waits for its parent does not count.
process_gone() {
	! awk '
		$1 == "Name:" { ours = $2 ~ /^lombard/ }
		$1 == "State:" { alive = $2 != "Z" }
		END { exit !(ours && alive) }' "/proc/$1/status" 2>/dev/null
}

shut_down() {
	local start=$EPOCHREALTIME left=0 status pid
	step "the cell shuts down, and leaves nothing behind"
	lombard shutdown
	status=$?
	check "the cell ended when asked, in $(since "$start") s" "$status" = 0
	for pid in "$cell_pid" "${vmm_pids[@]}"; do
		process_gone "$pid" || left=$((left + 1))
	done
	check "none of its $((${#vmm_pids[@]} + 1)) processes is left" "$left" = 0
	check "its socket is gone" ! -e "$work/cell.sock"
	rm -rf "$work"
	check "the temporary directory is gone" ! -e "$work"
	work=
}

main() {
	local start=$EPOCHREALTIME file=${given_file:-$small_file}
	check_requirements
	if [ ! -f "$file" ] || [ ! -r "$file" ]; then
		die "$file is not a file that can be read"
	fi
	file=$(realpath "$file")
	[ -s "$file" ] || die "$file is empty: there is nothing to lend"
	check_memory "$file"
	work=$(mktemp -d "${TMPDIR:-/tmp}/lombard-job.XXXXXX") || die "no temporary directory"
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	step "a cell: one ledger for all frames"
	start_cell
	whole_job "$file"
	[ -n "$given_file" ] || count_big_file
	close_account
	shut_down

	step ""
	say
	if [ "$failures" -gt 0 ]; then
		say "main job: $failures of $checks comparisons FAILED (in $(since "$start") s)"
		exit 1
	fi
	say "main job: all $checks comparisons held (in $(since "$start") s)"
}

main
