/* volume_conf.h: one file of volumes.d, which gives a volume its name (coffer.conf(5)). Read whole or refused with a line. Pure.
 *
 * Who uses what: the commands [volume], coffer-generator tenant=, source= and schedule=, backups [backup] and [store]. Each reads all of it, so that a file is
 * right for all of them or for none. */
#ifndef COFFER_BASE_VOLUME_CONF_H
#define COFFER_BASE_VOLUME_CONF_H

#include "base/ini.h"

#define VOLUME_CONF_PATH_MAX 4095
#define VOLUME_CONF_OPTIONS_MAX 4096
#define VOLUME_CONF_WORD_MAX 255
#define VOLUME_CONF_STORE_MAX 1024
#define VOLUME_CONF_KEEP_MAX 100000
#define VOLUME_CONF_TENANT_MAX 64
#define VOLUME_CONF_UUID_LEN 16

/* Texts are malloc'ed, NULL where the file says nothing. */
struct volume_conf {
	char *source;            /* absolute; always there */
	char *mountpoint;        /* absolute */
	char *tenant, *options, *user;
	bool has_uuid;
	uint8_t uuid[VOLUME_CONF_UUID_LEN];
	char *store, *schedule;  /* [backup]: a URI; a calendar expression of systemd.time(7) */
	int64_t keep_daily, keep_weekly, keep_monthly; /* -1: not said */
	char *endpoint, *region, *credentials, *prune_credentials, *ca_file, *object_lock; /* [store] */
	int path_style;          /* -1: not said */
};

/* -EUCLEAN with *ret_error filled, -ENOMEM. Caller: volume_conf_done. */
int volume_conf_parse(const void *p, size_t len, struct volume_conf *ret_c, struct ini_error *ret_error) must_check;
/* One that is all zeros is fine. */
void volume_conf_done(struct volume_conf *c);
#define AUTO_VOLUME_CONF __attribute__((cleanup(volume_conf_done)))
/* Can a file of volumes.d be called NAME.conf? No slash, no dot in front, nothing that is not printable ASCII, at most 250 bytes. */
bool volume_conf_name_ok(const char *name);

#endif
