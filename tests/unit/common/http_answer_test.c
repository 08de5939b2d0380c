/* Answers of HTTP/1.x to requests of HTTP/1.0: whole, cut at every octet, and lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/http_answer.h"
#include "common/memory.h"

#include "common/banned.h"

#define BODY_MAX 64

static enum feed feed_all(struct http_answer *a, struct sv octets, size_t cut)
{
	enum feed feed = FEED_MORE;

	for (size_t at = 0; at < octets.len && feed == FEED_MORE; at += cut) {
		size_t n = octets.len - at < cut ? octets.len - at : cut;
		char *copy = xmalloc(n);

		memcpy(copy, octets.p + at, n);
		feed = http_answer_feed(a, sv_from(copy, n));
		free(copy);
	}
	return feed;
}

static const struct {
	struct sv octets;
	enum feed fed, ended;
	uint32_t status;
	const char *body;
} table[] = {
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), FEED_DONE, FEED_DONE, 200, "{}" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}more"), FEED_DONE, FEED_DONE, 200, "{}" },
	{ SV_INIT("HTTP/1.0 403 Unauthorized\r\n\r\nno"), FEED_MORE, FEED_DONE, 403, "no" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), FEED_DONE, FEED_DONE, 200, "" },
	{ SV_INIT("HTTP/1.1 500\n\nx"), FEED_MORE, FEED_DONE, 500, "x" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}"), FEED_MORE, FEED_BAD, 200, "{}" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"), FEED_MORE, FEED_BAD, 200, "" },
	{ SV_INIT(""), FEED_MORE, FEED_BAD, 0, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), FEED_BAD, FEED_BAD, 200, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}"), FEED_BAD, FEED_BAD, 200, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n"), FEED_BAD, FEED_BAD, 200, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"), FEED_BAD, FEED_BAD, 200, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), FEED_BAD, FEED_BAD, 200, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), FEED_BAD, FEED_BAD, 200, "" },
	{ SV_INIT("HTTP/1.1 100 Continue\r\n\r\n"), FEED_BAD, FEED_BAD, 0, "" },
	{ SV_INIT("HTTP/1.1 20 OK\r\n\r\n"), FEED_BAD, FEED_BAD, 0, "" },
	{ SV_INIT("HTTP/2 200 OK\r\n\r\n"), FEED_BAD, FEED_BAD, 0, "" },
	{ SV_INIT("220 mail ESMTP\r\n"), FEED_BAD, FEED_BAD, 0, "" },
	{ SV_INIT("HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789"), FEED_BAD, FEED_BAD, 200, NULL },
};

static void an_answer_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (size_t cut = 1; cut <= table[i].octets.len + 1; cut++) {
			struct http_answer a;

			http_answer_init(&a, BODY_MAX);
			assert_int_equal(feed_all(&a, table[i].octets, cut), table[i].fed);
			assert_int_equal(a.status, table[i].status);
			if (table[i].body)
				assert_true(sv_eq(buf_sv(&a.body), sv_z(table[i].body)));
			assert_true(a.body.len <= BODY_MAX);
			assert_int_equal(http_answer_end(&a), table[i].ended);
			http_answer_done(&a);
		}
}

static void a_header_without_end_is_bad_before_it_is_kept(void **state)
{
	static const struct sv line = SV_INIT("X-Field: 0123456789012345678901234567890123456789012345678901234567890\r\n");
	struct http_answer a;
	enum feed feed;
	size_t n = 0;
	(void)state;

	http_answer_init(&a, BODY_MAX);
	feed = http_answer_feed(&a, SV("HTTP/1.1 200 OK\r\n"));
	for (; feed == FEED_MORE && n < 1000; n++)
		feed = http_answer_feed(&a, line);
	assert_int_equal(feed, FEED_BAD);
	assert_true(n <= HTTP_ANSWER_HEAD_MAX / line.len + 1);
	assert_int_equal(http_answer_feed(&a, SV("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")), FEED_BAD);
	http_answer_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_the_same_however_it_is_cut),
		cmocka_unit_test(a_header_without_end_is_bad_before_it_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
