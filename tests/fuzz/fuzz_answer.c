/* tests/fuzz/fuzz_answer.c - any octets as answers of another server: the same whole and cut, bounded, and one harmless line
 * as text. */
#include <stdlib.h>

#include "smtpd/relay/answer.h"
#include "smtpd/relay/explain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* read_all - what all answers say, one line each; the octets come in steps. */
static void read_all(struct sv in, size_t step, struct buf *out)
{
	struct answer a;
	enum feed got = FEED_MORE;

	answer_init(&a);
	while (in.len && got != FEED_BAD) {
		struct sv part = sv_sub(in, 0, step);

		sv_skip(&in, part.len);
		while (part.len && got != FEED_BAD) {
			got = answer_feed(&a, &part);
			if (got == FEED_DONE && (a.code < 200 || a.code > 599 || a.text.len > ANSWER_TEXT_MAX))
				abort();
			if (got == FEED_DONE)
				(void)(answer_append(&a, out) && buf_append_c(out, '\n'));
			if (got == FEED_DONE)
				(void)explain_refusal(sv_z(a.status), buf_sv(&a.text));
		}
	}
	(void)buf_append_c(out, got == FEED_BAD ? '!' : '.');
	answer_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_from((const char *)data, size);
	struct buf whole, cut;

	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	read_all(in, SIZE_MAX, &whole);
	read_all(in, 1 + size % 7, &cut);
	if (!sv_eq(buf_sv(&whole), buf_sv(&cut)))
		abort();
	for (size_t i = 0; i < whole.len; i++)
		if (((unsigned char)whole.p[i] < ' ' && whole.p[i] != '\n') || whole.p[i] == 0x7f)
			abort();
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}
