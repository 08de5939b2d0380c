/* SCRAM with each hash, and -PLUS, from the server's end: which proof fits, what binds it to its connection, broken messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/scram.h"
#include "tests/unit/common/scram_client.h"

#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define EXPORTER "0123456789abcdef0123456789abcdef"
#define END_POINT "fedcba9876543210fedcba9876543210"

static const struct scram_bindings none, tls = {
	.exporter = SV_INIT(EXPORTER), .end_point = SV_INIT(END_POINT),
};

/* An account with a password and two app passwords. */
static struct directory_login *account(void)
{
	static const char *const passwords[] = { "main", "phone", "laptop" };
	struct directory_login *l = xcalloc(1, sizeof(*l));

	memcpy(l->salt, "salt of 16 bytes", DIRECTORY_SALT_LEN);
	l->iterations = DIRECTORY_ITERATIONS_MIN;
	for (; l->count < ARRAY_LEN(passwords); l->count++) {
		for (size_t h = 0; h < DIRECTORY_HASHES; h++) {
			struct directory_verifier *v = &l->credentials[l->count].verifiers[h];
			struct scram_keys keys = crypt_scram_keys((enum crypt_hash)h, sv_z(passwords[l->count]),
								  sv_from((char *)l->salt, DIRECTORY_SALT_LEN), l->iterations);

			v->is_there = true;
			memcpy(v->stored, keys.stored, keys.len);
			memcpy(v->server, keys.server, keys.len);
		}
	}
	return l;
}

struct outcome {
	struct fault first, final;
	size_t found;
	char user[64], as[64];
	bool is_signed;         /* the server's signature is the one that the client expects */
};

static enum crypt_hash hash = CRYPT_SHA256;     /* of the tests that run now */

static struct outcome exchange(bool is_plus, const struct scram_bindings *server, const char *gs2, const char *user,
			       const char *password, struct sv binding)
{
	struct scram *s = scram_new(hash, is_plus, server);
	struct directory_login *l = account();
	struct outcome out = { .found = SIZE_MAX };
	struct scram_client client;
	struct buf name, as, text;
	char signature[64];

	buf_init(&name, 63);
	buf_init(&as, 63);
	buf_init(&text, 1024);
	out.first = scram_first(s, client_first(&client, hash, gs2, user), &name, &as);
	snprintf(out.user, sizeof(out.user), "%.*s", SV_FMT(buf_sv(&name)));
	snprintf(out.as, sizeof(out.as), "%.*s", SV_FMT(buf_sv(&as)));
	if (!out.first.kind) {
		scram_challenge(s, sv_from((char *)l->salt, sizeof(l->salt)), l->iterations, &text);
		struct sv final = client_final(&client, buf_sv(&text), password, binding);

		buf_clear(&text);
		out.final = scram_final(s, final, l, &out.found, &text);
		base64(client.server_signature, client.hash_len, signature, sizeof(signature));
		out.is_signed = sv_starts(buf_sv(&text), SV("v=")) &&
				sv_eq(sv_sub(buf_sv(&text), 2, text.len), sv_z(signature));
	}
	buf_done(&name);
	buf_done(&as);
	buf_done(&text);
	free(l);
	scram_free(&s);
	return out;
}

static void each_password_of_an_account_is_proven_and_none_else(void **state)
{
	static const struct { const char *password; size_t found; } cases[] = {
		{ "main", 0 }, { "phone", 1 }, { "laptop", 2 }, { "tablet", SIZE_MAX }, { "", SIZE_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct outcome o = exchange(false, &none, "n,,", "alice", cases[i].password, SV_NONE);

		OK(o.first);
		OK(o.final);
		assert_int_equal(o.found, cases[i].found);
		assert_int_equal(o.is_signed, cases[i].found != SIZE_MAX);
	}
}

static void names_are_unescaped(void **state)
{
	struct outcome o = exchange(false, &none, "n,a=b=2Cc,", "x=3Dy=2Cz", "main", SV_NONE);

	(void)state;
	OK(o.final);
	assert_string_equal(o.user, "x=y,z");
	assert_string_equal(o.as, "b,c");
	assert_int_equal(exchange(false, &none, "n,,", "x=2cy", "main", SV_NONE).first.kind, FAULT_INVALID);
	assert_int_equal(exchange(false, &none, "n,,", "x=", "main", SV_NONE).first.kind, FAULT_INVALID);
}

static void a_binding_has_to_be_that_of_the_connection(void **state)
{
	static const struct {
		bool is_plus;
		const struct scram_bindings *server;
		const char *gs2;
		struct sv data;
		enum fault_kind first;
		bool fits;
	} cases[] = {
		{ true, &tls, "p=tls-exporter,,", SV_INIT(EXPORTER), FAULT_NONE, true },
		{ true, &tls, "p=tls-server-end-point,,", SV_INIT(END_POINT), FAULT_NONE, true },
		{ true, &tls, "p=tls-exporter,,", SV_INIT(END_POINT), FAULT_NONE, false },
		{ true, &tls, "p=tls-exporter,,", SV_INIT(""), FAULT_NONE, false },
		{ true, &tls, "p=tls-unique,,", SV_INIT(EXPORTER), FAULT_UNSUPPORTED, false },
		{ true, &tls, "n,,", SV_INIT(""), FAULT_INVALID, false },
		{ true, &tls, "y,,", SV_INIT(""), FAULT_INVALID, false },
		{ false, &tls, "p=tls-exporter,,", SV_INIT(EXPORTER), FAULT_INVALID, false },
		{ false, &tls, "n,,", SV_INIT(""), FAULT_NONE, true },
		/* It could, and somebody told it that we cannot. */
		{ false, &tls, "y,,", SV_INIT(""), FAULT_UNSUPPORTED, false },
		{ false, &none, "y,,", SV_INIT(""), FAULT_NONE, true },
		{ false, &none, "n,,", SV_INIT(EXPORTER), FAULT_NONE, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct outcome o = exchange(cases[i].is_plus, cases[i].server, cases[i].gs2, "alice", "main", cases[i].data);

		if (o.first.kind != cases[i].first || (o.found == 0) != cases[i].fits)
			fail_msg("case %zu: fault %d, found %zu", i, (int)o.first.kind, o.found);
	}
}

/* Messages in heap copies of their exact size, so that one octet too far is an ASan report. */
static enum fault_kind first_of(struct sv message)
{
	char *copy = xmalloc(message.len + 1);
	struct scram *s = scram_new(hash, false, &none);
	struct buf name, as;

	buf_init(&name, 63);
	buf_init(&as, 63);
	memcpy(copy, message.p, message.len);
	struct fault f = scram_first(s, sv_from(copy, message.len), &name, &as);
	buf_done(&name);
	buf_done(&as);
	scram_free(&s);
	free(copy);
	return f.kind;
}

static void a_first_message_is_whole_or_refused(void **state)
{
	struct sv whole = SV("n,a=bob,n=alice,r=abc");
	static const struct sv broken[] = {
		SV_INIT(""), SV_INIT("n"), SV_INIT("n,"), SV_INIT("n,,"), SV_INIT("x,,n=alice,r=abc"), SV_INIT("n,b=1,n=a,r=b"),
		SV_INIT("n,,m=ext,n=alice,r=abc"), SV_INIT("n,,n=,r=abc"), SV_INIT("n,,n=alice,r="), SV_INIT("n,a=,n=alice,r=abc"),
		SV_INIT("n,,n=al\0ce,r=abc"), SV_INIT("n,,n=alice,r=a c"), SV_INIT("n,,r=abc,n=alice"),
	};

	(void)state;
	assert_int_equal(first_of(whole), FAULT_NONE);
	assert_int_equal(first_of(SV("n,,n=alice,r=abc,x=unknown")), FAULT_NONE);
	for (size_t cut = 0; cut + 2 < whole.len; cut++)
		assert_int_equal(first_of(sv_sub(whole, 0, cut)), FAULT_INVALID);
	for (size_t i = 0; i < ARRAY_LEN(broken); i++)
		if (first_of(broken[i]) != FAULT_INVALID)
			fail_msg("taken: %.*s", SV_FMT(broken[i]));
}

static void a_final_message_with_any_octet_missing_proves_nothing(void **state)
{
	struct directory_login *l = account();
	struct scram_client client;
	struct buf name, text, answer;

	(void)state;
	for (size_t cut = 0; ; cut++) {
		struct scram *s = scram_new(hash, false, &none);
		size_t found;

		buf_init(&name, 63);
		buf_init(&text, 1024);
		buf_init(&answer, 1024);
		OK(scram_first(s, client_first(&client, hash, "n,,", "alice"), &name, &name));
		scram_challenge(s, sv_from((char *)l->salt, sizeof(l->salt)), l->iterations, &text);
		struct sv final = client_final(&client, buf_sv(&text), "main", SV_NONE);
		bool is_whole = cut >= final.len;
		char *part = xmalloc(final.len);

		/* without the octet at `cut` */
		memcpy(part, final.p, is_whole ? final.len : cut);
		if (!is_whole)
			memcpy(part + cut, final.p + cut + 1, final.len - cut - 1);
		struct fault f = scram_final(s, sv_from(part, is_whole ? final.len : final.len - 1), l, &found, &answer);

		assert_true(f.kind == FAULT_NONE || f.kind == FAULT_INVALID);
		assert_int_equal(found, is_whole ? 0 : SIZE_MAX);
		assert_int_equal(answer.len > 0, is_whole);
		free(part);
		buf_done(&name);
		buf_done(&text);
		buf_done(&answer);
		scram_free(&s);
		if (is_whole)
			break;
	}
	free(l);
}

static void a_password_without_a_verifier_for_the_hash_proves_nothing(void **state)
{
	struct directory_login *l = account();
	struct scram *s = scram_new(hash, false, &none);
	struct scram_client client;
	struct buf name, text;
	size_t found;

	(void)state;
	l->credentials[0].verifiers[hash].is_there = false;
	buf_init(&name, 63);
	buf_init(&text, 1024);
	OK(scram_first(s, client_first(&client, hash, "n,,", "alice"), &name, &name));
	scram_challenge(s, sv_from((char *)l->salt, sizeof(l->salt)), l->iterations, &text);
	OK(scram_final(s, client_final(&client, buf_sv(&text), "main", SV_NONE), l, &found, &name));
	assert_int_equal(found, SIZE_MAX);
	buf_done(&name);
	buf_done(&text);
	scram_free(&s);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_password_of_an_account_is_proven_and_none_else),
		cmocka_unit_test(names_are_unescaped),
		cmocka_unit_test(a_binding_has_to_be_that_of_the_connection),
		cmocka_unit_test(a_first_message_is_whole_or_refused),
		cmocka_unit_test(a_final_message_with_any_octet_missing_proves_nothing),
		cmocka_unit_test(a_password_without_a_verifier_for_the_hash_proves_nothing),
	};

	int failed = cmocka_run_group_tests_name("SCRAM-SHA-256", tests, NULL, NULL);

	hash = CRYPT_SHA1;
	return failed + cmocka_run_group_tests_name("SCRAM-SHA-1", tests, NULL, NULL);
}
