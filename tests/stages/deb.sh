# deb: "make deb" with tests off (other stages have run them), lintian without errors, and the packages in containers with systemd. Bash; sourced by runtests.
# shellcheck shell=bash
deb_newer() { # FILE: the same package as version 0.1.1, which its programs call themselves, too
	local dir program
	dir=$(mktemp -d "$OUT/newer.XXXXXX") && dpkg-deb -R "$1" "$dir/p" && sed -i 's/0\.1\.0/0.1.1/' "$dir/p/DEBIAN/control" || return 1
	for program in "$dir"/p/usr/bin/coffer "$dir"/p/usr/sbin/coffer-agent; do
		[ ! -f "$program" ] || LC_ALL=C sed -i 's/0\.1\.0/0.1.1/g' "$program" || return 1
	done
	(cd "$dir/p" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | xargs -0r md5sum >DEBIAN/md5sums) &&
		dpkg-deb --root-owner-group -Zxz -z1 -b "$dir/p" "${1/0.1.0/0.1.1}" >/dev/null && rm -r "$dir"
}
mkdir -p "$OUT/build" "$OUT/debs" && cd "$OUT/build" && { [ -x "$SRC/configure" ] || (cd "$SRC" && ./autogen.sh --no-configure); } &&
	"$SRC/configure" -q && DEB_BUILD_OPTIONS="nocheck parallel=$JOBS" make -s deb >"$OUT/make.log" 2>&1 || { tail -n 40 "$OUT/make.log" && return 1; }
cp debs/coffer_*.deb debs/coffer-agent_*.deb "$OUT/debs/" || return 1
lintian --allow-root --fail-on error "$OUT"/debs/*.deb || return 1
ok_line "packages that lintian has no errors for"
for deb in "$OUT"/debs/*_0.1.0-1_*.deb; do deb_newer "$deb" || return 1; done
OUT=$OUT/run "$SRC/tests/systemd/run.sh" "$OUT/debs" deb database
