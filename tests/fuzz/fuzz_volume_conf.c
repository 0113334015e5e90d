/* fuzz_volume_conf.c: whatever the file, it is refused with a reason, or what is taken obeys its caps. */
#include "base/volume_conf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void must(bool b)
{
	if (!b)
		abort();
}

static void capped(const char *text, size_t max)
{
	must(!text || (*text && strlen(text) <= max));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	AUTO_VOLUME_CONF struct volume_conf c = { 0 };
	struct ini_error e = { 0 };
	int r = volume_conf_parse(p, len, &c, &e);

	must(r == 0 || r == -EUCLEAN);
	must(r == 0 ? !!c.source : e.text[0] && !c.source);
	if (r < 0)
		return 0;
	must(c.source[0] == '/' && (!c.mountpoint || c.mountpoint[0] == '/') && (!c.ca_file || c.ca_file[0] == '/'));
	capped(c.source, VOLUME_CONF_PATH_MAX);
	capped(c.mountpoint, VOLUME_CONF_PATH_MAX);
	capped(c.ca_file, VOLUME_CONF_PATH_MAX);
	capped(c.options, VOLUME_CONF_OPTIONS_MAX);
	capped(c.tenant, VOLUME_CONF_TENANT_MAX);
	capped(c.user, VOLUME_CONF_WORD_MAX);
	capped(c.region, VOLUME_CONF_WORD_MAX);
	capped(c.schedule, VOLUME_CONF_WORD_MAX);
	capped(c.store, VOLUME_CONF_STORE_MAX);
	capped(c.endpoint, VOLUME_CONF_STORE_MAX);
	must(c.keep_daily <= VOLUME_CONF_KEEP_MAX && c.keep_weekly <= VOLUME_CONF_KEEP_MAX && c.keep_monthly <= VOLUME_CONF_KEEP_MAX);
	must(c.keep_daily >= -1 && c.path_style >= -1 && c.path_style <= 1);
	return 0;
}
