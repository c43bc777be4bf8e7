#!/bin/sh
# Holds a lab and removes it.
#
#   keeper.sh hold DIR INDEX    until standard input ends, then clears
#   keeper.sh room DIR INDEX    is the first process of the lab's process namespace
#   keeper.sh clear DIR INDEX   ends the lab's processes, removes its cgroups and files
#
# DIR has the lab's files; its last part is the lab's name, and that of its cgroups
# and of its file in INDEX. Exit code 1: something is left.
set -u
what=$1 dir=$2 index=$3
name=${dir##*/}
case $name in
keepmum-lab-????????) ;;
*)
	echo "$dir is not the directory of a lab" >&2
	exit 2
	;;
esac

# room prints the process id of the lab's first process while that lives. Its
# arguments are compared because another process may have got the id.
room() {
	pid=$(cat "$dir/room" 2>/dev/null) || return 0
	{ tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF " room $dir " && echo "$pid"; } 2>/dev/null
}

cgroups() {
	find /sys/fs/cgroup -maxdepth 2 -type d -name "$name" 2>/dev/null
}

# pause ends the script when something could not be removed for a minute.
tries=0
pause() {
	tries=$((tries + 1))
	if [ $tries -gt 600 ]; then
		echo "cannot be removed: $1" >&2
		exit 1
	fi
	sleep 0.1
}

clear() {
	while pid=$(room) && [ -n "$pid" ]; do
		kill -9 "$pid" 2>/dev/null
		pause "process $pid"
	done
	while [ -n "$(cgroups)" ]; do
		cgroups | while read -r top; do
			find "$top" -depth -type d -exec rmdir {} \; 2>/dev/null
		done
		[ -z "$(cgroups)" ] || pause "cgroups $name"
	done
	until rm -rf --one-file-system "$dir" 2>/dev/null; do
		pause "$dir"
	done
	rm -f "$index/$name"
}

case $what in
hold)
	setpriv --pdeathsig KILL unshare --net --pid --fork --kill-child sh "$0" room "$dir" "$index" </dev/null &
	cat >/dev/null
	kill -9 $! 2>/dev/null
	wait
	clear
	;;
room)
	read -r pid rest </proc/self/stat # /proc is the machine's: this is the id that others see
	echo "$pid" >"$dir/room.new"
	mv "$dir/room.new" "$dir/room"
	sleep infinity &
	wait
	;;
clear) clear ;;
*) exit 2 ;;
esac
