/* store_conf.c: the keys of [store] and of the command line, one by one. What a value means beyond its form is judged when the store is opened. */
#include <stdio.h>
#include <string.h>

#include "backup/store.h"
#include "net/awscred.h"

#define RATE_MOST ((uint64_t)1 << 50)
#define LOCK_DAYS_MOST 36500u

void store_conf_init(struct store_conf *conf)
{
	*conf = (struct store_conf){ 0 };
}

void store_conf_done(struct store_conf *conf)
{
	secret_free(conf->key_id);
	secret_free(conf->key_secret);
	secret_free(conf->key_token);
	store_conf_init(conf);
}

int store_rate_parse(const char *text, uint64_t *ret_bytes)
{
	size_t n = strspn(text, "0123456789"), i;
	const char *unit = text + n;
	uint64_t v = 0;

	if (n == 0 || n > 15)
		return -EINVAL;
	for (i = 0; i < n; i++)
		v = v * 10 + (uint64_t)(text[i] - '0');
	if (*unit != '\0') {
		const char *units = "KMG", *at = strchr(units, *unit);

		if (!at || unit[1] != '\0' || v > RATE_MOST)
			return -EINVAL;
		v <<= 10 * (at - units + 1);
	}
	if (v == 0 || v > RATE_MOST)
		return -EINVAL;
	*ret_bytes = v;
	return 0;
}

static int set_text(char *to, size_t max, const char *value)
{
	size_t i, len = strnlen(value, max);

	if (len == 0 || len == max)
		return -EINVAL;
	for (i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return -EINVAL;
	memcpy(to, value, len + 1);
	return 0;
}

static int set_lock(struct store_conf *conf, const char *value)
{
	static const char *const modes[] = { [STORE_LOCK_GOVERNANCE] = "governance ", [STORE_LOCK_COMPLIANCE] = "compliance " };

	for (unsigned k = STORE_LOCK_GOVERNANCE; k <= STORE_LOCK_COMPLIANCE; k++) {
		const char *days = value + strlen(modes[k]);
		unsigned long n;
		char *end;

		if (strncmp(value, modes[k], strlen(modes[k])) != 0 || *days < '1' || *days > '9')
			continue;
		n = strtoul(days, &end, 10);
		if (*end != '\0' || n > LOCK_DAYS_MOST)
			return -EINVAL;
		conf->lock = (enum store_lock)k;
		conf->lock_days = (unsigned)n;
		return 0;
	}
	return -EINVAL;
}

int store_conf_set(struct store_conf *conf, const char *key, const char *value)
{
	const struct {
		const char *key;
		char *to;
		size_t max;
	} texts[] = {
		{ "endpoint", conf->endpoint, sizeof(conf->endpoint) },
		{ "region", conf->region, sizeof(conf->region) },
		{ "credentials", conf->credentials, sizeof(conf->credentials) },
		{ "ca-file", conf->ca_file, sizeof(conf->ca_file) },
		{ "proxy", conf->proxy, sizeof(conf->proxy) },
	};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(key, texts[i].key) == 0)
			return set_text(texts[i].to, texts[i].max, value);
	if (strcmp(key, "path-style") == 0) {
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return -EINVAL;
		conf->host_style = value[0] == 'n';
		return 0;
	}
	if (strcmp(key, "object-lock") == 0)
		return set_lock(conf, value);
	if (strcmp(key, "limit-upload") == 0)
		return store_rate_parse(value, &conf->limit_upload);
	if (strcmp(key, "limit-download") == 0)
		return store_rate_parse(value, &conf->limit_download);
	return -ENOENT;
}

static int keys_from(const struct awscred *c, struct store_conf *conf)
{
	int r;

	r = secret_new_copy(c->access_key, strlen(c->access_key), &conf->key_id);
	if (r == 0)
		r = secret_new_copy(secret_bytes_const(c->secret_key), secret_len(c->secret_key), &conf->key_secret);
	if (r == 0 && c->token)
		r = secret_new_copy(secret_bytes_const(c->token), secret_len(c->token) - 1, &conf->key_token);
	return r;
}

int store_conf_keys(struct store_conf *conf, const struct secret *text)
{
	struct awscred c = { .kind = NULL };
	int r;

	secret_free(take_ptr(conf->key_id));
	secret_free(take_ptr(conf->key_secret));
	secret_free(take_ptr(conf->key_token));
	r = awscred_read(text, &c);
	if (r == 0)
		r = keys_from(&c, conf);
	awscred_done(&c);
	return r;
}
