/* fuzz_agent_conf.c: coffer.conf. What is accepted has paths that are absolute; what is refused changes nothing and says why. */
#include "agent/agent_conf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void check_path(const char *path)
{
	if (path[0] && path[0] != '/')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static struct agent_conf conf, before;
	struct ini_error error = { 0 };

	memset(&conf, 0x55, sizeof(conf));
	before = conf;
	if (agent_conf_parse(p, len, &conf, &error) < 0) {
		if (memcmp(&conf, &before, sizeof(conf)) != 0 || (error.text[0] == '\0'))
			abort();
		return 0;
	}
	check_path(conf.audit.dir);
	check_path(conf.audit.anchor_file);
	return 0;
}
