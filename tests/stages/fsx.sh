# fsx: random file operations on a mount, checked against byte arrays, with unmounts and SIGKILLs between. Bash; sourced by runtests.
#
# FSX_OPS operations over three seeds: most on a disk in memory (its speed lets them be many), the last on the disk's filesystem.
ops=${FSX_OPS:-2000000} dir=$OUT/fsx status=0
mkdir -p "$dir"/{conf,state,mnt,mem} && chmod 700 "$dir"/{conf,state}
"$BUILD/coffer-agent" --config "$dir/conf" --state "$dir/state" --socket "$dir/sock" || exit 1
coffer() { "$BUILD/coffer" --quiet --agent "$dir/sock" "$@"; }

cat >"$dir/mount" <<END
exec "$BUILD/coffer" --quiet --agent "$dir/sock" mount "\$(cat "$dir/which")" "$dir/mnt" -o test-gather-log-fd=\$FSX_LOG_FD
END
cat >"$dir/umount" <<END
exec "$BUILD/coffer" --quiet --agent "$dir/sock" umount "$dir/mnt"
END
cat >"$dir/kill" <<END
pid=\$("$BUILD/coffer" --agent "$dir/sock" status --json | sed -n 's/.*"pid":\\([0-9]*\\),"state".*/\\1/p')
[ -n "\$pid" ] && kill -9 "\$pid" && umount -l "$dir/mnt"
END

run() { # WHERE SEED OPS KILL-EVERY
	echo "$1" >"$dir/which"
	coffer init "$1" --tenant fsx || return 1
	if "$BUILD/tests/fsx/fsx" -s "$2" -n "$3" -k "$4" -u "$4" -m 300000 "$dir/mnt" "sh $dir/mount" "sh $dir/umount" "sh $dir/kill" >"$OUT/said" 2>&1; then
		echo "ok - $(tail -n 1 "$OUT/said")"
	else
		tail -n 120 "$OUT/said"
		echo "not ok - fsx, seed $2"
		umount -l "$dir/mnt" 2>/dev/null
		status=1
		return 0
	fi
	if coffer fsck "$1"; then echo "ok - fsck is clean behind seed $2"; else echo "not ok - fsck behind seed $2" && status=1; fi
}

# ext4 on a disk in memory: its flushes cost little
mount -t tmpfs -o size=1400m none "$dir/mem"
truncate -s 1300m "$dir/mem/img"
mkfs.ext4 -q -F "$dir/mem/img"
mkdir "$dir/disk"
mount -o loop "$dir/mem/img" "$dir/disk" || exit 1
run "$dir/disk/a" 1 $((ops * 48 / 100)) 40000
run "$dir/disk/b" 2 $((ops * 48 / 100)) 40000
run "$dir/c" 3 $((ops * 4 / 100)) 4000
agent=$("$BUILD/coffer" --agent "$dir/sock" status --json | sed -n 's/.*"agent":{[^}]*"pid":\([0-9]*\).*/\1/p')
[ -z "$agent" ] || kill "$agent"
umount "$dir/disk" "$dir/mem"
exit $status
