#!/usr/bin/python3
"""Lists, verifies and decrypts a coffer volume: coffer_read.py --root-key-file F VOLUME COMMAND."""

import sys

sys.dont_write_bytecode = True

from cofferread.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
