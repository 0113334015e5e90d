#!/usr/bin/python3
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
