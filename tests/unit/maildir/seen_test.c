/* What readers of others' mailboxes have seen: lines, and files that are cut off or damaged anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/seen_private.h"

static void add_line(struct buf *b, bool is_seen, uint32_t first, uint32_t last)
{
	struct uidset set = { 0 };

	uidset_add(&set, first, last);
	assert_true(seen_line(&set, is_seen, b));
	uidset_done(&set);
}

static void file(struct buf *b)
{
	buf_init(b, 4096);
	assert_true(buf_append(b, SV("postroom-seen 1 42\n")));
	add_line(b, true, 1, 9);
	add_line(b, false, 3, 4);
	add_line(b, true, 4, 4);
	add_line(b, true, 4294967295u, 4294967295u);
}

static void assert_set(struct sv text, uint32_t uidvalidity, const char *expected)
{
	struct uidset set = { 0 };
	struct buf out;
	char *exact = xmalloc(text.len + 1);

	memcpy(exact, text.p, text.len);
	seen_parse(sv_from(exact, text.len), uidvalidity, &set);
	buf_init(&out, 4096);
	assert_true(uidset_write(&set, &out));
	assert_string_equal(out.len ? buf_z(&out) : "", expected);
	buf_done(&out);
	uidset_done(&set);
	free(exact);
}

static void lines_are_applied_in_their_order(void **state)
{
	struct buf b;

	(void)state;
	file(&b);
	assert_set(buf_sv(&b), 42, "1:2,4:9,4294967295");
	assert_set(buf_sv(&b), 43, "");         /* of another UIDVALIDITY */
	buf_done(&b);
}

static void a_file_that_is_cut_off_keeps_its_whole_lines(void **state)
{
	static const char *const after[] = { "", "", "1:9", "1:2,5:9", "1:2,4:9", "1:2,4:9,4294967295" };
	struct buf b;
	size_t lines = 0;

	(void)state;
	file(&b);
	for (size_t i = 0; i <= b.len; i++) {
		lines += i && b.p[i - 1] == '\n';
		assert_set(sv_from(b.p, i), 42, after[lines]);
	}
	buf_done(&b);
}

static void a_damaged_line_is_left_out_and_the_others_count(void **state)
{
	struct buf b;

	(void)state;
	file(&b);
	size_t second = sv_search(buf_sv(&b), SV("\n- ")) + 1;

	b.p[second + 2] ^= 1;
	assert_set(buf_sv(&b), 42, "1:9,4294967295");
	assert_true(buf_append(&b, SV("\n\n+ \n+  00000000\nx 1 00000000\n+ 0 0\n+ 1:2")));
	assert_set(buf_sv(&b), 42, "1:9,4294967295");
	add_line(&b, false, 1, 9);
	assert_set(buf_sv(&b), 42, "1:9,4294967295");   /* it was glued to the line without an end */
	add_line(&b, false, 1, 9);
	assert_set(buf_sv(&b), 42, "4294967295");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_applied_in_their_order),
		cmocka_unit_test(a_file_that_is_cut_off_keeps_its_whole_lines),
		cmocka_unit_test(a_damaged_line_is_left_out_and_the_others_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
