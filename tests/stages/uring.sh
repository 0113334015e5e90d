# uring: scripts that mount, with requests by FUSE over io_uring. The kernel's parameter is the host's: it is set for the time, by one such run at once. Bash; sourced by runtests.
# shellcheck shell=bash
param=/sys/module/fuse/parameters/enable_uring
cd "$BUILD" || exit 1
if [ ! -w $param ]; then
	echo 'ok - scripts over FUSE by io_uring # SKIP the kernel does not have it'
	return 0
fi
exec 7<$param
flock 7
before=$(cat $param)
trap 'echo "$before" >$param' EXIT
echo Y >$param
export COFFER_MOUNT_OPTIONS=fuse-uring
scripts=
for name in 20-three-commands 23-mount-points 26-damage 27-killed 28-sqlite 29-files 30-semantics 31-kill 32-trees 33-disk-full 34-as-user 37-random-load 37-read-only 39-interrupted \
	39-ranges 40-hostile-backing 40-scrub 41-rest 43-posix 44-names-stress 45-attributes 46-many-entries 60-descriptors 63-clients 65-lock-agent 66-deep-reads 71-lock-path 76-backup \
	78-backup-live; do
	scripts="$scripts tests/sh/$name.sh"
done
check_tests "$scripts"
