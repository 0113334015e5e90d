/* cmd_spawn.h: other programs, and this one again, from a command of coffer(1). */
#ifndef COFFER_TOOLS_CMD_SPAWN_H
#define COFFER_TOOLS_CMD_SPAWN_H

#include "tools/cmd.h"

/* Run a program to its end: its exit status (EXIT_CODE_OTHER: a signal ended it), or -errno. */
int cmd_spawn(const char *path, char *const argv[]) must_check;
/* `coffer --quiet [--agent A] COMMAND A [B]`: 0 or its exit code, after its message. */
int cmd_spawn_self(const struct cmd_global *g, const char *command, const char *a, const char *b) must_check;
/* `sh -c TEXT` in dir, without standard input, in a process group of its own of which nothing is left when this returns; stop is asked again and again: it says when the
 * group must end. Its exit status, EXIT_CODE_OTHER for a signal, -EINTR stopped, or -errno. */
int cmd_spawn_shell(const char *text, const char *dir, bool (*stop)(void)) must_check;

#endif
