/* recovery.c: recovery keys as text. Digits never leave secret memory: the line is made and read in place. */
#include "agent/recovery.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

#define HEAD "coffer-recovery-1 "
#define HEAD_LEN (sizeof(HEAD) - 1)
#define ID_DIGITS (2 * RECOVERY_ID_LEN)
#define GROUP_DIGITS 8
#define KEY_TEXT_LEN (2 * KEY_LEN + 2 * KEY_LEN / GROUP_DIGITS - 1)

static bool value_of(char c, uint8_t *ret_value)
{
	if (c >= '0' && c <= '9')
		*ret_value = (uint8_t)(c - '0');
	else if (c >= 'a' && c <= 'f')
		*ret_value = (uint8_t)(c - 'a' + 10);
	else if (c >= 'A' && c <= 'F')
		*ret_value = (uint8_t)(c - 'A' + 10);
	else
		return false;
	return true;
}

static bool byte_get(const char *p, uint8_t *ret_byte)
{
	uint8_t hi, lo;

	if (!value_of(p[0], &hi) || !value_of(p[1], &lo))
		return false;
	*ret_byte = (uint8_t)(hi << 4 | lo);
	return true;
}

int recovery_put(const struct secret *key, struct secret **ret_line)
{
	AUTO_SECRET struct secret *line = NULL;
	uint8_t id[RECOVERY_ID_LEN];
	char *at;
	size_t i;
	int r;

	r = keys_recovery_id(key, id);
	if (r >= 0)
		r = secret_new(RECOVERY_LINE_LEN, &line);
	if (r < 0)
		return r;
	at = (char *)secret_bytes(line);
	memcpy(at, HEAD, HEAD_LEN);
	at += HEAD_LEN;
	text_hex(id, RECOVERY_ID_LEN, at);
	at += ID_DIGITS;
	*at++ = ' ';
	for (i = 0; i < KEY_LEN; i += GROUP_DIGITS / 2, at += GROUP_DIGITS + 1) {
		text_hex(secret_bytes_const(key) + i, GROUP_DIGITS / 2, at);
		at[GROUP_DIGITS] = i + GROUP_DIGITS / 2 < KEY_LEN ? '-' : '\n'; /* over its NUL */
	}
	*ret_line = take_ptr(line);
	return 0;
}

static int line_parse(const char *p, size_t len, struct secret **ret_key)
{
	AUTO_SECRET struct secret *key = NULL;
	uint8_t said[RECOVERY_ID_LEN], id[RECOVERY_ID_LEN];
	size_t i;
	int r;

	if (len != HEAD_LEN + ID_DIGITS + 1 + KEY_TEXT_LEN || memcmp(p, HEAD, HEAD_LEN) != 0)
		return -EINVAL;
	p += HEAD_LEN;
	for (i = 0; i < RECOVERY_ID_LEN; i++, p += 2)
		if (!byte_get(p, &said[i]))
			return -EINVAL;
	if (*p++ != ' ')
		return -EINVAL;
	r = secret_new(KEY_LEN, &key);
	if (r < 0)
		return r;
	for (i = 0; i < KEY_LEN; i++, p += 2) {
		if (i > 0 && i % (GROUP_DIGITS / 2) == 0 && *p++ != '-')
			return -EINVAL;
		if (!byte_get(p, &secret_bytes(key)[i]))
			return -EINVAL;
	}
	r = keys_recovery_id(key, id);
	if (r < 0)
		return r;
	if (memcmp(id, said, sizeof(id)) != 0)
		return -EBADMSG;
	*ret_key = take_ptr(key);
	return 0;
}

int recovery_parse(const char *p, size_t len, struct secret **ret_key)
{
	AUTO_SECRET struct secret *key = NULL;
	const char *end, *line;
	size_t n;
	int r;

	if (len > RECOVERY_TEXT_MAX)
		return -EINVAL;
	for (line = p; line < p + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(p + len - line));
		if (!end)
			end = p + len;
		n = (size_t)(end - line);
		while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
			n--;
		if (n == 0 || line[0] == '#')
			continue;
		if (key)
			return -EINVAL;
		r = line_parse(line, n, &key);
		if (r < 0)
			return r;
	}
	if (!key)
		return -EINVAL;
	*ret_key = take_ptr(key);
	return 0;
}
