/* Address books of RFC 6134: names, entries, what is found in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maildir/addressbook.h"

struct shelf {
	const char *text;               /* of the book "default" */
	unsigned loads;
};

static bool load(void *arg, struct sv name, struct buf *out)
{
	struct shelf *s = arg;

	s->loads++;
	return sv_eq(name, SV("default")) && buf_append(out, sv_z(s->text));
}

static void names_are_uris_and_default_is_it_in_any_spelling(void **state)
{
	static const struct { const char *list, *name; } cases[] = {
		{ ":addrbook:default", "default" }, { ":ADDRBOOK:DEFAULT", "default" }, { ":aDdRbOOk:DeFauLt", "default" },
		{ ":AddrBook:%44%65%66ault", "default" }, { "urn:ietf:params:sieve:addrbook:default", "default" },
		{ "URN:IETF:params:sieve:addrbook:company", "company" }, { ":addrbook:b%C3%BCro", "b\xc3\xbcro" },
		{ ":addrbook:", NULL }, { ":addrbook", NULL }, { "default", NULL }, { "", NULL }, { "tag:example.com,2009-05-28:x", NULL },
		{ ":addrbook:a?name.contains=fred", NULL }, { ":addrbook:a/b", NULL }, { ":addrbook:%2e%2e%2fetc", NULL },
		{ ":addrbook:a%2fb", NULL }, { ":addrbook:.seen", NULL }, { ":addrbook:%00", NULL }, { ":addrbook:%4", NULL },
		{ ":addrbook:%zz", NULL }, { ":addrbook:%ff", NULL },
	};
	struct buf name;

	(void)state;
	buf_init(&name, ADDRESSBOOK_NAME_MAX);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&name);
		bool is_book = addressbook_name(sv_z(cases[i].list), &name);

		if (is_book != (cases[i].name != NULL) || (is_book && !sv_eq(buf_sv(&name), sv_z(cases[i].name))))
			fail_msg("%s: %d %.*s", cases[i].list, is_book, SV_FMT(buf_sv(&name)));
	}
	buf_done(&name);
}

static void addresses_and_domains_are_found_whatever_their_case(void **state)
{
	struct shelf shelf = { .text = "# friends\r\nFriend@Example.net\r\n\n  zoe@example.org   # a remark\n@partner.example\nno address\nb\n" };
	struct addressbooks *books = addressbooks_new(load, &shelf);
	const struct sv book = SV(":addrbook:default");
	static const char *const in[] = { "friend@example.net", "FRIEND@EXAMPLE.NET", " zoe@example.org ", "any.body@Partner.Example" };
	static const char *const out[] = { "", "@", "friend", "friend@example.nets", "x@sub.partner.example", "partner.example", "no address", "b",
					   "# friends", "other@example.net" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		assert_true(addressbooks_has(books, book, sv_z(in[i])));
	for (size_t i = 0; i < ARRAY_LEN(out); i++)
		assert_false(addressbooks_has(books, book, sv_z(out[i])));
	assert_true(sv_eq(addressbooks_member(books, book, 0), SV("@partner.example")));
	assert_true(sv_eq(addressbooks_member(books, book, 2), SV("zoe@example.org")));
	assert_int_equal(addressbooks_member(books, book, 3).len, 0);
	assert_int_equal(shelf.loads, 1);
	addressbooks_free(&books);
}

static void a_book_that_is_missing_is_asked_for_once_and_there_are_not_many(void **state)
{
	struct shelf shelf = { .text = "" };
	struct addressbooks *books = addressbooks_new(load, &shelf);
	char list[40];

	(void)state;
	assert_true(addressbooks_has_list(books, SV(":addrbook:default")));
	assert_false(addressbooks_has(books, SV(":addrbook:default"), SV("a@b.example")));
	for (int i = 0; i < 100; i++) {
		snprintf(list, sizeof(list), ":addrbook:book%d", i);
		assert_false(addressbooks_has_list(books, sv_z(list)));
		assert_false(addressbooks_has(books, sv_z(list), SV("a@b.example")));
	}
	assert_int_equal(shelf.loads, ADDRESSBOOKS_MAX);
	addressbooks_free(&books);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_uris_and_default_is_it_in_any_spelling),
		cmocka_unit_test(addresses_and_domains_are_found_whatever_their_case),
		cmocka_unit_test(a_book_that_is_missing_is_asked_for_once_and_there_are_not_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
