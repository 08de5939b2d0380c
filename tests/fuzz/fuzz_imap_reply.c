/* tests/fuzz/fuzz_imap_reply.c - any octets as responses of an IMAP server: the same whole and cut, every token within the text,
 * every list closed, and no more memory than the limits say. */
#include <stdlib.h>

#include "common/imap_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct imap_reply *r)
{
	size_t open = 0;

	if (!r->count || r->count > IMAP_REPLY_TOKENS_MAX || r->text.len > IMAP_REPLY_LINE_MAX + IMAP_REPLY_LITERAL_MAX)
		abort();
	for (size_t i = 0; i < r->count; i++) {
		const struct imap_reply_token *t = &r->tokens[i];

		if (t->at > r->text.len || t->len > r->text.len - t->at || (t->is_streamed && t->len))
			abort();
		if (t->kind == IMAP_REPLY_OPEN &&
		    (t->match <= i || t->match >= r->count || r->tokens[t->match].kind != IMAP_REPLY_CLOSE))
			abort();
		open += t->kind == IMAP_REPLY_OPEN;
		open -= t->kind == IMAP_REPLY_CLOSE;
		if (imap_reply_after(r, i) <= i || imap_reply_after(r, i) > r->count)
			abort();
	}
	if (open)
		abort();
}

/* say - all that the parser tells, as text; the octets come in steps. Big literals are streamed. */
static void say(struct sv in, size_t step, struct buf *out)
{
	enum imap_reply_event event = IMAP_REPLY_MORE;
	struct imap_reply r;
	struct sv name, value;

	imap_reply_init(&r);
	while (in.len && event != IMAP_REPLY_BAD) {
		struct sv part = sv_sub(in, 0, step);

		sv_skip(&in, part.len);
		do {
			event = imap_reply_feed(&r, &part);
			if (event == IMAP_REPLY_LITERAL && r.literal % 2)
				imap_reply_stream(&r);
			if (event == IMAP_REPLY_PIECE)
				(void)buf_append(out, r.piece);
			if (event == IMAP_REPLY_LITERAL_END)
				(void)buf_append_c(out, '$');
			if (event == IMAP_REPLY_DONE) {
				check(&r);
				for (size_t i = 0; i < r.count; i++) {
					(void)(buf_append_u64(out, r.tokens[i].kind) && buf_append(out, imap_reply_text(&r, i)));
					if (imap_reply_code(imap_reply_text(&r, i), &name, &value) &&
					    name.len + value.len > r.tokens[i].len)
						abort();
				}
				imap_reply_next(&r);
			}
		} while (event != IMAP_REPLY_MORE && event != IMAP_REPLY_BAD);
	}
	(void)buf_append_c(out, event == IMAP_REPLY_BAD ? '!' : '.');
	imap_reply_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_from((const char *)data, size);
	struct buf whole, cut;

	buf_init(&whole, (size_t)4 << 20);
	buf_init(&cut, (size_t)4 << 20);
	say(in, SIZE_MAX, &whole);
	say(in, 1 + size % 7, &cut);
	if (!sv_eq(buf_sv(&whole), buf_sv(&cut)))
		abort();
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}
