/* Programs that say who they are, and what follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imapd/client.h"
#include "tests/unit/imapd/parsed.h"

static bool introduce(struct client *client, const char *text, char *option)
{
	const struct conf_list workarounds = { &option, 1 };
	struct arena arena;
	struct grammar g;
	struct id id;
	struct args args = parsed(&g, text);

	arena_init(&arena, 1 << 16);
	bool is_good = id_read(&args, &arena, &id);

	if (is_good)
		client_introduce(client, &id, &workarounds, CAPABILITIES_ALL, NULL);
	arena_done(&arena);
	grammar_done(&g);
	return is_good;
}

static void a_program_is_called_by_its_name_version_and_system(void **state)
{
	static const struct { const char *id, *want; } cases[] = {
		{ "(\"name\" \"Thunderbird\" \"version\" \"140.5\" \"os\" \"Linux\")", "Thunderbird 140.5 (Linux)" },
		{ "(\"OS\" \"iOS\" \"Name\" \"com.apple.email.maild\")", "com.apple.email.maild (iOS)" },
		{ "(\"version\" \"1\")", "1" }, { "(\"os\" \"x\")", "(x)" }, { "(\"vendor\" \"x\" \"name\" NIL)", "" }, { "NIL", "" },
		{ "(\"name\" \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789+\")",
		  "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client client = { 0 };

		assert_true(introduce(&client, cases[i].id, (char *)"none"));
		assert_true(sv_eq(client.label, sv_z(cases[i].want)));
		client_done(&client);
	}
}

static void workarounds_in_force_are_named_and_stay(void **state)
{
	struct client client = { 0 };
	struct buf text = { .max = 1000 };
	struct json_out j;

	(void)state;
	assert_true(introduce(&client, "(\"os\" \"iOS\")", (char *)"ios-imap4rev2"));
	assert_true(introduce(&client, "(\"os\" \"iOS\")", (char *)"ios-compress"));
	assert_true(introduce(&client, "(\"name\" \"other\")", (char *)"ios-compress"));
	assert_true(client.hidden == (CAPABILITY_BIT(CAP_REV2) | CAPABILITY_BIT(CAP_COMPRESS)));
	assert_true(sv_eq(client.label, SV("other")));
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	workarounds_put(&j, "w", client.workarounds);
	json_out_object_end(&j);
	assert_string_equal(buf_z(&text), "{\"w\":[\"ios-imap4rev2\",\"ios-compress\"]}");
	buf_done(&text);
	client_done(&client);
	assert_true(!client.label.len && !client.hidden && !client.workarounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_is_called_by_its_name_version_and_system),
		cmocka_unit_test(workarounds_in_force_are_named_and_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
