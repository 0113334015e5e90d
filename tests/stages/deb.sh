# deb: "make deb" with tests off (other stages have run them), lintian without errors, and the packages in containers with systemd. Bash; sourced by runtests.
# shellcheck shell=bash
deb_again() { # FILE: the same package, called 0.1.0-2
	local dir
	dir=$(mktemp -d "$OUT/again.XXXXXX") && dpkg-deb -R "$1" "$dir/p" && sed -i 's/0\.1\.0-1/0.1.0-2/' "$dir/p/DEBIAN/control" &&
		dpkg-deb --root-owner-group -b "$dir/p" "${1/0.1.0-1/0.1.0-2}" >/dev/null
}
mkdir -p "$OUT/build" "$OUT/debs" && cd "$OUT/build" && { [ -x "$SRC/configure" ] || (cd "$SRC" && ./autogen.sh --no-configure); } &&
	"$SRC/configure" -q && DEB_BUILD_OPTIONS="nocheck parallel=$JOBS" make -s deb >"$OUT/make.log" 2>&1 || { tail -n 40 "$OUT/make.log" && return 1; }
cp debs/coffer_*.deb debs/coffer-agent_*.deb "$OUT/debs/" || return 1
lintian --allow-root --fail-on error "$OUT"/debs/*.deb || return 1
ok_line "packages that lintian has no errors for"
for deb in "$OUT"/debs/*_0.1.0-1_*.deb; do deb_again "$deb" || return 1; done
OUT=$OUT/run "$SRC/tests/systemd/run.sh" "$OUT/debs" deb database
