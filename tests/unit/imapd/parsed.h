/* tests/unit/imapd/parsed.h - a command line read, its arguments left to the test, which ends with grammar_done(). */
#ifndef TESTS_IMAPD_PARSED_H
#define TESTS_IMAPD_PARSED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/args.h"

/* parsed_line - of a whole line, with tag and CRLF. */
static inline struct args parsed_line(struct grammar *g, struct sv line)
{
	static const struct grammar_limits limits = { .line = 100000, .literal = 1000, .literal_nonsync = 1000, .literals = 1000,
						      .depth = 32, .tokens = 20000 };

	grammar_init(g, &limits);
	assert_int_equal(grammar_feed(g, &line), GRAMMAR_COMMAND);
	return args_from(g, 1);
}

/* parsed - of what stands behind the tag. */
static inline struct args parsed(struct grammar *g, const char *text)
{
	struct buf line = { .max = 100000 };

	buf_appendf(&line, "t %s\r\n", text);
	struct args args = parsed_line(g, buf_sv(&line));

	buf_done(&line);
	return args;
}

#endif
