/* progress.h: a progress bar on standard error, for people: only when that is a terminal, and not with --json or --quiet. */
#ifndef COFFER_TOOLS_PROGRESS_H
#define COFFER_TOOLS_PROGRESS_H

#include "tools/cmd.h"

struct progress {
	bool on, drawn;
	const char *what;
	uint64_t total;          /* bytes; 0: unknown */
	uint64_t start_ms, last_ms;
};

/* NO_COLOR and dumb terminals get the same: the bar has no colours. */
void progress_start(struct progress *p, const struct cmd_global *g, const char *what, uint64_t total);
/* Draws at most every quarter of a second. */
void progress_step(struct progress *p, uint64_t done);
/* Takes the bar away, so that a line can be written; the next step draws it again. */
void progress_clear(struct progress *p);

/* The bar's text, without colours or line ends, for a terminal of any width from 40: "scrub  45 %  1.2 GiB of 2.7 GiB  512 MiB/s  0:03 left". */
#define PROGRESS_TEXT_MAX 160
void progress_text(const char *what, uint64_t done, uint64_t total, uint64_t ms, char ret_text[static PROGRESS_TEXT_MAX]);
/* "1.2 GiB" */
#define PROGRESS_SIZE_MAX 24
void progress_size(uint64_t bytes, char ret_text[static PROGRESS_SIZE_MAX]);

/* Bytes that lie below an open directory (st_blocks), for a total; an estimate, 0 when nothing can be read. Follows no link, stays on the device. */
uint64_t progress_tree_bytes(int dirfd);

#endif
