/* Who asks about the queue gets what he means: each filter, alone and with the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/relay/queue_filter.h"

#include "common/banned.h"

static void make(struct envelope *e, struct sv sender)
{
	envelope_init(e);
	assert_true(envelope_set_fact(e, ENVELOPE_USER, SV("alice@example.org")) && envelope_set_sender(e, sender));
	assert_non_null(envelope_add_rcpt(e, SV("bob@example.net"), SV_NONE));
	assert_non_null(envelope_add_rcpt(e, SV("Carol@sub.example.com"), SV_NONE));
}

static bool fits(const struct envelope *e, const char *request)
{
	const struct queue_facts facts = {
		.envelope = e,
		.destinations = SV("example.net sub.example.com"),
		.reason = SV("mx.example.net [192.0.2.1]\n450 4.7.1 Greylisted"),
		.state = SV("deferred"),
		.age_s = 3600,
	};
	struct json *json = NULL;
	struct queue_filter f;
	bool answer;

	assert_int_equal(json_parse(sv_z(request), &json).kind, FAULT_NONE);
	queue_filter_read(json, &f);
	answer = queue_filter_fits(&f, &facts);
	queue_filter_done(&f);
	json_free(&json);
	return answer;
}

static void each_filter_takes_what_it_says(void **state)
{
	static const struct {
		const char *request;
		bool expected;
	} cases[] = {
		{ "{}", true },
		{ "{\"from\":\"\",\"to\":\"\"}", true },
		{ "{\"from\":\"alice@example.org\"}", true },
		{ "{\"from\":\"ALICE@Example.ORG\"}", true },
		{ "{\"from\":\"@example.org\"}", true },
		{ "{\"from\":\"@ample.org\"}", false },
		{ "{\"from\":\"alice@example.or\"}", false },
		{ "{\"from\":\"<>\"}", false },
		{ "{\"user\":\"alice@example.org\"}", true },
		{ "{\"user\":\"bob@example.org\"}", false },
		{ "{\"to\":\"bob@example.net\"}", true },
		{ "{\"to\":\"carol@sub.example.com\"}", true },
		{ "{\"to\":\"@sub.example.com\"}", true },
		{ "{\"to\":\"@example.com\"}", false },
		{ "{\"to\":\"<>\"}", false },
		{ "{\"domain\":\"example.net\"}", true },
		{ "{\"domain\":\"EXAMPLE.com\"}", true },
		{ "{\"domain\":\"example.edu\"}", false },
		{ "{\"reason\":\"greylisted\"}", true },
		{ "{\"reason\":\"refused\"}", false },
		{ "{\"state\":\"deferred\"}", true },
		{ "{\"state\":\"defer\"}", false },
		{ "{\"older\":3600}", true },
		{ "{\"older\":3601}", false },
		{ "{\"older\":-5}", true },
		{ "{\"from\":17,\"to\":[\"x\"]}", true },
		{ "{\"from\":\"@example.org\",\"to\":\"bob@example.net\",\"domain\":\"example\",\"older\":60,\"state\":\"deferred\"}", true },
		{ "{\"from\":\"@example.org\",\"to\":\"bob@example.net\",\"domain\":\"example\",\"older\":60,\"state\":\"held\"}", false },
	};
	struct envelope e;

	(void)state;
	make(&e, SV("alice@example.org"));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (fits(&e, cases[i].request) != cases[i].expected)
			fail_msg("%s", cases[i].request);
	envelope_done(&e);
}

static void bounces_are_those_from_nobody(void **state)
{
	struct envelope e;

	(void)state;
	make(&e, SV_NONE);
	assert_true(fits(&e, "{\"from\":\"<>\"}"));
	assert_false(fits(&e, "{\"from\":\"alice@example.org\"}"));
	assert_false(fits(&e, "{\"from\":\"@example.org\"}"));
	envelope_done(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_filter_takes_what_it_says),
		cmocka_unit_test(bounces_are_those_from_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
