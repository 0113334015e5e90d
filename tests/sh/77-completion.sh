#!/bin/sh
# Goals: what shells complete is what the program has: its commands and options, each with its man page; bash completes names, mount points' options, values.
# shellcheck source=tests/sh/functions.sh disable=SC2015,SC2016,SC2254 # ok does not fail; what is quoted is for bash; globs are meant
. "${top_srcdir:?}/tests/sh/functions.sh"
requires bash -c 'help mapfile'

make_awk="$top_srcdir/tools/completion/make.awk $top_srcdir/tools/coffer.c $top_srcdir/tools/mount_options.c"
# shellcheck disable=SC2086 # words
awk -v shell=list -f $make_awk >"$tmp/list"
"$top_builddir/coffer" --help | sed -n 's/^  coffer \([a-z]*\) *\(.*\)/\1 \2/p' >"$tmp/help"
cut -d ' ' -f 1 "$tmp/help" >"$tmp/help.commands"
grep -v ' ' "$tmp/list" >"$tmp/list.commands"
[ -s "$tmp/help.commands" ] && cmp "$tmp/help.commands" "$tmp/list.commands" && ok "commands are those of --help" || not_ok "commands"
while read -r command rest; do
	echo "$rest" | grep -oE -- '--?[a-z]+[a-z-]*' | grep -E '^-' | sed "s/^/$command /"
done <"$tmp/help" | sort -u >"$tmp/help.options"
grep -E '^[a-z]+ -' "$tmp/list" | sort -u >"$tmp/list.options"
cmp "$tmp/help.options" "$tmp/list.options" && ok "options are those of --help" || not_ok "options: $(diff "$tmp/help.options" "$tmp/list.options")"
while read -r command option; do
	page=$top_srcdir/man/coffer-$command.1
	grep -qE -- "Fl ${option#-}( |\$)" "$page" || not_ok "$option is not in $page"
done <"$tmp/list.options"
sed -n 's/^-o //p' "$tmp/list" | while read -r word; do
	grep -qE -- "(Cm |, )${word%=}([=, ]|\$)" "$top_srcdir/man/coffer-mount.1" || echo "$word"
done >"$tmp/missing"
[ ! -s "$tmp/missing" ] && ok "and in the man pages" || not_ok "mount options that coffer-mount.1 lacks: $(cat "$tmp/missing")"
[ "$(grep -c '^-o ' "$tmp/list")" -ge 15 ] && ok "mount options were found" || not_ok "mount options"

# What bash would offer; the last word is what is typed.
offers() { # WANTED WORD...: WANTED is all of the replies, or a glob of one line
	want=$1
	shift
	got=$(bash -c '. "$1" || exit 1; shift
		_coffer_names() { case $1 in volumes.d) echo acme other ;; tenants.d) echo tina ;; esac; }
		_coffer_mountpoints() { echo /mnt/acme; }
		COMP_WORDS=(coffer "$@") COMP_CWORD=$#; _coffer 2>/dev/null; echo "${COMPREPLY[*]}"' - "$top_builddir/completion/coffer" "$@")
	case $got in $want) ok "coffer $*: $got" ;; *) not_ok "coffer $*: $got, not $want" ;; esac
}
mkdir "$tmp/empty" && cd "$tmp/empty"
offers 'umount' umo
offers 'init mount * --version' ''
offers '--repair' fsck --rep
offers 'acme' mount a
offers 'acme' --json --agent /x mount a
offers 'acme other' info ''
offers '/mnt/acme' sync /mnt/a
offers 'tina' init acme --tenant ''
offers 'ro rw' mount acme -o r
offers 'ro,threads=' mount acme -o ro,thr
offers 'verify' audit ver
offers 'list export import acme other' keys ''
offers 'export' keys exp
touch file && offers 'file' inspect fil
offers '' status ''
offers '' top --count ''
if command -v zsh >/dev/null; then
	zsh -n "$top_builddir/completion/_coffer" && zsh -f -c 'autoload -U compinit; compinit -u -D -d "$2/dump"; fpath=("$1" $fpath); autoload +X -U _coffer && functions _coffer >/dev/null' - \
		"$top_builddir/completion" "$tmp" && ok "zsh loads its own" || not_ok "zsh"
fi
