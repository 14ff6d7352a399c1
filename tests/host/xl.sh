# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the files of host tests share that use xl; read after lib.sh.

xl() { lombard xen xl "$@"; }

# xl_state NAME: in `xl list`: r-b-p-s-c-d.
xl_state() {
	local row name state
	while read -r row; do
		read -r name _ _ _ state _ <<<"$row"
		[ "$name" != "$1" ] || say "$state"
	done < <(xl list)
}
