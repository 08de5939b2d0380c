/* IMAP URLs of messages and their parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "imapd/url.h"

#include "common/banned.h"

/* read - from a heap copy of the exact size. */
static bool read(const char *text, struct arena *arena, struct url *url)
{
	size_t n = strlen(text);
	char *copy = xmalloc(n + !n);

	memcpy(copy, text, n);
	bool is_good = url_read(sv_from(copy, n), arena, url);

	free(copy);
	return is_good;
}

static void good_urls_name_a_message_or_a_part(void **state)
{
	static const struct {
		const char *text, *mailbox;
		uint32_t uidvalidity, uid;
		const char *label;
		uint64_t from, count;   /* count 0: no partial */
	} cases[] = {
		{ "/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER", "Drafts", 385759045, 20, "BODY[HEADER]", 0, 0 },
		{ "/Drafts;UIDVALIDITY=385759045/;UID=20/;Section=2.MIME", "Drafts", 385759045, 20, "BODY[2.MIME]", 0, 0 },
		{ "/Drafts;uidvalidity=1/;uid=30", "Drafts", 1, 30, "BODY[]", 0, 0 },
		{ "/Drafts/;UID=3002", "Drafts", 0, 3002, "BODY[]", 0, 0 },
		{ ";UID=7", "", 0, 7, "BODY[]", 0, 0 },
		{ "/;UID=7/;SECTION=1", "", 0, 7, "BODY[1]", 0, 0 },
		{ "/a/b%20c/;UID=1/;SECTION=TEXT/;PARTIAL=0.1024", "a/b c", 0, 1, "BODY[TEXT]", 0, 1024 },
		{ "/INBOX/;UID=1/;PARTIAL=10", "INBOX", 0, 1, "BODY[]", 10, UINT64_MAX / 2 },
		{ "/Entw%C3%BCrfe/;UID=1", "Entw\xc3\xbcrfe", 0, 1, "BODY[]", 0, 0 },
		{ "/x%3By/;UID=1/;SECTION=HEADER.FIELDS%20(From%20To)", "x;y", 0, 1, "BODY[HEADER.FIELDS (From To)]", 0, 0 },
		{ "/x/;UID=4294967295/;SECTION=1.2.HEADER.FIELDS.NOT%20(a)", "x", 0, 4294967295u,
		  "BODY[1.2.HEADER.FIELDS.NOT (a)]", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena;
		struct url url;

		arena_init(&arena, 1 << 16);
		if (!read(cases[i].text, &arena, &url))
			fail_msg("%s", cases[i].text);
		assert_true(sv_eq(url.mailbox, sv_z(cases[i].mailbox)));
		assert_int_equal(url.uidvalidity, cases[i].uidvalidity);
		assert_int_equal(url.uid, cases[i].uid);
		assert_true(sv_eq(url.section.label, sv_z(cases[i].label)));
		assert_int_equal(url.section.has_partial, cases[i].count != 0);
		assert_int_equal(url.section.from, cases[i].from);
		assert_int_equal(url.section.count, cases[i].count);
		url_done(&url);
		arena_done(&arena);
	}
}

static void everything_else_is_no_url(void **state)
{
	static const char *const cases[] = {
		"", "/", "/Drafts", "/Drafts;UID=1", "Drafts/;UID=1", "/Drafts/;UID=0", "/Drafts/;UID=", "/Drafts/;UID=x",
		"/Drafts/;UID=4294967296", "imap://server/Drafts/;UID=1", "//server/Drafts/;UID=1", "http://x/;UID=1",
		"/Drafts;UIDVALIDITY=0/;UID=1", "/Drafts;UIDVALIDITY=x/;UID=1", "/Drafts/;UID=1/;SECTION=",
		"/Drafts/;UID=1/;SECTION=9x", "/Drafts/;UID=1/;SECTION=HEADER.FIELDS%20(", "/Drafts/;UID=1/;SECTION=1%0D%0Ax",
		"/Drafts/;UID=1/;SECTION=TEXT]%20BODY[", "/Drafts/;UID=1/;SECTION=1%20FLAGS", "/Drafts/;UID=1/;SECTION=TEXT]<0.1>",
		"/Drafts/;UID=1/;PARTIAL=", "/Drafts/;UID=1/;PARTIAL=1.0", "/Drafts/;UID=1/;PARTIAL=99999999999999999999",
		"/Drafts/;UID=1/;PARTIAL=0.1/;SECTION=1", "/%zz/;UID=1", "/%4/;UID=1", "/a%00b/;UID=1", "/%FF/;UID=1",
		"/Drafts;x/;UID=1", "/Drafts?SUBJECT/;UID=1", "/Drafts/;UID=1;URLAUTH=anonymous:internal:0",
		"/Drafts/;UID=1/;SECTION={3+}%0D%0Aabc",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena arena;
		struct url url;

		arena_init(&arena, 1 << 16);
		if (read(cases[i], &arena, &url))
			fail_msg("%s", cases[i]);
		url_done(&url);
		arena_done(&arena);
	}
}

static void a_long_url_is_none(void **state)
{
	char *text = xmalloc(URL_MAX + 2);
	struct arena arena;
	struct url url;

	(void)state;
	memset(text, 'a', URL_MAX + 2);
	memcpy(text, "/", 1);
	memcpy(text + URL_MAX - 5, "/;UID=1", 7);
	arena_init(&arena, 1 << 16);
	assert_false(url_read(sv_from(text, URL_MAX + 2), &arena, &url));
	url_done(&url);
	arena_done(&arena);
	free(text);
}

static void what_may_not_stand_in_a_code_is_encoded(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 1 << 16);
	assert_true(sv_eq(url_for_code(SV("/a b]\\\r\n\xc3\xbc/;UID=1"), &arena), SV("/a%20b%5D%5C%0D%0A%C3%BC/;UID=1")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_urls_name_a_message_or_a_part),
		cmocka_unit_test(everything_else_is_no_url),
		cmocka_unit_test(a_long_url_is_none),
		cmocka_unit_test(what_may_not_stand_in_a_code_is_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
