/* tests/fuzz/fuzz_data.c - any octets as SMTP DATA, BDAT and command lines, whole and cut; and back through the writers.
 * The first octet chooses the scanner's flags and the cuts. */
#include <stdlib.h>

#include "common/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	struct buf message;
	size_t rest;
	unsigned faults;
	uint64_t size, longest_line;
	enum feed answer;
	bool is_line_start;
};

static void scan(struct sv text, unsigned flags, size_t step, struct outcome *o)
{
	struct data_scanner s;

	*o = (struct outcome){ .answer = FEED_MORE };
	buf_init(&o->message, 2 * text.len + 16);
	data_scanner_init(&s, flags, byte_sink_buf, &o->message);
	for (size_t at = 0; at < text.len && o->answer == FEED_MORE; at += step) {
		struct sv in = sv_sub(text, at, step);
		o->answer = data_scanner_feed(&s, &in);
		o->rest = text.len - at - (step < text.len - at ? step : text.len - at) + in.len;
	}
	if (flags & DATA_NO_DOTS)
		data_scanner_finish(&s);
	o->faults = s.faults;
	o->size = s.size;
	o->longest_line = s.longest_line;
	o->is_line_start = s.is_line_start;
}

static void lines(struct sv text, size_t step, struct buf *out)
{
	struct line_reader r;
	struct sv in = { text.p, 0 };
	size_t at = 0;

	line_reader_init(&r, 40);
	while (at < text.len || in.len) {
		if (!in.len) {
			in = sv_sub(text, at, step);
			at += in.len;
		}
		if (line_reader_feed(&r, &in) != FEED_MORE)
			(void)(buf_appendf(out, "%u %zu ", r.faults, r.dropped) && buf_append(out, buf_sv(&r.line)) &&
			       buf_append_c(out, '\n'));
	}
	line_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	unsigned flags = data[0] & 3;
	size_t step = (size_t)(data[0] >> 2) % 9 + 1;
	struct sv text = { (const char *)data + 1, size - 1 };
	struct outcome whole, cut;

	scan(text, flags, text.len + 1, &whole);
	scan(text, flags, step, &cut);
	if (!sv_eq(buf_sv(&whole.message), buf_sv(&cut.message)) || whole.rest != cut.rest || whole.faults != cut.faults ||
	    whole.size != cut.size || whole.longest_line != cut.longest_line || whole.answer != cut.answer ||
	    whole.is_line_start != cut.is_line_start)
		abort();
	/* What leaves the scanner never has a bare CR or LF in it, and comes back from the wire as it is. */
	struct sv message = buf_sv(&whole.message);
	bool is_good = !(whole.faults & (DATA_BARE_CR | DATA_BARE_LF)) || flags & DATA_NORMALISE;
	if (whole.answer == FEED_DONE && is_good) {
		struct dot_writer w = { 0 };
		struct crlf_writer c = { 0 };
		struct buf wire, same;
		struct outcome back;
		buf_init(&wire, 2 * message.len + 16);
		buf_init(&same, 2 * message.len + 16);
		for (size_t i = 0; i < message.len; i++)
			if ((message.p[i] == '\n') != (i && message.p[i - 1] == '\r'))
				abort();
		if (!crlf_writer_feed(&c, message, byte_sink_buf, &same) || !sv_eq(message, buf_sv(&same)))
			abort();
		if (!dot_writer_feed(&w, sv_sub(message, 0, step), byte_sink_buf, &wire) ||
		    !dot_writer_feed(&w, sv_sub(message, step, SIZE_MAX), byte_sink_buf, &wire) ||
		    !dot_writer_end(&w, byte_sink_buf, &wire))
			abort();
		scan(buf_sv(&wire), 0, 1 + wire.len, &back);
		if (back.answer != FEED_DONE || back.rest || !sv_eq(buf_sv(&back.message), message))
			abort();
		buf_done(&wire);
		buf_done(&same);
		buf_done(&back.message);
	}
	buf_done(&whole.message);
	buf_done(&cut.message);

	struct buf a, b;
	buf_init(&a, 64 * size + 4096);
	buf_init(&b, 64 * size + 4096);
	lines(text, text.len + 1, &a);
	lines(text, step, &b);
	if (!sv_eq(buf_sv(&a), buf_sv(&b)))
		abort();
	buf_done(&a);
	buf_done(&b);
	return 0;
}
