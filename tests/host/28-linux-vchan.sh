#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Streams of Linux guests: Debian's vchan-socket-proxy on Debian's libraries and the guest's own drivers (xen-gntalloc,
# xen-gntdev, xen-evtchn, xenbus); between two guests, and between a guest and the host, where the same program
# runs on Lombard's libraries.  What goes through comes back, is compared, and both ends tell its hash.
#
# HOST_VCHAN_KB: so many KiB each way (256).
. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/store.sh"
. "${BASH_SOURCE[0]%/*}/linux-guest.sh"

kb=${HOST_VCHAN_KB:-256}
bytes=$((kb * 1024 + 667)) # the last piece is no whole one
patience=$((30 + kb / 16)) # seconds for them, times $scale
limit=$((240 + 2 * patience))

# Of each guest, by name: its domid, the file of its console, what types there, and how many lines of it were heard.
declare -A number=() shows=() keys=() seen=()
proxy= # the last one on the host

# What is typed at a guest's shell first: functions that make one end, of which $p is the proxy, and the drivers.
# shellcheck disable=SC2016 # the guest expands them
functions=(
	'await() { while [ ! -S $1 ]; do sleep 0.1; done; }'
	'mirror() { rm -f /tmp/s; unixend -g listen /tmp/s mirror & await /tmp/s; echo "mir""rors"; }'
	'serve() { vchan-socket-proxy --mode=server $1 $2 /tmp/s & p=$!; }'
	'reach() { rm -f /tmp/c; vchan-socket-proxy $1 $2 /tmp/c & p=$!; await /tmp/c; }'
	'for m in evtchn gntdev gntalloc privcmd; do insmod /modules/xen-$m.ko; done; echo "mod""ules" $?'
)

# start_guest NAME: one with a shell at its console.
start_guest() {
	local fd fifo=$work/$test_name/$1.keys arguments
	mapfile -t arguments < <(linux_options do=shell)
	expect 0 lombard run -d -n "$1" "${arguments[@]}"
	read -r "number[$1]" _ "shows[$1]" <<<"$out"
	seen[$1]=0
	mkfifo "$fifo"
	"$bin/lombard" console "$1" <"$fifo" >/dev/null 2>&1 &
	exec {fd}>"$fifo"
	keys[$1]=$fd
}

# tell GUEST COMMAND
tell() {
	say "$1> $2"
	printf '%s\n' "$2" >&"${keys[$1]}"
}

# The guest may have to share the only processor with this.
says_more() {
	local n=0 row
	pause 0.5
	while IFS= read -r row; do
		n=$((n + 1))
		# shellcheck disable=SC2053
		if [ "$n" -gt "${seen[$1]}" ] && [[ ${row%$'\r'} == *$2 ]]; then
			line=${row%$'\r'}
			seen[$1]=$n
			return
		fi
	done <"${shows[$1]}"
	return 1
}

# heard GUEST PATTERN [SECONDS]: a line that ends like this came behind the last that was heard; it is in $line.
heard() {
	until_true "${3:-20}" says_more "$1" "$2" || fail "$1 does not say '$2': $(tail -n 20 "${shows[$1]}")"
	say "$1: $line"
}

# ready GUEST: it has booted, and has its drivers.
ready() {
	local text
	for text in "${functions[@]}"; do
		tell "$1" "$text"
	done
	heard "$1" 'modules 0' 120
}

# node NUMBER NAME: where a server of this domain writes what its client has to know.
node() { printf '/local/domain/%d/data/%s' "$1" "$2"; }

# kill_proxy GUEST: the last that it has started.
# shellcheck disable=SC2016
kill_proxy() { tell "$1" 'kill -9 $p'; }

# all_through SENDER MIRROR, which are their words: what was turned round is what was sent.
all_through() {
	says "unixend: $bytes bytes came back, XXH64 " "$1"
	says "unixend: closed after $bytes bytes, XXH64 " "$2"
	[[ $1 =~ XXH64\ [0-9a-f]{16} ]] || fail "no hash in '$1'"
	says "${BASH_REMATCH[0]}" "$2"
}

# mirrors GUEST: it has a server's end.
mirrors() {
	tell "$1" mirror
	heard "$1" mirrors
}

# hold CLIENT [SERVER]: a stream that has carried a word both ways and stays; the host's mirror is there.
hold() {
	[ $# = 1 ] || mirrors "$2"
	tell "$1" 'unixend -g connect /tmp/c hold &'
	heard "$1" 'unixend: held'
}

# ---- between two guests ----

# Of whichever end the proxy is killed, the other notices; and a server has its next client.
test_guests() {
	local a b sent
	need_linux
	store_cell
	start_guest a
	start_guest b
	ready a
	ready b
	a=${number[a]} b=${number[b]}
	tell a "mirror; serve $b data/v"
	tell b "reach $a $(node "$a" v); unixend -g connect /tmp/c send $bytes"
	heard b 'unixend: *, XXH64 *' "$patience"
	sent=$line
	heard a 'unixend: closed *'
	all_through "$sent" "$line"
	hold b a
	kill_proxy b
	heard a 'unixend: closed after 5 bytes*'
	heard b 'unixend: closed'
	tell b "reach $a $(node "$a" v)"
	hold b a
	kill_proxy a
	heard b 'unixend: closed'
	heard a 'unixend: closed after 5 bytes*'
	kill_the_server "$a" "$b"
	stop_guests
	store_end
}

# As on Xen, what a killed guest has shared stays as it was, so its peer's proxy sees nothing of it.  The peer goes
# on, and is rid of it when that proxy ends.
# shellcheck disable=SC2016 # the guest expands them
kill_the_server() {
	tell a "serve $2 data/w"
	tell b "kill -9 \$p; reach $1 $(node "$1" w)"
	hold b a
	find_vmm "$1"
	kill -KILL "$vmm_pid"
	await_end a 126
	tell b 'sleep 1; kill -0 $p && echo "go""es" on'
	heard b 'goes on'
	expect 0 lombard xen lsevtchn "$2"
	[[ $out != *"(Connected) - Remote Domain $1"* ]] || fail "its port is still connected: $out"
	kill_proxy b
	heard b 'unixend: closed'
	sound
}

# ---- between a guest and the host ----

# client_here NUMBER NAME: a proxy for what that guest serves.
client_here() {
	start_proxy "$2.client" "$1" "$(node "$1" "$2")" "$dir/$2"
	proxy=$job
	until_true 10 there "$dir/$2" || fail "the proxy does not listen: $(<"$work/$test_name.$2.client")"
}

# server_here NUMBER NAME: a proxy that serves that guest.
server_here() {
	start_proxy "$2.server" --mode=server "$1" "data/$2" "$dir/s"
	proxy=$job
}

# mirror_here NAME: the end of a server here.
mirror_here() {
	rm -f "$dir/s"
	start_end "$1" -g listen "$dir/s" mirror
	until_true 10 there "$dir/s" || fail "nobody listens"
}

# hold_here NAME GUEST: the client's end here, as hold.
hold_here() {
	mirrors "$2"
	start_end "$1.end" -g connect "$dir/$1" hold
	said "$1.end" 'unixend: held'
}

# again NAME GUEST: a server has one client after the other.
again() {
	local n
	for ((n = 0; n < 3; n++)); do
		mirrors "$2"
		expect 0 timeout "$((20 * scale))" "$bin/host/unixend" -g connect "$dir/$1" send 100
		heard "$2" 'unixend: closed after 100 bytes*'
	done
}

# What the toolstack wants the guest to have: its balloon gives pages back, and takes them again.  Here, because there
# is a guest with a store already.  (Its kernel could not go on when a page was not taken.)
# shellcheck disable=SC2016
follows_target() {
	tell g 'total() { set -- $(grep MemTotal /proc/meminfo); echo $2; }; b=$(total); echo "has" $b'
	heard g 'has *'
	xs write "/local/domain/$g/memory/target" $((160 * 1024))
	tell g 'while [ $(total) -gt $((b - 32000)) ]; do sleep 0.2; done; echo "shr""unk"'
	heard g shrunk 40
	xs write "/local/domain/$g/memory/target" $((192 * 1024))
	tell g 'while [ $(total) -lt $b ]; do sleep 0.2; done; echo "gro""wn"'
	heard g grown 60
}

test_host() {
	local g dir=$work/$test_name
	need_linux
	store_cell
	start_guest g
	ready g
	g=${number[g]}
	follows_target
	guest_serves
	host_serves
	kill_the_client
	store_end
}

guest_serves() {
	tell g "mirror; serve 0 data/v"
	client_here "$g" v
	expect 0 timeout "$((patience * scale))" "$bin/host/unixend" -g connect "$dir/v" send "$bytes"
	heard g 'unixend: closed *'
	all_through "$out" "$line"
	again v g
	hold_here v g
	kill_job "$proxy"
	heard g 'unixend: closed after 5 bytes*'
	said v.end 'unixend: closed'
	tell g "kill -9 \$p; serve 0 data/w"
	client_here "$g" w
	hold_here w g
	kill_proxy g
	said w.end 'unixend: closed'
	heard g 'unixend: closed after 5 bytes*'
	kill_job "$proxy"
}

host_serves() {
	local sent
	mirror_here one
	server_here "$g" x
	tell g "reach 0 $(node 0 x); unixend -g connect /tmp/c send $bytes"
	heard g 'unixend: *, XXH64 *' "$patience"
	sent=$line
	said one 'unixend: closed *'
	all_through "$sent" "$line"
	mirror_here two
	hold g
	kill_proxy g
	said two 'unixend: closed after 5 bytes*'
	heard g 'unixend: closed'
	tell g "reach 0 $(node 0 x)"
	mirror_here three
	hold g
	kill_job "$proxy"
	heard g 'unixend: closed'
	said three 'unixend: closed after 5 bytes*'
}

# As when a server is killed.
kill_the_client() {
	mirror_here four
	server_here "$g" y
	tell g "kill -9 \$p; reach 0 $(node 0 y)"
	hold g
	find_vmm "$g"
	kill -KILL "$vmm_pid"
	await_end g 126
	sound
	alive "$proxy" || fail "the proxy is gone: $(<"$work/$test_name.y.server")"
	kill_job "$proxy"
	said four 'unixend: closed after 5 bytes*'
}

host_tests guests host
