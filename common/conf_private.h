/* common/conf_private.h - what the sources of the configuration share: conf.c reads files, conf_value.c values, conf_listener.c has the
 * listeners, conf_check.c looks at the whole, conf_table*.c holds the rows. */
#ifndef COMMON_CONF_PRIVATE_H
#define COMMON_CONF_PRIVATE_H

#include <stdatomic.h>

#include "common/conf.h"

#define CONF_WORDS_MAX 256      /* words on one line */
#define CONF_NAME_MAX 64        /* octets of an option's or a block's name */

/* The only block there is so far; its members' rows have this as their section. */
#define CONF_BLOCK "listener"

/* Kinds of listeners: what a row says when the file does not. In the order of the bits. */
struct conf_kind {
	const char *name;
	enum conf_listener_kind kind;
	uint16_t port;                  /* before port-offset */
	enum conf_tls_mode tls;
	bool loopback_only;             /* the default listener ignores `bind` */
	bool is_path_only;              /* a unix socket, never a port */
	bool is_asked_for;              /* no default listener: the file has to want one */
};
extern const struct conf_kind conf_kinds[];
extern const size_t conf_kind_count;
const struct conf_kind *conf_kind_row(enum conf_listener_kind kind);

/** conf_listener_add - takes over what *row owns. */
void conf_listener_add(struct conf *conf, struct conf_listener *row);
void conf_listener_done(struct conf_listener *row);
/** conf_listeners_default - those of a file without listener blocks. Ports are UINT64_MAX: not settled yet. */
void conf_listeners_default(struct conf *conf, const char *base_dir);

/* A file that is being read, and who is told what is wrong with it. */
struct conf_reading {
	struct conf *conf;
	struct conf_report *report;
	const char *file, *base_dir;
};
void conf_complain(const struct conf_reading *r, unsigned line, const char *format, ...) PRINTF_LIKE(3, 4);
/** conf_check - once all lines are read: complains of values that do not go together, finds the host's name if there is none. */
void conf_check(const struct conf_reading *r);
/** conf_is_address - numeric, or *. */
bool conf_is_address(const char *text);

struct conf_private {
	_Atomic unsigned refs;
	unsigned *set_line;             /* per row of the table: line in the file, 0 when not set */
};

/** conf_option_index - place of a row in the table, which has conf_option_count() rows. */
size_t conf_option_index(const struct conf_option *option);
size_t conf_option_count(void);

/** conf_value_set - read words into the field at base + offset, replacing what was there.
 *  @why: gets what is wrong and what is expected, without the option's name
 *  False leaves the field as it was. */
bool conf_value_set(const struct conf_option *option, void *base, const struct sv *words,
		    size_t count, const char *base_dir, struct buf *why);
/** conf_words_check - have the words of a list the form that its option wants? Where it wants none, any have. */
bool conf_words_check(const struct conf_option *option, const struct sv *words, size_t count, struct buf *why);
/** conf_value_default - the same from the row's default. */
void conf_value_default(const struct conf_option *option, void *base, const char *base_dir);
void conf_value_done(const struct conf_option *option, void *base);
bool conf_value_eq(const struct conf_option *option, const void *a, const void *b);

#endif
