/* common/conf_table_private.h - the language in which the rows of the table of options are written, and the parts of the table. The
 * defaults of limits are those a small server wants; none of them has a value that means "unlimited". */
#ifndef COMMON_CONF_TABLE_PRIVATE_H
#define COMMON_CONF_TABLE_PRIVATE_H

#include "common/conf_private.h"

/* A field's place, checked at compile time to be of the type that the row's type writes. */
#define FIELD(row, type, field) \
	(offsetof(row, field) + 0 * sizeof(char[ \
		__builtin_types_compatible_p(__typeof__(((row *)0)->field), type) ? 1 : -1]))
#define ENUM_FIELD(row, field) \
	(offsetof(row, field) + 0 * sizeof(char[ \
		sizeof(((row *)0)->field) == sizeof(unsigned) ? 1 : -1]))

#define YES_NO(f)   .type = CONF_BOOL, .offset = FIELD(struct conf, bool, f)
#define NUMBER(f)   .type = CONF_NUMBER, .offset = FIELD(struct conf, uint64_t, f)
#define OCTETS(f)   .type = CONF_BYTES, .offset = FIELD(struct conf, uint64_t, f)
#define DURATION(f) .type = CONF_DURATION, .offset = FIELD(struct conf, uint64_t, f)
#define STRING(f)   .type = CONF_STRING, .offset = FIELD(struct conf, char *, f)
#define PATH(f)     .type = CONF_PATH, .offset = FIELD(struct conf, char *, f)
#define LIST(f)     .type = CONF_LIST, .offset = FIELD(struct conf, struct conf_list, f)
#define NETS(f)     .type = CONF_NETS, .offset = FIELD(struct conf, struct ipnets, f)
#define CHOICE(f, w) .type = CONF_ENUM, .offset = ENUM_FIELD(struct conf, f), .words = (w)

#define MS 1ull
#define SECONDS 1000ull
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)
#define KB 1024ull
#define MB (1024 * KB)
#define GB (1024 * MB)

struct conf_rows {
	const struct conf_option *options;
	size_t count;
};
extern const struct conf_rows conf_host_rows, conf_transport_rows, conf_access_rows, conf_legacy_rows, conf_listener_rows;

#endif
