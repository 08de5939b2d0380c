/* HTTP requests: read alike however they are cut, bounded, and never with a path that climbs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "webd/request.h"

static struct sv heap(struct sv s)
{
	char *p = malloc(s.len ? s.len : 1);

	if (s.len)
		memcpy(p, s.p, s.len);
	return (struct sv){ p, s.len };
}

/* What a request came to, in one line; cut in two pieces. */
static void read_cut(struct sv text, size_t cut, struct buf *out)
{
	struct request_reader *r = request_reader_new();
	struct sv parts[] = { heap(sv_sub(text, 0, cut)), heap(sv_sub(text, cut, SIZE_MAX)) };
	enum request_feed feed = REQUEST_MORE;
	size_t rest = 0;

	for (int i = 0; i < 2; i++) {
		struct sv in = parts[i];

		if (feed == REQUEST_MORE)
			feed = request_reader_feed(r, &in);
		rest += in.len;
	}
	if (feed == REQUEST_BAD) {
		buf_appendf(out, "%u", request_reader_status(r));
	} else if (feed == REQUEST_MORE) {
		buf_append(out, SV("more"));
	} else {
		const struct request *q = request_reader_get(r);

		buf_appendf(out, "%d %.*s ?%.*s @%.*s [%.*s] %s rest %zu", q->method, SV_FMT(q->path), SV_FMT(q->query), SV_FMT(q->host),
			    SV_FMT(q->body), q->keeps ? "keeps" : "ends", rest);
	}
	request_reader_free(&r);
	free((char *)parts[0].p);
	free((char *)parts[1].p);
}

static void requests_are_read_alike_however_they_are_cut(void **state)
{
	static const struct {
		struct sv in;
		const char *want;
	} cases[] = {
		{ SV_INIT("GET / HTTP/1.1\r\nHost: A.Example:80\r\n\r\nGET"), "1 / ? @a.example [] keeps rest 3" },
		{ SV_INIT("\r\nGET /a%20b?x=%31 HTTP/1.1\r\nhost:a.\r\n\r\n"), "1 /a b ?x=%31 @a [] keeps rest 0" },
		{ SV_INIT("HEAD /x HTTP/1.0\r\n\r\n"), "2 /x ? @ [] ends rest 0" },
		{ SV_INIT("POST /x HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 3\r\n\r\nabcd"), "4 /x ? @[::1] [abc] keeps rest 1" },
		{ SV_INIT("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;e=f\r\nc\r\n0\r\nT: u\r\n\r\nG"),
		  "4 /x ? @a [abc] keeps rest 1" },
		{ SV_INIT("GET http://b:1/y?z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "1 /y ?z @b [] ends rest 0" },
		{ SV_INIT("PUT / HTTP/1.1\r\nHost: a\r\n\r\n"), "0 / ? @a [] keeps rest 0" },
		{ SV_INIT("GET / HTTP/1.1\r\n\r\n"), "400" },
		{ SV_INIT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "400" },
		{ SV_INIT("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET /a/%2E%2e/b HTTP/1.1\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET /a%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), "400" },
		{ SV_INIT("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), "505" },
		{ SV_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"), "413" },
		{ SV_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "400" },
		{ SV_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"), "400" },
		{ SV_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n"), "400" },
		{ SV_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n"), "413" },
		{ SV_INIT("GET / HTTP/1.1\r\nHost: a\r\n"), "more" },
		{ SV_INIT(""), "more" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t cut = 0; cut <= cases[i].in.len; cut++) {
			struct buf got;

			buf_init(&got, 4096);
			read_cut(cases[i].in, cut, &got);
			if (!sv_eq(buf_sv(&got), sv_z(cases[i].want)))
				fail_msg("case %zu cut at %zu: '%.*s', wanted '%s'", i, cut, SV_FMT(buf_sv(&got)), cases[i].want);
			buf_done(&got);
		}
}

static void header_fields_are_found_in_any_case_and_only_when_they_stand_once(void **state)
{
	struct sv in = SV("GET / HTTP/1.1\r\nHost: a\r\nX-One:  1 \r\nX-Two: 1\r\nx-two: 2\r\n\r\n");
	struct request_reader *r = request_reader_new();

	(void)state;
	assert_int_equal(request_reader_feed(r, &in), REQUEST_DONE);
	assert_true(sv_eq(request_field(r, "x-ONE"), SV("1")));
	assert_int_equal(request_field(r, "X-Two").len, 0);
	assert_int_equal(request_field(r, "X-Three").len, 0);
	request_reader_next(r);
	assert_int_equal(request_field(r, "X-One").len, 0);
	in = SV("GET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
	assert_int_equal(request_reader_feed(r, &in), REQUEST_DONE);
	assert_true(sv_eq(request_reader_get(r)->host, SV("b")));
	request_reader_free(&r);
}

static void a_client_that_waits_is_told_to_go_on_once(void **state)
{
	struct sv in = SV("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
	struct request_reader *r = request_reader_new();

	(void)state;
	assert_int_equal(request_reader_feed(r, &in), REQUEST_MORE);
	assert_true(request_reader_wants_go(r));
	assert_false(request_reader_wants_go(r));
	in = SV("ab");
	assert_int_equal(request_reader_feed(r, &in), REQUEST_DONE);
	request_reader_free(&r);
}

static void a_reader_that_refused_reads_no_more(void **state)
{
	struct request_reader *r = request_reader_new();
	struct sv in = SV("\x16\x03\x01"), more = SV("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

	(void)state;
	assert_int_equal(request_reader_feed(r, &in), REQUEST_BAD);
	assert_int_equal(request_reader_feed(r, &more), REQUEST_BAD);
	assert_int_equal(request_reader_status(r), 400);
	request_reader_free(&r);
}

static void parameters_are_decoded(void **state)
{
	static const struct {
		const char *text, *name;
		bool is_form;
		const char *want;
	} cases[] = {
		{ "a=1&b=2", "b", false, "2" },
		{ "Email=a%40b+c", "email", false, "a@b+c" },
		{ "p=a+b", "p", true, "a b" },
		{ "a&b", "a", false, "" },
		{ "a=%4", "a", false, NULL },
		{ "a=%zz", "a", false, NULL },
		{ "ab=1", "a", false, NULL },
		{ "", "a", false, NULL },
		{ "a=123456789", "a", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv text = heap(sv_z(cases[i].text));
		struct buf out;
		bool has;

		buf_init(&out, 8);
		has = request_parameter(text, cases[i].name, cases[i].is_form, &out);
		if (has != (cases[i].want != NULL) || (has && !sv_eq(buf_sv(&out), sv_z(cases[i].want))))
			fail_msg("case %zu: '%.*s'", i, SV_FMT(buf_sv(&out)));
		buf_done(&out);
		free((char *)text.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_read_alike_however_they_are_cut),
		cmocka_unit_test(header_fields_are_found_in_any_case_and_only_when_they_stand_once),
		cmocka_unit_test(a_client_that_waits_is_told_to_go_on_once),
		cmocka_unit_test(a_reader_that_refused_reads_no_more),
		cmocka_unit_test(parameters_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
