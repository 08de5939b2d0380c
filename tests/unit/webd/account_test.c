/* Who is at the account page: a directory that cannot be read signs nobody out. The page itself is in tests/e2e/webd/test_account_page.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/directory_private.h"
#include "common/throttle.h"
#include "webd/account.h"
#include "webd/account_view.h"
#include "webd/visits.h"

#include "common/banned.h"

#define ALICE "alice@example.test"
#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)

struct place {
	char path[64], cookie[100];
	struct directory *dir;
	struct visits *visits;
	struct route_context ctx;
	struct directory_account alice;
};

/* somebody_signs_in - the browser that asks next has this cookie. */
static void somebody_signs_in(struct place *p)
{
	char token[VISIT_TOKEN_LEN + 1];
	struct visit who = { .address = ALICE };

	memcpy(who.account, p->alice.id, sizeof(p->alice.id));
	OK(account_mark_of(p->dir, SV(ALICE), who.mark));
	visits_begin(p->visits, &who, throttle_now_ms(), token);
	snprintf(p->cookie, sizeof(p->cookie), ACCOUNT_COOKIE "=%s", token);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	log_set_level(LOG_LEVEL_ERROR);
	snprintf(p->path, sizeof(p->path), "/tmp/account-test-XXXXXX");
	if (!mkdtemp(p->path)) {
		free(p);
		return -1;
	}
	OK(directory_open(p->path, true, &p->dir));
	OK(directory_domain_add(p->dir, SV("example.test")));
	OK(directory_account_add(p->dir, SV(ALICE), NULL, DIRECTORY_ITERATIONS_MIN, &p->alice));
	p->visits = visits_new();
	p->ctx = (struct route_context){ .directory = p->dir, .visits = p->visits, .is_tls = true };
	somebody_signs_in(p);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "data.mdb", "lock.mdb" };
	struct place *p = *state;
	char name[100];

	visits_free(&p->visits);
	directory_close(&p->dir);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(name, sizeof(name), "%s/%s", p->path, files[i]);
		unlink(name);
	}
	int rc = rmdir(p->path);
	free(p);
	return rc;
}

struct row {
	struct sv key, value;
};

static struct fault put(struct kv_txn *txn, void *arg)
{
	const struct row *row = arg;

	return kv_put(txn, DT_ACCOUNTS, row->key, row->value);
}

/* set_row - of the account; returns the row that was there. */
static char *set_row(struct place *p, struct sv value, size_t *len)
{
	struct row row = { sv_z(p->alice.id), value };
	struct kv_txn *txn = NULL;
	struct sv was;
	char *copy;

	OK(kv_read_begin(p->dir->env, &txn));
	OK(kv_get(txn, DT_ACCOUNTS, row.key, &was));
	copy = sv_copy_z(was);
	*len = was.len;
	kv_read_end(&txn);
	OK(kv_update(p->dir->env, put, &row));
	return copy;
}

typedef void handler(const struct route_context *ctx, const struct request *q, struct response *out);

static void ask(struct place *p, handler *handle, struct response *out)
{
	struct request q = { .path = SV("/account"), .host = SV("mail.example.test"), .cookie = sv_z(p->cookie) };

	response_init(out);
	handle(&p->ctx, &q, out);
}

static void a_directory_that_cannot_be_read_signs_nobody_out(void **state)
{
	static handler *const handlers[] = { account_show, account_sign_out, account_app_password, account_revoke, account_device, account_vacation };
	struct place *p = *state;
	struct response out;
	size_t len, junk_len;
	char *row = set_row(p, SV("junk"), &len);

	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		ask(p, handlers[i], &out);
		assert_int_equal(out.status, 503);
		assert_string_equal(buf_z(&out.fields), "Retry-After: 10\r\n");         /* and no cookie is taken away */
		response_done(&out);
	}
	assert_int_equal(visits_count(p->visits, throttle_now_ms()), 1);
	free(set_row(p, sv_from(row, len), &junk_len));
	free(row);
	ask(p, account_sign_out, &out);
	assert_int_equal(out.status, 403);      /* still signed in: it is the form's token that is missing */
	response_done(&out);
}

static void an_account_that_is_gone_or_has_another_password_has_no_visits(void **state)
{
	struct place *p = *state;
	struct response out;

	OK(directory_password_set(p->dir, SV(ALICE), SV("another"), DIRECTORY_ITERATIONS_MIN));
	ask(p, account_sign_out, &out);
	assert_int_equal(out.status, 303);
	response_done(&out);
	assert_int_equal(visits_count(p->visits, throttle_now_ms()), 0);
	somebody_signs_in(p);
	OK(directory_account_remove(p->dir, SV(ALICE)));
	ask(p, account_sign_out, &out);
	assert_int_equal(out.status, 303);
	response_done(&out);
	assert_int_equal(visits_count(p->visits, throttle_now_ms()), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_read_signs_nobody_out, setup, teardown),
		cmocka_unit_test_setup_teardown(an_account_that_is_gone_or_has_another_password_has_no_visits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
