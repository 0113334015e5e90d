#!/usr/bin/python3
"""SQLite on a mount: databases.py run DIR LEDGER commits rows in WAL and rollback mode with full synchronisation until the mount dies or N commits
are made; databases.py check DIR LEDGER wants an intact database with every row whose commit had returned, in order, and no other but the next."""
import os
import sqlite3
import sys


def run(top, ledger, n):
    done = dict.fromkeys(("WAL", "DELETE"), 0)
    try:
        con = {}
        for mode in done:
            con[mode] = sqlite3.connect(f"{top}/{mode}.db")
            con[mode].execute(f"pragma journal_mode={mode}")
            con[mode].execute("pragma synchronous=FULL")
            con[mode].execute("create table if not exists t(n integer primary key, b text)")
            done[mode] = con[mode].execute("select count(*) from t").fetchone()[0]
        for _ in range(n):
            for mode, c in con.items():
                c.execute("insert into t values(?, ?)", (done[mode], os.urandom(100).hex()))
                c.commit()
                done[mode] += 1
    except (sqlite3.Error, OSError) as e:
        print("ended by", e)
    with open(ledger, "w") as f:
        print(done["WAL"], done["DELETE"], file=f)


def check(top, ledger):
    with open(ledger) as f:
        want = dict(zip(("WAL", "DELETE"), map(int, f.read().split())))
    good = True
    for mode, n in want.items():
        c = sqlite3.connect(f"{top}/{mode}.db")
        integrity = c.execute("pragma integrity_check").fetchone()[0]
        rows = [r[0] for r in c.execute("select n from t order by n")]
        print(mode, integrity, len(rows), "rows,", n, "acknowledged")
        good &= integrity == "ok" and rows == list(range(len(rows))) and n <= len(rows) <= n + 1
        c.close()
    return good


if sys.argv[1] == "run":
    run(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    sys.exit(0 if check(sys.argv[2], sys.argv[3]) else 1)
