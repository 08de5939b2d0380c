/* What findings say about strangers' names and replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "admin/checks.h"

static void no_control_character_of_a_stranger_reaches_the_terminal(void **state)
{
	struct findings fs;

	(void)state;
	findings_init(&fs);
	assert_string_equal(findings_text(&fs, "Last: %s", "550 no\r\n\033[2Jgood \xc3\xbc\x7f"), "Last: 550 no???[2Jgood \xc3\xbc?");
	findings_done(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_control_character_of_a_stranger_reaches_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
