/* proto_told.h: the members of requests by which the agent is told of what happened to a volume: event, done, backup-sign (docs/protocol.md). Rows of the table in
 * proto_request.c. */
#ifndef COFFER_AGENT_PROTO_TOLD_H
#define COFFER_AGENT_PROTO_TOLD_H

#include "agent/proto.h"
#include "base/json.h"

int proto_told_event_parse(const struct json *o, struct proto_request *req) must_check;
int proto_told_event_put(struct json *o, const struct proto_request *req) must_check;
int proto_told_done_parse(const struct json *o, struct proto_request *req) must_check;
int proto_told_done_put(struct json *o, const struct proto_request *req) must_check;
int proto_told_statement_parse(const struct json *o, struct proto_request *req) must_check;
int proto_told_statement_put(struct json *o, const struct proto_request *req) must_check;

#endif
