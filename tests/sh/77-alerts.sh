#!/bin/sh
# Goals: alert rules and dashboard ask for what there is. Prometheus's promtool checks both, and lets each alert fire, and not fire, on made-up series.
# shellcheck source=tests/sh/volume.sh disable=SC2015 # ok does not fail
. "${top_srcdir:?}/tests/sh/volume.sh"
requires /usr/bin/python3 -c 'import prometheus_client'
rules=$top_srcdir/share/prometheus/coffer.rules.yml

mkdir -p "$tmp/etc"
printf '[agent]\nmetrics=unix:%s/m.sock\n' "$tmp" >"$tmp/etc/coffer.conf"
agent_start
volume acme
coffer mount "$tmp/acme" "$mnt"
/usr/bin/python3 "$top_srcdir/tests/seen/metrics.py" scrape "$tmp/m.sock" >"$tmp/scrape"
coffer umount "$mnt"
/usr/bin/python3 "$top_srcdir/tests/seen/dashboard.py" "$tmp/scrape" "$top_srcdir/share/grafana/coffer.json" "$rules" "$tmp/panels.yml" >"$tmp/out" 2>&1 &&
	ok "what they ask for is there: $(cat "$tmp/out")" || not_ok "$(cat "$tmp/out")"
promtool=$("$top_srcdir/tests/seen/promtool" -n) || {
	[ "${CI:-}" != true ] || not_ok "tests/seen/promtool has not been run"
	echo "skipped: needs tests/seen/promtool"
	[ "$functions_failed" = 0 ] || exit 1
	exit 77
}
"$promtool" check metrics <"$tmp/scrape" >"$tmp/out" 2>&1 && ok "promtool has nothing to say about the metrics" || not_ok "metrics: $(cat "$tmp/out")"
"$promtool" check rules "$rules" "$tmp/panels.yml" >"$tmp/out" 2>&1 && ok "promtool: $(grep -c SUCCESS "$tmp/out") files of rules" || not_ok "rules: $(cat "$tmp/out")"
cp "$rules" "$top_srcdir/tests/seen/rules.test.yml" "$tmp/"
"$promtool" test rules "$tmp/rules.test.yml" >"$tmp/out" 2>&1 && ok "each alert fires when it must" || not_ok "alerts: $(cat "$tmp/out")"
sed -n 's/^ *- alert: //p' "$rules" >"$tmp/alerts"
while read -r alert; do
	grep -q "alertname: $alert" "$tmp/rules.test.yml" || not_ok "$alert is not tested"
done <"$tmp/alerts"
