"""databases.py - the database workloads of bench.py: PostgreSQL as Debian has it, and DuckDB from a Python that has it (--python), on TPC-H made by
tpchgen-cli (--tpch: a directory with its Parquet files; made if the command is beside that Python or in PATH). What is not there is skipped by name."""
import glob
import os
import re
import shutil
import subprocess
import time

PG_SCALE = 10
PG_SECONDS = 8
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


# ---- PostgreSQL

def pg_bin():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return os.path.dirname(found[-1]) if found and shutil.which("runuser") else None


def pg(t, script):
    env = f"PATH={pg_bin()}:$PATH; export PGHOST={t.a.base}/pgsock PGPORT=54329 PGDATA={t.mnt}/pg; "
    return subprocess.run(["runuser", "-u", "postgres", "--", "sh", "-c", env + script], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, cwd="/").stdout


def pg_start(t):
    sock = f"{t.a.base}/pgsock"
    pg(t, f'pg_ctl -s -w -l {sock}/log -o "-k {sock} -p 54329 -c listen_addresses= -c shared_buffers=64MB" start')


def pg_stop(t):
    pg(t, "pg_ctl -s -m fast -w stop")


def pg_load(t):
    sock = f"{t.a.base}/pgsock"
    os.makedirs(sock, exist_ok=True)
    shutil.chown(sock, "postgres")
    os.mkdir(f"{t.mnt}/pg", 0o700)
    shutil.chown(f"{t.mnt}/pg", "postgres")
    for d in (t.a.base, t.dir, t.mnt):
        os.chmod(d, 0o755)
    pg(t, "initdb -k -A trust >/dev/null")
    pg_start(t)
    try:
        t.mark()
        t0 = time.monotonic()
        pg(t, f"pgbench -i -q -s {PG_SCALE} postgres")
        return PG_SCALE * 100000, time.monotonic() - t0
    finally:
        pg_stop(t)


def pg_run(t, args):
    pg_start(t)
    try:
        t.mark()
        out = pg(t, f"pgbench -n -c 4 -j 2 -T {PG_SECONDS} {args} postgres")
    finally:
        pg_stop(t)
    return PG_SECONDS * float(re.search(r"tps = ([0-9.]+)", out).group(1)), PG_SECONDS


def pg_tpcb(t):
    return pg_run(t, "")


def pg_read_cold(t):
    t.cold()
    return pg_run(t, "-S")


# ---- DuckDB: each run a process of its own, so that nothing stays cached in it

# Forms of TPC-H 1, 3, 5, 6, 9 and 18: a scan with groups, joins of three to six tables, a narrow filter, a having over all orders.
QUERIES = (
    "select l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice * (1 - l_discount)), count(*) from lineitem "
    "where l_shipdate <= date '1998-09-02' group by all order by all",
    "select l_orderkey, sum(l_extendedprice * (1 - l_discount)) r, o_orderdate from customer, orders, lineitem where c_mktsegment = 'BUILDING' "
    "and c_custkey = o_custkey and l_orderkey = o_orderkey and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15' "
    "group by all order by r desc limit 10",
    "select n_name, sum(l_extendedprice * (1 - l_discount)) r from customer, orders, lineitem, supplier, nation, region "
    "where c_custkey = o_custkey and l_orderkey = o_orderkey and l_suppkey = s_suppkey and c_nationkey = s_nationkey "
    "and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'ASIA' group by all order by r desc",
    "select sum(l_extendedprice * l_discount) from lineitem where l_shipdate between date '1994-01-01' and date '1994-12-31' "
    "and l_discount between 0.05 and 0.07 and l_quantity < 24",
    "select n_name, year(o_orderdate) y, sum(l_extendedprice * (1 - l_discount) - ps_supplycost * l_quantity) from part, supplier, lineitem, "
    "partsupp, orders, nation where s_suppkey = l_suppkey and ps_suppkey = l_suppkey and ps_partkey = l_partkey and p_partkey = l_partkey "
    "and o_orderkey = l_orderkey and s_nationkey = n_nationkey and p_name like '%green%' group by all order by all",
    "select c_name, o_orderkey, o_totalprice, sum(l_quantity) from customer, orders, lineitem where o_orderkey in (select l_orderkey "
    "from lineitem group by 1 having sum(l_quantity) > 300) and c_custkey = o_custkey and o_orderkey = l_orderkey group by all "
    "order by 3 desc limit 100",
)


def duck(t, *sql):
    text = f"import duckdb; c = duckdb.connect({t.mnt + '/tpch.duckdb'!r})\n"
    for q in (f"set threads=2; set memory_limit='1GB'; set temp_directory='{t.mnt}/spill'",) + sql:
        text += f"c.execute({q!r}).fetchall()\n"
    t0 = time.monotonic()
    subprocess.run([t.a.python, "-c", text], check=True, stdout=subprocess.DEVNULL)
    return 1000, time.monotonic() - t0


def duck_load(t):
    return duck(t, *(f"create table {x} as from '{t.a.tpch}/{x}.parquet'" for x in TABLES), "checkpoint")


def duck_query_cold(t):
    t.cold()
    return duck(t, *QUERIES)


def duck_spill(t):
    return duck(t, "set memory_limit='200MB'", "set preserve_insertion_order=false",
                "select sum(r * l_orderkey), max(c) from (select l_orderkey, l_comment c, "
                "row_number() over (order by hash(l_comment, l_orderkey)) r from lineitem)")


def duck_update(t):
    return duck(t, "update lineitem set l_comment = l_comment || 'x' where l_orderkey % 7 = 0", "checkpoint")


def duck_parquet(t):
    return duck(t, f"copy lineitem to '{t.mnt}/li' (format parquet, partition_by (l_returnflag), overwrite_or_ignore)",
                f"select count(*), sum(l_quantity) from '{t.mnt}/li/*/*.parquet'")


DATABASES = {
    "pg_load": (pg_load, "rows/s", ("raw", 0.5, None)),
    "pg_tpcb": (pg_tpcb, "txn/s", ("raw", 0.8, None)),
    "pg_read_cold": (pg_read_cold, "txn/s", ("raw", 0.7, None)),
    "duck_load": (duck_load, "/1000 s", ("raw", 0.95, None)),
    "duck_query_cold": (duck_query_cold, "/1000 s", ("raw", 0.95, None)),
    "duck_spill": (duck_spill, "/1000 s", ("raw", 0.7, None)),
    "duck_update": (duck_update, "/1000 s", ("raw", 0.9, None)),
    "duck_parquet": (duck_parquet, "/1000 s", ("raw", 0.8, None)),
}


def make_tpch(a):
    gen = shutil.which("tpchgen-cli", path=os.path.dirname(shutil.which(a.python) or "") + ":" + os.environ.get("PATH", ""))
    if not gen:
        return False
    a.tpch = f"{a.base}/tpch"
    subprocess.run([gen, "parquet", "-s", "1", "-o", a.tpch], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return True


def missing(a, names):
    """{workload: what it lacks}; makes the TPC-H files if they are wanted."""
    lack = {}
    if not pg_bin():
        lack.update({w: "PostgreSQL (postgresql-15)" for w in names if w.startswith("pg_")})
    ducks = [w for w in names if w.startswith("duck_")]
    if ducks and subprocess.run([a.python, "-c", "import duckdb"], check=False, stderr=subprocess.DEVNULL).returncode:
        lack.update({w: "a Python with duckdb (--python)" for w in ducks})
    elif ducks and not a.tpch and not make_tpch(a):
        lack.update({w: "TPC-H as Parquet (--tpch, or tpchgen-cli)" for w in ducks})
    return lack
