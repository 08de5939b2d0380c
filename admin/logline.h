/* admin/logline.h - a line of the log (common/log.h) read again: its fields, whom it is about, and how people like to see it.
 * The log may have lines of others in it (libraries, the kernel's reaper): those are plain text. Pure but for printing; one thread. */
#ifndef ADMIN_LOGLINE_H
#define ADMIN_LOGLINE_H

#include <stdio.h>

#include "common/bytes.h"
#include "common/log.h"

#define LOGLINE_FIELDS_MAX 64

struct logline {
	struct logline_field {
		struct sv name;
		struct sv value;        /* as it was given to the logger */
		struct sv text;         /* as it stands there, without quotes: safe on a terminal */
	} fields[LOGLINE_FIELDS_MAX];
	size_t count;
	char values[LOG_LINE_MAX];      /* memory of those that were quoted */
	size_t used;
	int64_t seconds;                /* when, since 1970; INT64_MIN when the line does not say */
	unsigned milliseconds;
};

/**
 * logline_parse - read a line, without its end.
 * @text: borrowed as long as the fields are looked at
 * False: it is not of that form, and nothing is to be looked at. Fields beyond LOGLINE_FIELDS_MAX are left out.
 */
bool logline_parse(struct logline *line, struct sv text);
/** logline_time - "2026-11-22T05:34:29.118Z", or with microseconds and "+0000" as journalctl writes them. */
bool logline_time(struct sv text, int64_t *seconds, unsigned *milliseconds);
/** logline_get - a field's value, SV_NONE when there is none. */
struct sv logline_get(const struct logline *line, const char *name);

/** logline_is_about - is the address, or an address of the domain, in one of the fields? Upper and lower case are the same. */
bool logline_is_about(const struct logline *line, struct sv address);
/** logline_has_value - has a field this value (a session's id, a queue id, a message id without its brackets)? */
bool logline_has_value(const struct logline *line, struct sv value);

/** logline_print - time, daemon, session, peer, event, then the fields that are not empty; a level worse or less than usual is said. */
void logline_print(const struct logline *line, FILE *to);
/** logline_json - the fields as members, in an object on a line of its own. */
void logline_json(const struct logline *line, FILE *to);

#endif
