/* Names of attached files, in all the spellings that hide an ending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/mime.h"
#include "smtpd/attachment.h"

#include "common/banned.h"

static char *endings[] = { "exe", "JS", "settingcontent-ms" };
static const struct conf_list list = { .items = endings, .count = ARRAY_LEN(endings) };

static void endings_are_what_windows_sees(void **state)
{
	static const struct {
		struct sv name;
		const char *ending;
	} table[] = {
		{ SV_INIT("a.exe"), "exe" }, { SV_INIT("a.EXE"), "exe" }, { SV_INIT("photo.jpg.exe"), "exe" }, { SV_INIT("a.exe. . ."), "exe" },
		{ SV_INIT("a.exe\t\r\n"), "exe" }, { SV_INIT("a.exe\0"), "exe" }, { SV_INIT("a.ex\xe2\x80\x8b" "e"), "exe" },
		{ SV_INIT("a.exe\xe2\x80\xae"), "exe" }, { SV_INIT("a.exe\xc2\xa0.\xe3\x80\x80"), "exe" }, { SV_INIT("ann\xe2\x80\xae" "gpj.exe"), "exe" },
		{ SV_INIT("exe"), "" }, { SV_INIT(""), "" }, { SV_INIT("..."), "" }, { SV_INIT(".exe"), "exe" }, { SV_INIT("a.exe.txt"), "txt" },
		{ SV_INIT("a.\xff"), "\xff" }, { SV_INIT("a.\xe2\x80"), NULL }, { SV_INIT("a.\x80\x80\x80\x80\x80"), NULL }, { SV_INIT("\"a.exe\""), "exe" },
		{ SV_INIT("a.\xc3\xa9xe"), "\xc3\xa9xe" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct buf out;

		buf_init(&out, 64);
		assert_true(attachment_ending(table[i].name, &out));
		if (table[i].ending)
			assert_true(sv_eq(buf_sv(&out), sv_z(table[i].ending)));
		buf_done(&out);
	}
}

static const char *look(struct sv message, size_t cut, char found[200])
{
	struct attachments *a = attachments_new(&list);
	const char *name;

	for (size_t at = 0; at < message.len; at += cut) {
		size_t n = message.len - at < cut ? message.len - at : cut;
		char *copy = xmalloc(n);

		memcpy(copy, message.p + at, n);
		attachments_feed(a, sv_from(copy, n));
		free(copy);
	}
	name = attachments_end(a);
	memcpy(found, name ? name : "", name ? strlen(name) + 1 : 1);
	attachments_free(&a);
	return found;
}

#define PART(fields) "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\n" fields "\r\n\r\nAAAA\r\n--b--\r\n"

static void names_are_found_however_they_are_spelled_and_cut(void **state)
{
	static const struct {
		struct sv message;
		const char *found;
	} table[] = {
		{ SV_INIT(PART("Content-Disposition: attachment; filename=a.exe")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=\"a b.exe\"")), "a b.exe" },
		{ SV_INIT(PART("Content-Type: application/x-foo; name=\"a.js\"")), "a.js" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename*=utf-8''a%2Ee%78e")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename*0=\"a.e\"; filename*1=\"xe\"")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename*0*=utf-16le''a%00.%00e%00; filename*1*=x%00e%00")), NULL },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=good.txt; filename=a.exe")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename*=utf-8''good.txt; filename=a.exe")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: inline\r\nContent-Disposition: attachment; filename=a.exe")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=\"=?utf-8?B?YS5leGU=?=\"")), "=?utf-8?B?YS5leGU=?=" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=\"=?utf-8?Q?a=2Ee?= =?utf-8?Q?xe?=\"")), NULL },
		{ SV_INIT(PART("Content-Disposition: attachment;\r\n filename=\r\n\t\"a.exe\"")), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=\"a\\.exe. \"")), NULL },
		{ SV_INIT(PART("content-disposition : ATTACHMENT; FILENAME=\"x.settingcontent-ms\"")), "x.settingcontent-ms" },
		{ SV_INIT(PART("Content-Type: message/rfc822\r\n\r\nSubject: y\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n"
			       "Content-Disposition: attachment; filename=a.exe\r\n\r\n--c--")), "a.exe" },
		{ SV_INIT("Content-Disposition: attachment; filename=a.exe\r\n\r\nAAAA\r\n"), "a.exe" },
		{ SV_INIT("Content-Disposition: attachment; filename=a.exe"), "a.exe" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=a.txt")), "" },
		{ SV_INIT(PART("Content-Disposition: attachment; filename=exe")), "" },
		{ SV_INIT("Subject: a.exe\r\n\r\nContent-Disposition: attachment; filename=a.exe\r\n"), "" },
		{ SV_INIT(""), "" },
	};
	char found[200], again[200];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const char *whole = look(table[i].message, table[i].message.len + 1, found);

		if (table[i].found && !strstr(table[i].found, "=?"))
			assert_string_equal(whole, table[i].found);
		else
			assert_string_not_equal(whole, "");
		for (size_t cut = 1; cut < 60; cut++)
			assert_string_equal(look(table[i].message, cut, again), whole);
	}
}

static void what_cannot_be_looked_at_in_full_counts_as_found(void **state)
{
	struct buf text;
	char found[200];
	(void)state;

	buf_init(&text, 4 << 20);
	buf_append(&text, SV("Content-Disposition: attachment"));
	for (unsigned i = 0; i < 2 * HEADER_PARAM_MAX; i++)
		buf_appendf(&text, "; x%u=y", i);
	buf_append(&text, SV("; filename=a.exe\r\n\r\n"));
	assert_string_equal(look(buf_sv(&text), 1000, found), "a name hidden behind too many parameters");
	buf_clear(&text);
	buf_append(&text, SV("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
	for (unsigned i = 0; i < MIME_PARTS_MAX + 2; i++)
		buf_append(&text, SV("--b\r\n\r\n\r\n"));
	assert_string_equal(look(buf_sv(&text), 1000, found), "a name hidden behind too many parts");
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endings_are_what_windows_sees),
		cmocka_unit_test(names_are_found_however_they_are_spelled_and_cut),
		cmocka_unit_test(what_cannot_be_looked_at_in_full_counts_as_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
