# make.awk: the completion of a shell, from the command table (tools/coffer.c) and the options of mounts (tools/mount_options.c), the only places where they are.
# awk -v shell=bash|zsh|list -f make.awk tools/coffer.c tools/mount_options.c. POSIX awk. "list" is for tests: "COMMAND", "COMMAND --OPTION", "-o WORD".
#
# Of the text of arguments in the table: --WORD is an option, and has a value if a word in capitals follows; small words before the first capital one are
# subcommands; words in capitals say what an argument is.

function entry(    i, n, w, cmd, opt, word, first) {
	cmd = str[1]
	order[++commands] = cmd
	summary[cmd] = str[3]
	text = str[2]
	gsub(/\[|\]/, " ", text)
	gsub(/\.\.\./, " ", text)
	# Alternatives without blanks are words of their own: VOLUME|--tenant T, verify|show.
	gsub(/\|/, " | ", text)
	n = split(text, w, " ")
	first = 1
	for (i = 1; i <= n; i++) {
		word = w[i]
		if (word == "|") {
			first = first || w[i + 1] ~ /^[a-z]/ && w[i + 2] !~ /^[a-z]/
			continue
		}
		if (word ~ /^--?[a-z]/) {
			opt = word
			options[cmd] = options[cmd] " " opt
			if (w[i + 1] ~ /^[A-Z]/)
				value[cmd, opt] = w[++i]
			else
				value[cmd, opt] = ""
		} else if (word ~ /^[a-z][a-z-]*$/ && first) {
			words[cmd] = words[cmd] " " word
		} else if (word ~ /^[A-Z]/) {
			first = 0
			kinds[cmd] = kinds[cmd] " " word
		}
	}
}

# Strings of C, put together where nothing but blanks is between them; an entry of the table ends with its brace.
function table(line,    i, c) {
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (quoted) {
			if (c == "\\")
				str[strings] = str[strings] substr(line, ++i, 1)
			else if (c == "\"")
				quoted = 0
			else
				str[strings] = str[strings] c
		} else if (c == "\"") {
			quoted = 1
			if (!joined)
				str[++strings] = ""
			joined = 1
		} else if (c == ",") {
			joined = 0
		} else if (c == "}" && strings) {
			entry()
			strings = joined = 0
			split("", str)
		}
	}
}

function mount_word(w) {
	if (w != "" && !(w in mounted) && w !~ /^test-/) {
		mounted[w] = 1
		mounts = mounts " " w
	}
}

FILENAME ~ /mount_options\.c$/ {
	line = $0
	if (line ~ /strcmp\(key, "/) {
		sub(/.*strcmp\(key, "/, "", line)
		sub(/".*/, "", line)
		mount_word(line "=")
	}
	if (line ~ /&o->/ && line ~ /\{ "/) {
		while (match(line, /"[a-z-]*"/)) {
			mount_word(substr(line, RSTART + 1, RLENGTH - 2))
			line = substr(line, RSTART + RLENGTH)
		}
	}
	if (line ~ /strcmp\(word, "allow_other"\)/) {
		mount_word("allow_other")
		mount_word("noallow_other")
	}
	next
}
/^static const struct cmd commands\[\]/ { inside = 1; next }
inside && /^};/ { inside = 0 }
inside { table($0) }

function trim(s) {
	sub(/^ +/, "", s)
	return s
}

function list_all(    i, k, n, w) {
	for (i = 1; i <= commands; i++) {
		print order[i]
		n = split(options[order[i]], w, " ")
		for (k = 1; k <= n; k++)
			print order[i], w[k]
	}
	n = split(mounts, w, " ")
	for (k = 1; k <= n; k++)
		print "-o", w[k]
}

function bash_case(name, data,    i) {
	print name "() {\n\tcase $1 in"
	for (i = 1; i <= commands; i++)
		if (trim(data[order[i]]) != "")
			print "\t" order[i] ") echo '" trim(data[order[i]]) "' ;;"
	print "\tesac\n}"
}

function bash_all(    i, k, n, w, all) {
	print "# bash completion for coffer(1), made from its command table\n# shellcheck shell=bash"
	for (i = 1; i <= commands; i++)
		all = all " " order[i]
	print "_coffer_commands='" trim(all) "'"
	print "_coffer_mount_options='" trim(mounts) "'"
	bash_case("_coffer_options", options)
	bash_case("_coffer_words", words)
	bash_case("_coffer_kinds", kinds)
	print "_coffer_value() { # COMMAND OPTION: what the option takes\n\tcase \"$1 $2\" in"
	for (i = 1; i <= commands; i++) {
		n = split(options[order[i]], w, " ")
		for (k = 1; k <= n; k++)
			if (value[order[i], w[k]] != "")
				print "\t'" order[i] " " w[k] "') echo " value[order[i], w[k]] " ;;"
	}
	print "\tesac\n}"
}

function zsh_action(kind) {
	if (kind ~ /^(VOLUME|NAME)$/)
		return "_coffer_volumes"
	if (kind ~ /^MOUNTPOINT/)
		return "_coffer_mountpoints"
	if (kind ~ /^(FILE|DIR|BACKING)/)
		return "_files"
	if (kind == "OPTIONS")
		return "_coffer_mount_options"
	return ""
}

function zsh_quote(s) {
	gsub(/'/, "'\\''", s)
	gsub(/:/, "\\:", s)
	return s
}

function zsh_all(    i, k, n, w, cmd, act) {
	print "#compdef coffer\n# zsh completion for coffer(1), made from its command table"
	print "_coffer_commands() {\n\tlocal -a all\n\tall=("
	for (i = 1; i <= commands; i++)
		print "\t\t'" order[i] ":" zsh_quote(summary[order[i]]) "'"
	print "\t)\n\t_describe command all\n}"
	print "_coffer_mount_options() { _values -s , option" mounts_quoted() " }"
	print "_coffer_arguments() {\n\tcase $1 in"
	for (i = 1; i <= commands; i++) {
		cmd = order[i]
		printf "\t%s) _arguments", cmd
		n = split(options[cmd], w, " ")
		for (k = 1; k <= n; k++) {
			act = value[cmd, w[k]]
			printf " '*%s%s'", w[k], act == "" ? "" : ":" act ":" (w[k] == "--tenant" ? "_coffer_tenants" : zsh_action(act))
		}
		if (trim(words[cmd]) != "")
			printf " '1:what:(%s)'", trim(words[cmd])
		if (split(kinds[cmd], w, " ") > 0)
			printf " '*:%s:_coffer_any %s'", w[1], trim(kinds[cmd])
		else if (trim(options[cmd] words[cmd]) == "")
			printf " ':no more arguments:'"
		print " ;;"
	}
	print "\tesac\n}"
}

function mounts_quoted(    n, w, k, s) {
	n = split(mounts, w, " ")
	for (k = 1; k <= n; k++)
		s = s " '" (w[k] ~ /=$/ ? substr(w[k], 1, length(w[k]) - 1) ":value: " : w[k]) "'"
	return s ";"
}

END {
	if (commands == 0 || mounts == "") {
		print "make.awk: no table found" >"/dev/stderr"
		exit 1
	}
	if (shell == "list")
		list_all()
	else if (shell == "bash")
		bash_all()
	else
		zsh_all()
}
