#!/usr/bin/python3
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
