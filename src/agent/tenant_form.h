/* tenant_form.h: which sections and keys a file of tenants.d may have, for ini_read. */
#ifndef COFFER_AGENT_TENANT_FORM_H
#define COFFER_AGENT_TENANT_FORM_H

#include "base/ini.h"

extern const struct ini_rule tenant_form[];

#endif
