/* RFC 4013 §3's examples, and any octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/saslprep.h"

static const struct {
	const char *in, *out;   /* out NULL: not prepared */
} cases[] = {
	{ "I\xc2\xadX", "IX" },                         /* soft hyphen mapped to nothing */
	{ "user", "user" },
	{ "USER", "USER" },
	{ "\xc2\xaa", "a" },                            /* NFKC */
	{ "\xe2\x85\xa8", "IX" },
	{ "\x07", NULL },                               /* prohibited */
	{ "a b", "a b" },
	{ "a\xc2\xa0" "b", "a b" },                     /* no-break space */
	{ "\xe3\x80\x80", " " },
	{ "e\xcc\x81", "\xc3\xa9" },                    /* composed */
	{ "\xef\xbb\xbf", "" },
	{ "\xc3", NULL }, { "\xff", NULL }, { "\xed\xa0\x80", NULL },
	{ "\xef\xbf\xbe", NULL },                       /* noncharacters */
	{ "\xf0\x9f\xbf\xbf", NULL },
	{ "\xee\x80\x80", NULL },                       /* private use */
	{ "\xe2\x80\x8e", NULL },                       /* left-to-right mark */
	{ "\xf0\x9f\x94\x91", "\xf0\x9f\x94\x91" },     /* a key, U+1F511 */
	{ "p\x7f", NULL }, { "", "" },
};

static void text_is_prepared_or_left_alone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].in);
		char *exact = xmalloc(len ? len : 1);
		struct buf out;

		memcpy(exact, cases[i].in, len);
		buf_init(&out, 100);
		assert_true(buf_append(&out, SV("x")));
		assert_int_equal(saslprep(sv_from(exact, len), &out), cases[i].out != NULL);
		assert_true(sv_eq(sv_sub(buf_sv(&out), 1, 100), sv_z(cases[i].out)));
		buf_done(&out);
		for (size_t cut = 0; cut <= len; cut++) {       /* only that it ends and stays inside */
			char *part = xmalloc(cut ? cut : 1);

			memcpy(part, exact, cut);
			buf_init(&out, 3);
			(void)saslprep(sv_from(part, cut), &out);
			assert_true(out.len <= 3);
			buf_done(&out);
			free(part);
		}
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(text_is_prepared_or_left_alone) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
