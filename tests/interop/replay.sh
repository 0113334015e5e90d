#!/bin/sh
# Replay volumes of the independent writer and read them with the independent reader (test_replay.py).
# Skipped (77) without a Python that has the cryptography module.
set -eu
for python in "${PYTHON:-}" /usr/bin/python3 python3; do
	if [ -n "$python" ] && "$python" -c 'import cryptography' 2>/dev/null; then
		exec "$python" "$(dirname "$0")/test_replay.py" "$@"
	fi
done
echo "skipped: interop-replay: no Python with the cryptography module"
exit 77
