#!/usr/bin/python3
"""DuckDB on a mount; needs the Python of tests/apps/python.

duck.py queries DIR            a database file and Parquet below DIR, with a spill to DIR/spill; prints the digests of what the queries gave, which
                               depend on nothing but the queries, and, as a comment, how much was spilled
duck.py load DB                transactions of 1000 rows until the mount dies; each that returned is said on standard output
duck.py audit DB LEDGER        every transaction of LEDGER is there, whole, and at most one more
"""
import hashlib
import os
import sys
import threading
import time

import duckdb

ROWS = 2_000_000


def digest(con, query):
    h, n = hashlib.sha256(), 0
    cur = con.execute(query)
    while rows := cur.fetchmany(10000):
        n += len(rows)
        h.update(repr(rows).encode())
    return f"{n} rows {h.hexdigest()[:24]}"


class Spilled(threading.Thread):
    """The most that lay in the directory at once."""

    def __init__(self, top):
        super().__init__(daemon=True)
        self.top, self.most, self.on = top, 0, True
        self.start()

    def run(self):
        while self.on:
            try:
                self.most = max(self.most, sum(e.stat().st_size for e in os.scandir(self.top)))
            except FileNotFoundError:
                pass
            time.sleep(0.05)


def connect(path):
    con = duckdb.connect(path)
    con.execute("set threads=2")
    return con


def queries(top):
    path = f"{top}/q.duckdb"
    con = connect(path)
    con.execute(f"""create table t as select i, hash(i) h, (hash(i + 7) % 1000)::int k, 'row ' || (hash(i) % 100000) s,
        (hash(i + 3) % 1000000)::double / 1000 x from range({ROWS}) r(i)""")
    con.execute("create index t_k on t(k)")
    con.execute("checkpoint")
    con.execute("update t set x = x + 1 where k < 100")
    con.execute("delete from t where k between 200 and 220")
    con.execute("insert into t select i + 10000000, hash(i), 5, 'more', i from range(10000) r(i)")
    con.close()
    con = connect(path)
    print("database", digest(con, "select k, count(*), sum(i), min(s), max(h), round(sum(x), 3) from t group by k order by k"))
    con.execute(f"copy (select * from t order by i) to '{top}/t.parquet' (format parquet, row_group_size 50000)")
    con.execute(f"copy (select *, k % 7 p from t) to '{top}/parts' (format parquet, partition_by (p))")
    print("parquet", digest(con, f"select k, count(*), sum(i), min(s), max(h), round(sum(x), 3) from '{top}/t.parquet' group by k order by k"))
    print("parts", digest(con, f"select p, count(*), sum(i), max(h) from '{top}/parts/*/*.parquet' group by p order by p"))
    con.close()

    import pyarrow.compute as pc  # an independent reader of the same bytes
    import pyarrow.parquet as pq
    t = pq.read_table(f"{top}/t.parquet", memory_map=True)
    print("pyarrow", t.num_rows, pc.sum(t["i"]), pc.max(t["h"]), pc.min(t["s"]))
    pq.write_table(t.slice(1000, 200000), f"{top}/again.parquet", compression="zstd")
    print("again", pq.read_table(f"{top}/again.parquet").equals(t.slice(1000, 200000)))

    os.makedirs(f"{top}/spill", exist_ok=True)
    con = connect(path)
    con.execute("set memory_limit='100MB'")
    con.execute(f"set temp_directory='{top}/spill'")
    con.execute("set preserve_insertion_order=false")
    spilled = Spilled(f"{top}/spill")
    print("sorted", digest(con, "select sum(i * (n % 1000)), max(n) from (select i, row_number() over (order by h, s) n from t)"))
    print("joined", digest(con, "select count(*), sum(a.i % 1000), max(b.x) from t a join t b on a.h = b.h and a.i = b.i"))
    spilled.on = False
    con.close()
    print(f"# {spilled.most >> 20} MiB were spilled at once")
    if spilled.most < 8 << 20:
        sys.exit("not enough was spilled")


def load(path):
    con = connect(path)
    con.execute("set checkpoint_threshold='4MB'")
    con.execute("create table if not exists a(batch int, n int, v hugeint)")
    batch = con.execute("select coalesce(max(batch), 0) from a").fetchone()[0]
    while True:
        batch += 1
        con.execute("begin")
        con.execute(f"insert into a select {batch}, n, hash({batch} * 1000 + n) from range(1000) r(n)")
        con.execute(f"update a set v = v + 1 where batch = {batch - 1}")
        con.execute("commit")
        print(batch, flush=True)


def audit(path, ledger):
    with open(ledger) as f:
        said = max(map(int, f.read().split()), default=0)
    con = connect(path)
    last = con.execute("select max(batch) from a").fetchone()[0]
    wrong = con.execute("""select count(*) from (select batch, count(*) c, sum(v - hash(batch * 1000 + n)) plus from a group by batch)
        where c <> 1000 or plus <> case when batch = ? then 0 else 1000 end""", [last]).fetchone()[0]
    batches = con.execute("select count(distinct batch) from a").fetchone()[0]
    print(f"{said} acknowledged, {last} there, {wrong} of them wrong")
    con.execute("checkpoint")
    return said > 0 and said <= last <= said + 1 and batches == last and wrong == 0


if sys.argv[1] == "queries":
    queries(sys.argv[2])
elif sys.argv[1] == "load":
    load(sys.argv[2])
else:
    sys.exit(0 if audit(sys.argv[2], sys.argv[3]) else 1)
