/* The remembered process number is the true one, in children too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"

static void a_process_knows_its_number(void **state)
{
	(void)state;
	assert_int_equal(process_id(), getpid());
	assert_int_equal(process_id(), getpid());
}

static void a_child_has_another_one(void **state)
{
	int status;

	(void)state;
	assert_int_equal(process_id(), getpid());
	pid_t child = fork();

	if (!child)
		_exit(process_id() == getpid() ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_knows_its_number),
		cmocka_unit_test(a_child_has_another_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
