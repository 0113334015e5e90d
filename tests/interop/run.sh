#!/bin/sh
# Run the self tests of the independent reader and writer; with a directory that holds coffer and coffer-agent, set them
# against real mounts instead: run.sh [BINDIR [SEED]]. Skipped (77) without a Python that has the cryptography module.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for python in "${PYTHON:-}" /usr/bin/python3 python3; do
	if [ -n "$python" ] && "$python" -c 'import cryptography' 2>/dev/null; then
		if [ $# -gt 0 ]; then
			exec "$python" "$here/mount_test.py" "$@"
		fi
		exec "$python" "$here/test_interop.py"
	fi
done
echo "no Python with the cryptography module"
exit 77
