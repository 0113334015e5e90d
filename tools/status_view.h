/* status_view.h: what `coffer status` and `coffer top` share: the agent's answer, its fields, and colours. Texts of the answer are others': control characters of them do not reach a
 * terminal. */
#ifndef COFFER_TOOLS_STATUS_VIEW_H
#define COFFER_TOOLS_STATUS_VIEW_H

#include "base/json.h"
#include "tools/cmd.h"

#define STATUS_TEXT_MAX 512

enum status_colour { STATUS_PLAIN, STATUS_GOOD, STATUS_WARN, STATUS_BAD, STATUS_DIM, STATUS_BOLD };

/* Is standard output a terminal that wants colours (NO_COLOR, TERM=dumb)? */
bool status_has_colours(void);
/* What goes before and behind; "" when there are none. */
const char *status_colour(bool colours, enum status_colour c);

/* Ask the agent on an open connection, and take the answer apart. 0, or an exit code after a message. */
int status_ask(struct client *c, struct json **ret_status) must_check;

/* A member: text without control characters, "-" when it is absent or null; a number, 0 likewise. */
const char *status_text(const struct json *o, const char *key, char ret_text[static STATUS_TEXT_MAX]);
uint64_t status_number(const struct json *o, const char *key);
/* Of `log` and `lease`. An empty object's fields are absent. */
const struct json *status_part(const struct json *mount, const char *key);

/* One word for a mount, from `state`, `answering`, `locked` and `read_only`, and its colour; the same for its lease. */
const char *status_state(const struct json *mount, char ret_text[static STATUS_TEXT_MAX], enum status_colour *ret_colour);
const char *status_lease(const struct json *mount, char ret_text[static STATUS_TEXT_MAX], enum status_colour *ret_colour);
/* Percent of the log that is in use. */
unsigned status_log_percent(const struct json *mount);

/* Text in a column of that width on standard output, with its colour; longer text is kept whole. */
void status_column(bool colours, enum status_colour c, int width, const char *text);

#endif
