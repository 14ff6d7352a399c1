#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Install the Debian packages that building and testing Lombard needs, if any is missing.
set -eu

packages='gcc make pkg-config libc6-dev
	libcriterion-dev libxen-dev libbsd-dev libelf-dev libjansson-dev libseccomp-dev libcap-ng-dev liburing-dev
	libxxhash-dev liblz4-dev liblzma-dev libzstd-dev zlib1g-dev xxhash xen-utils-4.17 xenstore-utils'

missing=
for p in $packages "$@"; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages:$missing" >&2
	echo "run this with sudo, or: sudo apt-get install$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # the names are to be split
# The lists of a fresh machine may be missing or old: refresh them only if the first try fails.
apt-get install -y --no-install-recommends $missing >/dev/null 2>&1 || {
	apt-get update -qq
	# shellcheck disable=SC2086
	apt-get install -y --no-install-recommends $missing >/dev/null
}
