#include "smtpd/webhook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/memory.h"

#include "common/banned.h"

static void a_signature_is_what_standard_webhooks_says(void **state)
{
	char signature[WEBHOOK_SIGNATURE_MAX];
	struct buf key;

	(void)state;
	buf_init(&key, WEBHOOK_KEY_MAX);
	/* The example of the specification's own libraries. */
	assert_true(webhook_key_read(SV(" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), &key));
	webhook_sign(buf_sv(&key), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, SV("{\"test\": 2432232314}"), signature);
	assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	buf_done(&key);
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_not*base64",
		"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf key;

		buf_init(&key, WEBHOOK_KEY_MAX);
		assert_false(webhook_key_read(sv_z(texts[i]), &key));
		buf_done(&key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_is_what_standard_webhooks_says),
		cmocka_unit_test(what_is_no_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
