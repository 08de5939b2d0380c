/* tests/fuzz/fuzz_sieve.c - any octets as a Sieve script: compiled, and run on a message with parts. The first octet chooses
 * what the world answers; what the script requires is put before it, so that every extension is reached. */
#include "tests/fuzz/sieve_stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char message[] =
	"From: =?iso-8859-1?q?J=FCrgen?= <juergen+box@example.org>\r\nTo: alice@example.test, bob@example.test\r\n"
	"Subject: I have a present for you\r\nDate: Wed, 22 Jul 2009 23:30:00 +0200\r\nX-Number: 10\r\nMessage-ID: <a@b>\r\n"
	"Received: from a by b; Thu, 23 Jul 2009 01:00:00 +0200\r\nMIME-Version: 1.0\r\n"
	"Content-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n--o\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: inner\r\n\r\nhello\r\n--o\r\nContent-Type: application/pdf; name=\"x.pdf\"\r\n\r\n%PDF\r\n--o--\r\nepilogue\r\n";

static bool load(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	(void)arg;
	if (where == SIEVE_GLOBAL || name.len > 3)
		return false;
	return buf_append(out, SV("require [\"include\", \"variables\"]; global \"g\"; set \"g\" \"x${g}\"; include \"")) &&
	       buf_append(out, sv_sub(name, 0, name.len / 2 + 1)) && buf_append(out, SV("y\";"));
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
		static struct mime_message *m;  /* the same each time */
		struct sv wire = sv_from(message, sizeof(message) - 1);

		if (!m)
			m = mime_parse(wire);
		stage_run(script, wire, m);
	}
	sieve_script_free(&script);
	buf_done(&text);
	buf_done(&caps);
	return 0;
}
