/* Links to unsubscribe: who wrote to whom comes back from them, and from nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/directory.h"
#include "common/unsubscribe.h"

#include "common/banned.h"

static struct directory *dir;
static char folder[] = "/tmp/postroom-unsubscribe-XXXXXX";
static char hostname[] = "mail.example.org", own[] = "https://example.org/u", nothing[] = "";

static int setup(void **state)
{
	char path[80];

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/directory", folder);
	return directory_open(path, true, &dir).kind ? -1 : 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "/directory/data.mdb", "/directory/lock.mdb" };
	char path[96];

	(void)state;
	directory_close(&dir);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s%s", folder, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/directory", folder);
	rmdir(path);
	return rmdir(folder);
}

static struct conf conf_with(char *url)
{
	struct conf conf = { .host.hostname = hostname };

	conf.smtp.unsubscribe_url = url;
	return conf;
}

static bool reads(struct sv token, struct sv account, struct sv recipient)
{
	struct buf a, r;
	bool good;

	buf_init(&a, 500);
	buf_init(&r, 500);
	good = unsubscribe_read(dir, token, &a, &r) && sv_eq(buf_sv(&a), account) && sv_eq(buf_sv(&r), recipient);
	buf_done(&a);
	buf_done(&r);
	return good;
}

static void a_link_says_who_wrote_to_whom(void **state)
{
	struct conf conf = conf_with(nothing), other = conf_with(own);
	struct buf out;
	struct sv token;

	(void)state;
	buf_init(&out, 4000);
	assert_true(unsubscribe_write(&conf, dir, SV("news@example.org"), SV("friend@x.example"), &out));
	assert_true(sv_starts(buf_sv(&out), SV("List-Unsubscribe: <https://mail.example.org/unsubscribe/")));
	assert_true(sv_ends(buf_sv(&out), SV(">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")));
	token = unsubscribe_find(buf_sv(&out));
	assert_true(reads(token, SV("news@example.org"), SV("friend@x.example")));
	for (size_t i = 0; i < token.len; i++) {
		assert_false(reads(sv_sub(token, 0, i), SV("news@example.org"), SV("friend@x.example")));
		out.p[(size_t)(token.p - out.p) + i] ^= 1;      /* another octet */
		assert_false(reads(token, SV("news@example.org"), SV("friend@x.example")));
		out.p[(size_t)(token.p - out.p) + i] ^= 1;
	}
	assert_true(reads(token, SV("news@example.org"), SV("friend@x.example")));
	buf_clear(&out);
	assert_true(unsubscribe_write(&other, dir, SV("n@example.org"), SV("f@x.example"), &out));
	assert_true(sv_starts(buf_sv(&out), SV("List-Unsubscribe: <https://example.org/u/")));
	buf_done(&out);
}

static void what_does_not_fit_a_line_writes_nothing(void **state)
{
	struct conf conf = conf_with(nothing);
	char address[800];
	struct buf out;

	(void)state;
	memset(address, 'a', sizeof(address));
	buf_init(&out, 4000);
	assert_false(unsubscribe_write(&conf, dir, SV("n@example.org"), sv_from(address, sizeof(address)), &out));
	out.max = 60;
	assert_false(unsubscribe_write(&conf, dir, SV("n@example.org"), SV("f@x.example"), &out));
	assert_int_equal(out.len, 0);
	assert_int_equal(unsubscribe_find(SV("<https://x.example/other/abc>")).len, 0);
	assert_int_equal(unsubscribe_find(SV("")).len, 0);
	assert_false(reads(SV(""), SV(""), SV("")));
	buf_done(&out);
}

static void an_account_counts_for_more_than_its_domain(void **state)
{
	static char domain[] = "@example.org=check", off[] = "bob@example.org=off", add[] = "News@example.org=add", bad[] = "x=add";
	static char *words[] = { off, domain, add, bad };
	struct conf conf = { .smtp.bulk_senders = { words, ARRAY_LEN(words) } };
	enum unsubscribe_mode mode;
	struct sv who;

	(void)state;
	assert_int_equal(unsubscribe_mode(&conf, SV("news@example.org")), UNSUBSCRIBE_ADD);
	assert_int_equal(unsubscribe_mode(&conf, SV("bob@example.org")), UNSUBSCRIBE_OFF);
	assert_int_equal(unsubscribe_mode(&conf, SV("alice@Example.org")), UNSUBSCRIBE_CHECK);
	assert_int_equal(unsubscribe_mode(&conf, SV("alice@example.com")), UNSUBSCRIBE_OFF);
	assert_int_equal(unsubscribe_mode(&conf, SV("")), UNSUBSCRIBE_OFF);
	assert_false(unsubscribe_parse(SV("news@example.org"), &who, &mode));
	assert_false(unsubscribe_parse(SV("news@example.org=on"), &who, &mode));
	assert_false(unsubscribe_parse(SV("news@=add"), &who, &mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_says_who_wrote_to_whom),
		cmocka_unit_test(what_does_not_fit_a_line_writes_nothing),
		cmocka_unit_test(an_account_counts_for_more_than_its_domain),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
