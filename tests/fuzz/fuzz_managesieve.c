/* ManageSieve's grammar under any octets: whole and cut input agree, and no argument lies outside of the command. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "imapd/managesieve_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 256

static void note(const struct ms_grammar *g, enum ms_event event, struct buf *out)
{
	struct sv text;
	uint32_t n;

	(void)buf_appendf(out, "%d", (int)event);
	if (event != MS_COMMAND)
		return;
	(void)(buf_append(out, ms_grammar_verb(g)) && buf_append_c(out, ' '));
	for (size_t i = 0; i < g->arg_count; i++)
		if (ms_grammar_string(g, i, &text)) {
			if (text.len > LIMIT)
				abort();
			(void)(buf_appendf(out, "s%zu:", text.len) && buf_append(out, text));
		} else if (ms_grammar_number(g, i, &n)) {
			(void)buf_appendf(out, "n%u;", n);
		} else {
			abort();
		}
}

static void run(struct sv data, size_t cut, size_t step, bool is_response, struct buf *out)
{
	struct ms_grammar g;
	enum ms_event event = MS_MORE;

	buf_init(out, 16 << 20);
	ms_grammar_init(&g, LIMIT);
	if (is_response)
		ms_grammar_expect_string(&g);
	while (data.len && event != MS_OVERFLOW) {
		size_t n = step ? step : cut && cut < data.len ? cut : data.len;
		struct sv piece = sv_sub(data, 0, n);

		cut = 0;
		sv_skip(&data, piece.len);
		while (piece.len && event != MS_OVERFLOW) {
			event = ms_grammar_feed(&g, &piece);
			if (event)
				note(&g, event, out);
		}
	}
	ms_grammar_done(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_from((const char *)data, size);
	size_t cut = size ? data[size - 1] % (size + 1) : 0;
	bool is_response = size && data[0] == '"';
	struct buf whole, two, many;

	run(in, 0, 0, is_response, &whole);
	run(in, cut, 0, is_response, &two);
	run(in, 0, 1, is_response, &many);
	if (!sv_eq(buf_sv(&whole), buf_sv(&two)) || !sv_eq(buf_sv(&whole), buf_sv(&many)))
		abort();
	buf_done(&whole);
	buf_done(&two);
	buf_done(&many);
	return 0;
}
