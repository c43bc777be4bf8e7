#!/bin/sh
# Is the first process of a node: if it is killed, the node has lost its power.
#
#   node.sh DIR HOSTNAME ADDRESS RESOLVER DOCKERD-ARGUMENT...
#
# It writes its process id, as the machine sees it, to DIR/pid, waits for the
# interface eth0, and runs dockerd. If that ends, it makes the file DIR/exited, and
# runs dockerd again when there is a file DIR/restart.
set -eu
dir=$1 host=$2 address=$3 resolver=$4
shift 4
read -r pid rest </proc/self/stat # /proc still is the machine's
echo "$pid" >"$dir/pid.new"
mv "$dir/pid.new" "$dir/pid"
hostname "$host"

# Copies of mounts of the machine's own engine would keep them in use.
while read -r device at type rest; do
	case $type:$at in
	nsfs:* | *:/var/lib/docker/* | *:/var/lib/containerd/* | *:/run/docker/*) umount -l "$at" 2>/dev/null || true ;;
	esac
done </proc/mounts

mount -t proc proc /proc
mkdir -p "$dir/cgroup" "$dir/data" "$dir/etc"
mount --rbind /sys/fs/cgroup "$dir/cgroup"
mount -t sysfs sysfs /sys # shows the interfaces of this network namespace
mount --move "$dir/cgroup" /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run # after a power loss nothing of a former dockerd is there
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
rm -rf /etc/resolv.conf /etc/docker
echo "nameserver $resolver" >/etc/resolv.conf
mkdir /etc/docker
mount --bind "$dir/etc" /etc/docker

driver=vfs
mkdir -p "$dir/data/try/lower" "$dir/data/try/upper" "$dir/data/try/work" "$dir/data/try/both"
if mount -t overlay -o "lowerdir=$dir/data/try/lower,upperdir=$dir/data/try/upper,workdir=$dir/data/try/work" overlay "$dir/data/try/both" 2>/dev/null; then
	umount "$dir/data/try/both"
	driver=overlay2
elif [ -e /dev/fuse ] && command -v fuse-overlayfs >/dev/null; then
	driver=fuse-overlayfs
fi
rm -rf "$dir/data/try"

until ip link show eth0 >/dev/null 2>&1; do
	sleep 0.02
done
ip link set lo up
ip addr add "$address" dev eth0
ip link set eth0 up
ip route add unreachable default
echo 0 >/proc/sys/net/ipv4/icmp_ratelimit # every attempt fails at once, not every tenth

while :; do
	rm -f /run/docker.pid "$dir/docker.sock"
	dockerd --storage-driver "$driver" "$@" >>"$dir/dockerd.log" 2>&1 &
	wait $! || true
	: >"$dir/exited"
	until [ -e "$dir/restart" ]; do
		sleep 0.1 # and the shell collects processes that have ended
	done
	rm "$dir/restart"
done
