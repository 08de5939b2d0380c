/* The delivery plan: what routes make of it, and its bounds. The store is not asked here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/accept.h"

static struct smtp_path path_of(const char *local, const char *domain)
{
	return (struct smtp_path){
		.address = { .local = sv_z(local),
			     .domain = sv_z(domain),
			     .domain_given = sv_z(domain) },
	};
}

static struct directory_target local(const char *address)
{
	return (struct directory_target){ .address = sv_z(address), .quota_bytes = 7 };
}

static struct directory_target remote(const char *address)
{
	return (struct directory_target){ .is_remote = true,
					  .address = sv_z(address),
					  .is_via_alias = true };
}

static struct accept_rcpt *add(struct accept_plan *plan, const char *name,
			       enum directory_answer answer, struct directory_target *targets,
			       size_t count)
{
	struct smtp_path path = path_of(name, "example.test");
	struct directory_route route = { .answer = answer, .targets = targets, .count = count };
	struct accept_rcpt *rcpt = NULL;

	assert_int_equal(accept_add(plan, &path, &route, &rcpt).kind, FAULT_NONE);
	return rcpt;
}

static void a_route_becomes_places(void **state)
{
	struct directory_target targets[] = { local("bob@example.test"),
					      remote("x@elsewhere.test") };
	struct sv forwarders[ACCEPT_FORWARDERS_MAX + 1];
	struct accept_plan plan;
	struct accept_rcpt *r;
	(void)state;

	accept_init(&plan);
	r = add(&plan, "list", DIRECTORY_TARGETS, targets, 2);
	assert_true(sv_eq(r->address, SV("list@example.test")));
	assert_int_equal(r->places->kind, ACCEPT_MAILBOX);
	assert_true(sv_eq(r->places->account, SV("bob@example.test")) &&
		    sv_eq(r->places->mailbox, SV("INBOX")));
	assert_int_equal(r->places->quota.bytes, 7);
	assert_int_equal(r->places->next->kind, ACCEPT_REDIRECT);
	assert_true(sv_eq(r->places->next->redirect, SV("x@elsewhere.test")));
	assert_true(sv_eq(r->places->next->via, SV("list@example.test")));
	r = add(&plan, "direct", DIRECTORY_NOT_OURS, NULL, 0);
	assert_int_equal(r->places->kind, ACCEPT_REDIRECT);
	assert_true(sv_eq(r->places->redirect, SV("direct@example.test")) && !r->places->via.len);
	assert_int_equal(plan.rcpt_count, 2);
	assert_int_equal(accept_count(&plan, ACCEPT_MAILBOX), 1);
	assert_int_equal(accept_count(&plan, ACCEPT_REDIRECT), 2);
	assert_int_equal(accept_forwarders(&plan, forwarders), 2);
	accept_done(&plan);
}

static void of_what_is_for_later_a_lists_members_wait_and_else_the_address(void **state)
{
	const struct directory_list staff = { .address = SV("staff@example.test"), .owner = SV("owner@example.test") };
	const struct directory_list *lists[] = { &staff };
	struct directory_target targets[] = { local("bob@example.test"), local("eve@example.test") };
	struct directory_route route = { .answer = DIRECTORY_TARGETS, .targets = targets, .count = 2, .lists = lists, .list_count = 1 };
	struct smtp_path path = path_of("all", "example.test");
	struct accept_plan plan;
	struct accept_rcpt *r = NULL;
	(void)state;

	accept_init(&plan);
	plan.is_held = true;
	targets[0].list = &staff;
	targets[1].is_via_alias = true;         /* an alias leads to a list and to somebody beside it */
	assert_int_equal(accept_add(&plan, &path, &route, &r).kind, FAULT_NONE);
	assert_true(sv_eq(r->places->redirect, SV("bob@example.test")) && sv_eq(r->places->via, staff.address) &&
		    sv_eq(r->places->list_owner, staff.owner));
	assert_true(sv_eq(r->places->next->redirect, SV("eve@example.test")) && sv_eq(r->places->next->via, SV("all@example.test")));
	targets[0].list = NULL;
	r = add(&plan, "bob", DIRECTORY_TARGETS, targets, 1);
	assert_true(sv_eq(r->places->redirect, SV("bob@example.test")) && !r->places->via.len && !r->places->next);
	assert_int_equal(accept_count(&plan, ACCEPT_MAILBOX), 0);
	accept_done(&plan);
}

static void parameters_of_a_recipient_are_kept_as_they_came(void **state)
{
	struct directory_route route = { .answer = DIRECTORY_NOT_OURS };
	struct smtp_path path = path_of("a", "elsewhere.test");
	struct accept_plan plan;
	struct accept_rcpt *r;
	(void)state;

	path.params[0].text = SV("NOTIFY=never");
	path.params[1].text = SV("ORCPT=rfc822;a");
	path.param_count = 2;
	accept_init(&plan);
	assert_int_equal(accept_add(&plan, &path, &route, &r).kind, FAULT_NONE);
	assert_int_equal(r->param_count, 2);
	assert_true(sv_eq(r->params[0], SV("NOTIFY=never")) &&
		    sv_eq(r->params[1], SV("ORCPT=rfc822;a")));
	accept_done(&plan);
}

static void the_last_recipient_can_be_taken_back(void **state)
{
	struct accept_plan plan;
	(void)state;

	accept_init(&plan);
	accept_drop_last(&plan);
	add(&plan, "a", DIRECTORY_NOT_OURS, NULL, 0);
	add(&plan, "b", DIRECTORY_NOT_OURS, NULL, 0);
	accept_drop_last(&plan);
	add(&plan, "c", DIRECTORY_NOT_OURS, NULL, 0);
	assert_int_equal(plan.rcpt_count, 2);
	assert_true(sv_eq(plan.rcpts->next->address, SV("c@example.test")));
	assert_null(plan.rcpts->next->next);
	accept_done(&plan);
}

static void forwarding_aliases_and_memory_have_bounds(void **state)
{
	struct directory_target target = remote("x@elsewhere.test");
	struct directory_route route = { .answer = DIRECTORY_TARGETS,
					 .targets = &target,
					 .count = 1 };
	struct directory_target *many = calloc(1000, sizeof(*many));
	struct accept_plan plan;
	struct accept_rcpt *r;
	struct fault f = FAULT_OK;
	unsigned n = 0;
	(void)state;

	accept_init(&plan);
	for (; !f.kind && n < 1000; n++) {
		char name[16];

		snprintf(name, sizeof(name), "a%u", n);
		struct smtp_path path = path_of(name, "example.test");

		f = accept_add(&plan, &path, &route, &r);
	}
	assert_int_equal(f.kind, FAULT_LIMIT);
	assert_int_equal(plan.rcpt_count, ACCEPT_FORWARDERS_MAX);
	accept_done(&plan);

	for (size_t i = 0; i < 1000; i++)
		many[i] = local("somebody-with-a-long-name@a-long-domain.example.test");
	route = (struct directory_route){ .answer = DIRECTORY_TARGETS,
					  .targets = many,
					  .count = 1000 };
	f = FAULT_OK;
	for (n = 0; !f.kind && n < 1000; n++) {
		struct smtp_path path = path_of("list", "example.test");

		f = accept_add(&plan, &path, &route, &r);
	}
	assert_int_equal(f.kind, FAULT_LIMIT);
	assert_true(plan.arena.used <= ACCEPT_MAX);
	accept_done(&plan);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_becomes_places),
		cmocka_unit_test(of_what_is_for_later_a_lists_members_wait_and_else_the_address),
		cmocka_unit_test(parameters_of_a_recipient_are_kept_as_they_came),
		cmocka_unit_test(the_last_recipient_can_be_taken_back),
		cmocka_unit_test(forwarding_aliases_and_memory_have_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
