/* tests/fuzz/fuzz_header.c - any octets as a header block, whole and cut; each value as parameters and message ids. */
#include <stdlib.h>

#include "common/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that a reader says, in one text. */
static void describe(struct sv text, size_t step, struct buf *out)
{
	struct header_reader r;
	enum header_event e = HEADER_MORE;
	struct sv in = { text.p, 0 };
	size_t at = 0;

	header_reader_init(&r);
	while (e != HEADER_END) {
		e = at == text.len && !in.len ? header_reader_finish(&r) : header_reader_feed(&r, &in);
		if (e == HEADER_MORE) {
			in = sv_sub(text, at, step);
			at += in.len;
		} else if (e == HEADER_FIELD) {
			const struct header_field *f = &r.field;
			if (f->offset + f->len > text.len || f->raw.len > f->len || f->name.len > f->raw.len)
				abort();
			(void)buf_appendf(out, "%d %d%d%d %llu %llu|", f->id, f->is_malformed, f->has_space_colon,
					  f->is_truncated, (unsigned long long)f->offset, (unsigned long long)f->len);
			(void)(buf_append(out, f->name) && buf_append_c(out, ':') && buf_append(out, f->value));
		}
	}
	(void)buf_append(out, sv_sub(text, at - in.len, SIZE_MAX));
	header_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = { (const char *)data, size };
	struct buf whole, cut, line;
	struct arena a;
	struct header_content c;

	buf_init(&whole, (size_t)16 << 20);
	buf_init(&cut, (size_t)16 << 20);
	describe(text, SIZE_MAX, &whole);
	describe(text, 1 + (size ? data[size - 1] % 7 : 0), &cut);
	if (!sv_eq(buf_sv(&whole), buf_sv(&cut)))
		abort();
	buf_done(&whole);
	buf_done(&cut);

	arena_init(&a, (size_t)1 << 20);
	if (header_parse_content(&a, text, &c))
		for (size_t i = 0; i < c.param_count; i++)
			if (header_param(&c, c.params[i].name) == NULL || c.params[i].value.len > size ||
			    c.params[i].raw.len > 3 * size)
				abort();
	struct sv rest = text, id;
	while (header_next_msg_id(&a, &rest, &id))
		if (!id.len || id.len > size)
			abort();
	buf_init(&line, size + 1);
	if (!header_unfold(text, &line) || (line.len && (memchr(line.p, '\n', line.len) || memchr(line.p, '\r', line.len))))
		abort();
	buf_done(&line);
	arena_done(&a);
	return 0;
}
