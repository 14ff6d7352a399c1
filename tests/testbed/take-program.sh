# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause

# take_libraries FILE TREE: those that it wants.  Where the loader finds them here, they lie in TREE.
take_libraries() {
	local word
	for word in $(ldd "$1" 2>/dev/null); do
		[[ $word != /* ]] || [ -e "$2$word" ] || install -D "$word" "$2$word"
	done
}

# take_program FILE TREE [PLACE]: with its libraries.  False when it is not here.
take_program() {
	install -D "$1" "$2${3:-$1}" || return 1
	take_libraries "$1" "$2"
}
