"""An independent reader of coffer volumes, written from docs/format.md alone."""
