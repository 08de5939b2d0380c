/* tests/fuzz/fuzz_mime.c - any octets as a message, whole and cut: the same answer, in the grammar of IMAP; and any
 * octets as a stored form. */
#include <stdlib.h>

#include "common/crc32c.h"
#include "common/mime.h"
#include "tests/unit/support/imap_grammar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mime_message *parse(struct sv text, size_t step)
{
	struct mime_parser *p = mime_parser_new();

	for (size_t at = 0; at < text.len; at += step)
		mime_parser_feed(p, sv_sub(text, at, step));
	struct mime_message *m = mime_parser_finish(p);
	mime_parser_free(&p);
	return m;
}

/* Every row, and some sections: none may lie outside the message. */
static void look_around(const struct mime_message *m)
{
	static const uint32_t path[] = { 1, 2, 1 };
	struct mime_part part;
	uint64_t offset, len;

	for (uint32_t i = 0; i < m->part_count; i++)
		if (mime_part_at(m, i, &part) && (part.body_offset + part.body_len > m->wire_size ||
						  part.header_offset + part.header_len > m->wire_size))
			abort();
	for (size_t n = 0; n <= ARRAY_LEN(path); n++)
		for (int what = MIME_SECTION_BODY; what <= MIME_SECTION_MIME; what++)
			if (mime_section(m, path, n, (enum mime_section)what, &offset, &len) && offset + len > m->wire_size)
				abort();
}

static void stored(struct sv text)
{
	struct mime_message m;

	if (text.len < 16)
		return;
	/* With the checksum made right, so that what is behind it is looked at. */
	char *p = malloc(text.len);
	memcpy(p, text.p, text.len);
	memcpy(p, "PRmime\1", 8);
	for (int i = 0; i < 4; i++)
		p[12 + i] = (char)(text.len >> 8 * i & 255);
	uint32_t crc = crc32c(sv_from(p + 12, text.len - 12));
	for (int i = 0; i < 4; i++)
		p[8 + i] = (char)(crc >> 8 * i & 255);
	if (mime_decode(sv_from(p, text.len), &m))
		look_around(&m);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv text = { (const char *)data, size };
	size_t at;
	struct mime_message *whole = mime_parse(text), *cut = parse(text, 1 + (size ? data[size - 1] % 5 : 0));

	if (!sv_eq(whole->encoded, cut->encoded) || !sv_eq(whole->delivered_to, cut->delivered_to))
		abort();
	if (!grammar_is_envelope(whole->envelope, &at) || !grammar_is_body(whole->bodystructure, true, &at) ||
	    !grammar_is_body(whole->body, false, &at) || !sv_is_utf8(whole->base_subject))
		abort();
	if (whole->wire_size != size + whole->bare_lf)
		abort();
	look_around(whole);
	stored(text);
	stored(whole->encoded);
	mime_message_free(&whole);
	mime_message_free(&cut);
	return 0;
}
