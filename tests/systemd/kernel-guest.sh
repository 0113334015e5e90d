#!/bin/bash
# Goals, on Debian 12's own kernel, 6.1 (boot-kernel): three boots, the last after a power cut.
# 1. A volume of fstab with options of systemd is there at boot. mount -t coffer. What is written, read, mapped and synced. A reboot leaves nothing to replay.
#    A tenant's slice says what it used (here there are controllers), a mount is restarted below a writer.
# 2. Without SO_PEERPIDFD, the agent takes its peers for what they are: one user in one unit is served, and nobody else.
# 3. The machine killed while files are written, renamed and synced: what was synced is there.
# shellcheck disable=SC2016,SC2317 # what check is given it runs
# shellcheck source=tests/systemd/functions.sh
. /root/functions.sh
finish() { echo "end $fails" && sync && systemctl --no-block "$1" && sleep 600; }
stty -F /dev/ttyS1 raw 2>/dev/null
code() { # CODE CMD ARG...
	local want=$1 status=0
	shift
	"$@" || status=$?
	[ "$status" = "$want" ] || { echo "exit $status"; return 1; }
}
in_unit() { # UNIT USER CMD ARG...
	local unit=$1 user=$2
	shift 2
	systemd-run --quiet --wait --pipe --collect --unit="$unit" -p User="$user" -p WorkingDirectory=/ "$@"
}
# /dev/fuse is there early: by modprobe@.
options=x-systemd.requires=modprobe@fuse.service,x-systemd.after=coffer-agent.socket,x-systemd.mount-timeout=10min

case $BOOT in
1)
	check "this is Debian 12's kernel" sh -c 'uname -r | grep "^6\.1\."'
	systemd-sysusers /usr/local/lib/sysusers.d/coffer.conf
	systemd-tmpfiles --create /usr/local/lib/tmpfiles.d/coffer.conf
	useradd acme && useradd other
	cp /root/peer.py /usr/local/bin/ && chmod 755 /usr/local/bin/peer.py
	mkdir -p /mnt/f /mnt/acme /etc/coffer/tenants.d
	printf '[tenant]\n[allow]\nuser=acme\nunit=coffer@acme.service\noperations=unlock\n[allow operators]\nuser=root\noperations=admin\n' >/etc/coffer/tenants.d/acme.conf
	printf '[volume]\nsource=/srv/acme\nmountpoint=/mnt/acme\ntenant=acme\nuser=acme\n' >/etc/coffer/volumes.d/acme.conf
	echo "/srv/f /mnt/f coffer _netdev,nofail,$options 0 0" >>/etc/fstab
	systemctl daemon-reload # once: slow, without hardware
	systemctl enable --no-reload coffer-agent.socket coffer@acme >/dev/null 2>&1
	check "the agent's socket" systemctl start coffer-agent.socket
	check "a volume for fstab" coffer --quiet init /srv/f --tenant f
	check "mount /mnt/f" mount /mnt/f
	check "write, sync, read" sh -c 'seq 100000 >/mnt/f/seq && sync /mnt/f/seq && echo 3 >/proc/sys/vm/drop_caches && seq 100000 | cmp - /mnt/f/seq'
	check "a shared mapping" python3 -c 'import mmap, os
fd = os.open("/mnt/f/mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 1 << 20)
m = mmap.mmap(fd, 1 << 20)
m[5000:5004] = b"text"
m.flush()
assert os.pread(fd, 4, 5000) == b"text"'
	check "O_DIRECT" dd if=/dev/urandom of=/mnt/f/direct bs=64k count=16 oflag=direct
	check "by a sparse file's end, punched" sh -c 'truncate -s 1G /mnt/f/sparse && fallocate -p -o 4096 -l 8192 /mnt/f/direct'
	check "unmounted" umount -c /mnt/f
	check "it verifies" coffer fsck /srv/f
	check "mount -t coffer" mount -t coffer /srv/f /mnt/f
	check "with what was written" sh -c 'seq 100000 | cmp - /mnt/f/seq'
	check "unmounted" umount -c /mnt/f
	check "as systemd does it" systemctl start mnt-f.mount

	check "a volume with rules" coffer --quiet init acme --tenant acme
	chown -R acme: /srv/acme
	check "the unit of that name and user gets the key" systemctl start coffer@acme
	check "and serves that user" setpriv --reuid=acme --regid=acme --clear-groups sh -c 'echo mine >/mnt/acme/file && sync /mnt/acme/file'
	check "nobody else" not ls /mnt/acme
	check "its tenant's slice has memory, processor and disk on its account" sh -c 'for what in MemoryCurrent CPUUsageNSec IOWriteBytes TasksCurrent; do
		systemctl show -P $what coffer-acme.slice | tee /dev/stderr | grep -qx "[1-9][0-9]*" || exit 1; done'
	mount=$(main_pid coffer@acme)
	setpriv --reuid=acme --regid=acme --clear-groups bash -c 'exec 9>>/mnt/acme/ticks || exit 1; for ((i = 0; i < 6000; i++)); do [ ! -e /run/enough ] || exit 0; echo tick >&9 || exit 1; sleep 0.05; done; exit 1' &
	ticks() { [ "$(setpriv --reuid=acme --regid=acme --clear-groups stat -c %s /mnt/acme/ticks)" -gt "$1" ]; }
	check "a writer" until_ok 60 ticks 0
	check "the mount is restarted below it" systemctl reload coffer@acme
	check "as the same process" [ "$(main_pid coffer@acme)" = "$mount" ]
	check "the writer goes on" until_ok 60 ticks "$(setpriv --reuid=acme --regid=acme --clear-groups stat -c %s /mnt/acme/ticks)"
	touch /run/enough
	check "and was told of no error" wait $!
	check "it stops" systemctl stop coffer@acme
	mkdir /mnt/own && chown acme: /mnt/own
	check "that user in another unit is denied" code 11 in_unit other.service acme coffer mount /srv/acme /mnt/own
	check "root in another unit is, too" code 11 in_unit other.service root coffer mount /srv/acme /mnt/own
	check "they are in the audit log as who they were" sh -c 'coffer audit show | grep -c "other.service"'
	check "a connection is of the process that made it" [ "$(peer.py pass)" = closed ]
	check "the unit of a victim" systemd-run --quiet --unit=victim.service sleep 1000
	check "a recycled process number is not its former owner, nor the new one" [ "$(peer.py recycled victim.service)" = closed ]
	check "the agent serves on" [ "$(peer.py ask)" = ok ]
	finish reboot
	;;
2)
	check "after a reboot the mount of fstab is up" wait_state mnt-f.mount active
	check "with its files" sh -c 'seq 100000 | cmp - /mnt/f/seq'
	check "and the enabled unit" wait_state coffer@acme active
	check "with its file" setpriv --reuid=acme --regid=acme --clear-groups grep mine /mnt/acme/file
	check "nothing had to be replayed" sh -c 'coffer --json status | grep -o "\"replayed_transactions\":[0-9]*" | sort -u | tee /dev/stderr | grep -qx "\"replayed_transactions\":0"'
	check "no unit failed" sh -c '[ -z "$(systemctl --failed --no-legend)" ] || { systemctl --failed; exit 1; }'
	echo "end $fails"
	mkdir /mnt/f/d && sync /mnt/f/d
	exec python3 - <<'EOF2'
import os
# Appended and synced; and every fifth a file of its own, synced, renamed into place, its directory synced. Until the machine is gone.
log = os.open("/mnt/f/appended", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
d = os.open("/mnt/f/d", os.O_RDONLY)
os.fsync(d)
n = 0
while True:
    n += 1
    os.write(log, b"%d\n" % n)
    if n % 5 == 0:
        fd = os.open("/mnt/f/d/new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, b"%d\n" % n * 1000)
        os.fsync(fd)
        os.close(fd)
        os.rename("/mnt/f/d/new", "/mnt/f/d/%d" % n)
        os.fsync(d)
    os.fsync(log)
    print("acked %d" % n, flush=True)
EOF2
	;;
3)
	check "after the cut the mount of fstab is up" wait_state mnt-f.mount active
	check "it had something to replay" sh -c 'coffer --json status | grep -o "\"replayed_transactions\":[0-9]*" | tee /dev/stderr | grep -q "[1-9]"'
	echo "at $(tail -n 1 /mnt/f/appended)"
	check "what was appended is whole" sh -c 'seq $(wc -l </mnt/f/appended) | cmp - /mnt/f/appended'
	check "so are the files that were renamed" python3 -c 'import os
last = int(open("/mnt/f/appended").read().split()[-1])
for n in range(5, last, 5):
    assert open("/mnt/f/d/%d" % n, "rb").read() == b"%d\n" % n * 1000, n'
	check "and what was there before" sh -c 'seq 100000 | cmp - /mnt/f/seq'
	check "the other mount is up, too" wait_state coffer@acme active
	check "it stops" umount -c /mnt/f
	check "it verifies" coffer fsck /srv/f
	check "the audit log verifies" coffer audit verify
	finish poweroff
	;;
esac
