/* agent_conf.c: coffer.conf → struct agent_conf. */
#include "agent/agent_conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/conf_file.h"
#include "base/text.h"
#include "crypt/digest.h"

static const struct ini_key agent_keys[] = {
	{ "log-level", INI_STRING, false }, { "metrics", INI_STRING, false }, { NULL, INI_STRING, false },
};
static const struct ini_key audit_keys[] = {
	{ "dir", INI_STRING, false },         { "required", INI_BOOL, false }, { "anchor-file", INI_STRING, false },
	{ "retain", INI_TIME, false },        { NULL, INI_STRING, false },
};
static const struct ini_rule rules[] = {
	{ "agent", agent_keys, false },
	{ "audit", audit_keys, false },
	{ NULL, NULL, false },
};

/* An absolute path, copied; what is not said leaves ret_path as it is. */
static int path_take(const struct ini_section *s, const char *key, size_t max, char *ret_path, struct ini_error *error)
{
	const char *text = ini_string(s, key, 0);

	if (!text)
		return 0;
	if (text[0] != '/')
		return ini_refuse(error, ini_line(s, key, 0), "%s= must be an absolute path", key);
	if (strlen(text) >= max)
		return ini_refuse(error, ini_line(s, key, 0), "%s= is longer than %zu characters", key, max - 1);
	memcpy(ret_path, text, strlen(text) + 1);
	return 0;
}

int agent_conf_parse(const void *p, size_t len, struct agent_conf *ret_conf, struct ini_error *ret_error)
{
	struct agent_conf conf = { .log_level = LOG_LEVEL_INFO };
	AUTO_INI struct ini *ini = NULL;
	const struct ini_section *s;
	const char *text;
	int r;

	audit_conf_default(&conf.audit);
	r = ini_read(p, len, rules, &ini, ret_error);
	if (r < 0)
		return r == -EFBIG ? ini_refuse(ret_error, 0, "larger than %d bytes", INI_BYTES_MAX) : r;
	s = ini_section(ini, "agent", 0);
	text = ini_string(s, "log-level", 0);
	if (text && log_level_parse(text, &conf.log_level) < 0)
		return ini_refuse(ret_error, ini_line(s, "log-level", 0), "log-level= is one of err, warning, info, debug");
	text = ini_string(s, "metrics", 0);
	if (text && metrics_conf_parse(text, &conf.metrics) < 0)
		return ini_refuse(ret_error, ini_line(s, "metrics", 0), "metrics= is off, unix:/PATH, 127.0.0.1:PORT or textfile:/PATH.prom");
	s = ini_section(ini, "audit", 0);
	r = path_take(s, "dir", sizeof(conf.audit.dir), conf.audit.dir, ret_error);
	if (r >= 0)
		r = path_take(s, "anchor-file", sizeof(conf.audit.anchor_file), conf.audit.anchor_file, ret_error);
	if (r < 0)
		return r;
	conf.audit.required = ini_bool(s, "required", conf.audit.required);
	conf.audit.retain_ms = (uint64_t)ini_number(s, "retain", (int64_t)(conf.audit.retain_ms / 1000)) * 1000;
	*ret_conf = conf;
	return 0;
}

int agent_conf_load(const char *config_dir, struct agent_conf *ret_conf)
{
	AUTO_FREE uint8_t *p = NULL;
	AUTO_FREE char *path = NULL;
	struct ini_error error = { 0 };
	uint8_t hash[DIGEST_SHA256_LEN] = { 0 };
	size_t len = 0;
	int r;

	if (asprintf(&path, "%s/coffer.conf", config_dir) < 0)
		return -ENOMEM;
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
		r = conf_file_read(AT_FDCWD, path, path, &p, &len);
		if (r < 0)
			return r == -ENOMEM ? r : -EBADMSG;
	}
	r = agent_conf_parse(p ? (const void *)p : "", len, ret_conf, &error);
	if (r == -EUCLEAN)
		log_err("%s:%u: %s", path, error.line, error.text);
	if (r >= 0 && p) {
		r = digest_sha256(p, len, hash);
		text_hex(hash, sizeof(hash), ret_conf->hash);
	}
	return r == -EUCLEAN ? -EBADMSG : r;
}
