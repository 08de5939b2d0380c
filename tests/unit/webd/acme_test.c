/* ACME: what is signed has the form of RFC 7515 and RFC 8555 §6.2, and a certificate is renewed in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/textfile.h"
#include "common/tls.h"
#include "common/tls_request.h"
#include "webd/acme/helper.h"
#include "webd/acme/jws.h"

#define DAY_S 86400

static void base64url_has_no_padding_and_no_sign_that_a_path_has(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 64);
	assert_true(jws_base64url(SV("\xfb\xff\xfe\x01"), &out));
	assert_true(sv_eq(buf_sv(&out), SV("-__-AQ")));
	assert_true(jws_is_base64url(buf_sv(&out)));
	assert_false(jws_is_base64url(SV("")));
	assert_false(jws_is_base64url(SV("a/b")));
	assert_false(jws_is_base64url(SV("..")));
	assert_false(jws_is_base64url(SV("a=")));
	buf_done(&out);
}

static struct es256_key *new_key(void)
{
	struct es256_key *key = NULL;
	struct buf pem;

	buf_init(&pem, 4096);
	assert_int_equal(es256_key_new(&pem).kind, FAULT_NONE);
	assert_int_equal(es256_key_read(buf_sv(&pem), &key).kind, FAULT_NONE);
	buf_wipe(&pem);
	return key;
}

static void a_request_has_three_parts_and_hostile_texts_stay_texts(void **state)
{
	struct es256_key *key = new_key();
	struct json *j = NULL;
	struct sv text;
	struct buf out, print;

	(void)state;
	buf_init(&out, 65536);
	buf_init(&print, 64);
	assert_int_equal(jws_write(key, SV("https://a/\",\"alg\":\"none"), SV("https://a/b"), SV("n"), SV("{}"), &out).kind, FAULT_NONE);
	assert_int_equal(json_parse(buf_sv(&out), &j).kind, FAULT_NONE);
	assert_true(json_get_sv(j, "payload", &text) && sv_eq(text, SV("e30")));
	assert_true(json_get_sv(j, "signature", &text) && text.len == 86 && jws_is_base64url(text));
	assert_true(json_get_sv(j, "protected", &text) && jws_is_base64url(text));
	json_free(&j);
	assert_true(jws_thumbprint(key, &print) && print.len == 43);
	buf_clear(&out);
	out.max = 100;
	assert_int_equal(jws_write(key, SV_NONE, SV("https://a/b"), SV("n"), SV_NONE, &out).kind, FAULT_LIMIT);
	buf_done(&out);
	buf_done(&print);
	es256_key_free(&key);
}

static void keys_that_are_none_are_refused(void **state)
{
	struct es256_key *key = NULL;

	(void)state;
	assert_int_equal(es256_key_read(SV(""), &key).kind, FAULT_INVALID);
	assert_int_equal(es256_key_read(SV("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), &key).kind, FAULT_INVALID);
	assert_null(key);
}

static void a_certificate_is_due_at_a_third_of_its_life(void **state)
{
	struct tls_cert_facts cert = { .not_before_s = 0, .not_after_s = 90 * DAY_S, .names = "a.example", .fingerprint = "x" };

	(void)state;
	assert_false(acme_is_due(&cert, 56 * DAY_S));
	assert_true(acme_is_due(&cert, 60 * DAY_S));
	cert.is_self_signed = true;
	assert_true(acme_is_due(&cert, 0));
}

/* More names than the facts of a certificate have room for, and a wildcard: else they would seem missing for ever. */
static void all_names_of_a_certificate_count(void **state)
{
	char folder[] = "/tmp/postroom-acme-XXXXXX", cert[64], key[64], texts[30][80];
	struct sv names[32];
	size_t count = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(cert, sizeof(cert), "%s/cert", folder);
	snprintf(key, sizeof(key), "%s/key", folder);
	for (; count < 30; count++) {
		snprintf(texts[count], sizeof(texts[0]), "name-number-%02zu-of-a-certificate-that-has-many.example.test", count);
		names[count] = sv_z(texts[count]);
	}
	names[count++] = SV("*.wild.example");
	assert_int_equal(tls_make_self_signed(names, count, cert, key).kind, FAULT_NONE);
	names[count - 1] = SV("Mail.wild.example");
	assert_true(tls_request_is_met(cert, names, count));
	names[count++] = SV("c.example");
	assert_false(tls_request_is_met(cert, names, count));
	assert_false(tls_request_is_met(key, names, 1));
	assert_false(tls_request_is_met("/nowhere", names, 1));
	unlink(cert);
	unlink(key);
	rmdir(folder);
}

static void what_came_is_looked_at_before_it_is_used(void **state)
{
	const struct sv names[] = { SV_INIT("a.example"), SV_INIT("b.example") };
	char folder[] = "/tmp/postroom-acme-XXXXXX", cert[2][64], key[2][64];
	struct buf pem, der;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < 2; i++) {
		snprintf(cert[i], sizeof(cert[i]), "%s/cert%d", folder, i);
		snprintf(key[i], sizeof(key[i]), "%s/key%d", folder, i);
		assert_int_equal(tls_make_self_signed(names, 2 - (size_t)i, cert[i], key[i]).kind, FAULT_NONE);
	}
	buf_init(&pem, 65536);
	buf_init(&der, 65536);
	assert_int_equal(textfile_read(cert[0], &pem).kind, FAULT_NONE);
	assert_int_equal(tls_request_check(buf_sv(&pem), names, 2, key[0]).kind, FAULT_NONE);
	assert_int_equal(tls_request_check(buf_sv(&pem), names, 2, key[1]).kind, FAULT_INVALID);        /* another key */
	assert_int_equal(tls_request_check(SV("hello"), names, 2, key[0]).kind, FAULT_INVALID);
	assert_int_equal(tls_request_check(sv_sub(buf_sv(&pem), 0, 100), names, 2, key[0]).kind, FAULT_INVALID);
	assert_true(buf_append(&pem, SV("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")));
	assert_int_equal(tls_request_check(buf_sv(&pem), names, 2, key[0]).kind, FAULT_INVALID);        /* no server would read it */
	buf_clear(&pem);
	assert_int_equal(textfile_read(cert[0], &pem).kind, FAULT_NONE);
	assert_int_equal(textfile_read(key[0], &pem).kind, FAULT_NONE);
	assert_int_equal(tls_request_check(buf_sv(&pem), names, 2, key[0]).kind, FAULT_INVALID);        /* more than certificates */
	buf_clear(&pem);
	assert_int_equal(textfile_read(cert[1], &pem).kind, FAULT_NONE);
	assert_int_equal(tls_request_check(buf_sv(&pem), names, 2, key[1]).kind, FAULT_INVALID);        /* a name is missing */
	assert_int_equal(tls_request_make(names, 2, key[0], &der).kind, FAULT_NONE);
	assert_true(der.len > 100 && sv_search(buf_sv(&der), SV("b.example")) != SIZE_MAX);
	assert_int_equal(tls_request_make(names, 2, cert[0], &der).kind, FAULT_DENIED);         /* others may read it */
	assert_int_equal(tls_request_make(names, 0, key[0], &der).kind, FAULT_INVALID);
	for (int i = 0; i < 2; i++) {
		unlink(cert[i]);
		unlink(key[i]);
	}
	rmdir(folder);
	buf_wipe(&pem);
	buf_done(&der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64url_has_no_padding_and_no_sign_that_a_path_has),
		cmocka_unit_test(a_request_has_three_parts_and_hostile_texts_stay_texts),
		cmocka_unit_test(keys_that_are_none_are_refused),
		cmocka_unit_test(a_certificate_is_due_at_a_third_of_its_life),
		cmocka_unit_test(all_names_of_a_certificate_count),
		cmocka_unit_test(what_came_is_looked_at_before_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
