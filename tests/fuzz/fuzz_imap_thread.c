/* Conversations that nobody would write: references in every direction. Each message is told once, in every algorithm. */
#include <stdint.h>
#include <stdlib.h>

#include "imapd/thread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void thread(enum thread_algorithm algorithm, const uint8_t *data, size_t size)
{
	struct threader t;
	struct writer w;
	unsigned count = 0, told = 0, depth = 0;

	threader_init(&t, algorithm, 4 << 20);
	writer_init(&w, 1 << 20);
	/* Of each message: id, subject, date, how many references, and those. */
	while (size >= 4 && count < 200) {
		size_t refs = data[3] % 4 < size - 4 ? data[3] % 4 : size - 4;
		char id[2] = { (char)(data[0] % 32 + 'A'), 0 }, text[16], subject[2] = { (char)(data[1] % 4 + 'a'), 0 };
		struct message_row row = { .uid = ++count, .internaldate = data[2] % 8 };
		struct mime_message m = { .message_id = sv_z(data[0] & 0x80 ? "" : id), .base_subject = sv_z(data[1] & 0x40 ? "" : subject),
					  .facts = data[1] & 0x80 ? MIME_SUBJECT_IS_REPLY : 0 };

		for (size_t i = 0; i < refs; i++) {
			text[2 * i] = (char)(data[4 + i] % 32 + 'A');
			text[2 * i + 1] = '\n';
		}
		m.references = sv_from(text, refs * 2);
		if (!threader_take(&t, &row, &m, count))
			abort();
		data += 4 + refs;
		size -= 4 + refs;
	}
	if (!threader_write(&t, &w) || w.is_full)
		abort();
	for (size_t i = 0; i < w.buf.len; i++) {
		char c = w.buf.p[i];

		depth += c == '(';
		if (c == ')' && !depth--)
			abort();
		told += ascii_is_digit(c) && (!i || !ascii_is_digit(w.buf.p[i - 1]));
	}
	if (depth || told != count)
		abort();
	writer_done(&w);
	threader_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	thread(THREAD_REFERENCES, data, size);
	thread(THREAD_REFS, data, size);
	thread(THREAD_ORDEREDSUBJECT, data, size);
	return 0;
}
