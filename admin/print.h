/* admin/print.h - what the command line shows: aligned tables or JSON, progress, plain error sentences.
 * Standard output carries results, standard error carries errors and progress. Colour and progress only on a
 * terminal. One thread. */
#ifndef ADMIN_PRINT_H
#define ADMIN_PRINT_H

#include <stdio.h>

#include "common/bytes.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,          /* right-aligned */
	COLUMN_BYTES,           /* "1.4 MB" for people, octets in JSON; 0 with zero_text */
	COLUMN_TIME,            /* seconds since 1970: local time for people, RFC 3339 in JSON */
	COLUMN_BOOL,            /* yes/no, true/false */
	COLUMN_LIST,            /* words separated by a space; an array in JSON */
};

struct column {
	const char *title;      /* for people */
	const char *name;       /* in JSON */
	enum column_kind kind;
	const char *zero_text;  /* shown to people for 0 ("no limit"); NULL shows the 0. JSON: null */
};

struct table;

/** table_new - columns are borrowed until table_end(). */
struct table *table_new(const struct column *columns, size_t count, bool as_json);
/** table_sv, table_u64 - the next cell, from left to right; a row ends with its last column.
 *  COLUMN_TEXT and _LIST take text, the others numbers. Text is shown with control characters escaped. */
void table_sv(struct table *t, struct sv text);
void table_u64(struct table *t, uint64_t n);
/** table_words - the next cell, of a COLUMN_LIST. */
void table_words(struct table *t, const struct sv *words, size_t count);
/** table_flush - print the rows that are whole, so that a long table is never in memory at once: columns are aligned for these rows and
 *  those before. Not for facts. */
void table_flush(struct table *t);
/** table_end - print everything and free the table. @empty: sentence for people when there is no row. */
void table_end(struct table **t, const char *empty);
/**
 * table_close - the same for what may have failed: with another code than EXIT_DONE an error was told, so nobody is to take what came
 * before it for the whole. People see the rows there are; of JSON nothing is printed, and an array that was begun is left open.
 * Returns code.
 */
int table_close(struct table **t, int code, const char *empty);

struct json_out;
/** table_end_in - put it into a larger object instead: a member `name` with an array, or, made by facts_new(), its members themselves. */
void table_end_in(struct table **t, struct json_out *j, const char *name);

/** facts_new - a table for one thing, printed as "title: value" lines or one JSON object: one row only. */
struct table *facts_new(const struct column *columns, size_t count, bool as_json);

struct json;
/** print_json_line - a value on a line of its own, as a daemon answered it. */
void print_json_line(const struct json *value);

/** print_bytes - "0 B", "12 KB", "1.4 MB": powers of 1024, at most one decimal. */
void print_bytes(uint64_t n, char out[24]);
/** print_parse_bytes - "1024", "10K", "1.5" is refused, "2G"; 0 and "none" give 0. */
bool print_parse_bytes(struct sv text, uint64_t *out);

/** print_parse_ago - "90s", "5m", "12h", "30d": a time before now, or from now on, in seconds. */
bool print_parse_ago(const char *text, uint64_t *seconds);

/** print_folded - a sentence and a newline on standard output: on a terminal in lines of its width, those behind the first below
 *  column `indent`, where the first begins; else as one line. */
void print_folded(const char *text, size_t indent);

/** complain - one error line on standard error: "postroom: <text>", and below it, when given, "  try: <next step>". */
void complain(const char *next_step, const char *format, ...) PRINTF_LIKE(2, 3);

/* A bar on standard error while something takes long; silent unless that is a terminal. */
struct progress {
	const char *what;       /* "Rebuilding alice@example.org" */
	const char *unit;       /* "messages" */
	int64_t started_ms, shown_ms;
	bool shown;
};
void progress_start(struct progress *p, const char *what, const char *unit);
void progress_update(struct progress *p, uint64_t done, uint64_t total);
void progress_end(struct progress *p);

#endif
