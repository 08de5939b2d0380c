/* Messages that filters send, made of a hostile message and hostile words of a script: no line is too long, and the header has our
 * fields alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(struct sv text)
{
	static const char known[] = "|Date|Message-ID|From|To|Subject|In-Reply-To|References|Auto-Submitted|MIME-Version|Content-Type|"
				    "Content-Transfer-Encoding|Importance|";
	struct sv line;

	while (sv_split(&text, '\n', &line)) {
		char name[40] = "|";
		size_t colon = sv_find(line, ':');

		if (!line.len || line.p[line.len - 1] != '\r')
			abort();
		if (line.len == 1)
			return;
		if (*line.p == ' ' || *line.p == '\t' || sv_starts_nocase(line, SV("Content-")))
			continue;
		if (colon > 32)
			abort();
		memcpy(name + 1, line.p, colon);
		name[colon + 1] = '|';
		if (!strstr(known, name))
			abort();
	}
	abort();
}

static void try_all(const struct compose *c, const struct sieve_action *a)
{
	struct buf out, address;
	size_t at = 0;

	buf_init(&out, COMPOSE_MAX);
	buf_init(&address, 4096);
	if (compose_vacation(&out, c, a))
		check_header(buf_sv(&out));
	buf_clear(&out);
	if (compose_refusal(&out, c, a))
		check_header(buf_sv(&out));
	buf_clear(&out);
	if (compose_notify(&out, c, a))
		check_header(buf_sv(&out));
	while (compose_notify_next(a->method, &at, &address))
		if (at > a->method.len + 1)
			abort();
	buf_done(&out);
	buf_done(&address);
}

/* The first lines are words of the script, the rest is the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = sv_from((const char *)data, size), words[4] = { SV(""), SV(""), SV(""), SV("") };
	struct buf method;
	struct mime_message *message;

	for (size_t i = 0; i < ARRAY_LEN(words) && in.len; i++)
		(void)sv_split(&in, '\n', &words[i]);
	if (!in.p)
		in = SV("");
	message = mime_parse(in);
	buf_init(&method, size + 16);
	(void)(buf_append(&method, SV("mailto:")) && buf_append(&method, words[0]));
	struct compose c = {
		.hostname = SV("mail.example.org"), .id = SV("id"), .account = SV("alice@example.org"), .rcpt = SV("alice@example.org"),
		.sender = words[1], .message = message,
		.header = sv_sub(in, 0, message->header_len < in.len ? (size_t)message->header_len : in.len), .now = { 1000000000, 0 },
	};
	struct sieve_action a = {
		.kind = size & 1 ? SIEVE_REJECT : SIEVE_EREJECT, .address = words[1], .subject = words[2], .from = words[3], .text = in,
		.method = buf_sv(&method), .importance = (uint32_t)(size % 5), .is_mime = size & 2,
	};

	try_all(&c, &a);
	buf_done(&method);
	mime_message_free(&message);
	return 0;
}
