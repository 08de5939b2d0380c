/* mbox files: where messages begin, what is taken out, the same at every cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/import_mbox.h"
#include "maildir/mailbox.h"

static bool on_begin(void *arg)
{
	return buf_append(arg, SV("<"));
}

static bool on_octets(void *arg, struct sv run)
{
	return buf_append(arg, run);
}

static bool on_end(void *arg, const struct mbox_meta *m)
{
	return buf_appendf(arg, "|%x %u %u %u %lld %d %s %s %s>\n", m->flags, m->uid, m->uidvalidity, m->uid_last,
			   (long long)m->received, m->is_internal, m->keywords, m->all_keywords, m->uidl);
}

static const struct mbox_sink sink = { on_begin, on_octets, on_end };

static void read_in_two(struct sv text, size_t cut, struct buf *out)
{
	struct mbox_reader r;
	char *first = xmalloc(cut ? cut : 1), *second = xmalloc(text.len - cut ? text.len - cut : 1);

	memcpy(first, text.p, cut);
	memcpy(second, text.p + cut, text.len - cut);
	mbox_init(&r, &sink, out);
	mbox_feed(&r, sv_from(first, cut));
	mbox_feed(&r, sv_from(second, text.len - cut));
	mbox_end(&r);
	mbox_done(&r);
	free(first);
	free(second);
}

static const struct { const char *text, *expected; } cases[] = {
	{ "From a@b Sat Nov 21 10:00:00 2026\nSubject: x\n\nbody\n\nFrom c@d Sat Nov 21 10:00:01 2026\n\nsecond\n",
	  "<Subject: x\n\nbody\n|0 0 0 0 1795255200 0   >\n<\nsecond\n|0 0 0 0 1795255201 0   >\n" },
	/* No separator: no empty line in front, no date. */
	{ "From a Sat Nov 21 10:00:00 2026\n\nFrom me to you\n\nFrom here: on\nFrom a Sat Nov 21 10:00:00 2026\n",
	  "<\nFrom me to you\n\nFrom here: on\nFrom a Sat Nov 21 10:00:00 2026\n|0 0 0 0 1795255200 0   >\n" },
	/* What servers keep in the header. */
	{ "From a Sat Nov 21 10:00:00 2026\r\nX-IMAPbase: 1795292441 0000000012 $Forwarded kw2\r\nStatus: RO\r\nX-Status: AF\r\n"
	  "X-UID: 7\r\nX-Keywords: kw2      \r\nContent-Length: 5\r\nX-UIDL: abc\r\nSubject: y\r\n folded\r\n\r\nz\r\n",
	  "<Subject: y\r\n folded\r\n\r\nz\r\n|7 7 1795292441 12 1795255200 0 kw2 $Forwarded kw2 abc>\n" },
	{ "From a Sat Nov 21 10:00:00 2026\nStatus: R\n O\nX-UID: 99999999999\nX-IMAPbase: x\nX-UIDL: a b\nX: 1\n\n",
	  "<X: 1\n\n|1 0 0 0 1795255200 0   >\n" },
	{ "From MAILER-DAEMON Sat Nov 21 10:00:00 2026\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
	  "X-IMAP: 1795292441 12\n\ntext\n", "<Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\ntext\n"
	  "|0 0 1795292441 12 1795255200 1   >\n" },
	/* Nothing of it. */
	{ "", "" },
	{ "Subject: no mbox\n\n", "" },
	{ "From a Sat Nov 21 10:00:00 2026", "<|0 0 0 0 1795255200 0   >\n" },
	{ "From a b c Sat Nov 21 10:00:00 2026\n\n\n\n\nx", "<\n\n\n\nx|0 0 0 0 1795255200 0   >\n" },
	{ "From a Sat Nov 21 10:00:00 2026\n\nx\n\n", "<\nx\n|0 0 0 0 1795255200 0   >\n" },
};

static void messages_are_told_apart_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) {
			struct buf out;
			buf_init(&out, 65536);
			read_in_two(sv_z(cases[i].text), cut, &out);
			assert_string_equal(out.len ? buf_z(&out) : "", cases[i].expected);
			buf_done(&out);
		}
}

static void lines_beyond_every_limit_pass_unread(void **state)
{
	struct buf text, out;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_init(&out, 1 << 20);
	buf_append(&text, SV("From a Sat Nov 21 10:00:00 2026\nStatus: R"));
	for (int i = 0; i < 9000; i++)
		buf_append_c(&text, 'x');
	buf_append(&text, SV("\nX-UID: 5\n\n"));
	for (int i = 0; i < 9000; i++)
		buf_append_c(&text, 'y');
	read_in_two(buf_sv(&text), 5000, &out);
	/* All octets but the "From " line and X-UID. */
	assert_int_equal(out.len, text.len - 32 - 9 + strlen("<|0 5 0 0 1795255200 0   >\n"));
	buf_done(&text);
	buf_done(&out);
}

static bool stop(void *arg)
{
	(void)arg;
	return false;
}

static void a_sink_that_stops_is_not_called_again(void **state)
{
	static const struct mbox_sink stopping = { stop, on_octets, on_end };
	struct mbox_reader r;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	mbox_init(&r, &stopping, &out);
	assert_false(mbox_feed(&r, sv_z(cases[0].text)));
	assert_false(mbox_end(&r));
	assert_int_equal(out.len, 0);
	mbox_done(&r);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_told_apart_at_every_cut),
		cmocka_unit_test(lines_beyond_every_limit_pass_unread),
		cmocka_unit_test(a_sink_that_stops_is_not_called_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
