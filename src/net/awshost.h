/* awshost.h: where AWS's services are: by region, and by what the environment says as it says it to AWS's own tools. */
#ifndef COFFER_NET_AWSHOST_H
#define COFFER_NET_AWSHOST_H

#include "base/err.h"
#include "net/url.h"

#include <stdbool.h>

/* "eu-west-1": letters, digits and '-', at most 32. Pure. */
bool awshost_region_ok(const char *region) must_check;
/* https://SERVICE[-fips].REGION.DOMAIN, of S3 with dual_stack https://s3[-fips].dualstack.REGION.DOMAIN. -EINVAL: no such region can be. Pure. */
int awshost_origin(const char *service, const char *region, bool fips, bool dual_stack, char ret_origin[static URL_ORIGIN_MAX + 1]) must_check;
/* endpoint (may be empty), else AWS_ENDPOINT_URL_SERVICE, else AWS_ENDPOINT_URL, else by region with AWS_USE_FIPS_ENDPOINT and
 * AWS_USE_DUALSTACK_ENDPOINT. service: "kms", "sts" or "s3". -EINVAL: what was named is not https://HOST[:PORT]. */
int awshost_find(const char *service, const char *region, const char *endpoint, char ret_origin[static URL_ORIGIN_MAX + 1]) must_check;

#endif
