/* IMAP URLs: whatever they say, what comes out is a section that can be looked for, and a text that may stand in a
 * response code. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mime.h"
#include "imapd/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char message[] = "From: a@x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
	struct sv text = sv_from((const char *)data, size), shown;
	struct buf out = { .max = 1 << 16 };
	struct arena arena;
	struct url url;

	arena_init(&arena, 1 << 20);
	if (url_read(text, &arena, &url)) {
		struct mime_message *m = mime_parse(sv_from(message, sizeof(message) - 1));
		struct section_place at = section_find(&url.section, m, sizeof(message) - 1, &out);

		if (!url.uid || url.section.form || !url.section.label.len || !sv_is_utf8(url.mailbox))
			abort();
		if (at.source == SECTION_SLICE && at.offset + at.len > sizeof(message) - 1)
			abort();
		mime_message_free(&m);
	}
	shown = url_for_code(text, &arena);
	for (size_t i = 0; i < shown.len; i++)
		if (shown.p[i] <= ' ' || shown.p[i] > '~' || shown.p[i] == ']')
			abort();
	url_done(&url);
	buf_done(&out);
	arena_done(&arena);
	return 0;
}
