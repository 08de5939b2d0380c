/* The account directory: what is added is found, what is asked is answered, damage is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/crypt.h"
#include "common/directory.h"
#include "common/directory_private.h"
#include "common/identity.h"

#define ITERATIONS DIRECTORY_ITERATIONS_MIN
#define OK(expr) assert_int_equal((expr).kind, FAULT_NONE)
#define FAILS(expr, what) assert_int_equal((expr).kind, (what))

struct place {
	char path[64];
	struct directory *dir;
};

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	snprintf(p->path, sizeof(p->path), "/tmp/directory-test-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	OK(directory_open(p->path, true, &p->dir));
	OK(directory_domain_add(p->dir, SV("Example.TEST")));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char name[100];

	directory_close(&p->dir);
	snprintf(name, sizeof(name), "%s/data.mdb", p->path);
	unlink(name);
	snprintf(name, sizeof(name), "%s/lock.mdb", p->path);
	unlink(name);
	int rc = rmdir(p->path);
	free(p);
	return rc;
}

static struct directory_account add(struct directory *dir, const char *address)
{
	struct directory_account a;

	OK(directory_account_add(dir, sv_z(address), NULL, ITERATIONS, &a));
	return a;
}

static void alias(struct directory *dir, const char *address, const char *to1, const char *to2)
{
	struct sv targets[] = { sv_z(to1), sv_z(to2) };

	OK(directory_alias_add(dir, sv_z(address), targets, to2 ? 2 : 1));
}

/* "a@x b@y+tag !remote", or "elsewhere", "unknown"; the fault's name when there is one. */
static const char *resolve(struct directory *dir, const char *local, const char *domain)
{
	static char text[4096];
	struct address to = { .local = sv_z(local), .domain = sv_z(domain), .domain_given = sv_z(domain) };
	struct directory_route route;
	struct arena a;
	size_t len = 0;

	arena_init(&a, 1 << 20);
	struct fault f = directory_resolve(dir, &a, &to, &route);
	text[0] = '\0';
	if (f.kind)
		len += (size_t)snprintf(text, sizeof(text), "%s", fault_name(f.kind));
	else if (route.answer == DIRECTORY_NOT_OURS)
		len += (size_t)snprintf(text, sizeof(text), "elsewhere");
	else if (route.answer == DIRECTORY_UNKNOWN)
		len += (size_t)snprintf(text, sizeof(text), "unknown");
	for (size_t i = 0; i < route.count && !f.kind; i++) {
		const struct directory_target *t = &route.targets[i];
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%.*s%s%.*s", i ? " " : "",
					t->is_remote ? "!" : "", SV_FMT(t->address), t->tag.len ? "+" : "",
					SV_FMT(t->tag));
	}
	arena_done(&a);
	return text;
}

static bool owns(struct directory *dir, const char *id, const char *local, const char *domain)
{
	struct address from = { .local = sv_z(local), .domain = sv_z(domain), .domain_given = sv_z(domain) };
	bool yes = false;

	OK(directory_owns(dir, sv_z(id), &from, &yes));
	return yes;
}

static void an_account_is_found_by_its_name_in_any_case(void **state)
{
	struct place *p = *state;
	struct directory_account a = add(p->dir, "Alice@EXAMPLE.test"), b;

	assert_string_equal(a.address, "alice@example.test");
	assert_int_equal(strlen(a.id), DIRECTORY_ID_LEN);
	assert_true(a.is_enabled);
	OK(directory_account_get(p->dir, SV("aLICE@Example.Test"), &b));
	assert_string_equal(a.id, b.id);
	assert_int_equal(a.revision, b.revision);
	OK(directory_account_by_id(p->dir, sv_z(a.id), &b));
	assert_string_equal(b.address, "alice@example.test");
	FAILS(directory_account_get(p->dir, SV("bob@example.test"), &b), FAULT_NOT_FOUND);
	FAILS(directory_account_by_id(p->dir, SV("0123456789abcdef"), &b), FAULT_NOT_FOUND);
	FAILS(directory_account_by_id(p->dir, SV("0"), &b), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("ALICE@example.test"), NULL, ITERATIONS, NULL), FAULT_EXISTS);
	FAILS(directory_account_add(p->dir, SV("x@elsewhere.test"), NULL, ITERATIONS, NULL), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("nonsense"), NULL, ITERATIONS, NULL), FAULT_INVALID);
	FAILS(directory_account_add(p->dir, SV("y@example.test"), NULL, 1, NULL), FAULT_INVALID);
	FAILS(directory_account_add(p->dir, SV("y@example.test"), &SV_NONE, ITERATIONS, NULL), FAULT_INVALID);
}

static struct directory_answer_of { enum directory_answer answer; char to[DIRECTORY_ADDRESS_MAX + 1]; }
answer_of(struct directory *dir, const char *local)
{
	struct directory_answer_of out = { .answer = DIRECTORY_UNKNOWN };
	struct directory_route route;
	struct arena arena;
	struct address to = { .local = sv_z(local), .domain = SV("example.test"), .domain_given = SV("example.test") };

	arena_init(&arena, 1 << 20);
	OK(directory_resolve(dir, &arena, &to, &route));
	out.answer = route.answer;
	if (route.count == 1)
		memcpy(out.to, route.targets[0].address.p, route.targets[0].address.len);
	arena_done(&arena);
	return out;
}

static void an_account_for_sending_only_takes_no_mail_or_has_it_forwarded(void **state)
{
	struct place *p = *state;
	struct directory_account a = add(p->dir, "robot@example.test"), b;
	const struct sv targets[] = { SV("robot@example.test"), SV("bob@example.test") };

	add(p->dir, "bob@example.test");
	OK(directory_alias_add(p->dir, SV("both@example.test"), targets, 2));
	assert_true(directory_state_parse(SV("send-only"), &a));
	OK(directory_account_set(p->dir, &a));
	OK(directory_account_get(p->dir, SV("robot@example.test"), &a));
	assert_string_equal(directory_state_name(&a), "send-only");
	assert_int_equal(directory_account_scope(&a), SCOPE_SUBMISSION);
	assert_int_equal(answer_of(p->dir, "robot").answer, DIRECTORY_CLOSED);
	assert_string_equal(answer_of(p->dir, "both").to, "bob@example.test");
	assert_true(owns(p->dir, a.id, "robot", "example.test"));
	assert_true(directory_forward_set(SV("Bob@Example.test"), &a));
	OK(directory_account_set(p->dir, &a));
	assert_string_equal(answer_of(p->dir, "robot").to, "bob@example.test");
	OK(directory_account_get(p->dir, SV("robot@example.test"), &a));
	assert_true(directory_forward_set(SV("robot@example.test"), &a));
	FAILS(directory_account_set(p->dir, &a), FAULT_INVALID);
	/* Switched off and on again it is what it was. */
	OK(directory_account_get(p->dir, SV("robot@example.test"), &b));
	assert_true(directory_state_parse(SV("disabled"), &b));
	assert_string_equal(directory_state_name(&b), "disabled");
	b.is_enabled = true;
	assert_string_equal(directory_state_name(&b), "send-only");
	assert_false(directory_state_parse(SV("asleep"), &b));
}

static void what_is_said_at_login_is_one_line_and_only_for_what_the_state_bars(void **state)
{
	struct directory_account a = { .is_enabled = true, .scope = SCOPE_ALL };

	(void)state;
	assert_string_equal(directory_account_refusal(&a, SCOPE_IMAP), "");
	assert_true(directory_message_set(SV("Moved: call 12-34"), &a));
	assert_string_equal(directory_account_refusal(&a, SCOPE_IMAP), "");
	assert_true(directory_state_parse(SV("receive-only"), &a));
	assert_string_equal(directory_account_refusal(&a, SCOPE_IMAP), "");
	assert_string_equal(directory_account_refusal(&a, SCOPE_SUBMISSION), "Moved: call 12-34");
	assert_true(directory_message_set(SV("none"), &a));
	assert_string_equal(directory_account_refusal(&a, SCOPE_SUBMISSION), "This account is for reading only: it may not send");
	assert_true(directory_state_parse(SV("nologin"), &a));
	assert_int_equal(directory_account_scope(&a), 0);
	assert_false(directory_message_set(SV("two\r\nlines"), &a));
	assert_false(directory_message_set(SV("\xc3\xa9"), &a));
}

static void a_change_by_an_old_copy_of_an_account_is_refused(void **state)
{
	struct place *p = *state;
	struct directory_account a = add(p->dir, "alice@example.test"), old = a, b;

	a.is_enabled = false;
	a.quota_bytes = 1234;
	a.quota_messages = 56;
	a.scope = SCOPE_IMAP;
	OK(directory_account_set(p->dir, &a));
	FAILS(directory_account_set(p->dir, &old), FAULT_BUSY);
	OK(directory_account_get(p->dir, SV("alice@example.test"), &b));
	assert_false(b.is_enabled);
	assert_int_equal(b.quota_bytes, 1234);
	assert_int_equal(b.quota_messages, 56);
	assert_int_equal(b.scope, SCOPE_IMAP);
	OK(directory_account_remove(p->dir, SV("alice@example.test")));
	FAILS(directory_account_set(p->dir, &b), FAULT_NOT_FOUND);
	FAILS(directory_account_remove(p->dir, SV("alice@example.test")), FAULT_NOT_FOUND);
	struct directory_account again = add(p->dir, "alice@example.test");
	assert_string_not_equal(again.id, a.id);
}

static bool fits(const struct directory_login *l, const struct directory_credential *c, struct sv password)
{
	int fitting = 0;

	for (size_t hash = 0; hash < DIRECTORY_HASHES; hash++) {
		struct scram_keys keys = crypt_scram_keys((enum crypt_hash)hash, password,
							  sv_from((const char *)l->salt, sizeof(l->salt)), l->iterations);
		const struct directory_verifier *v = &c->verifiers[hash];

		fitting += v->is_there && memcmp(keys.stored, v->stored, keys.len) == 0 &&
			   memcmp(keys.server, v->server, keys.len) == 0;
	}
	assert_true(fitting == 0 || fitting == DIRECTORY_HASHES);
	return fitting > 0;
}

static void a_login_brings_the_verifiers(void **state)
{
	struct place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct sv first = SV("first"), empty = SV_NONE;
	uint32_t number = 0;

	OK(directory_account_add(p->dir, SV("alice@example.test"), &first, ITERATIONS, NULL));
	OK(directory_login(p->dir, SV("ALICE@Example.test  "), l));
	assert_int_equal(l->count, 1);
	assert_int_equal(l->iterations, ITERATIONS);
	assert_true(fits(l, &l->credentials[0], first));
	uint64_t revision = l->account.revision;

	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("second"), ITERATIONS + 1));
	OK(directory_login(p->dir, SV("alice"), l));    /* the only domain there is */
	assert_true(l->account.revision > revision);
	assert_int_equal(l->iterations, ITERATIONS + 1);
	assert_false(fits(l, &l->credentials[0], first));
	assert_true(fits(l, &l->credentials[0], SV("second")));

	OK(directory_credential_add(p->dir, SV("alice@example.test"), SV("phone"), SCOPE_IMAP, SV("app1"), &number));
	assert_int_equal(number, 1);
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), SV("phone"), SCOPE_IMAP, SV("x"), NULL), FAULT_EXISTS);
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), empty, SCOPE_IMAP, SV("x"), NULL), FAULT_INVALID);
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), SV("none"), 0, SV("x"), NULL), FAULT_INVALID);
	OK(directory_credential_add(p->dir, SV("alice@example.test"), SV("tablet"), SCOPE_POP3, SV("app2"), &number));
	assert_int_equal(number, 2);
	/* With app passwords there the count stays, or they would not fit any more. */
	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("third"), ITERATIONS + 2));
	OK(directory_login(p->dir, SV("alice"), l));
	assert_int_equal(l->count, 3);
	assert_int_equal(l->iterations, ITERATIONS + 1);
	assert_true(fits(l, &l->credentials[0], SV("third")));
	assert_true(fits(l, &l->credentials[1], SV("app1")));
	assert_int_equal(l->credentials[1].scope, SCOPE_IMAP);
	assert_string_equal(l->credentials[1].label, "phone");
	assert_true(fits(l, &l->credentials[2], SV("app2")));
	OK(directory_credential_remove(p->dir, SV("alice@example.test"), 1));
	FAILS(directory_credential_remove(p->dir, SV("alice@example.test"), 1), FAULT_NOT_FOUND);
	OK(directory_login(p->dir, SV("alice"), l));
	assert_int_equal(l->count, 2);

	OK(directory_domain_add(p->dir, SV("second.test")));
	FAILS(directory_login(p->dir, SV("alice"), l), FAULT_NOT_FOUND);
	alias(p->dir, "a@example.test", "alice@example.test", NULL);
	FAILS(directory_login(p->dir, SV("a@example.test"), l), FAULT_NOT_FOUND);
	FAILS(directory_login(p->dir, SV("alice+x@example.test"), l), FAULT_NOT_FOUND);
	FAILS(directory_login(p->dir, SV(""), l), FAULT_NOT_FOUND);
	FAILS(directory_login(p->dir, SV("\0\xff@@"), l), FAULT_NOT_FOUND);
	char *longest = xcalloc(1, 5000);
	FAILS(directory_login(p->dir, sv_from(longest, 5000), l), FAULT_NOT_FOUND);
	free(longest);
	directory_login_done(l);
	free(l);
}

static void there_are_at_most_so_many_app_passwords(void **state)
{
	struct place *p = *state;
	char label[16];

	add(p->dir, "alice@example.test");
	for (int i = 0; i < DIRECTORY_CREDENTIALS_MAX - 1; i++) {
		snprintf(label, sizeof(label), "app %d", i);
		OK(directory_credential_add(p->dir, SV("alice@example.test"), sv_z(label), SCOPE_ALL, SV("x"), NULL));
	}
	FAILS(directory_credential_add(p->dir, SV("alice@example.test"), SV("more"), SCOPE_ALL, SV("x"), NULL), FAULT_LIMIT);
	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("main"), ITERATIONS));
}

static void a_fake_login_is_the_same_each_time_and_differs_by_name(void **state)
{
	struct place *p = *state;
	struct directory_login *a = xcalloc(1, sizeof(*a)), *b = xcalloc(1, sizeof(*b));

	directory_login_fake(p->dir, SV("Nobody@example.test"), 15000, a);
	directory_login_fake(p->dir, SV("nobody@EXAMPLE.test "), 15000, b);
	assert_memory_equal(a->salt, b->salt, sizeof(a->salt));
	assert_memory_equal(a->credentials[0].verifiers, b->credentials[0].verifiers, sizeof(a->credentials[0].verifiers));
	assert_int_equal(a->iterations, 15000);
	assert_int_equal(a->count, 1);
	assert_int_equal(a->account.id[0], 0);
	directory_login_fake(p->dir, SV("nobody2@example.test"), 15000, b);
	assert_memory_not_equal(a->salt, b->salt, sizeof(a->salt));
	directory_login_fake(p->dir, SV("\xff\0 anything"), 15000, b);
	free(a);
	free(b);
}

static void recipients_resolve_to_accounts(void **state)
{
	struct place *p = *state;
	struct directory_domain d;

	add(p->dir, "alice@example.test");
	add(p->dir, "bob@example.test");
	add(p->dir, "with+plus@example.test");
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "alice@example.test");
	assert_string_equal(resolve(p->dir, "ALICE", "example.test"), "alice@example.test");
	assert_string_equal(resolve(p->dir, "alice+Lists.X+y", "example.test"), "alice@example.test+Lists.X+y");
	assert_string_equal(resolve(p->dir, "with+plus", "example.test"), "with+plus@example.test");
	assert_string_equal(resolve(p->dir, "nobody", "example.test"), "unknown");
	assert_string_equal(resolve(p->dir, "+alice", "example.test"), "unknown");
	assert_string_equal(resolve(p->dir, "alice", "elsewhere.test"), "elsewhere");
	assert_string_equal(resolve(p->dir, "alice@example.test", "elsewhere.test"), "elsewhere");
	assert_string_equal(resolve(p->dir, "alice%elsewhere.test", "example.test"), "unknown");

	OK(directory_domain_get(p->dir, SV("example.test"), &d));
	d.separator = '-';
	memcpy(d.catch_all, "Bob@example.test", sizeof("Bob@example.test"));
	OK(directory_domain_set(p->dir, &d));
	assert_string_equal(resolve(p->dir, "alice-x", "example.test"), "alice@example.test+x");
	assert_string_equal(resolve(p->dir, "alice+x", "example.test"), "bob@example.test");
	assert_string_equal(resolve(p->dir, "nobody", "example.test"), "bob@example.test");
	d.separator = '@';
	FAILS(directory_domain_set(p->dir, &d), FAULT_INVALID);
	d.separator = '\0';
	memcpy(d.catch_all, "no address", sizeof("no address"));
	FAILS(directory_domain_set(p->dir, &d), FAULT_INVALID);
	d.catch_all[0] = '\0';
	OK(directory_domain_set(p->dir, &d));
	assert_string_equal(resolve(p->dir, "alice-x", "example.test"), "unknown");
}

static void aliases_are_followed_each_target_once(void **state)
{
	struct place *p = *state;

	add(p->dir, "alice@example.test");
	add(p->dir, "bob@example.test");
	alias(p->dir, "info@example.test", "alice@example.test", "Someone@Elsewhere.test");
	alias(p->dir, "all@example.test", "info@example.test", "bob@example.test");
	alias(p->dir, "more@example.test", "all@example.test", "alice+tag@example.test");
	assert_string_equal(resolve(p->dir, "info", "example.test"), "alice@example.test !Someone@elsewhere.test");
	assert_string_equal(resolve(p->dir, "info+x", "example.test"), "alice@example.test !Someone@elsewhere.test");
	assert_string_equal(resolve(p->dir, "more", "example.test"),
			    "alice@example.test+tag bob@example.test !Someone@elsewhere.test");

	alias(p->dir, "gone@example.test", "left@example.test", NULL);
	assert_string_equal(resolve(p->dir, "gone", "example.test"), "unknown");
	alias(p->dir, "half@example.test", "left@example.test", "bob@example.test");
	assert_string_equal(resolve(p->dir, "half", "example.test"), "bob@example.test");

	alias(p->dir, "x@example.test", "y@example.test", NULL);
	alias(p->dir, "y@example.test", "x@example.test", NULL);
	assert_string_equal(resolve(p->dir, "x", "example.test"), "invalid");
	alias(p->dir, "z@example.test", "y@example.test", "bob@example.test");
	assert_string_equal(resolve(p->dir, "z", "example.test"), "bob@example.test");

	FAILS(directory_alias_add(p->dir, SV("alice@example.test"), &SV("x@y.test"), 1), FAULT_EXISTS);
	FAILS(directory_alias_set(p->dir, SV("alice@example.test"), &SV("x@y.test"), 1), FAULT_EXISTS);
	FAILS(directory_alias_add(p->dir, SV("x@example.test"), &SV("x@y.test"), 1), FAULT_EXISTS);
	FAILS(directory_alias_add(p->dir, SV("new@example.test"), &SV("x@y.test"), 0), FAULT_INVALID);
	FAILS(directory_alias_add(p->dir, SV("new@example.test"), &SV("nothing"), 1), FAULT_INVALID);
	FAILS(directory_alias_add(p->dir, SV("new@elsewhere.test"), &SV("x@y.test"), 1), FAULT_NOT_FOUND);
	FAILS(directory_account_add(p->dir, SV("x@example.test"), NULL, ITERATIONS, NULL), FAULT_EXISTS);
	OK(directory_alias_set(p->dir, SV("x@example.test"), &SV("alice@example.test"), 1));
	assert_string_equal(resolve(p->dir, "y", "example.test"), "alice@example.test");
	OK(directory_alias_remove(p->dir, SV("x@example.test")));
	FAILS(directory_alias_remove(p->dir, SV("x@example.test")), FAULT_NOT_FOUND);
	FAILS(directory_alias_remove(p->dir, SV("alice@example.test")), FAULT_NOT_FOUND);
	assert_string_equal(resolve(p->dir, "x", "example.test"), "unknown");
}

static void aliases_have_a_depth_and_a_size(void **state)
{
	struct place *p = *state;
	char from[64], to[64];
	struct sv *targets = xcalloc(DIRECTORY_ALIAS_TARGETS_MAX + 1, sizeof(*targets));

	add(p->dir, "end@example.test");
	for (int i = 1; i <= DIRECTORY_ALIAS_DEPTH_MAX + 1; i++) {
		snprintf(from, sizeof(from), "deep%d@example.test", i);
		snprintf(to, sizeof(to), "deep%d@example.test", i - 1);
		alias(p->dir, from, i == 1 ? "end@example.test" : to, NULL);
	}
	snprintf(from, sizeof(from), "deep%d", DIRECTORY_ALIAS_DEPTH_MAX);
	assert_string_equal(resolve(p->dir, from, "example.test"), "end@example.test");
	snprintf(from, sizeof(from), "deep%d", DIRECTORY_ALIAS_DEPTH_MAX + 1);
	assert_string_equal(resolve(p->dir, from, "example.test"), "limit");

	for (size_t i = 0; i <= DIRECTORY_ALIAS_TARGETS_MAX; i++) {
		snprintf(to, sizeof(to), "r%zu@elsewhere.test", i);
		targets[i] = sv_z(xstrdup(to));
	}
	FAILS(directory_alias_add(p->dir, SV("big@example.test"), targets, DIRECTORY_ALIAS_TARGETS_MAX + 1), FAULT_INVALID);
	OK(directory_alias_add(p->dir, SV("big@example.test"), targets, DIRECTORY_ALIAS_TARGETS_MAX));
	assert_string_equal(resolve(p->dir, "big", "example.test"), "limit");  /* itself counts */
	OK(directory_alias_set(p->dir, SV("big@example.test"), targets, DIRECTORY_RECIPIENTS_MAX - 1));
	struct address to_big = { .local = SV("big"), .domain = SV("example.test") };
	struct directory_route route;
	struct arena a;

	arena_init(&a, 1 << 20);
	OK(directory_resolve(p->dir, &a, &to_big, &route));
	assert_int_equal(route.count, DIRECTORY_RECIPIENTS_MAX - 1);
	arena_done(&a);
	arena_init(&a, 4096);           /* less than the answer needs */
	FAILS(directory_resolve(p->dir, &a, &to_big, &route), FAULT_LIMIT);
	arena_done(&a);
	for (size_t i = 0; i <= DIRECTORY_ALIAS_TARGETS_MAX; i++)
		free((char *)targets[i].p);
	free(targets);
}

static void postmaster_is_never_unknown(void **state)
{
	struct place *p = *state;

	assert_string_equal(resolve(p->dir, "postmaster", "example.test"), "unknown");   /* nobody is there at all */
	add(p->dir, "first@example.test");
	OK(directory_domain_add(p->dir, SV("second.test")));
	assert_string_equal(resolve(p->dir, "Postmaster", ""), "first@example.test");
	assert_string_equal(resolve(p->dir, "postmaster+x", "second.test"), "first@example.test");
	add(p->dir, "boss@second.test");
	alias(p->dir, "postmaster@example.test", "boss@second.test", NULL);
	assert_string_equal(resolve(p->dir, "PostMaster", ""), "boss@second.test");
	assert_string_equal(resolve(p->dir, "postmaster", "second.test"), "boss@second.test");
	assert_string_equal(resolve(p->dir, "hostmaster", "second.test"), "unknown");
	assert_string_equal(resolve(p->dir, "postmaster", "elsewhere.test"), "elsewhere");
}

/* asked - does somebody else have to say whether it is good? */
static bool asked(struct directory *dir, const char *address)
{
	struct directory_route route;
	struct address to;
	struct arena arena;

	arena_init(&arena, 1u << 16);
	OK(address_parse(&arena, sv_z(address), &to));
	OK(directory_resolve(dir, &arena, &to, &route));
	assert_int_equal(route.answer, DIRECTORY_TARGETS);
	assert_true(route.targets[0].is_remote);
	arena_done(&arena);
	return route.is_asked;
}

static void only_names_that_nobody_listed_are_asked_for(void **state)
{
	struct place *p = *state;
	struct directory_domain d;

	OK(directory_domain_add(p->dir, SV("branch.test")));
	OK(directory_domain_get(p->dir, SV("branch.test"), &d));
	d.relay = DIRECTORY_RELAY_ASKED;
	OK(directory_domain_set(p->dir, &d));
	OK(directory_relay_add(p->dir, SV("listed@branch.test")));
	alias(p->dir, "info@example.test", "other@branch.test", NULL);
	assert_true(asked(p->dir, "other@branch.test"));
	assert_false(asked(p->dir, "listed@branch.test"));
	assert_false(asked(p->dir, "info@example.test"));       /* an administrator's word */
	assert_false(owns(p->dir, "0123456789abcdef", "other", "branch.test"));
	d.relay = DIRECTORY_RELAY_ANY;
	OK(directory_domain_set(p->dir, &d));
	assert_false(asked(p->dir, "other@branch.test"));
}

static void an_account_sends_as_what_is_its_own(void **state)
{
	struct place *p = *state;
	struct directory_account a = add(p->dir, "alice@example.test"), b = add(p->dir, "bob@example.test");
	struct directory_domain d;

	alias(p->dir, "info@example.test", "alice@example.test", "x@elsewhere.test");
	alias(p->dir, "sales@example.test", "info@example.test", NULL);
	OK(directory_domain_get(p->dir, SV("example.test"), &d));
	memcpy(d.catch_all, "alice@example.test", sizeof("alice@example.test"));
	OK(directory_domain_set(p->dir, &d));

	assert_true(owns(p->dir, a.id, "Alice", "example.test"));
	assert_true(owns(p->dir, a.id, "alice+tag", "example.test"));
	assert_true(owns(p->dir, a.id, "info", "example.test"));
	assert_true(owns(p->dir, a.id, "sales+x", "example.test"));
	assert_false(owns(p->dir, b.id, "info", "example.test"));
	assert_false(owns(p->dir, a.id, "bob", "example.test"));
	assert_false(owns(p->dir, a.id, "nobody", "example.test"));     /* the catch-all is not hers */
	assert_false(owns(p->dir, a.id, "alice", "elsewhere.test"));
	assert_false(owns(p->dir, a.id, "x", "elsewhere.test"));
	assert_false(owns(p->dir, a.id, "postmaster", "example.test"));
	assert_false(owns(p->dir, "", "alice", "example.test"));
	assert_false(owns(p->dir, "0123456789abcdef", "alice", "example.test"));

	OK(directory_grant_add(p->dir, SV("bob@example.test"), SV("ALICE@example.test")));
	FAILS(directory_grant_add(p->dir, SV("bob@example.test"), SV("alice@example.test")), FAULT_EXISTS);
	OK(directory_grant_add(p->dir, SV("bob@example.test"), SV("@Elsewhere.test")));
	FAILS(directory_grant_add(p->dir, SV("nobody@example.test"), SV("@elsewhere.test")), FAULT_NOT_FOUND);
	FAILS(directory_grant_add(p->dir, SV("bob@example.test"), SV("nothing")), FAULT_INVALID);
	assert_true(owns(p->dir, b.id, "alice", "example.test"));
	assert_true(owns(p->dir, b.id, "alice+t", "example.test"));
	assert_true(owns(p->dir, b.id, "anyone", "elsewhere.test"));
	assert_false(owns(p->dir, a.id, "anyone", "elsewhere.test"));
	OK(directory_grant_remove(p->dir, SV("bob@example.test"), SV("alice@example.test")));
	FAILS(directory_grant_remove(p->dir, SV("bob@example.test"), SV("alice@example.test")), FAULT_NOT_FOUND);
	assert_false(owns(p->dir, b.id, "alice", "example.test"));
}

struct texts {
	char text[1024];
	size_t len;
	int stop_after;
};

static bool note(struct texts *t, const char *a, const char *b)
{
	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%s%s ", a, b ? ">" : "", b ? b : "");
	return --t->stop_after != 0;
}

static bool note_domain(void *arg, const struct directory_domain *d)
{
	return note(arg, d->name, NULL);
}

static bool note_account(void *arg, const struct directory_account *a)
{
	return note(arg, a->address, NULL);
}

static bool note_alias(void *arg, const struct directory_alias *alias)
{
	char all[256] = "", address[100];
	size_t len = 0;

	for (size_t i = 0; i < alias->count; i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%.*s", i ? "," : "", SV_FMT(alias->targets[i]));
	snprintf(address, sizeof(address), "%.*s", SV_FMT(alias->address));
	return note(arg, address, all);
}

static bool note_grant(void *arg, struct sv account, struct sv address)
{
	char text[DIRECTORY_ADDRESS_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", SV_FMT(address));
	return note(arg, account.p, text);
}

static void listings_are_by_domain_and_name(void **state)
{
	struct place *p = *state;
	struct texts t = { .len = 0 };

	OK(directory_domain_add(p->dir, SV("a.test")));
	FAILS(directory_domain_add(p->dir, SV("A.test")), FAULT_EXISTS);
	FAILS(directory_domain_add(p->dir, SV("")), FAULT_INVALID);
	OK(directory_domain_list(p->dir, note_domain, &t));
	assert_string_equal(t.text, "a.test example.test ");
	add(p->dir, "zoe@a.test");
	add(p->dir, "bob@example.test");
	add(p->dir, "alice@example.test");
	alias(p->dir, "b@example.test", "bob@example.test", "Ann@Elsewhere.test");
	alias(p->dir, "z@a.test", "zoe@a.test", NULL);
	t = (struct texts){ .len = 0 };
	OK(directory_account_list(p->dir, SV_NONE, note_account, &t));
	assert_string_equal(t.text, "zoe@a.test alice@example.test bob@example.test ");
	t = (struct texts){ .stop_after = 2 };
	OK(directory_account_list(p->dir, SV_NONE, note_account, &t));
	assert_string_equal(t.text, "zoe@a.test alice@example.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_account_list(p->dir, SV("Example.test"), note_account, &t));
	assert_string_equal(t.text, "alice@example.test bob@example.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_alias_list(p->dir, SV_NONE, note_alias, &t));
	assert_string_equal(t.text, "z@a.test>zoe@a.test b@example.test>bob@example.test,Ann@elsewhere.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_alias_list(p->dir, SV("a.test"), note_alias, &t));
	assert_string_equal(t.text, "z@a.test>zoe@a.test ");
	OK(directory_grant_add(p->dir, SV("zoe@a.test"), SV("@b.test")));
	OK(directory_grant_add(p->dir, SV("bob@example.test"), SV("c@b.test")));
	t = (struct texts){ .len = 0 };
	OK(directory_grant_list(p->dir, SV("bob@example.test"), note_grant, &t));
	assert_string_equal(t.text, "bob@example.test>c@b.test ");
	t = (struct texts){ .len = 0 };
	OK(directory_grant_list(p->dir, SV_NONE, note_grant, &t));
	assert_int_equal(t.len, strlen("zoe@a.test>@b.test bob@example.test>c@b.test "));
	FAILS(directory_grant_list(p->dir, SV("nobody@a.test"), note_grant, &t), FAULT_NOT_FOUND);
	/* What an account had goes with it. */
	OK(directory_account_remove(p->dir, SV("zoe@a.test")));
	t = (struct texts){ .len = 0 };
	OK(directory_grant_list(p->dir, SV_NONE, note_grant, &t));
	assert_string_equal(t.text, "bob@example.test>c@b.test ");
}

static void a_domain_goes_only_when_it_is_empty(void **state)
{
	struct place *p = *state;
	struct directory_domain d;
	bool is_local = false;

	OK(directory_domain_default(p->dir, &d));
	assert_string_equal(d.name, "example.test");
	OK(directory_domain_add(p->dir, SV("example.test.example")));
	add(p->dir, "alice@example.test");
	FAILS(directory_domain_remove(p->dir, SV("example.test")), FAULT_DENIED);
	OK(directory_account_remove(p->dir, SV("alice@example.test")));
	OK(directory_is_local_domain(p->dir, SV("example.test"), &is_local));
	assert_true(is_local);
	OK(directory_domain_remove(p->dir, SV("example.test")));
	FAILS(directory_domain_remove(p->dir, SV("example.test")), FAULT_NOT_FOUND);
	OK(directory_is_local_domain(p->dir, SV("example.test"), &is_local));
	assert_false(is_local);
	OK(directory_domain_default(p->dir, &d));
	assert_string_equal(d.name, "example.test.example");
	OK(directory_domain_remove(p->dir, SV("example.test.example")));
	FAILS(directory_domain_default(p->dir, &d), FAULT_NOT_FOUND);
	OK(directory_domain_add(p->dir, SV("new.test")));
	OK(directory_domain_default(p->dir, &d));
	assert_string_equal(d.name, "new.test");
}

static void the_secret_stays_and_purposes_differ(void **state)
{
	struct place *p = *state;
	struct directory *again = NULL;
	uint8_t a[32], b[32];

	directory_keyed(p->dir, "one", SV("data"), a);
	directory_keyed(p->dir, "two", SV("data"), b);
	assert_memory_not_equal(a, b, sizeof(a));
	directory_close(&p->dir);
	OK(directory_open(p->path, false, &p->dir));
	directory_keyed(p->dir, "one", SV("data"), b);
	assert_memory_equal(a, b, sizeof(a));
	FAILS(directory_open("/tmp/directory-test-that-is-not-there", false, &again), FAULT_NOT_FOUND);
	assert_null(again);
}

static void put_raw(struct directory *dir, unsigned table, struct sv key, struct sv value)
{
	struct kv_txn *txn = NULL;

	OK(kv_write_begin(dir->env, &txn));
	OK(kv_put(txn, table, key, value));
	OK(kv_commit(&txn));
}

static void a_newer_format_is_refused_in_words(void **state)
{
	struct place *p = *state;
	struct directory *again = NULL;

	put_raw(p->dir, DT_META, SV("format"), SV("\0\0\0\2"));
	struct fault f = directory_open(p->path, false, &again);
	assert_int_equal(f.kind, FAULT_UNSUPPORTED);
	assert_non_null(strstr(f.detail, "newer"));
}

static void damaged_rows_are_corrupt_at_every_cut(void **state)
{
	struct place *p = *state;
	struct directory_account a = add(p->dir, "alice@example.test"), b;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct kv_txn *txn = NULL;
	struct sv value;
	char *whole;

	OK(directory_password_set(p->dir, SV("alice@example.test"), SV("pw"), ITERATIONS));
	OK(kv_read_begin(p->dir->env, &txn));
	OK(kv_get(txn, DT_ACCOUNTS, sv_z(a.id), &value));
	whole = sv_copy_z(value);
	size_t len = value.len;
	kv_read_end(&txn);
	for (size_t cut = 0; cut < len; cut += 7) {
		put_raw(p->dir, DT_ACCOUNTS, sv_z(a.id), sv_from(whole, cut));
		FAILS(directory_account_by_id(p->dir, sv_z(a.id), &b), FAULT_CORRUPT);
	}
	FAILS(directory_login(p->dir, SV("alice@example.test"), l), FAULT_CORRUPT);
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "corrupt");
	put_raw(p->dir, DT_ACCOUNTS, sv_z(a.id), sv_from(whole, len));
	OK(directory_login(p->dir, SV("alice@example.test"), l));

	struct kv_key key;
	credential_key(a.id, 0, &key);
	put_raw(p->dir, DT_CREDENTIALS, kv_key_view(&key), SV("junk"));
	FAILS(directory_login(p->dir, SV("alice@example.test"), l), FAULT_CORRUPT);
	struct name n;
	OK(name_from_text(SV("alice@example.test"), &n));
	name_key(&n, &key);
	put_raw(p->dir, DT_NAMES, kv_key_view(&key), SV_NONE);
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "corrupt");
	put_raw(p->dir, DT_DOMAINS, SV("example.test"), SV("\1"));
	assert_string_equal(resolve(p->dir, "alice", "example.test"), "corrupt");
	free(whole);
	free(l);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static bool lacks(struct place *p, enum crypt_hash hash, char id[DIRECTORY_ID_LEN + 1])
{
	bool lacks = false;

	OK(directory_lacks_verifier(p->dir, hash, id, &lacks));
	assert_int_equal(lacks, id[0] != '\0');
	return lacks;
}

static void hashes_of_other_servers_are_in_the_way_until_a_password_takes_their_place(void **state)
{
	struct place *p = *state;
	struct sv hash = SV("{SSHA}9Q2rb8lDGUvFJHkLywEnEdJklddALSuH");
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory_account account;
	char id[DIRECTORY_ID_LEN + 1] = "";

	FAILS(directory_account_add_hashed(p->dir, SV("a@example.test"), SV("{NTLM}x"), ITERATIONS, NULL), FAULT_UNSUPPORTED);
	assert_false(lacks(p, CRYPT_SHA256, id));
	OK(directory_account_add_hashed(p->dir, SV("a@example.test"), hash, ITERATIONS, NULL));
	OK(directory_account_add_hashed(p->dir, SV("b@example.test"), hash, ITERATIONS, NULL));
	OK(directory_account_add_hashed(p->dir, SV("c@example.test"), hash, ITERATIONS, NULL));
	OK(directory_account_add_hashed(p->dir, SV("d@example.test"), hash, ITERATIONS, &account));
	account.is_enabled = false;             /* cannot log in, so is in nobody's way */
	OK(directory_account_set(p->dir, &account));
	OK(directory_account_add_hashed(p->dir, SV("e@example.test"), hash, ITERATIONS, &account));
	account.use = DIRECTORY_USE_NOLOGIN;    /* nor can this one */
	OK(directory_account_set(p->dir, &account));
	assert_true(lacks(p, CRYPT_SHA256, id));
	OK(directory_password_set(p->dir, SV("a@example.test"), SV("new"), ITERATIONS));
	OK(directory_account_remove(p->dir, SV("b@example.test")));
	assert_true(lacks(p, CRYPT_SHA256, id));
	assert_true(lacks(p, CRYPT_SHA1, id));
	OK(directory_account_get(p->dir, SV("c@example.test"), &account));
	assert_string_equal(id, account.id);
	OK(directory_login(p->dir, SV("c@example.test"), l));
	assert_string_equal(l->hash, hash.p);
	assert_int_equal(l->count, 0);
	OK(directory_password_upgrade(p->dir, l, SV("old")));
	FAILS(directory_password_upgrade(p->dir, l, SV("older")), FAULT_BUSY);
	assert_false(lacks(p, CRYPT_SHA256, id));
	assert_false(lacks(p, CRYPT_SHA1, id));
	OK(directory_login(p->dir, SV("c@example.test"), l));
	assert_string_equal(l->hash, "");
	assert_int_equal(l->count, 1);
	directory_login_done(l);
	free(l);
}

struct older {
	const char *id;
	struct directory_credential credential;
};

static struct fault write_older(struct kv_txn *txn, void *arg)
{
	struct older *o = arg;

	return credential_write(txn, o->id, &o->credential);
}

/* As a version wrote it that knew SHA-256 only. */
static void forget_sha1(struct place *p, const struct directory_login *l, size_t i)
{
	struct older o = { l->account.id, l->credentials[i] };

	o.credential.verifiers[CRYPT_SHA1].is_there = false;
	OK(kv_update(p->dir->env, write_older, &o));
}

static void a_verifier_that_an_older_version_did_not_make_is_made_of_the_password(void **state)
{
	struct place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct sv main = SV("main"), app = SV("app");
	char id[DIRECTORY_ID_LEN + 1] = "";
	uint32_t number = 0;
	bool is_lacking = false;

	OK(directory_account_add(p->dir, SV("a@example.test"), &main, ITERATIONS, NULL));
	OK(directory_account_add(p->dir, SV("b@example.test"), &main, ITERATIONS, NULL));
	OK(directory_credential_add(p->dir, SV("a@example.test"), SV("phone"), SCOPE_IMAP, app, &number));
	OK(directory_login(p->dir, SV("a@example.test"), l));
	forget_sha1(p, l, 0);
	forget_sha1(p, l, 1);
	assert_true(lacks(p, CRYPT_SHA1, id));
	assert_false(lacks(p, CRYPT_SHA256, (char[DIRECTORY_ID_LEN + 1]){ "" }));
	OK(directory_account_lacks_verifier(p->dir, SV("a@example.test"), CRYPT_SHA1, &is_lacking));
	assert_true(is_lacking);
	OK(directory_account_lacks_verifier(p->dir, SV("b@example.test"), CRYPT_SHA1, &is_lacking));
	assert_false(is_lacking);
	FAILS(directory_verifiers_complete(p->dir, l, 77, main), FAULT_NOT_FOUND);
	OK(directory_verifiers_complete(p->dir, l, 0, main));
	FAILS(directory_verifiers_complete(p->dir, l, number, app), FAULT_BUSY);
	assert_true(lacks(p, CRYPT_SHA1, id));          /* the app password's is missing still */
	OK(directory_login(p->dir, SV("a@example.test"), l));
	OK(directory_verifiers_complete(p->dir, l, number, app));
	assert_false(lacks(p, CRYPT_SHA1, id));
	OK(directory_login(p->dir, SV("a@example.test"), l));
	assert_true(fits(l, &l->credentials[0], main));
	assert_true(fits(l, &l->credentials[1], app));
	assert_int_equal(l->credentials[1].scope, SCOPE_IMAP);
	assert_string_equal(l->credentials[1].label, "phone");
	directory_login_done(l);
	free(l);
}

static void a_certificates_key_stands_for_one_account_until_it_is_taken_back(void **state)
{
	static const uint8_t key[32] = "key of a laptop", other[32] = "key of a phone";
	struct place *p = *state;
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct directory *dir = p->dir;
	char owner[DIRECTORY_ADDRESS_MAX + 1], id[DIRECTORY_ID_LEN + 1] = "";
	uint32_t number = 0, app = 0;
	struct buf keys;

	buf_init(&keys, 64);
	add(p->dir, "a@example.test");
	add(p->dir, "b@example.test");
	FAILS(directory_certificate_owner(dir, key, owner), FAULT_NOT_FOUND);
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV(""), SCOPE_IMAP, key, NULL), FAULT_INVALID);
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV("laptop"), 0, key, NULL), FAULT_INVALID);
	FAILS(directory_certificate_add(dir, SV("nobody@example.test"), SV("laptop"), SCOPE_IMAP, key, NULL), FAULT_NOT_FOUND);
	OK(directory_certificate_add(dir, SV("a@example.test"), SV("laptop"), SCOPE_IMAP, key, &number));
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV("again"), SCOPE_IMAP, key, NULL), FAULT_EXISTS);
	FAILS(directory_certificate_add(dir, SV("a@example.test"), SV("laptop"), SCOPE_IMAP, other, NULL), FAULT_EXISTS);
	OK(directory_certificate_owner(dir, key, owner));
	assert_string_equal(owner, "a@example.test");
	/* It is no password: what is said of those does not hold for it. */
	assert_false(lacks(p, CRYPT_SHA1, id));
	OK(directory_password_set(dir, SV("a@example.test"), SV("main"), ITERATIONS + 7));
	OK(directory_credential_add(dir, SV("a@example.test"), SV("phone"), SCOPE_IMAP, SV("app"), &app));
	OK(directory_login(dir, SV("a@example.test"), l));
	assert_int_equal(l->iterations, ITERATIONS + 7);
	assert_int_equal(l->count, 3);
	assert_true(l->credentials[1].is_certificate);
	assert_int_equal(l->credentials[1].number, number);
	assert_int_equal(l->credentials[1].scope, SCOPE_IMAP);
	assert_memory_equal(l->credentials[1].key, key, sizeof(key));
	assert_false(l->credentials[2].is_certificate);
	assert_true(fits(l, &l->credentials[2], SV("app")));
	/* With two accounts nobody can say which one is meant. */
	OK(directory_certificate_add(dir, SV("b@example.test"), SV("laptop"), SCOPE_ALL, key, NULL));
	FAILS(directory_certificate_owner(dir, key, owner), FAULT_NOT_FOUND);
	OK(directory_certificate_keys(dir, &keys));
	assert_int_equal(keys.len, 64);
	OK(directory_credential_remove(dir, SV("a@example.test"), number));
	OK(directory_certificate_owner(dir, key, owner));
	assert_string_equal(owner, "b@example.test");
	OK(directory_account_remove(dir, SV("b@example.test")));
	FAILS(directory_certificate_owner(dir, key, owner), FAULT_NOT_FOUND);
	buf_clear(&keys);
	OK(directory_certificate_keys(dir, &keys));
	assert_int_equal(keys.len, 0);
	buf_done(&keys);
	directory_login_done(l);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_account_is_found_by_its_name_in_any_case),
		CASE(an_account_for_sending_only_takes_no_mail_or_has_it_forwarded),
		cmocka_unit_test(what_is_said_at_login_is_one_line_and_only_for_what_the_state_bars),
		CASE(a_change_by_an_old_copy_of_an_account_is_refused),
		CASE(a_login_brings_the_verifiers),
		CASE(hashes_of_other_servers_are_in_the_way_until_a_password_takes_their_place),
		CASE(a_certificates_key_stands_for_one_account_until_it_is_taken_back),
		CASE(a_verifier_that_an_older_version_did_not_make_is_made_of_the_password),
		CASE(there_are_at_most_so_many_app_passwords),
		CASE(a_fake_login_is_the_same_each_time_and_differs_by_name),
		CASE(recipients_resolve_to_accounts),
		CASE(aliases_are_followed_each_target_once),
		CASE(aliases_have_a_depth_and_a_size),
		CASE(postmaster_is_never_unknown),
		CASE(only_names_that_nobody_listed_are_asked_for),
		CASE(an_account_sends_as_what_is_its_own),
		CASE(listings_are_by_domain_and_name),
		CASE(a_domain_goes_only_when_it_is_empty),
		CASE(the_secret_stays_and_purposes_differ),
		CASE(a_newer_format_is_refused_in_words),
		CASE(damaged_rows_are_corrupt_at_every_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
