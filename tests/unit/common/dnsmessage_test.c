/* DNS messages: written, read back, cut and twisted; signatures that only the holder of the key can make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/dnsmessage.h"
#include "common/dnsrdata.h"
#include "common/memory.h"

static struct dnsmessage_reader reader;
static struct dnsmessage_record record;

static void put(struct buf *b, struct sv octets)
{
	assert_true(buf_append(b, octets));
}

/* An answer with a compressed owner and a compressed name in its data. */
static struct buf an_answer(void)
{
	struct buf b;

	buf_init(&b, DNSMESSAGE_MAX);
	assert_true(dnsmessage_begin(&b, 0x1234, DNSMESSAGE_QUERY, SV("example.org"), DNS_MX));
	b.p[2] = (char)0x84;
	b.p[7] = 1;
	put(&b, sv_from("\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\x09\0\x0a\x04mail\xc0\x0c", 21));
	return b;
}

static void names_in_an_answer_are_uncompressed(void **state)
{
	struct buf b = an_answer(), text;

	(void)state;
	buf_init(&text, 200);
	assert_true(dnsmessage_read(&reader, buf_sv(&b)));
	assert_int_equal(reader.id, 0x1234);
	assert_true(reader.is_reply && reader.is_authoritative);
	assert_string_equal(reader.name, "example.org");
	assert_true(dnsmessage_next(&reader, &record));
	assert_string_equal(record.name, "example.org");
	assert_int_equal(record.ttl_s, 60);
	assert_true(dnsrdata_print(record.type, record.rdata, &text));
	assert_string_equal(buf_z(&text), "10 mail.example.org.");
	assert_false(dnsmessage_next(&reader, &record));
	assert_false(reader.is_damaged);
	buf_done(&text);
	buf_done(&b);
}

static void an_answer_that_is_cut_anywhere_is_damaged_and_read_no_further(void **state)
{
	struct buf b = an_answer();

	(void)state;
	for (size_t n = 0; n < b.len; n++) {
		char *copy = xmalloc(n ? n : 1);

		memcpy(copy, b.p, n);
		if (dnsmessage_read(&reader, sv_from(copy, n))) {
			assert_false(dnsmessage_next(&reader, &record));
			assert_true(reader.is_damaged);
		}
		free(copy);
	}
	buf_done(&b);
}

static void a_pointer_to_itself_or_forward_ends(void **state)
{
	static const unsigned char targets[] = { 29, 30, 31, 40, 255 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct buf b = an_answer();

		b.p[30] = (char)targets[i];
		assert_true(dnsmessage_read(&reader, buf_sv(&b)));
		assert_false(dnsmessage_next(&reader, &record));
		assert_true(reader.is_damaged);
		buf_done(&b);
	}
}

static struct dnsmessage_key a_key(const char *text)
{
	struct dnsmessage_key key;

	assert_true(dnsmessage_key_parse(sv_z(text), &key));
	return key;
}

static struct buf an_update(void)
{
	struct buf b;

	buf_init(&b, DNSMESSAGE_MAX);
	assert_true(dnsmessage_begin(&b, 7, DNSMESSAGE_UPDATE, SV("example.org"), DNS_SOA));
	assert_true(dnsmessage_add(&b, DNSMESSAGE_CHANGE, SV("a.example.org"), DNS_A, DNSMESSAGE_IN, 60, sv_from("\x7f\0\0\1", 4)));
	assert_true(dnsmessage_add(&b, DNSMESSAGE_CHANGE, SV("b.example.org"), DNS_A, DNSMESSAGE_NONE, 0, sv_from("\x7f\0\0\2", 4)));
	return b;
}

static void keys_are_read_in_every_form(void **state)
{
	static const char *const right[] = {
		"key \"up.example\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n",
		"# hmac-sha256:up.example:c2VjcmV0\nkey:\n  - id: up.example.\n    algorithm: hmac-sha256\n    secret: c2VjcmV0\n",
		"hmac-sha256:up.example:c2VjcmV0\n",
	};
	static const char *const wrong[] = {
		"", "key", "hmac-sha256:up.example", "hmac-md5:up.example:c2VjcmV0", "hmac-sha256:up..example:c2VjcmV0",
		"hmac-sha256:up.example:***", "key x { algorithm hmac-sha256; };",
	};
	struct dnsmessage_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(right); i++) {
		key = a_key(right[i]);
		assert_string_equal(key.name, "up.example");
		assert_true(sv_eq(buf_sv(&key.secret), SV("secret")));
		dnsmessage_key_done(&key);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(dnsmessage_key_parse(sv_z(wrong[i]), &key));
}

static void a_request_is_signed_and_its_signature_is_no_answers(void **state)
{
	struct dnsmessage_key key = a_key("hmac-sha256:up.example:c2VjcmV0");
	uint8_t mac[DNSMESSAGE_MAC_LEN];
	struct buf b = an_update();
	const char *why;
	size_t count = 0;

	(void)state;
	assert_true(dnsmessage_sign(&b, &key, 1700000000, mac));
	assert_true(dnsmessage_read(&reader, buf_sv(&b)));
	assert_int_equal(reader.opcode, DNSMESSAGE_UPDATE);
	while (dnsmessage_next(&reader, &record))
		count++;
	assert_false(reader.is_damaged);
	assert_int_equal(count, 3);
	assert_int_equal(record.type, 250);
	assert_string_equal(record.name, "up.example");
	assert_false(dnsmessage_is_signed(buf_sv(&b), &key, 1700000000, mac, &why));
	assert_string_equal(why, "the answer's signature is wrong");
	dnsmessage_key_done(&key);
	buf_done(&b);
}

static void an_answer_without_signature_is_not_believed(void **state)
{
	struct dnsmessage_key key = a_key("hmac-sha256:up.example:c2VjcmV0");
	uint8_t mac[DNSMESSAGE_MAC_LEN] = { 0 };
	struct buf b = an_answer();
	const char *why;

	(void)state;
	assert_false(dnsmessage_is_signed(buf_sv(&b), &key, 1700000000, mac, &why));
	assert_string_equal(why, "the answer is not signed");
	dnsmessage_key_done(&key);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_an_answer_are_uncompressed),
		cmocka_unit_test(an_answer_that_is_cut_anywhere_is_damaged_and_read_no_further),
		cmocka_unit_test(a_pointer_to_itself_or_forward_ends),
		cmocka_unit_test(keys_are_read_in_every_form),
		cmocka_unit_test(a_request_is_signed_and_its_signature_is_no_answers),
		cmocka_unit_test(an_answer_without_signature_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
