/* mount_options.c: see mount_options.h. A table of words; anything else is refused, so that a typing error never weakens a mount silently. */
#include "tools/mount_options.h"

#include <stdio.h>
#include <string.h>

#define MIB (1u << 20)

static const char *const ignored[] = { "defaults", "_netdev", "nofail", "auto", "noauto", "user", "nouser", "users", "atime", "noatime",
				       "relatime", "diratime", "nodiratime", "strictatime", "async", NULL };

void mount_options_init(struct mount_options *o)
{
	memset(o, 0, sizeof(*o));
	o->allow_other = -1;
}

/* Digits, then an optional K, M or G; within min..max. */
static int number(const char *text, bool suffix, uint64_t min, uint64_t max, uint64_t *ret_n)
{
	uint64_t n = 0;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (n > (UINT64_MAX >> 40))
			return -EINVAL;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	if (suffix && *text) {
		shift = *text == 'K' ? 10 : *text == 'M' ? 20 : *text == 'G' ? 30 : 0;
		if (!shift)
			return -EINVAL;
		text++;
	}
	if (*text || n > (UINT64_MAX >> shift) || n << shift < min || n << shift > max)
		return -EINVAL;
	*ret_n = n << shift;
	return 0;
}

static int backing(const char *text, enum vio_backing *ret_b)
{
	if (strcmp(text, "auto") == 0)
		*ret_b = VIO_BACKING_AUTO;
	else if (strcmp(text, "buffered") == 0)
		*ret_b = VIO_BACKING_BUFFERED;
	else if (strcmp(text, "direct") == 0)
		*ret_b = VIO_BACKING_DIRECT;
	else
		return -EINVAL;
	return 0;
}

static int with_value(const char *key, const char *val, struct mount_options *o)
{
	uint64_t n;
	int r;

	if (strcmp(key, "backing-io") == 0)
		return backing(val, &o->backing);
	if (strcmp(key, "agent") == 0) {
		if (strlen(val) == 0 || strlen(val) >= sizeof(o->agent))
			return -EINVAL;
		memcpy(o->agent, val, strlen(val) + 1);
		return 0;
	}
	if (strcmp(key, "threads") == 0) {
		r = number(val, false, 1, 256, &n);
		if (r == 0)
			o->threads = (unsigned)n;
		return r;
	}
	if (strcmp(key, "commit") == 0) {
		r = number(val, false, 1, 3600, &n);
		if (r == 0)
			o->commit_seconds = (unsigned)n;
		return r;
	}
	if (strcmp(key, "cache") == 0) {
		r = number(val, true, MIB, 1ull << 40, &n);
		if (r == 0)
			o->cache_bytes = n;
		return r;
	}
	if (strcmp(key, "dirty") == 0) {
		r = number(val, true, 8 * MIB, 1ull << 40, &n);
		if (r == 0)
			o->dirty_bytes = n;
		return r;
	}
	if (strcmp(key, "log-size") == 0)
		return number(val, false, 16, 1024, &o->log_mib);
#if COFFER_TEST_HOOKS
	if (strcmp(key, "test-gather-log-fd") == 0) {
		r = number(val, false, 3, 1000, &n);
		if (r == 0)
			o->gather_log_fd = (int)n;
		return r;
	}
#endif
	return -ENOENT;
}

static int flag(const char *word, struct mount_options *o)
{
	const struct {
		const char *on, *off;
		bool *at;
	} flags[] = {
		{ "ro", "rw", &o->read_only }, { "dev", "nodev", &o->dev }, { "suid", "nosuid", &o->suid },
		{ "noexec", "exec", &o->noexec }, { "unsafe-backing", "", &o->unsafe_backing },
		{ "fuse-uring", "nofuse-uring", &o->fuse_uring },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(word, flags[i].on) == 0 || (*flags[i].off && strcmp(word, flags[i].off) == 0)) {
			*flags[i].at = strcmp(word, flags[i].on) == 0;
			return 0;
		}
	}
	if (strcmp(word, "allow_other") == 0 || strcmp(word, "noallow_other") == 0) {
		o->allow_other = word[0] == 'a';
		return 0;
	}
	if (strncmp(word, "x-", 2) == 0 || strncmp(word, "comment=", 8) == 0)
		return 0;
	for (size_t i = 0; ignored[i]; i++)
		if (strcmp(word, ignored[i]) == 0)
			return 0;
	return -ENOENT;
}

/* Do not even repeat what may stand behind it. */
static bool is_secret(const char *word)
{
	static const char *const names[] = { "pass", "key", "secret", "token", "credential", "pwd" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(word, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static int one_word(char *word, struct mount_options *o, char why[static 128])
{
	char *eq = strchr(word, '=');
	int r;

	r = flag(word, o);
	if (r == 0)
		return 0;
	if (eq) {
		*eq = '\0';
		r = with_value(word, eq + 1, o);
	}
	if (r == -EINVAL)
		(void)snprintf(why, 128, "option %.40s=%.20s: not a value it can have", word, eq + 1);
	else if (r < 0 && is_secret(word))
		(void)snprintf(why, 128, "option %s: secrets never go into options; the agent has the key", eq ? "with a secret" : word);
	else if (r < 0 && strcmp(word, "remount") == 0)
		(void)snprintf(why, 128, "option remount: not possible; unmount it, and mount it with the other options");
	else if (r < 0 && o->sloppy)
		r = 0;
	else if (r < 0)
		(void)snprintf(why, 128, "option %.60s%s: unknown", word, eq ? "=" : "");
	return r < 0 ? -EINVAL : 0;
}

/* Cut off the first word of text; "\\," is a comma in it, "\\\\" a backslash. What is behind it, or NULL. */
static char *cut_word(char *text)
{
	char *to = text;

	for (; *text && *text != ','; text++) {
		if (*text == '\\' && (text[1] == ',' || text[1] == '\\'))
			text++;
		*to++ = *text;
	}
	text = *text ? text + 1 : NULL;
	*to = '\0';
	return text;
}

int mount_options_parse(const char *text, struct mount_options *o, char why[static 128])
{
	AUTO_FREE char *copy = NULL;
	char *word, *next;
	int r;

	if (strlen(text) > MOUNT_OPTIONS_MAX) {
		(void)snprintf(why, 128, "options: longer than %d bytes", MOUNT_OPTIONS_MAX);
		return -EINVAL;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	for (word = copy; word; word = next) {
		next = cut_word(word);
		if (*word == '\0')
			continue;
		r = one_word(word, o, why);
		if (r < 0)
			return r;
	}
	return 0;
}
