/* XML of strangers: elements and text in order, and nothing that costs more than it is long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/xml.h"

static void begin(void *arg, struct sv name)
{
	assert_true(buf_appendf(arg, "<%.*s>", SV_FMT(name)));
}

static void end(void *arg, struct sv name, struct sv text)
{
	assert_true(buf_appendf(arg, "%.*s</%.*s>", SV_FMT(text), SV_FMT(name)));
}

static enum fault_kind read_it(struct sv document, struct buf *out)
{
	const struct xml_handler handler = { begin, end, out };

	buf_clear(out);
	return xml_read(document, &handler).kind;
}

static void elements_come_in_their_order_with_their_own_text(void **state)
{
	struct buf out;
	(void)state;

	buf_init(&out, 10000);
	assert_int_equal(read_it(SV("<?xml version='1.0'?>\n<a xmlns:n='x'> 1 <n:b c='d'>t&amp;<![CDATA[<u>]]></n:b> 2<!-- no --></a>"), &out), FAULT_NONE);
	assert_string_equal(buf_z(&out), "<a><b>t&<u></b>1  2</a>");
	buf_done(&out);
}

static void what_is_not_well_formed_or_has_a_document_type_is_refused(void **state)
{
	static const struct sv bad[] = {
		SV_INIT(""), SV_INIT("no"), SV_INIT("<a>"), SV_INIT("<a></b>"), SV_INIT("<a/><b/>"), SV_INIT("<a>\0</a>"), SV_INIT("<a>\xff</a>"),
		SV_INIT("<a>&b;</a>"), SV_INIT("<!DOCTYPE a><a/>"), SV_INIT("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"),
	};
	struct buf out;
	(void)state;

	buf_init(&out, 10000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (read_it(bad[i], &out) != FAULT_INVALID)
			fail_msg("%.*s", SV_FMT(bad[i]));
	buf_done(&out);
}

static void depth_and_text_are_bounded(void **state)
{
	const struct xml_handler nothing = { NULL, NULL, NULL };
	struct buf out, deep;
	(void)state;

	buf_init(&deep, 100000);
	for (int i = 0; i < XML_DEPTH_MAX; i++)
		assert_true(buf_append(&deep, SV("<a>")));
	for (int i = 0; i < XML_DEPTH_MAX; i++)
		assert_true(buf_append(&deep, SV("</a>")));
	assert_int_equal(xml_read(buf_sv(&deep), &nothing).kind, FAULT_NONE);
	buf_clear(&deep);
	for (int i = 0; i <= XML_DEPTH_MAX; i++)
		assert_true(buf_append(&deep, SV("<a>")));
	assert_int_equal(xml_read(buf_sv(&deep), &nothing).kind, FAULT_LIMIT);
	buf_clear(&deep);
	assert_true(buf_append(&deep, SV("<a>")));
	for (int i = 0; i < 3 * XML_TEXT_MAX; i++)
		assert_true(buf_append_c(&deep, 'x'));
	assert_true(buf_append(&deep, SV("</a>")));
	buf_init(&out, 10000);
	assert_int_equal(read_it(buf_sv(&deep), &out), FAULT_NONE);
	assert_int_equal(out.len, 3 + XML_TEXT_MAX + 4);
	buf_done(&out);
	buf_done(&deep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_in_their_order_with_their_own_text),
		cmocka_unit_test(what_is_not_well_formed_or_has_a_document_type_is_refused),
		cmocka_unit_test(depth_and_text_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
