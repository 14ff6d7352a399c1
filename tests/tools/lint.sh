#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Formatting, static analysis, both compilers, scripts and man pages.
set -u
cd "$(dirname "$0")/../.." || exit

failed=0
step() {
	local what=$1
	shift
	if out=$("$@" 2>&1); then
		echo "ok      $what"
	else
		echo "FAILED  $what"
		printf '%s\n' "$out" | tail -n 60
		failed=$((failed + 1))
	fi
}

mapfile -t c_files < <(git ls-files '*.c' '*.h')
mapfile -t sources < <(git ls-files 'hv/*.c' 'host-tools/*.c' 'guest/linux/*.c')
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
[ "${#c_files[@]}" -gt 0 ] || {
	echo "git lists no files here: nothing was looked at"
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}
mapfile -t pages < <(git ls-files 'docs/man/*')

no_spdx() {
	! grep -L 'SPDX-License-Identifier: BSD-2-Clause' "${c_files[@]}" "${scripts[@]}" | grep .
}

# Each header must stand on its own.
headers() {
	local h
	for h in $(git ls-files 'hv/*.h'); do
		gcc -std=gnu11 -D_GNU_SOURCE -Ihv -Ihv/abi -Wall -Wextra -Werror -fsyntax-only -x c "$h" || return 1
	done
	for h in guest/linux/*.h; do
		gcc -std=gnu11 -D_GNU_SOURCE -Ihv/abi -Wall -Wextra -Werror -fsyntax-only -x c "$h" || return 1
	done
	# What guests include must be plain C99, and C++.
	for h in hv/abi/lombard/*.h; do
		gcc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c "$h" || return 1
		g++ -Wall -Wextra -Werror -fsyntax-only -x c++ "$h" || return 1
	done
}

# clang-tidy takes minutes for all of it, so what it found good is remembered: a source, with all that it includes,
# and the rules.
tidied=${LOMBARD_CACHE:-$HOME/.cache/lombard}/tidy
tidy_flags='-std=gnu11 -D_GNU_SOURCE -Ihv -Ihv/abi -Iguest/linux'

# shellcheck disable=SC2086
tidy_one() {
	local file=$1 key
	key=$({ cat .clang-tidy "$file" && clang -E -P $tidy_flags "$file"; } 2>/dev/null | sha256sum) || key=
	key=${key%% *}
	[ -z "$key" ] || [ ! -e "$tidied/$key" ] || return 0
	clang-tidy --quiet --warnings-as-errors='*' "$file" -- $tidy_flags || return 1
	[ -z "$key" ] || : >"$tidied/$key"
}

tidy() {
	mkdir -p "$tidied"
	export tidied tidy_flags
	export -f tidy_one
	# shellcheck disable=SC2016 # the inner shell expands its own arguments
	printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -n 1 bash -c 'set -o pipefail; tidy_one "$1" || exit 1' _
}

step 'licence lines' no_spdx
step 'clang-format' clang-format --dry-run --Werror "${c_files[@]}"
step 'headers stand alone' headers
step 'gcc builds without warnings' make --no-print-directory -j"$(nproc)" CC=gcc programs
step 'clang builds without warnings' make --no-print-directory -j"$(nproc)" CC=clang programs
step 'clang-tidy' tidy
# Files of tests/host share variables through lib.sh: checked one by one they look unused or unset.
step 'shellcheck' shellcheck -x -e SC1091,SC2034,SC2154 "${scripts[@]}"
step 'man pages' mandoc -Tlint -Wwarning "${pages[@]}"
step 'the core is pure' tests/tools/check-pure.sh

echo "$((9 - failed)) passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
