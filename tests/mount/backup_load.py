#!/usr/bin/python3
"""A live SQLite database and files that move, for backups of a mounted volume.

backup_load.py DIR run SECONDS      work in DIR; after each commit the number is in DIR/../acked
backup_load.py DIR check LEAST      DIR of a restored volume: the database is whole and has at least LEAST commits, and each mover is in exactly one place
"""
import os
import random
import sqlite3
import sys
import threading
import time

MOVERS = 20
ROWS = 20000  # at most: a hundred generations are not of gigabytes


def database(dir, mode):
    db = sqlite3.connect(os.path.join(dir, mode + '.db'), timeout=60, isolation_level=None)
    db.execute('PRAGMA journal_mode=' + mode)
    db.execute('PRAGMA synchronous=FULL')
    return db


def work(dir, mode, until, acked):
    db = database(dir, mode)
    db.execute('CREATE TABLE IF NOT EXISTS t(n INTEGER PRIMARY KEY, sum INTEGER, pad BLOB)')
    n = 0
    rnd = random.Random(1)
    while time.monotonic() < until:
        db.execute('BEGIN IMMEDIATE')
        for _ in range(5):
            n += 1
            db.execute('INSERT OR REPLACE INTO t VALUES(?, ?, ?)', (n, n * 7, rnd.randbytes(rnd.randrange(3000))))
            db.execute('UPDATE t SET pad=? WHERE n=?', (rnd.randbytes(500), n - rnd.randrange(min(n, ROWS))))
        db.execute('DELETE FROM t WHERE n <= ?', (n - ROWS,))
        db.execute('COMMIT')
        with open(acked + '.' + mode + '.new', 'w') as f:
            f.write(str(n))
        os.rename(acked + '.' + mode + '.new', acked + '.' + mode)
        time.sleep(0.01)
    db.close()


def movers(dir, until, acked):
    """Each file is always in one of two directories, under one of many names; something always moves."""
    for d in ('a', 'b'):
        os.makedirs(os.path.join(dir, d), exist_ok=True)
    where = {}
    for i in range(MOVERS):
        where[i] = os.path.join(dir, 'a', '%d-0' % i)
        with open(where[i], 'w') as f:
            f.write('mover %d\n' % i)
            f.flush()
            os.fsync(f.fileno())
    with open(acked + '.movers', 'w') as f:
        f.write('all there')
    rnd, k = random.Random(2), 0
    while time.monotonic() < until:
        i = rnd.randrange(MOVERS)
        k += 1
        to = os.path.join(dir, rnd.choice('ab'), '%d-%d' % (i, k))
        os.rename(where[i], to)
        where[i] = to
        time.sleep(0.003)


def run(dir, seconds):
    until = time.monotonic() + seconds
    acked = os.path.join(os.path.dirname(dir), 'acked')
    threads = [threading.Thread(target=work, args=(dir, m, until, acked)) for m in ('WAL', 'DELETE')] + [threading.Thread(target=movers, args=(dir, until, acked))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def check(dir, least):
    for mode in ('WAL', 'DELETE'):
        db = database(dir, mode)
        assert db.execute('PRAGMA integrity_check').fetchone()[0] == 'ok', mode
        n, top, wrong = db.execute('SELECT count(*), max(n), sum(sum != n * 7) FROM t').fetchone()
        assert n == min(top, ROWS) and top % 5 == 0 and wrong == 0, (mode, n, top, wrong)
        assert top >= least[mode], 'lost: %s has %d, %d were acknowledged' % (mode, top, least[mode])
        print(mode, top, end=' ')
    seen = sorted(int(f.split('-')[0]) for d in ('a', 'b') for f in os.listdir(os.path.join(dir, d)))
    assert seen == list(range(MOVERS)), seen
    for d in ('a', 'b'):
        for f in os.listdir(os.path.join(dir, d)):
            with open(os.path.join(dir, d, f)) as g:
                assert g.read() == 'mover %s\n' % f.split('-')[0]
    print('movers', len(seen))


if sys.argv[2] == 'run':
    run(sys.argv[1], float(sys.argv[3]))
else:
    check(sys.argv[1], dict(zip(('WAL', 'DELETE'), map(int, sys.argv[3:5]))))
