/* Hashes that Dovecot (doveadm pw) and libcrypt made: each fits its password and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/passhash.h"

#define PASSWORD "p\xc3\xa4ssword 1"

static const char *const hashes[] = {
	"{SHA512-CRYPT}$6$ucGRHpQtCv1ttU77$aoAthfqagGz1XBy/T7sbg0nG6qfsi.CkfttfwTuyuwPCNAOMM0PYBTy6dWK6jR8L4Q7gfmlYAlCkK0XSPOxis.",
	"{SHA256-CRYPT}$5$cuH10Jvno/y6fanr$Y8AVFXKVYHLn9ebdn2Kyzjv7ifAYH3pyG8PsVrcLWw0",
	"{MD5-CRYPT}$1$L2DqCjTo$LGFL2DyIzF89D8/y3jefN.",
	"{BLF-CRYPT}$2y$05$PYQzd6FQT3x/o6M58Yc4A.6C3oJbpU3XcN7j0HIRy7QpcIidnZe1G",
	"{CRYPT}$2y$05$zLfLU4TdVTKtJp8/ZZRA6OnfDTo4WlJO3wVyFLoZgFc5AmcPqMQre",
	"$5$cuH10Jvno/y6fanr$Y8AVFXKVYHLn9ebdn2Kyzjv7ifAYH3pyG8PsVrcLWw0",
	"$y$j9T$abcdefgh$a2j0qJ.uqcqEp.sBFjTvBOdEmRzLiaFJkTgOsyCkPh2",
	"{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH",
	"{ssha256}59KlIeAWMF3z+tfSyGOYTidWf+ugf+lV7e4z6K4pzj1JIotn",
	"{SSHA512}Tn2Y6BK2hE5qpvPkAa4fYcvEB5bbD/flwFsjidn9NgAtZn/28GNE+b7GKFFB5oab9grk1cQpo95Y1aMWpRGF1q2WdM8=",
	"{SHA256}f7RERuWhObO3oHciFhtpNCnGhD0FNBL7CyE3AkK4vbA=",
	"{SHA256.hex}7fb44446e5a139b3b7a07722161b693429c6843d053412fb0b21370242b8bdb0",
	"{SSHA256.HEX}e7d2a521e016305df3fad7d2c863984e27567feba07fe955edee33e8ae29ce3d49228b67",
	"{SSHA256}e7d2a521e016305df3fad7d2c863984e27567feba07fe955edee33e8ae29ce3d49228b67",
	"{SSHA.b64}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH",
	"{PBKDF2}$1$X3RpEpTBNqkFdAVD$5000$e59b3875fad14b346be7babb1b809f9c196a3d09",
	"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$cYa6doZVnEOasEMXqbHPUQ$HaFWz/k7MQmDEtyzEPxqfES0aXWQEw6mHYhcAhzaAiw",
	"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$cHyiBYEvlb+4GRQqGO7KlQ$y3kvaheV8w0rNKjheDCfhWIaoKfm8qAnQW6UIW4cCiU",
};

static void each_hash_fits_its_password_and_no_other(void **state)
{
	static const struct sv wrong[] = {
		SV_INIT(""), SV_INIT("p"), SV_INIT("password 1"), SV_INIT(PASSWORD " "), SV_INIT(PASSWORD "\0"), SV_INIT(PASSWORD "\0x"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		struct fault f = passhash_check(sv_z(hashes[i]));

		if (f.kind || !passhash_fits(sv_z(hashes[i]), SV(PASSWORD)))
			fail_msg("%s: %s", hashes[i], f.detail ? f.detail : "does not fit");
		for (size_t k = 0; k < ARRAY_LEN(wrong); k++)
			if (passhash_fits(sv_z(hashes[i]), wrong[k]))
				fail_msg("%s takes wrong password %zu", hashes[i], k);
	}
}

static void a_hash_with_an_octet_cut_off_fits_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		size_t len = strlen(hashes[i]);

		if (strstr(hashes[i], "$argon2") || strstr(hashes[i], "$2y$"))
			continue;       /* dear; and bcrypt's last character is a whole one */
		for (size_t cut = 0; cut < len; cut += 1 + cut / 8) {
			char *copy = xmalloc(cut + 1);  /* exactly, so that one octet too far is an ASan report */

			memcpy(copy, hashes[i], cut);
			assert_false(passhash_fits(sv_from(copy, cut), SV(PASSWORD)));
			free(copy);
		}
	}
}

static void what_cannot_be_verified_or_costs_too_much_is_refused(void **state)
{
	static const char *const refused[] = {
		"", "{", "{}", "{CRAM-MD5}0123", "{SSHA}", "{SSHA}x", "{SHA256}AAAA", "{PBKDF2}$1$salt$0$e59b3875fad14b346be7babb1b809f9c196a3d09",
		"{PBKDF2}$1$salt$99999999$e59b3875fad14b346be7babb1b809f9c196a3d09", "{PLAIN}secret", "$6$x",
		"{SHA512-CRYPT}$6$rounds=999999999$ucGRHpQtCv1ttU77$aoAthfqagGz1XBy", "{BLF-CRYPT}$2y$31$PYQzd6FQT3x/o6M58Yc4A.6C3oJbpU3XcN7j0HIRy7Q",
		"a long password in clear", "averylongpassword", "{SSHA256.rot13}59KlIeAWMF3z", "{PBKDF2.hex}$1$X3RpEpTBNqkFdAVD$5000$e5",
		"{ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$c$H", "{ARGON2ID}$argon2id$v=19$m=99999999999,t=3,p=1$c$H", "{ARGON2ID}x",
	};
	struct sv password;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct fault f = passhash_check(sv_z(refused[i]));

		if (!f.kind || !f.detail)
			fail_msg("taken: %s", refused[i]);
		assert_false(passhash_fits(sv_z(refused[i]), SV("secret")));
	}
	assert_true(passhash_clear(SV("{plain}secret"), &password));
	assert_true(sv_eq(password, SV("secret")));
	assert_false(passhash_clear(SV("secret"), &password));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_hash_fits_its_password_and_no_other),
		cmocka_unit_test(a_hash_with_an_octet_cut_off_fits_nothing),
		cmocka_unit_test(what_cannot_be_verified_or_costs_too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
