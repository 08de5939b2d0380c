/* Pages: whatever comes from outside stays text, and what is kept of visits has bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "webd/html.h"
#include "webd/routes.h"
#include "webd/visits.h"

#define REPLACED "\xef\xbf\xbd"

static void expect(struct sv text, const char *escaped)
{
	char *exact = malloc(text.len ? text.len : 1);  /* one octet too far is a report */
	struct buf out;
	struct html h;

	if (text.len)
		memcpy(exact, text.p, text.len);
	buf_init(&out, 4096);
	html_init(&h, &out);
	html(&h, "<a title=\"$\">", sv_from(exact, text.len));
	assert_false(h.is_cut);
	assert_true(sv_starts(buf_sv(&out), SV("<a title=\"")) && sv_ends(buf_sv(&out), SV("\">")));
	assert_true(sv_eq(sv_sub(buf_sv(&out), 10, out.len - 12), sv_z(escaped)));
	buf_done(&out);
	free(exact);
}

static void hostile_names_stay_text(void **state)
{
	static const struct { struct sv text; const char *escaped; } cases[] = {
		{ SV_INIT(""), "" },
		{ SV_INIT("Alice"), "Alice" },
		{ SV_INIT("<script>alert('1')</script>"), "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;" },
		{ SV_INIT("\" onfocus=\"x"), "&quot; onfocus=&quot;x" },
		{ SV_INIT("a&amp;b $"), "a&amp;amp;b $" },
		{ SV_INIT("S\xc3\xb6hne \xe2\x82\xac \xf0\x9f\x93\xb1"), "S\xc3\xb6hne \xe2\x82\xac \xf0\x9f\x93\xb1" },
		{ SV_INIT("a\0b\x01\x7f"), "a" REPLACED "b" REPLACED REPLACED },
		{ SV_INIT("\xc3"), REPLACED },
		{ SV_INIT("\xc3<"), REPLACED "&lt;" },
		{ SV_INIT("\xe2\x82"), REPLACED REPLACED },
		{ SV_INIT("\xc0\xbc\xff"), REPLACED REPLACED REPLACED },
		{ SV_INIT("\xc2\x85"), REPLACED REPLACED },                             /* U+0085 */
		{ SV_INIT("a\xe2\x80\xae" "b"), "a" REPLACED REPLACED REPLACED "b" },    /* U+202E turns what follows around */
		{ SV_INIT("line\ntwo\t"), "line\ntwo\t" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect(cases[i].text, cases[i].escaped);
}

static void each_dollar_is_one_text_and_a_cut_page_is_known(void **state)
{
	struct buf out;
	struct html h;

	(void)state;
	buf_init(&out, 30);
	html_init(&h, &out);
	html(&h, "<b>$</b><i>$</i>", SV("$"), html_u64(&h, 7));
	assert_true(sv_eq(buf_sv(&out), SV("<b>$</b><i>7</i>")));
	html_raw(&h, "<p>");
	assert_false(h.is_cut);
	html(&h, "$", SV("&&&&&&&&"));
	assert_true(h.is_cut && out.len <= 30);
	buf_done(&out);
}

static void figures_are_readable(void **state)
{
	struct html h;
	struct buf out;

	(void)state;
	buf_init(&out, 10);
	html_init(&h, &out);
	assert_true(sv_eq(html_size(&h, 0), SV("0 B")));
	assert_true(sv_eq(html_size(&h, 1536), SV("1.5 KB")));
	assert_true(sv_eq(html_size(&h, 10ull << 30), SV("10.0 GB")));
	assert_true(sv_eq(html_size(&h, UINT64_MAX), SV("16.0 EB")));
	assert_true(sv_eq(html_time(&h, 0), SV("never")));
	assert_true(sv_eq(html_time(&h, 1795252618), SV("2026-11-21 09:16 UTC")));
	assert_true(sv_eq(html_day(&h, 1795252618), SV("2026-11-21")));
	buf_done(&out);
}

/* ---- visits ---- */

static struct visit visitor(const char *id)
{
	struct visit who = { .address = "alice@example.org" };

	memcpy(who.account, id, strlen(id));
	return who;
}

static void a_visit_ends_when_left_alone_and_after_its_life(void **state)
{
	struct visits *v = visits_new();
	struct visit who = visitor("a"), found;
	char token[VISIT_TOKEN_LEN + 1];
	uint64_t now = 1000;

	(void)state;
	visits_begin(v, &who, now, token);
	assert_true(visits_find(v, sv_z(token), now + VISIT_IDLE_MS - 1, &found));
	assert_string_equal(found.account, "a");
	for (now = 1000; now < 1000 + VISIT_LIFE_MS; now += VISIT_IDLE_MS / 2)
		assert_true(visits_find(v, sv_z(token), now, &found));
	assert_false(visits_find(v, sv_z(token), 1000 + VISIT_LIFE_MS, &found));
	visits_begin(v, &who, now, token);
	assert_int_equal(visits_count(v, now), 1);
	assert_false(visits_find(v, sv_z(token), now + VISIT_IDLE_MS, &found));
	assert_false(visits_find(v, sv_z(token), now, &found));         /* once over, it does not come back */
	visits_free(&v);
}

static void only_the_whole_token_names_a_visit(void **state)
{
	struct visits *v = visits_new();
	struct visit who = visitor("a"), found;
	char token[VISIT_TOKEN_LEN + 1];

	(void)state;
	visits_begin(v, &who, 0, token);
	for (size_t len = 0; len < VISIT_TOKEN_LEN; len++)
		assert_false(visits_find(v, sv_from(token, len), 1, &found));
	token[0] = token[0] == 'a' ? 'b' : 'a';
	assert_false(visits_find(v, sv_z(token), 1, &found));
	assert_false(visits_find(v, SV_NONE, 1, &found));
	visits_free(&v);
}

static void the_table_has_bounds_for_one_and_for_all(void **state)
{
	struct visits *v = visits_new();
	struct visit who = visitor("first"), found;
	char first[VISIT_TOKEN_LEN + 1], own[VISIT_TOKEN_LEN + 1], token[VISIT_TOKEN_LEN + 1];
	char id[DIRECTORY_ID_LEN + 1];

	(void)state;
	visits_begin(v, &who, 0, first);
	who = visitor("many");
	visits_begin(v, &who, 1, own);
	for (unsigned i = 0; i < VISITS_PER_ACCOUNT; i++)
		visits_begin(v, &who, 2 + i, token);
	assert_int_equal(visits_count(v, 20), 1 + VISITS_PER_ACCOUNT);
	assert_false(visits_find(v, sv_z(own), 20, &found));    /* the oldest of its own */
	assert_true(visits_find(v, sv_z(first), 20, &found));   /* nobody else's */
	assert_int_equal(visits_end_account(v, SV("many")), VISITS_PER_ACCOUNT);
	assert_int_equal(visits_count(v, 20), 1);
	for (unsigned i = 0; i < VISITS_MAX; i++) {
		snprintf(id, sizeof(id), "id%u", i);
		who = visitor(id);
		visits_begin(v, &who, 30 + i, token);
	}
	assert_int_equal(visits_count(v, 30 + VISITS_MAX), VISITS_MAX);
	assert_false(visits_find(v, sv_z(first), 30 + VISITS_MAX, &found));
	assert_true(visits_find(v, sv_z(token), 30 + VISITS_MAX, &found));
	visits_free(&v);
}

static void a_secret_is_told_once(void **state)
{
	struct visits *v = visits_new();
	struct visit who = visitor("a");
	struct visit_secret secret = { .label = "phone", .password = "abcde-fghjk-mnpqr-stuvw" }, got;
	char token[VISIT_TOKEN_LEN + 1];

	(void)state;
	visits_begin(v, &who, 0, token);
	assert_false(visits_take(v, sv_z(token), &got));
	visits_leave(v, sv_z(token), &secret);
	assert_true(visits_take(v, sv_z(token), &got));
	assert_string_equal(got.password, secret.password);
	assert_false(visits_take(v, sv_z(token), &got));
	visits_leave(v, sv_z(token), &secret);
	visits_end(v, sv_z(token));
	assert_false(visits_take(v, sv_z(token), &got));
	visits_free(&v);
}

/* ---- cookies ---- */

static void a_cookie_is_found_by_its_whole_name_however_the_request_is_cut(void **state)
{
	static const struct { const char *field, *value; } cases[] = {
		{ "", NULL }, { "Cookie: a=1\r\n", NULL }, { "Cookie: __Host-postroom=x\r\n", "x" }, { "Cookie: a=1; __Host-postroom=x=y;b=2\r\n", "x=y" },
		{ "Cookie: __Host-postroom-door=d; __Host-postroom=\r\n", "" }, { "Cookie: __host-postroom=x\r\n", NULL },
		{ "Cookie: __Host-postroom\r\n", NULL }, { "Cookie: ;;=; __Host-postroom=first; __Host-postroom=second\r\n", "first" },
		{ "Cookie: __Host-postroom=x\r\nCookie: __Host-postroom=y\r\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf text;

		buf_init(&text, 1024);
		assert_true(buf_appendf(&text, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[i].field));
		for (size_t cut = 0; cut <= text.len; cut++) {
			struct request_reader *r = request_reader_new();
			struct sv a = sv_from(text.p, cut), b = sv_from(text.p + cut, text.len - cut), value = SV_NONE;
			enum request_feed feed = request_reader_feed(r, &a);

			if (feed == REQUEST_MORE)
				feed = request_reader_feed(r, &b);
			assert_int_equal(feed, REQUEST_DONE);
			assert_int_equal(request_cookie(request_reader_get(r), SV("__Host-postroom"), &value), cases[i].value != NULL);
			if (cases[i].value)
				assert_true(sv_eq(value, sv_z(cases[i].value)));
			request_reader_free(&r);
		}
		buf_done(&text);
	}
}

/* ---- who sees what ---- */

static void the_status_page_is_not_there_for_another_machine(void **state)
{
	static const char *const peers[] = { "192.0.2.5", "2001:db8::1", "10.0.0.1" };
	struct request q = { .method = REQUEST_GET, .path = SV("/status"), .path_given = SV("/status"), .host = SV("localhost") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		struct route_context ctx = { .is_tls = true };
		struct response out;

		assert_true(netaddr_parse(sv_z(peers[i]), &ctx.peer));
		response_init(&out);
		route_request(&ctx, &q, &out);
		assert_int_equal(out.status, 404);
		response_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_names_stay_text),
		cmocka_unit_test(each_dollar_is_one_text_and_a_cut_page_is_known),
		cmocka_unit_test(figures_are_readable),
		cmocka_unit_test(a_visit_ends_when_left_alone_and_after_its_life),
		cmocka_unit_test(only_the_whole_token_names_a_visit),
		cmocka_unit_test(the_table_has_bounds_for_one_and_for_all),
		cmocka_unit_test(a_secret_is_told_once),
		cmocka_unit_test(the_status_page_is_not_there_for_another_machine),
		cmocka_unit_test(a_cookie_is_found_by_its_whole_name_however_the_request_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
