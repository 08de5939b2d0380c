/* tests/fuzz/fuzz_sieve.c - any octets as a Sieve script: compiled, and run on a message with parts. The first octet chooses
 * what the world answers; what the script requires is put before it, so that every extension is reached. */
#include <stdlib.h>

#include "common/sieve/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char message[] =
	"From: =?iso-8859-1?q?J=FCrgen?= <juergen+box@example.org>\r\nTo: alice@example.test, bob@example.test\r\n"
	"Subject: I have a present for you\r\nDate: Wed, 22 Jul 2009 23:30:00 +0200\r\nX-Number: 10\r\nMessage-ID: <a@b>\r\n"
	"Received: from a by b; Thu, 23 Jul 2009 01:00:00 +0200\r\nMIME-Version: 1.0\r\n"
	"Content-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n--o\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: inner\r\n\r\nhello\r\n--o\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n\r\n%PDF\r\n--o--\r\nepilogue\r\n";

static uint8_t mood;

static bool read_wire(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	(void)arg;
	return !(mood & 1) && offset <= sizeof(message) - 1 && buf_append(out, sv_sub(sv_from(message, sizeof(message) - 1), (size_t)offset, len));
}

static bool load(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	(void)arg;
	if (where == SIEVE_GLOBAL || name.len > 3)
		return false;
	return buf_append(out, SV("require [\"include\", \"variables\"]; global \"g\"; set \"g\" \"x${g}\"; include \"")) &&
	       buf_append(out, sv_sub(name, 0, name.len / 2 + 1)) && buf_append(out, SV("y\";"));
}

static bool ask(void *arg, struct sv name)
{
	(void)arg;
	(void)name;
	return mood & 2;
}

static bool ask_two(void *arg, struct sv a, struct sv b)
{
	return ask(arg, a.len ? a : b);
}

static bool answered(void *arg, struct sv handle, struct sv address, uint32_t seconds)
{
	return seconds && ask_two(arg, handle, address);
}

static bool metadata(void *arg, struct sv mailbox, struct sv name, struct buf *out)
{
	return ask_two(arg, mailbox, name) && buf_append(out, name);
}

static void trace(void *arg, uint32_t line, struct sv text)
{
	(void)arg;
	if (line > 1u << 30 || text.len > 4096)
		abort();
}

static void run(const struct sieve_script *script)
{
	static struct mime_message *m;  /* the same each time */
	if (!m)
		m = mime_parse(sv_from(message, sizeof(message) - 1));
	static const struct sv own[] = { SV_INIT("alice@example.test") };
	const struct sieve_mail mail = { .message = m, .header = sv_sub(sv_from(message, sizeof(message) - 1), 0, (size_t)m->header_len), .read = read_wire };
	const struct sieve_envelope envelope = { .from = mood & 4 ? SV("") : SV("juergen@example.org"), .to = SV("alice+x@example.test") };
	const struct sieve_host host = {
		.now = { 1248298200, 120 }, .addresses = own, .address_count = 1, .mailbox_exists = ask, .mailbox_id_exists = ask,
		.special_use_exists = ask_two, .is_duplicate = ask, .is_answered = answered, .list_exists = ask, .list_has = ask_two,
		.metadata = metadata, .trace = mood & 8 ? trace : NULL, .has_spam_score = mood & 16, .spam_percent = 99,
	};
	struct sieve_result result;
	struct buf words;
	bool has_fate = false;

	sieve_run(script, &mail, &envelope, &host, &result);
	buf_init(&words, (size_t)1 << 22);
	/* Whatever the script is, the message has a fate, within the limits. */
	for (size_t i = 0; i < result.action_count; i++) {
		const struct sieve_action *a = &result.actions[i];

		has_fate = has_fate || (a->kind != SIEVE_VACATION && a->kind != SIEVE_NOTIFY && a->kind != SIEVE_SEEN);
		(void)sieve_action_describe(a, &words);
		if (a->kind == SIEVE_FILEINTO && (!a->mailbox.len || !sv_is_utf8(a->mailbox)))
			abort();
		if (a->kind == SIEVE_VACATION && (sv_find(a->subject, '\n') != SIZE_MAX || !a->address.len))
			abort();
	}
	if (!has_fate || result.action_count > SIEVE_ACTIONS_MAX + 1 || result.memory > (size_t)1 << 20)
		abort();
	if (result.has_failed && (result.action_count != 1 || result.actions[0].kind != SIEVE_KEEP || !*result.error.text ||
				  !sv_is_utf8(sv_z(result.error.text))))
		abort();
	buf_done(&words);
	sieve_result_free(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sieve_loader loader = { load, NULL };
	struct buf text, caps;
	struct sv rest, name;

	if (!size)
		return 0;
	mood = data[0];
	buf_init(&text, size + 4096);
	buf_init(&caps, 4096);
	if (mood & 32) {
		bool fits = sieve_capabilities(&caps) && buf_append(&text, SV("require ["));
		for (rest = buf_sv(&caps); fits && sv_split(&rest, ' ', &name); )
			if (mood & 64 || !sv_eq(name, SV("ihave")))
				fits = buf_append_c(&text, '"') && buf_append(&text, name) && buf_append(&text, SV("\","));
		fits = fits && buf_append(&text, SV("\"copy\"];"));
		if (!fits)
			abort();
	}
	if (!buf_append(&text, sv_from((const char *)data + 1, size - 1)))
		abort();

	struct sieve_script *script = NULL;
	struct sieve_errors errors;
	struct fault f = sieve_compile(buf_sv(&text), &loader, &script, &errors);
	if (f.kind) {
		if (!errors.count || script)
			abort();
		for (size_t i = 0; i < errors.count; i++)
			if (!errors.list[i].line || !errors.list[i].column || !*errors.list[i].text ||
			    !sv_is_utf8(sv_z(errors.list[i].text)))
				abort();
	} else {
		run(script);
	}
	sieve_script_free(&script);
	buf_done(&text);
	buf_done(&caps);
	return 0;
}
