/* tests/unit/imapd/grammar_trace.h - what the parser makes of a client's octets, as text, so that cuts can be compared.
 * Shared by the unit test and the fuzz target. */
#ifndef TESTS_GRAMMAR_TRACE_H
#define TESTS_GRAMMAR_TRACE_H

#include <stdlib.h>

#include "common/memory.h"
#include "imapd/grammar.h"

#define TRACE_MAX ((size_t)8 << 20)

static const struct grammar_limits trace_limits = {
	.line = 100, .literal = 30, .literal_nonsync = 20, .literals = 60, .depth = 3, .tokens = 20,
};

struct trace {
	struct grammar g;
	struct buf out, streamed;
	bool is_over;
};

/* A piece of input as a heap block of exactly its size: one octet too far is a report of ASan. */
static inline struct sv trace_heap(struct sv s)
{
	char *p = malloc(s.len ? s.len : 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	return sv_from(p, s.len);
}

static inline void trace_text(struct buf *out, char kind, struct sv text)
{
	buf_appendf(out, " %c%zu:", kind, text.len);
	buf_append(out, text);
}

static inline void trace_tokens(struct trace *t)
{
	static const char kinds[] = "?aql()";

	for (size_t i = 0; i < t->g.count; i++) {
		const struct token *k = &t->g.tokens[i];

		if (k->kind == TOKEN_OPEN) {
			/* The closing one must be where it says. */
			if (k->match <= i || k->match >= t->g.count || t->g.tokens[k->match].kind != TOKEN_CLOSE)
				abort();
			buf_append(&t->out, SV(" ("));
		} else if (k->kind == TOKEN_CLOSE) {
			buf_append(&t->out, SV(" )"));
		} else {
			trace_text(&t->out, k->is_streamed ? 's' : kinds[k->kind], token_text(&t->g, k));
		}
		if (!k->is_spaced && i)
			buf_append_c(&t->out, '~');
	}
}

/* The tag stands alone in the trace of a bad command. */
static inline bool trace_event(struct trace *t, enum grammar_event event)
{
	struct grammar *g = &t->g;

	switch (event) {
	case GRAMMAR_MORE:
		return true;
	case GRAMMAR_COMMAND:
		buf_append(&t->out, SV("C"));
		trace_tokens(t);
		buf_append_c(&t->out, '\n');
		if (g->count > 1 && sv_eq(token_text(g, &g->tokens[1]), SV("IDLE")))
			grammar_expect_line(g, 10);
		else
			grammar_next(g);
		return true;
	case GRAMMAR_LITERAL:
		if (g->count > 2 && sv_eq(token_text(g, &g->tokens[1]), SV("APPEND")) && !g->depth) {
			buf_appendf(&t->out, "%s", g->literal.is_sync ? "+" : "");
			if (g->literal.size > 1000 && g->literal.is_sync) {
				buf_append(&t->out, SV("refused\n"));
				grammar_refuse(g);
				grammar_next(g);
			} else if (g->literal.size > 1000) {
				grammar_drop(g);
			} else {
				grammar_stream(g);
			}
		} else if (grammar_take(g)) {
			buf_appendf(&t->out, "%s", g->literal.is_sync ? "+" : "");
		} else if (g->literal.is_sync) {
			buf_append(&t->out, SV("too-big\n"));
			grammar_next(g);
		}
		return true;
	case GRAMMAR_OCTETS:
		buf_append(&t->streamed, g->octets);
		return true;
	case GRAMMAR_LITERAL_END:
		trace_text(&t->out, 'S', buf_sv(&t->streamed));
		buf_append_c(&t->out, '\n');
		buf_clear(&t->streamed);
		return true;
	case GRAMMAR_LINE:
		trace_text(&t->out, 'L', g->octets);
		buf_append_c(&t->out, '\n');
		grammar_next(g);
		return true;
	case GRAMMAR_BAD:
		if (!g->why)
			abort();
		buf_appendf(&t->out, "B%s", g->is_too_big ? "!" : "");
		trace_text(&t->out, 't', grammar_tag(g));
		buf_append_c(&t->out, '\n');
		grammar_next(g);
		return true;
	case GRAMMAR_OVERFLOW:
		buf_append(&t->out, SV("O\n"));
		t->is_over = true;
		return false;
	}
	abort();
}

static inline void trace_init(struct trace *t)
{
	*t = (struct trace){ .out = { .max = TRACE_MAX }, .streamed = { .max = TRACE_MAX } };
	grammar_init(&t->g, &trace_limits);
}

static inline void trace_feed(struct trace *t, struct sv piece)
{
	struct sv copy = trace_heap(piece), in = copy;

	while (!t->is_over) {
		enum grammar_event event = grammar_feed(&t->g, &in);

		if (event == GRAMMAR_MORE)
			break;
		if (!trace_event(t, event))
			break;
	}
	free((char *)copy.p);
}

static inline void trace_done(struct trace *t)
{
	grammar_done(&t->g);
	buf_done(&t->out);
	buf_done(&t->streamed);
}

/* trace_cut - the trace of the input cut at one place, and (step > 0) into pieces of that size. free() it. */
static inline char *trace_cut(struct sv input, size_t cut, size_t step)
{
	struct trace t;

	trace_init(&t);
	if (step) {
		for (size_t i = 0; i < input.len; i += step)
			trace_feed(&t, sv_sub(input, i, step));
	} else {
		trace_feed(&t, sv_sub(input, 0, cut));
		trace_feed(&t, sv_sub(input, cut, SIZE_MAX));
	}
	char *text = sv_copy_z(buf_sv(&t.out));

	trace_done(&t);
	return text;
}

#endif
