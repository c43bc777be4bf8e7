#!/bin/sh
# Runs a Docker engine in a container. The arguments are dockerd's.
# DIND_RESOLVER, if set, is a program that answers name queries on 127.0.0.1
# with "no such name" at once.
set -eu
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then # version 1: the outer engine mounts them read-only
	umount -l /sys/fs/cgroup 2>/dev/null || true
	mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
		mkdir -p /sys/fs/cgroup/$c
		mount -t cgroup -o $c cgroup-$c /sys/fs/cgroup/$c || rmdir /sys/fs/cgroup/$c
	done
	mkdir -p /sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup-systemd /sys/fs/cgroup/systemd || rmdir /sys/fs/cgroup/systemd
else
	mount -o remount,rw /sys/fs/cgroup
	mkdir -p /sys/fs/cgroup/dind # the root can have children with controllers only if it has no processes
	echo 1 >/sys/fs/cgroup/dind/cgroup.procs
	sed 's/ / +/g; s/^/+/' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control || true
fi
mount -o remount,rw /proc/sys 2>/dev/null || true
mount -t tmpfs -o mode=755 tmpfs /run
if [ -n "${DIND_RESOLVER:-}" ]; then
	$DIND_RESOLVER &
	echo "nameserver 127.0.0.1" >/etc/resolv.conf
fi
echo '{}' >/etc/docker.json
driver=overlay2
mkdir -p /var/lib/docker/try/lower /var/lib/docker/try/upper /var/lib/docker/try/work /var/lib/docker/try/both
if mount -t overlay -o lowerdir=/var/lib/docker/try/lower,upperdir=/var/lib/docker/try/upper,workdir=/var/lib/docker/try/work overlay /var/lib/docker/try/both; then
	umount /var/lib/docker/try/both
else
	driver=vfs
fi
rm -rf /var/lib/docker/try
exec dockerd --config-file /etc/docker.json -H unix:///run/docker.sock --storage-driver $driver "$@"
