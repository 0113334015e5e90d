/* backup_statement.h: the form of what is signed of a backup (docs/backup.md section 2). It stands here because both towers need it: who makes backups writes it
 * (backup/manifest.h), and the agent signs nothing else with that key. Pure. */
#ifndef COFFER_CRYPT_BACKUP_STATEMENT_H
#define COFFER_CRYPT_BACKUP_STATEMENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define BACKUP_STATEMENT_MAX 512

/* Is this a statement about the volume of that uuid (32 lower-case hexadecimal digits), and nothing else? */
bool backup_statement_ok(const char *text, const char *uuid) must_check;
/* Of a statement that is one: is its time within from..to, each like 2026-01-02T03:04:05Z? A time of another form is not. */
bool backup_statement_within(const char *text, const char *from, const char *to) must_check;

#endif
