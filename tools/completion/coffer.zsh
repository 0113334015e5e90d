
_coffer_volumes() {
	local -a names
	names=(/etc/coffer/volumes.d/*.conf(N:t:r))
	compadd -a names
	_files -/
}

_coffer_tenants() {
	local -a names
	names=(/etc/coffer/tenants.d/*.conf(N:t:r))
	compadd -a names
}

_coffer_mountpoints() {
	local -a mounts
	mounts=(${(f)"$(awk '$0 ~ / - fuse\.coffer / { print $5 }' /proc/self/mountinfo 2>/dev/null)"})
	compadd -a mounts
	_files -/
}

_coffer_any() {
	local kind
	for kind in ${(u)@}; do
		case $kind in
		VOLUME*|NAME) _coffer_volumes ;;
		MOUNTPOINT*) _coffer_mountpoints ;;
		DIR*) _files -/ ;;
		FILE*|BACKING*) _files ;;
		esac
	done
}

_coffer() {
	local curcontext=$curcontext state line
	_arguments -C '--json[one object, or one a line]' '--quiet[no hints]' '--agent[the socket of the agent]:socket:_files' '--help[usage]' \
		'--version[one line]' '1:command:_coffer_commands' '*::argument:->arguments'
	[[ $state = arguments ]] && _coffer_arguments $words[1]
}

_coffer "$@"
