#include "common/events.h"

#include "common/banned.h"

static const struct event_info events[EVENT_COUNT] = {
#define X(id, name, meaning, fields) [id] = { name, meaning, fields },
	EVENT_TABLE(X)
#undef X
};

const struct event_info *event_info(enum event e)
{
	return &events[e];
}

static event_sink_fn *the_sink;

void event_set_sink(event_sink_fn *sink)
{
	the_sink = sink;
}

void event_record(const struct log_ctx *ctx, enum event e, const struct log_field *fields)
{
	if (log_wants(LOG_LEVEL_INFO))
		log_write(LOG_LEVEL_INFO, ctx, events[e].name, fields);
	if (the_sink)
		the_sink(e, ctx, fields);
}
