/* What a stranger sends to the web front: the first octet says where it is cut. What must hold: whole and cut input come to the
 * same, a request that was taken has a plain path and host, and its parameters and its XML are read within their limits. */
#include <stdlib.h>

#include "common/discovery.h"
#include "common/memory.h"
#include "webd/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum request_feed feed(struct request_reader *r, struct sv text, size_t cut)
{
	struct sv a = sv_sub(text, 0, cut), b = sv_sub(text, cut, SIZE_MAX);
	enum request_feed f = request_reader_feed(r, &a);

	return f == REQUEST_MORE ? request_reader_feed(r, &b) : f;
}

static void check(const struct request *q)
{
	struct sv cookie = SV_NONE;
	struct buf out;
	bool other;

	if (!q->path.len || q->path.p[0] != '/' || sv_search(q->path, SV("/../")) != SIZE_MAX || q->body.len > REQUEST_BODY_MAX)
		abort();
	for (size_t i = 0; i < q->path.len; i++)
		if ((unsigned char)q->path.p[i] < ' ')
			abort();
	for (size_t i = 0; i < q->host.len; i++)
		if (q->host.p[i] <= ' ' || q->host.p[i] == '/' || q->host.p[i] == '"')
			abort();
	buf_init(&out, 100);
	(void)request_parameter(q->query, "emailaddress", false, &out);
	buf_clear(&out);
	(void)request_parameter(q->body, "emailaddress", true, &out);
	buf_clear(&out);
	if (request_cookie(q, SV("__Host-postroom"), &cookie) && cookie.len && (cookie.p < q->cookie.p || cookie.p + cookie.len > q->cookie.p + q->cookie.len))
		abort();
	(void)discovery_autodiscover_address(q->body, &out, &other);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request_reader *whole, *cut;
	enum request_feed f;
	struct sv text;

	if (size < 1)
		return 0;
	text = sv_from((const char *)data + 1, size - 1);
	whole = request_reader_new();
	cut = request_reader_new();
	f = feed(whole, text, SIZE_MAX);
	if (feed(cut, text, data[0]) != f || (f == REQUEST_BAD && request_reader_status(whole) != request_reader_status(cut)))
		abort();
	if (f == REQUEST_DONE) {
		const struct request *a = request_reader_get(whole), *b = request_reader_get(cut);

		if (!sv_eq(a->path, b->path) || !sv_eq(a->query, b->query) || !sv_eq(a->host, b->host) || !sv_eq(a->body, b->body))
			abort();
		check(a);
	}
	request_reader_free(&whole);
	request_reader_free(&cut);
	return 0;
}
