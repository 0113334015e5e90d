/* conf.h: read a configuration file and say what is wrong with it. Logs. */
#ifndef COFFER_BASE_CONF_H
#define COFFER_BASE_CONF_H

#include "base/ini.h"

/* Read the file name below dirfd by the rules. A fault is logged as "SHOWN:LINE: what"; shown is the path as people
 * know it. -ENOENT is not logged; -EUCLEAN, -EFBIG, -ENOMEM, -errno are. Caller: ini_free. */
int conf_load_at(int dirfd, const char *name, const char *shown, const struct ini_rule *rules,
		 struct ini **ret_ini) must_check;

#endif
