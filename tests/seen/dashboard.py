#!/usr/bin/python3
"""dashboard.py SCRAPE DASHBOARD RULES OUT: every metric that the dashboard and the alert rules ask for is one of the scrape, panels do not overlap, and the dashboard's expressions go
into OUT as rules, so that promtool can parse them."""
import json
import re
import sys

from prometheus_client.parser import text_string_to_metric_families

scrape, dashboard, rules, out = sys.argv[1:]
names = set()
for f in text_string_to_metric_families(open(scrape, encoding="utf-8").read()):
    names |= {s.name for s in f.samples} | {f.name}
d = json.load(open(dashboard, encoding="utf-8"))
expressions = [t["expr"] for p in d["panels"] for t in p["targets"]]
assert len(expressions) >= 16 and d["uid"] == "coffer"
ids = [p["id"] for p in d["panels"]]
assert len(ids) == len(set(ids))
cells = set()
for p in d["panels"]:
    g = p["gridPos"]
    for x in range(g["x"], g["x"] + g["w"]):
        for y in range(g["y"], g["y"] + g["h"]):
            assert x < 24 and (x, y) not in cells, p["title"]
            cells.add((x, y))
known = {v["name"] for v in d["templating"]["list"]} | {"__rate_interval"}
for text in expressions + [json.dumps(d)]:
    assert set(re.findall(r"\$\{?(\w+)", text)) - {"__all"} <= known, text
asked = set(re.findall(r"\b(?:coffer|process)_\w+", "\n".join(expressions) + re.sub(r"(?m)^\s*#.*$", "", open(rules, encoding="utf-8").read())))
# Without a sample while all is well, but there:
assert not asked - names, asked - names
assert len(asked) > 15
with open(out, "w", encoding="utf-8") as o:
    o.write("groups:\n- name: dashboard\n  rules:\n")
    for i, e in enumerate(expressions):
        e = e.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$volume", ".*")
        o.write(f"  - record: panel_{i}\n    expr: {json.dumps(e)}\n")
print(f"{len(expressions)} expressions, {len(asked)} metrics")
