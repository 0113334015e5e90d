#!/bin/sh
# Goals:
# 1. git clone of a repository with history, fsck, gc, worktree: the same commits, trees and files as in a clone on a plain directory.
# 2. Commits with core.fsync=all while the mount is killed: afterwards fsck finds nothing, and every commit that had returned is there.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires git --version

HOME=$tmp GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
git config --global user.name test
git config --global user.email test@localhost
git config --global init.defaultBranch main
git config --global gc.auto 0

objects() { # REPOSITORY: what it has, by commits and trees
	git -C "$1" rev-list --objects --all | cut -d' ' -f1 | sort
}

agent_start
volume v
coffer mount "$tmp/v" "$mnt"
git init -q "$tmp/origin"
/usr/bin/python3 "$top_srcdir/tests/mount/history.py" 300 | git -C "$tmp/origin" fast-import --quiet
git -C "$tmp/origin" tag -a -m "a tag" v1 main~100
expect 0 git clone -q --no-local "$tmp/origin" "$mnt/clone" && ok "clone" || not_ok "clone"
git clone -q --no-local "$tmp/origin" "$tmp/plain"
expect 0 git -C "$mnt/clone" fsck --full --strict && ok "fsck" || not_ok "fsck"
diff -r --no-dereference -x .git "$tmp/plain" "$mnt/clone" && ok "the files are the same" || not_ok "the files differ"

git -C "$mnt/clone" checkout -q -b side main~50
for n in 1 2 3 4 5 6 7 8 9 10; do
	cp "$mnt/clone/README" "$mnt/clone/side.$n"
	git -C "$mnt/clone" add . && git -C "$mnt/clone" commit -qm "side $n"
done
git -C "$mnt/clone" merge -q -m merge main
git -C "$mnt/clone" worktree add -q "$mnt/tree" main~20
expect 0 git -C "$mnt/clone" repack -qad && expect 0 git -C "$mnt/clone" gc -q --prune=now && ok "repack and gc" || not_ok "repack and gc"
coffer umount "$mnt"
coffer mount "$tmp/v" "$mnt"
expect 0 git -C "$mnt/clone" fsck --full --strict && ok "fsck after gc and another mount" || not_ok "fsck after gc"
git -C "$tmp/plain" fetch -q "$mnt/clone" side:side
git -C "$tmp/plain" worktree add -q "$tmp/tree" main~20
objects "$mnt/clone" >"$tmp/got"
objects "$tmp/plain" >"$tmp/want"
cmp "$tmp/want" "$tmp/got" && ok "$(wc -l <"$tmp/got") objects, as fetched" || not_ok "objects differ"
diff -r --no-dereference -x .git "$tmp/tree" "$mnt/tree" && ok "a second worktree" || not_ok "the worktrees differ"
[ -z "$(git -C "$mnt/tree" status --porcelain)" ] && ok "which is clean by its index" || not_ok "git status: $(git -C "$mnt/tree" status --porcelain | head -3)"

git init -q "$mnt/killed"
git -C "$mnt/killed" config core.fsync all
coffer sync "$mnt" # of what git init made nothing was fsynced
for round in 1 2 3; do
	(
		cd "$mnt/killed" || exit
		n=0
		while n=$((n + 1)) && echo "$round $n" >file.$((n % 20)) && git add . && git commit -qm "$round $n"; do
			echo "$round $n"
		done >>"$tmp/said" 2>"$tmp/err"
	) &
	load=$!
	sleep 3
	kill_mount v
	wait $load || :
	coffer mount "$tmp/v" "$mnt"
	rm -f "$mnt/killed/.git/"*.lock "$mnt/killed/.git/refs/heads/"*.lock
	expect 0 git -C "$mnt/killed" fsck --full --strict && ok "kill $round: fsck" || not_ok "kill $round: fsck"
	git -C "$mnt/killed" log --format=%s | sort >"$tmp/found"
	sort "$tmp/said" | comm -23 - "$tmp/found" >"$tmp/lost"
	[ -s "$tmp/said" ] && [ ! -s "$tmp/lost" ] && ok "kill $round: $(wc -l <"$tmp/said") commits, none lost" || not_ok "kill $round: lost: $(head -3 "$tmp/lost")"
	git -C "$mnt/killed" reset -q --hard
done
coffer umount "$mnt"
