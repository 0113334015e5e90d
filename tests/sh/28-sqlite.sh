#!/bin/sh
# Goals: SQLite with a write-ahead log and with a rollback journal: transactions by two processes, the mount is killed in the middle; after
# it mounts again integrity_check is ok and every acknowledged transaction is there, no half one.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"

cat >"$tmp/bank.py" <<'END'
"""Move money between accounts for ever: each transaction keeps the sum, and adds a line to the ledger. Says what was committed."""
import os, random, sqlite3, sys, time
path, mode, who = sys.argv[1:4]
db = sqlite3.connect(path, timeout=30, isolation_level=None)
try:
    db.execute("PRAGMA busy_timeout=30000")
    db.execute(f"PRAGMA journal_mode={mode}")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, cents INTEGER)")
    db.execute("CREATE TABLE IF NOT EXISTS ledger(who TEXT, n INTEGER, pad BLOB, PRIMARY KEY(who, n))")
    if not db.execute("SELECT count(*) FROM account").fetchone()[0]:
        db.executemany("INSERT INTO account VALUES(?, 1000)", [(i,) for i in range(500)])
    db.execute("COMMIT")
    n = (db.execute("SELECT max(n) FROM ledger WHERE who=?", (who,)).fetchone()[0] or 0) + 1
    while True:
        a, b = random.sample(range(500), 2)
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE account SET cents=cents-7 WHERE id=?", (a,))
        db.execute("UPDATE account SET cents=cents+7 WHERE id=?", (b,))
        db.execute("INSERT INTO ledger VALUES(?, ?, ?)", (who, n, os.urandom(random.randrange(3000))))
        db.execute("COMMIT")
        os.write(1, b"%s %d\n" % (who.encode(), n))
        n += 1
        time.sleep(random.random() / 200)
except sqlite3.Error as e:
    sys.exit(f"{e}")
END
cat >"$tmp/audit.py" <<'END'
"""The sum is kept, the ledger has no gap and everything that was acknowledged."""
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity_check"
assert db.execute("SELECT sum(cents) FROM account").fetchone()[0] == 500000, "the sum is not kept"
said = {}
for line in open(sys.argv[2]):
    if line.endswith("\n"):
        said[line.split()[0]] = int(line.split()[1])
assert said, "nothing was acknowledged"
for who, n in said.items():
    count, last = db.execute("SELECT count(*), max(n) FROM ledger WHERE who=?", (who,)).fetchone()
    assert count == last, f"{who}: {count} lines up to {last}"
    assert last >= n, f"{who}: transaction {n} was acknowledged, {last} is the last"
print(said)
END
agent_start
volume v
for mode in wal delete; do
	for round in 1 2 3; do
		expect 0 coffer mount "$tmp/v" "$mnt"
		[ $round = 1 ] || { /usr/bin/python3 "$tmp/audit.py" "$mnt/$mode.db" "$tmp/said.$mode" >"$tmp/out" 2>&1 &&
			ok "$mode, kill $((round - 1)): $(cat "$tmp/out")" || not_ok "$mode, kill $((round - 1)): $(tail -n 1 "$tmp/out")"; }
		for who in ann bob; do
			/usr/bin/python3 "$tmp/bank.py" "$mnt/$mode.db" $mode $who >>"$tmp/said.$mode" 2>/dev/null &
		done
		sleep 2
		kill_mount v
	done
done
expect 0 coffer fsck "$tmp/v" && ok "fsck: $(sed 's/.*: //' "$tmp/out")" || not_ok "fsck"
