/* header.c: the few headers that anything depends on. A server may send what it likes: every number is bounded. */
#include "net/header.h"

#include <string.h>
#include <strings.h>

int header_value(const char *line, size_t len, const char *name, char *out, size_t max)
{
	size_t name_len = strlen(name), i;

	if (len > HEADER_LINE_MAX)
		return -EUCLEAN;
	if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return -ENOENT;
	line += name_len + 1;
	len -= name_len + 1;
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	for (i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e)
			return -EUCLEAN;
	if (len >= max)
		return -EMSGSIZE;
	memcpy(out, line, len);
	out[len] = '\0';
	return 0;
}

/* n digits at p. */
static int number(const char *p, size_t n, int *ret_v)
{
	int v = 0;

	while (n-- > 0) {
		if (*p < '0' || *p > '9')
			return -EUCLEAN;
		v = v * 10 + (*p++ - '0');
	}
	*ret_v = v;
	return 0;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar (years counted from March, so that the leap day is the last). */
static int64_t days(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int m = month <= 2 ? month + 9 : month - 3;

	return 365ll * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int month_of(const char *p)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int i;

	for (i = 0; i < 12; i++)
		if (strncmp(p, names + 3 * i, 3) == 0)
			return i + 1;
	return 0;
}

/*  Wed, 25 Nov 2026 23:51:32 GMT
 *  0    5  8   12   17 20 23 26  */
int header_date(const char *text, int64_t *ret_seconds)
{
	int day, month, year, hour, minute, second;

	if (strlen(text) != 29 || text[3] != ',' || text[4] != ' ' || text[7] != ' ' || text[11] != ' ' ||
	    text[16] != ' ' || text[19] != ':' || text[22] != ':' || strcmp(text + 25, " GMT") != 0)
		return -EUCLEAN;
	month = month_of(text + 8);
	if (month == 0 || number(text + 5, 2, &day) < 0 || number(text + 12, 4, &year) < 0 ||
	    number(text + 17, 2, &hour) < 0 || number(text + 20, 2, &minute) < 0 || number(text + 23, 2, &second) < 0)
		return -EUCLEAN;
	if (day < 1 || day > 31 || year < 1970 || hour > 23 || minute > 59 || second > 60)
		return -EUCLEAN;
	*ret_seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return 0;
}

int header_retry_after(const char *text, int64_t now_seconds, uint32_t *ret_ms)
{
	size_t n = strspn(text, "0123456789");
	int64_t seconds;
	int v, r;

	if (n > 0) {
		if (text[n] != '\0')
			return -EUCLEAN;
		r = number(text, n > 6 ? 6 : n, &v);
		if (r < 0)
			return r;
		seconds = n > 6 ? INT32_MAX : v;
	} else {
		r = header_date(text, &seconds);
		if (r < 0)
			return r;
		seconds -= now_seconds;
	}
	if (seconds > HEADER_RETRY_MAX_MS / 1000)
		seconds = HEADER_RETRY_MAX_MS / 1000;
	*ret_ms = seconds > 0 ? (uint32_t)seconds * 1000 : 1;
	return 0;
}
