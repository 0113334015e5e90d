/* awshost.c: partitions and their domains. */
#include "net/awshost.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"

#define REGION_MAX 32

static const struct {
	const char *prefix, *domain, *dual; /* of regions that begin so; dual NULL: has none */
} partitions[] = {
	{ "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
	{ "us-iso-", "c2s.ic.gov", NULL },
	{ "us-isob-", "sc2s.sgov.gov", NULL },
	{ "eusc-", "amazonaws.eu", "api.amazonwebservices.eu" },
	{ "", "amazonaws.com", "api.aws" },
};

bool awshost_region_ok(const char *region)
{
	size_t n = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= REGION_MAX && region[n] == '\0' && region[0] != '-' && region[n - 1] != '-';
}

int awshost_origin(const char *service, const char *region, bool fips, bool dual_stack, char ret_origin[static URL_ORIGIN_MAX + 1])
{
	const char *domain;
	size_t i = 0;

	if (!awshost_region_ok(region))
		return -EINVAL;
	while (strncmp(region, partitions[i].prefix, strlen(partitions[i].prefix)) != 0)
		i++;
	domain = dual_stack ? partitions[i].dual : partitions[i].domain;
	if (!domain)
		return -EINVAL;
	if (dual_stack && strcmp(service, "s3") == 0) /* older than the domains of their own */
		(void)snprintf(ret_origin, URL_ORIGIN_MAX + 1, "https://s3%s.dualstack.%s.%s", fips ? "-fips" : "", region, partitions[i].domain);
	else
		(void)snprintf(ret_origin, URL_ORIGIN_MAX + 1, "https://%s%s.%s.%s", service, fips ? "-fips" : "", region, domain);
	return 0;
}

static bool is_true(enum env_var var)
{
	const char *v = env_get(var);

	return v && strcmp(v, "true") == 0;
}

int awshost_find(const char *service, const char *region, const char *endpoint, char ret_origin[static URL_ORIGIN_MAX + 1])
{
	static const struct {
		const char *service;
		enum env_var var;
	} named[] = { { "kms", ENV_AWS_ENDPOINT_URL_KMS }, { "sts", ENV_AWS_ENDPOINT_URL_STS }, { "s3", ENV_AWS_ENDPOINT_URL_S3 } };
	const char *text = *endpoint ? endpoint : NULL;
	size_t i;

	for (i = 0; !text && !is_true(ENV_AWS_IGNORE_CONFIGURED_ENDPOINT_URLS) && i < sizeof(named) / sizeof(named[0]); i++) {
		if (strcmp(named[i].service, service) != 0)
			continue;
		text = env_get(named[i].var);
		if (!text)
			text = env_get(ENV_AWS_ENDPOINT_URL);
	}
	if (text)
		return url_origin_parse(text, ret_origin);
	return awshost_origin(service, region, is_true(ENV_AWS_USE_FIPS_ENDPOINT), is_true(ENV_AWS_USE_DUALSTACK_ENDPOINT), ret_origin);
}
