#!/bin/sh
# Goals: mount(8) and umount(8) themselves call us, by each of our names and fstab; options mean what they say, exit bits are theirs, umount -c
# returns when the volume is free, secrets are refused and not repeated. In a mount namespace whose /usr/sbin has our helpers, and an /etc of its own.
# shellcheck source=tests/sh/volume.sh disable=SC2015,SC2016 # ok does not fail; what is quoted runs inside
. "${top_srcdir:?}/tests/sh/volume.sh"
requires unshare --mount true
requires [ -x /usr/sbin/mount.fuse3 ]
requires [ /sbin -ef /usr/sbin ]

agent_start
volume v
mkdir "$tmp/sbin" "$tmp/path" "$tmp/a b" "$tmp/w,x"
bin_coffer=$(readlink -f "$bin/coffer")
for name in mount.coffer mount.fuse.coffer umount.coffer umount.fuse.coffer; do ln -s "$bin_coffer" "$tmp/sbin/$name"; done
cp /usr/sbin/mount.fuse3 "$tmp/sbin/mount.fuse3"
ln -s mount.fuse3 "$tmp/sbin/mount.fuse"
ln -s "$bin_coffer" "$tmp/path/coffer"
ln -s "$tmp/agent.sock" "$tmp/w,x/a.sock"
cat >"$tmp/prelude" <<EOS
mount --bind "$tmp/sbin" /usr/sbin && mount --bind "$tmp/path" /usr/local/bin && mount -t tmpfs none /etc && mkdir -p /etc/coffer/volumes.d || exit 99
printf '[volume]\nsource=$tmp/v\nmountpoint=$mnt\n' >/etc/coffer/volumes.d/v.conf
printf '[volume]\nsource=$tmp/v\noptions=dev,suid\n' >/etc/coffer/volumes.d/d.conf
trap 'umount -l "$mnt" "$tmp/a b" 2>/dev/null' EXIT
v=$tmp/v mnt=$mnt tmp=$tmp agent=agent=$tmp/agent.sock
free() { "$bin_coffer" --agent "$tmp/agent.sock" fsck "\$1" >/dev/null; }
shown() { findmnt -nro SOURCE,FSTYPE,OPTIONS --mountpoint "$mnt" | tee "$tmp/shown" | grep -qE "\$1"; }
EOS
inside() { unshare --mount --propagation private sh -c '. "$1" && eval "$2"' - "$tmp/prelude" "$1"; }
works() { # TEXT SHELL: mount it, with $agent; what is mounted fits
	expect 0 inside "$2" && ok "$1" || not_ok "$1: $(cat "$tmp/out" "$tmp/err" "$tmp/shown" 2>/dev/null)"
}
fails() { # STATUS MESSAGE SHELL: and nothing is mounted, nor a value repeated
	expect "$1" inside "$3; s=\$?; ! findmnt --mountpoint \$mnt >/dev/null || exit 98; exit \$s" && grep -q -- "$2" "$tmp/err" &&
		! grep -q hunter2 "$tmp/err" && ok "$1: $3" || not_ok "$3: $(cat "$tmp/err")"
}
works "-t coffer, and umount as systemd calls it, which returns when the volume is free" \
	'mount -t coffer $v $mnt -o $agent && shown "^$v fuse.coffer rw,nosuid,nodev" && echo x >$mnt/f && umount -c $mnt && free $v'
works "-t fuse.coffer" 'mount -t fuse.coffer $v $mnt -o $agent && shown "^$v fuse.coffer rw,nosuid,nodev,rel" && umount -c $mnt && free $v'
works "-t fuse by mount.fuse3, which cannot weaken it" 'mount -t fuse coffer#$v $mnt -o $agent && shown "^$v fuse.coffer rw,nosuid,nodev" && umount -c $mnt && free $v'
works "-r and -o ro" 'mount -r -t coffer $v $mnt -o $agent && shown " ro,nosuid,nodev" && ! touch $mnt/g 2>/dev/null && umount $mnt'
works "-o noexec,noallow_other" 'mount -t coffer $v $mnt -o noexec,noallow_other,$agent && shown " rw,nosuid,nodev,noexec,relatime,user_id=0,group_id=0,default_permissions$" && umount $mnt'
works "dev and suid, which mount(8) keeps to itself, by volumes.d" 'cd / && mount -t coffer v $mnt -o dev,suid,$agent && shown " rw,nosuid,nodev" && umount $mnt &&
	mount -t coffer d $mnt -o $agent && shown " rw,relatime" && umount $mnt && mount -t coffer d $mnt -o nodev,$agent && shown " rw,nodev,rel" && umount $mnt'
works "-o of numbers, a comma and what others add" 'mount -t coffer $v $mnt -o _netdev,nofail,noatime,x-y=1,threads=2,cache=8M,dirty=8M,commit=1,agent=$tmp/w\\,x/a.sock && umount $mnt'
works "-s passes over what nobody knows" 'mount -s -t coffer $v $mnt -o frob,max_read=7,$agent && umount $mnt'
works "-f mounts nothing, -v says so" 'mount -f -v -t coffer $v $mnt -o $agent | grep "would be mounted" && ! shown . && free $v'
works "-v" 'mount -v -t coffer $v $mnt -o $agent | grep "mounted at $mnt" && umount -v -c $mnt | grep "^coffer: .*unmounted" && free $v'
works "a name of volumes.d" 'cd / && mount -t coffer v $mnt -o $agent && shown "^$v " && umount -c $mnt && free $v'
works "fstab: blanks, and options of systemd" 'printf "%s %s coffer _netdev,nofail,x-systemd.requires=coffer-agent.socket,%s 0 0\n" $v "$tmp/a\\040b" $agent >/etc/fstab &&
	mount "$tmp/a b" && touch "$tmp/a b/g" && umount -c "$tmp/a b" && mount -a && umount -a -c -t fuse.coffer && free $v'
works "umount -l, while it is in use" 'mount -t coffer $v $mnt -o $agent && exec 9>$mnt/open && umount -l $mnt && ! shown . && echo still >&9'
works "umount -f ends it, though it is in use" 'mount -t coffer $v $mnt -o $agent && exec 9>$mnt/open && umount -f $mnt 2>$tmp/why; ! shown . && exec 9>&- && while ! free $v 2>/dev/null; do sleep 0.1; done'
works "umount of a dead mount in use" 'mount -t coffer $v $mnt -o $agent && exec 9>$mnt/open && kill -KILL $(sed -n "s/.*pid //p" $v/coffer.lock) &&
	while [ -e /proc/$(sed -n "s/.*pid //p" $v/coffer.lock)/exe ]; do sleep 0.1; done && umount -c $mnt && ! shown . && exec 9>&- && free $v'
works "umount.fuse.coffer of what is no volume is 32" '! /sbin/umount.fuse.coffer $mnt; [ $(/sbin/umount.fuse.coffer $mnt 2>/dev/null; echo $?) = 32 ]'
fails 1 'option frob: unknown' 'mount -t coffer $v $mnt -o frob,$agent'
fails 1 'remount: not possible' 'mount -t coffer $v $mnt -o remount,ro,$agent'
fails 1 'secrets never' 'mount -t coffer $v $mnt -o password=hunter2,$agent'
fails 1 'secrets never' 'mount -s -t coffer $v $mnt -o key=hunter2,$agent'
fails 1 'option frob=: unknown' 'mount -t coffer $v $mnt -o frob=hunter2,$agent'
fails 1 'threads=0: not a value' 'mount -t coffer $v $mnt -o threads=0,$agent'
fails 1 'needs SPEC and DIR' '/sbin/mount.coffer $v'
fails 1 'does not give: -q' '/sbin/mount.coffer $v $mnt -q'
fails 1 'nsenter' '/sbin/mount.coffer $v $mnt -N /proc/1/ns/mnt'
fails 1 'needs one DIR' '/sbin/umount.fuse.coffer'
fails 2 '/dev/fuse' 'mount -t tmpfs none /dev && mount -t coffer $v $mnt -o $agent'
fails 32 'not a volume' 'mount -t coffer $tmp/sbin $mnt -o $agent'
fails 32 'not a volume' 'mount -f -t coffer $tmp/sbin $mnt -o $agent'
fails 32 'no such volume' 'cd / && mount -t coffer w $mnt -o $agent'
fails 32 'not a directory' 'mount -t coffer $v $tmp/agent.log -o $agent'
fails 32 'agent' 'mount -t coffer $v $mnt -o agent=$tmp/nobody.sock'
works "remount of what is mounted is refused, and it goes on" 'mount -t coffer $v $mnt -o $agent && ! mount -o remount,ro $mnt 2>$tmp/why && grep "not possible" $tmp/why && touch $mnt/h && umount $mnt'
works "busy is 32, and it goes on" 'mount -t coffer $v $mnt -o $agent && exec 9>$mnt/open; umount $mnt; [ $? = 32 ] && echo more >&9 && exec 9>&- && umount $mnt'
works "another holder is 32" 'mount -t coffer $v $mnt -o $agent && ! mount -t coffer $v "$tmp/a b" -o $agent 2>$tmp/why && grep "in use" $tmp/why && umount $mnt'
expect 0 coffer fsck "$tmp/v" && ok "the volume is clean" || not_ok "fsck"
