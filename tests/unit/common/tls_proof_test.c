/* Proofs by TLS for certificate authorities: where they lie, and what they are made for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/textfile.h"
#include "common/tls.h"
#include "common/tls_proof.h"

static void only_host_names_have_a_place(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT(".."), SV_INIT("../x"), SV_INIT("a/b"), SV_INIT("a\0b"), SV_INIT("-x"), SV_INIT("*.example.org"), SV_INIT("a b"),
	};
	char path[300], longest[300];
	(void)state;

	assert_true(tls_proof_path("/p", SV("Mail.Example.org"), path, sizeof(path)));
	assert_string_equal(path, "/p/alpn-mail.example.org.pem");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(tls_proof_path("/p", bad[i], path, sizeof(path)));
	memset(longest, 'a', sizeof(longest));
	assert_true(tls_proof_path("/p", sv_from(longest, 253), path, sizeof(path)));
	assert_false(tls_proof_path("/p", sv_from(longest, 254), path, sizeof(path)));
	assert_false(tls_proof_path("/p", SV("example.org"), path, 10));
}

static void a_proof_is_for_its_name_alone(void **state)
{
	static const uint8_t digest[TLS_PROOF_DIGEST] = { 1, 2, 3 };
	char path[] = "/tmp/postroom-proof-XXXXXX";
	struct tls_cert_facts facts;
	struct buf pem;
	int fd = mkstemp(path);
	(void)state;

	assert_true(fd >= 0);
	close(fd);
	buf_init(&pem, 8192);
	assert_int_equal(tls_proof_make(SV("mail.example.org"), digest, &pem).kind, FAULT_NONE);
	assert_int_equal(textfile_replace(path, buf_sv(&pem)).kind, FAULT_NONE);
	assert_int_equal(tls_cert_read(path, &facts).kind, FAULT_NONE);
	assert_string_equal(facts.names, "mail.example.org");
	assert_true(facts.is_self_signed);
	assert_true(sv_search(buf_sv(&pem), SV("PRIVATE KEY")) != SIZE_MAX);
	buf_done(&pem);
	buf_init(&pem, 100);
	assert_int_equal(tls_proof_make(SV("mail.example.org"), digest, &pem).kind, FAULT_LIMIT);
	assert_int_equal(tls_proof_make(SV("not a name"), digest, &pem).kind, FAULT_INVALID);
	buf_done(&pem);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_host_names_have_a_place),
		cmocka_unit_test(a_proof_is_for_its_name_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
