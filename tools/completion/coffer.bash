
_coffer_names() { # volumes.d or tenants.d
	local f
	for f in /etc/coffer/"$1"/*.conf; do
		[ ! -e "$f" ] || basename "$f" .conf
	done
}

_coffer_mountpoints() {
	awk '$0 ~ / - fuse\.coffer / { print $5 }' /proc/self/mountinfo 2>/dev/null
}

_coffer_reply() { # WORDS: those that begin with what is typed
	local IFS=$' \t\n'
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$1" -- "$cur")
}

_coffer_kind() { # KIND
	case $1 in
	VOLUME* | NAME) _coffer_reply "$(_coffer_names volumes.d)" && _coffer_files -d ;;
	MOUNTPOINT*) _coffer_reply "$(_coffer_mountpoints)" && _coffer_files -d ;;
	FILE* | BACKING*) _coffer_files -f ;;
	DIR*) _coffer_files -d ;;
	esac
}

_coffer_files() { # -f or -d
	compopt -o filenames 2>/dev/null
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "$1" -- "$cur")
}

_coffer() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' i kind plain=0
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--agent) i=$((i + 1)) ;;
		-*) ;;
		*) if [ -z "$command" ]; then command=${COMP_WORDS[i]}; else plain=$((plain + 1)); fi ;;
		esac
	done
	if [ "$prev" = --agent ]; then
		_coffer_files -f
	elif [ -z "$command" ]; then
		_coffer_reply "$_coffer_commands --json --quiet --agent --help --version"
	elif [ "$prev" = -o ] && [ "$(_coffer_value "$command" -o)" = OPTIONS ]; then
		local before=''
		case $cur in *,*) before=${cur%,*}, cur=${cur##*,} ;; esac
		_coffer_reply "$_coffer_mount_options"
		COMPREPLY=("${COMPREPLY[@]/#/$before}")
		compopt -o nospace 2>/dev/null
	elif [[ $prev == --tenant ]]; then
		_coffer_reply "$(_coffer_names tenants.d)"
	elif [[ $prev == -* ]] && kind=$(_coffer_value "$command" "$prev") && [ -n "$kind" ]; then
		_coffer_kind "$kind"
	elif [[ $cur == -* ]]; then
		_coffer_reply "$(_coffer_options "$command") --json --quiet --agent --help"
	else
		[ "$plain" -gt 0 ] || _coffer_reply "$(_coffer_words "$command")"
		for kind in $(_coffer_kinds "$command" | tr ' ' '\n' | awk '!seen[$0]++'); do _coffer_kind "$kind"; done
	fi
	return 0
}
complete -F _coffer coffer
