/* store_conf.c: the keys of [store] and of the command line, one by one. What a value means beyond its form is judged when the store is opened. */
#include <stdio.h>
#include <string.h>

#include "backup/store.h"

#define RATE_MOST ((uint64_t)1 << 50)

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
	if (strcmp(key, "limit-upload") == 0)
		return store_rate_parse(value, &conf->limit_upload);
	if (strcmp(key, "limit-download") == 0)
		return store_rate_parse(value, &conf->limit_download);
	return -ENOENT;
}
