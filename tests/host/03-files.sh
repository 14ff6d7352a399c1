#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Host files that are lent to guests.
. "${BASH_SOURCE[0]%/*}/lib.sh"

# make_file NAME BYTES: a file of lines, never the same for two names.
make_file() {
	local text=''
	while [ "${#text}" -lt 65536 ]; do
		text+="this is line ${#text} of the file $1"$'\n'
	done
	while printf '%s' "$text"; do :; done 2>/dev/null | head -c "$2" >"$work/$1"
}

# lend_file NAME TAG OPTION...: the loan's number in `id`.
lend_file() {
	expect 0 lombard lend --file "$work/$1" --to any --tag "$2" "${@:3}"
	id=$out
}

# borrow_file GUEST TAG NAME: a guest borrows the file and keeps it; the host takes a picture of the
# guest's window.
borrow_file() {
	launch "$1" borrow-hold "tag=$2" seconds=1000
	await "$console" "probe: window *"
	picture "$1" "$3"
}

picture() {
	expect 0 lombard dump "$1" --gfn "$(field gfn)" --pages "$(field pages)" -o "$work/$2"
}

# object NAME KEY
object() { printf '%s' "${stat[object.$work/$1.$2]}"; }

# Two kinds of loan on one file, and three borrowers: it is read once.
test_read_once() {
	local n
	make_file once 1000000
	lend_file once 1
	lend_file once 2 --cow
	for n in 1 2 3; do
		launch "reader$n" touch-window tag=1
		await_end "reader$n" 125
	done
	launch writer borrow-write tag=2
	await_end writer 0
	all_sound
	equal "pages" "$(object once pages)" 245
	equal "bytes read" "$(object once bytes_read)" $((245 * 4096))
	equal "resident" "$(object once resident)" 245
	equal "copied for the writer" "${stat[guest.writer.borrower]}" 245
}

# The rest of the last page is zero.
test_partial_last_page() {
	make_file part 10001
	cp "$work/part" "$work/padded"
	head -c 2287 /dev/zero >>"$work/padded"
	lend_file part 3 --json
	says '"pages": 3' "$out"
	says '"bytes": 10001' "$out"
	borrow_file part-reader 3 part.read
	equal "bytes as the guest knows them" "$(field bytes)" 10001
	same "$work/padded" "$work/part.read" || fail "the loan is not the file"
	expect 0 lombard stop part-reader
}

# same A B: without cmp, which a small system may lack.
same() {
	local a b
	mapfile -d '' a <"$1"
	mapfile -d '' b <"$2"
	[ "${#a[*]}" = "${#b[*]}" ] && [ "${a[*]}" = "${b[*]}" ]
}

test_part_of_file() {
	make_file middle 100000
	lend_file middle 4 --first 2 --pages 3 --json
	says '"pages": 3' "$out"
	says '"bytes": 12288' "$out"
	recall_loans
	lend_file middle 4 --first 24 --json
	says '"pages": 1' "$out"
	says '"bytes": 1696' "$out"
}

# A file that was changed is another object; the old one stays as it was read.
test_changed_file() {
	local window
	make_file change 8192
	lend_file change 5
	borrow_file old 5 old1
	window=$line
	same "$work/change" "$work/old1" || fail "the loan is not the file"
	sound
	equal "bytes read" "$(object change bytes_read)" 8192
	make_file change2 12288
	cat "$work/change2" >"$work/change"
	lend_file change 6
	borrow_file new 6 new1
	same "$work/change2" "$work/new1" || fail "the new loan has not the file's new text"
	line=$window
	picture old old2
	same "$work/old1" "$work/old2" || fail "the old loan has changed"
	expect 0 lombard stop old new
}

test_counter_and_editor() {
	make_file job 300000
	launch job-checker sleep ms=60000
	expect 0 lombard run -d -n ed -m 16M "$guests/editor.elf" file-tag=7 zero-tag=8 pages=16
	read -r _ _ console <<<"$out"
	lend_file job 7 --cow
	expect 0 lombard lend --from job-checker --gfn 0x600 --pages 64 --to any --tag 8
	await_end ed 0
	await "$console" "editor: changed * loan unharmed*"
	expect 0 lombard stop job-checker
}

# refused STATUS TEXT OPTION...
refused() {
	expect "$1" lombard lend "${@:3}"
	says "$2" "$err"
}

test_bad_ranges() {
	local first
	make_file small 8192
	for first in 2 100 4503599627370495 2251799813685248 9223372036854775807; do
		# Bug: it said no more than "Invalid argument".
		refused 1 "has only 2 pages" --file "$work/small" --to any --first "$first"
	done
	refused 2 "nothing to lend" --file "$work/small" --to any --pages 0
	for first in -1 18446744073709551616 1x ''; do
		refused 2 "first" --file "$work/small" --to any --first "$first"
	done
	sound
}

test_bad_files() {
	local kind
	: >"$work/empty"
	mkdir "$work/directory"
	for kind in "$work/empty" "$work/directory" /dev/null /dev/zero; do
		refused 1 "only a regular file that is not empty can be lent" --file "$kind" --to any
	done
	refused 1 "No such file" --file "$work/nowhere" --to any
	refused 1 "only a regular file" --file /proc/self/status --to any
}

# Nobody may sleep on a FIFO, which has no writer.
test_fifo() {
	local pid
	mkfifo "$work/fifo" 2>/dev/null || skip "there is no mkfifo"
	"$bin/lombard" lend --file "$work/fifo" --to any 2>"$work/fifo.err" &
	pid=$!
	until_true 5 gone "$pid" || fail "lombard sleeps on a FIFO"
	says "only a regular file" "$(<"$work/fifo.err")"
}

# The host has only what was offered to it, or to anyone.
test_to_other_guest() {
	make_file private 4096
	launch owner sleep ms=60000
	expect 0 lombard lend --file "$work/private" --to owner --tag 9
	run lombard dump --loan "$out" -o "$work/stolen"
	[ "$status" = 1 ] || fail "the host reads a loan to a guest: status $status"
	refused 1 "no such guest" --file "$work/private" --to nobody
	expect 0 lombard stop owner
}

# A lent file that shrinks: what was not read yet reads as zeroes, and nobody dies.
test_truncated_file() {
	make_file shrink 40960
	lend_file shrink 10
	: >"$work/shrink"
	borrow_file shrunk 10 shrunk
	head -c 40960 /dev/zero >"$work/zeroes"
	same "$work/zeroes" "$work/shrunk" || fail "there are bytes of a file that has none"
	expect 0 lombard stop shrunk
}

# Bug: a file whose name is no UTF-8 was missing in the account; a sentence with such a name was a
# hang-up.
test_odd_names() {
	local file=$work/$'caf\xe9-\xe2\x82\xac-\xf0\x9f\xe2\x82' id
	cp "$probe" "$file"
	expect 0 lombard lend --file "$file" --to any
	id=$out
	expect 0 lombard stats --json
	says '/caf??xe9-€-??xf0??x9f??xe2??x82"' "$out"
	expect 0 lombard stats
	says '/caf?xe9-€-?xf0?x9f?xe2?x82 ' "$out"
	expect 0 lombard return "$id"
	own_cell $'od\xe9'
	launch there sleep ms=60000
	says 'od?xe9/' "$console"
	expect 0 lombard list --json
	says 'od??xe9/' "$out"
	expect 0 lombard start
	expect 0 lombard stop there
	end_cell
}

# Bug: guests, who are told the number of pages in 32 bits, were told of one page.
test_too_many_pages() {
	local name fd
	# Without a name, so that it goes with the test.
	name=$(mktemp /dev/shm/lombard-vast.XXXXXX) || skip "there is no /dev/shm"
	exec {fd}<>"$name"
	rm "$name"
	dd if=/dev/null of="/dev/fd/$fd" bs=4096 seek=$((4294967296 + 1)) 2>/dev/null ||
		skip "no file there can have 16 TiB"
	refused 1 "4294967297 pages are too many for one loan" --file "/dev/fd/$fd" --to any
	expect 0 lombard lend --file "/dev/fd/$fd" --to any --first 4294967290
	expect 0 lombard loans
	says " 7  28672 " "$out"
}

# What the host has lent to one guest ends with it, in whosever name: nobody could borrow it any more.
test_ends_with_borrower() {
	local all
	launch lender sleep ms=60000
	launch borrower sleep ms=60000
	expect 0 lombard lend --file "$probe" --to borrower
	expect 0 lombard lend --from lender --gfn 0x100 --pages 4 --to borrower
	expect 0 lombard lend --file "$probe" --to any
	all=$out
	expect 0 lombard stop borrower
	expect 0 lombard loans
	says $'\n'"$(printf '%2d' "$all")  host    any " "$out"
	equal "rows of loans" "$(grep -c . <<<"$out")" 2
	expect 0 lombard return "$all"
	expect 0 lombard stop lender
}

# Bugs: what was not there was left out without a word, and "not a number" was said of large ones.
test_wrong_ranges() {
	make_file short 10001
	expect 1 lombard lend --file "$work/short" --to any --pages 4
	says "it has 3 from page 0 on" "$err"
	expect 1 lombard lend --file "$work/short" --to any --first 2 --pages 2
	says "it has 1 from page 2 on" "$err"
	expect 1 lombard lend --file "$work/short" --to any --first 3
	says "has only 3 pages" "$err"
	expect 1 lombard lend --file "$work/short" --to 0
	says "the host has the file already" "$err"
	expect 2 lombard lend --file "$work/short" --to any --tag 0x8000000000000000
	says "more than 0x7fffffffffffffff" "$err"
	expect 2 lombard return 1 2
	says "2: one loan at a time" "$err"
	expect 0 lombard loans
	equal "rows of loans" "${out%%$'\n'*}" "$out"
}

# Bug: an offer to a guest that had ended stayed, and was the next guest's who got that number.
test_to_ended() {
	local to
	launch was sleep ms=60000
	expect 0 lombard stop was
	for to in was "$domid"; do
		expect 1 lombard lend --file "$probe" --to "$to"
		says "was has ended" "$err"
	done
	launch is sleep ms=60000
	expect 1 lombard lend --from is --gfn 0 --pages 1 --to was
	says "was has ended" "$err"
	expect 0 lombard loans
	equal "rows of loans" "${out%%$'\n'*}" "$out"
	expect 0 lombard stop is
}

host_tests read_once partial_last_page part_of_file changed_file counter_and_editor bad_ranges \
	bad_files fifo to_other_guest truncated_file too_many_pages \
	odd_names ends_with_borrower wrong_ranges to_ended
