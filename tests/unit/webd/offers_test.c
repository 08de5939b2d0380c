/* Links that set up a phone: good once, for a while, and not many at a time; and their QR codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "webd/offers.h"
#include "webd/qr.h"

#define NOW_MS 1000000u

static struct offer offer_of(const char *account)
{
	struct offer offer = { .label = "iPhone" };

	snprintf(offer.who.account, sizeof(offer.who.account), "%s", account);
	snprintf(offer.who.address, sizeof(offer.who.address), "%s@a.example", account);
	return offer;
}

static void a_link_is_good_once(void **state)
{
	struct offers *o = offers_new();
	struct offer offer = offer_of("alice"), taken;
	char token[OFFER_TOKEN_LEN + 1];

	(void)state;
	assert_true(offers_make(o, &offer, NOW_MS, token));
	assert_false(offers_take(o, SV(""), NOW_MS, &taken));
	assert_false(offers_take(o, SV("00000000000000000000000000000000"), NOW_MS, &taken));
	assert_true(offers_take(o, sv_z(token), NOW_MS + OFFER_LIFE_MS - 1, &taken));
	assert_string_equal(taken.who.address, "alice@a.example");
	assert_string_equal(taken.label, "iPhone");
	assert_false(offers_take(o, sv_z(token), NOW_MS, &taken));
	offers_free(&o);
	offers_free(&o);
}

static void a_link_ends_with_its_time_and_with_the_visits_of_its_account(void **state)
{
	struct offers *o = offers_new();
	struct offer alice = offer_of("alice"), bob = offer_of("bob"), taken;
	char token[OFFER_TOKEN_LEN + 1], other[OFFER_TOKEN_LEN + 1];

	(void)state;
	assert_true(offers_make(o, &alice, NOW_MS, token));
	assert_false(offers_take(o, sv_z(token), NOW_MS + OFFER_LIFE_MS, &taken));
	assert_true(offers_make(o, &alice, NOW_MS + OFFER_LIFE_MS, token));
	assert_true(offers_make(o, &bob, NOW_MS + OFFER_LIFE_MS, other));
	offers_end_account(o, SV("alice"));
	assert_false(offers_take(o, sv_z(token), NOW_MS + OFFER_LIFE_MS, &taken));
	assert_true(offers_take(o, sv_z(other), NOW_MS + OFFER_LIFE_MS, &taken));
	offers_free(&o);
}

static void used_links_count_until_their_time_is_over(void **state)
{
	struct offers *o = offers_new();
	struct offer alice = offer_of("alice"), taken;
	char token[OFFER_TOKEN_LEN + 1];

	(void)state;
	for (int i = 0; i < OFFERS_PER_ACCOUNT; i++) {
		assert_true(offers_make(o, &alice, NOW_MS, token));
		assert_true(offers_take(o, sv_z(token), NOW_MS, &taken));
	}
	assert_false(offers_make(o, &alice, NOW_MS + OFFER_LIFE_MS - 1, token));
	for (int i = OFFERS_PER_ACCOUNT; i < OFFERS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "user%d", i);
		struct offer other = offer_of(name);
		assert_true(offers_make(o, &other, NOW_MS, token));
	}
	struct offer late = offer_of("late");
	assert_false(offers_make(o, &late, NOW_MS, token));     /* the table is full: nobody's link goes for it */
	assert_true(offers_make(o, &alice, NOW_MS + OFFER_LIFE_MS, token));
	offers_free(&o);
}

static void a_qr_code_is_a_path_within_its_picture(void **state)
{
	struct buf path;
	unsigned side = 0;
	char text[QR_TEXT_MAX + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	buf_init(&path, QR_PATH_MAX);
	assert_true(qr_path(SV("https://mail.a.example/account/profile/0123"), &path, &side));
	assert_int_equal(side, 33 + 8);         /* version 4 */
	/* The upper left corner mark is seven squares wide. */
	assert_true(sv_starts(buf_sv(&path), SV("M4 4h7v1h-7z")));
	buf_clear(&path);
	assert_true(qr_path(sv_from(text, QR_TEXT_MAX), &path, &side));
	assert_false(qr_path(sv_from(text, QR_TEXT_MAX + 1), &path, &side));
	assert_false(qr_path(SV_NONE, &path, &side));
	buf_done(&path);
	buf_init(&path, 100);
	assert_false(qr_path(SV("a"), &path, &side));
	buf_done(&path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_is_good_once),
		cmocka_unit_test(a_link_ends_with_its_time_and_with_the_visits_of_its_account),
		cmocka_unit_test(used_links_count_until_their_time_is_over),
		cmocka_unit_test(a_qr_code_is_a_path_within_its_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
