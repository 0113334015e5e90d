/* backup_statement.c: see backup_statement.h. Strict, so that the agent's signature can never stand for anything but a backup of the volume that was asked for. */
#include "crypt/backup_statement.h"

#include <string.h>

#define DIGITS "0123456789"
#define HEX DIGITS "abcdef"

/* A line of min..max characters of set; behind it, or NULL. */
static const char *line(const char *p, const char *set, size_t min, size_t max)
{
	size_t n = strspn(p, set);

	return n >= min && n <= max && p[n] == '\n' ? p + n + 1 : NULL;
}

bool backup_statement_ok(const char *text, const char *uuid)
{
	static const char label[] = "coffer-backup 1\n";
	const char *p = text;

	if (strncmp(p, label, sizeof(label) - 1) != 0)
		return false;
	p += sizeof(label) - 1;
	if (strncmp(p, uuid, 32) != 0 || !(p = line(p, HEX, 32, 32)) || !(p = line(p, DIGITS, 1, 20)))
		return false;
	p = *p == '\n' ? p + 1 : line(p, HEX, 64, 64); /* the first snapshot has no previous one */
	if (!p || !(p = line(p, HEX, 64, 64)) || !(p = line(p, DIGITS "-:.TZ", 20, 40)))
		return false;
	p = line(p, HEX, 64, 64);
	return p && *p == '\0';
}

bool backup_statement_within(const char *text, const char *from, const char *to)
{
	static const size_t len = sizeof("2026-01-02T03:04:05Z") - 1;
	const char *p = text;

	for (unsigned i = 0; i < 5; i++)
		p = strchr(p, '\n') + 1;
	/* Digits in fixed places: their order is that of the times. */
	return strcspn(p, "\n") == len && strlen(from) == len && strlen(to) == len && strncmp(from, p, len) <= 0 && strncmp(p, to, len) <= 0;
}
