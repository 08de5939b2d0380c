/* Any octets as a message for a server of 7 bits. What must hold: 7 bits come out, at most four octets for one, the same however the
 * message is cut; its bodies, decoded, are what they were; and it needs no second conversion. The first two octets choose the cuts.
 *
 * And the same octets as a binary message that becomes lines. What must hold: no NUL and no bare CR or LF comes out, whatever went in; the same
 * however it is cut; nothing of it is binary any more, so that a second time changes nothing. */
#include <stdlib.h>

#include "common/memory.h"
#include "common/mime.h"
#include "smtpd/downgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* run - false: nothing to do, or it cannot be done. */
static bool run(struct downgrade *d, struct sv in, size_t step, struct buf *out)
{
	bool can;

	for (size_t at = 0; at < in.len; at += step)
		downgrade_parse(d, sv_sub(in, at, step));
	can = downgrade_parsed(d);
	for (size_t at = 0; at < in.len && can; at += step)
		downgrade_count(d, sv_sub(in, at, step));
	can = can && !downgrade_obstacle(d);
	if (can)
		downgrade_begin(d);
	for (size_t at = 0; at < in.len && can; at += step)
		if (!downgrade_feed(d, sv_sub(in, at, step), byte_sink_buf, out))
			abort();
	if (can && !downgrade_end(d, byte_sink_buf, out))
		abort();
	downgrade_free(&d);
	return can;
}

static bool convert(struct sv in, uint64_t top_len, size_t step, struct buf *out)
{
	return run(downgrade_new(top_len), in, step, out);
}

static void check_lines(struct sv in, size_t step)
{
	struct buf whole, cut, again;
	struct mime_message *m;
	bool can;

	buf_init(&whole, 8 * in.len + 1000);
	buf_init(&cut, 8 * in.len + 1000);
	buf_init(&again, 8 * in.len + 1000);
	can = run(downgrade_new_lines(), in, in.len + 1, &whole);
	if (can != run(downgrade_new_lines(), in, step, &cut) || !sv_eq(buf_sv(&whole), buf_sv(&cut)))
		abort();
	m = mime_parse(buf_sv(&whole));
	if (m->bare_cr || m->bare_lf || m->nul || (can && (!run(downgrade_new_lines(), buf_sv(&whole), step, &again) || !sv_eq(buf_sv(&whole), buf_sv(&again)))))
		abort();
	mime_message_free(&m);
	buf_done(&whole);
	buf_done(&cut);
	buf_done(&again);
}

/* bodies - of all parts without parts, decoded, one behind the other; without line ends, which base64 may add at the end. */
static void bodies(struct sv message, struct buf *out)
{
	struct mime_message *m = mime_parse(message);
	struct transfer_decoder decoder;
	struct buf text;
	struct mime_part p;

	buf_init(&text, message.len + 100);
	for (uint32_t i = 0; i < m->part_count; i++) {
		if (!mime_part_at(m, i, &p))
			abort();
		if (p.kind != MIME_LEAF && p.kind != MIME_TEXT)
			continue;
		buf_clear(&text);
		transfer_decoder_init(&decoder, p.encoding);
		if (!transfer_decoder_feed(&decoder, sv_sub(message, (size_t)p.body_offset, (size_t)p.body_len), &text) ||
		    !transfer_decoder_finish(&decoder, &text))
			abort();
		for (size_t k = 0; k < text.len; k++)
			if (text.p[k] != '\r' && text.p[k] != '\n' && !buf_append_c(out, text.p[k]))
				abort();
	}
	buf_done(&text);
	mime_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_from((const char *)data, size), rest;
	struct buf message, whole, cut, before, after;
	struct data_scanner scanner;
	size_t step;
	uint64_t top_len;

	if (size < 2)
		return 0;
	step = 1 + data[0] % 32u;
	top_len = data[1];
	sv_skip(&in, 2);
	check_lines(in, step);
	buf_init(&message, 2 * size + 16);
	buf_init(&whole, 8 * size + 1000);
	buf_init(&cut, 8 * size + 1000);
	buf_init(&before, 16 * size + 1000);
	buf_init(&after, 16 * size + 1000);
	data_scanner_init(&scanner, DATA_NORMALISE | DATA_NO_DOTS, byte_sink_buf, &message);
	rest = in;
	(void)data_scanner_feed(&scanner, &rest);
	data_scanner_finish(&scanner);
	if (convert(buf_sv(&message), top_len, message.len + 1, &whole) != convert(buf_sv(&message), top_len, step, &cut) ||
	    !sv_eq(buf_sv(&whole), buf_sv(&cut)) || sv_has_8bit(buf_sv(&whole)))
		abort();
	if (whole.len) {
		bodies(buf_sv(&message), &before);
		bodies(buf_sv(&whole), &after);
		if (!sv_eq(buf_sv(&before), buf_sv(&after)) || convert(buf_sv(&whole), 0, step, &cut))
			abort();
	}
	buf_done(&message);
	buf_done(&whole);
	buf_done(&cut);
	buf_done(&before);
	buf_done(&after);
	return 0;
}
