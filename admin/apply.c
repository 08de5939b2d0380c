/* postroom apply: domains, accounts, aliases and grants as a file says. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/declared.h"
#include "admin/device.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/dkimkey.h"
#include "common/identity.h"
#include "common/instance.h"
#include "common/memory.h"

#include "common/banned.h"

enum change_kind { CHANGE_ADD, CHANGE_SET, CHANGE_REMOVE };

struct change {
	enum change_kind kind;
	const struct declared_thing *was, *is;  /* NULL: not there before; not there any more */
};

struct plan {
	struct declared have, want;
	struct change *changes;
	size_t count;
};

static void add_change(struct plan *p, enum change_kind kind, const struct declared_thing *was,
		       const struct declared_thing *is)
{
	p->changes = xrealloc(p->changes, (p->count + 1) * sizeof(*p->changes));
	p->changes[p->count++] = (struct change){ kind, was, is };
}

/* make_plan - in an order in which each step can be done: a name is free before another thing takes it, and what others stand in is there
 * first and goes last. */
static void make_plan(struct plan *p)
{
	static const enum declared_kind going[] = { DECLARED_GRANT, DECLARED_ALIAS, DECLARED_ACCOUNT };

	for (size_t k = 0; k < ARRAY_LEN(going); k++)
		for (size_t i = 0; i < p->have.count; i++) {
			const struct declared_thing *t = &p->have.things[i];

			if (t->kind == going[k] && !declared_find(&p->want, t->kind, t->key))
				add_change(p, CHANGE_REMOVE, t, NULL);
		}
	for (size_t i = 0; i < p->want.count; i++) {
		const struct declared_thing *t = &p->want.things[i], *was = declared_find(&p->have, t->kind, t->key);

		if (!was)
			add_change(p, CHANGE_ADD, NULL, t);
		else if (!sv_eq_nocase(sv_z(was->text), sv_z(t->text)))
			add_change(p, CHANGE_SET, was, t);
	}
	for (size_t i = 0; i < p->have.count; i++) {
		const struct declared_thing *t = &p->have.things[i];

		if (t->kind == DECLARED_DOMAIN && !declared_find(&p->want, t->kind, t->key))
			add_change(p, CHANGE_REMOVE, t, NULL);
	}
}

/* ---- showing ---- */

static void show_as_json(const struct plan *p)
{
	static const struct column columns[] = {
		{ "CHANGE", "change", COLUMN_TEXT, NULL },
		{ "WHAT", "what", COLUMN_TEXT, NULL },
		{ "NAME", "name", COLUMN_TEXT, NULL },
		{ "WAS", "was", COLUMN_TEXT, NULL },
		{ "IS", "is", COLUMN_TEXT, NULL },
	};
	static const char *const words[] = { "add", "set", "remove" };
	struct table *t = table_new(columns, ARRAY_LEN(columns), true);

	for (size_t i = 0; i < p->count; i++) {
		const struct change *c = &p->changes[i];
		const struct declared_thing *thing = c->is ? c->is : c->was;

		table_sv(t, sv_z(words[c->kind]));
		table_sv(t, sv_z(declared_kind_name(thing->kind)));
		table_sv(t, sv_z(thing->key));
		table_sv(t, c->was ? sv_trim(sv_z(c->was->text)) : SV_NONE);
		table_sv(t, c->is ? sv_trim(sv_z(c->is->text)) : SV_NONE);
	}
	table_end(&t, NULL);
}

static void show_line(char sign, const struct declared_thing *t)
{
	printf("%c %s %s%s\n", sign, declared_kind_name(t->kind), t->key, t->text);
}

static void show(const struct cli *cli, const struct plan *p)
{
	if (cli->json) {
		show_as_json(p);
		return;
	}
	for (size_t i = 0; i < p->count; i++) {
		if (p->changes[i].was)
			show_line('-', p->changes[i].was);
		if (p->changes[i].is)
			show_line('+', p->changes[i].is);
	}
	if (!p->count)
		printf("Nothing to change: all is as the file says.\n");
}

static bool is_agreed(const struct plan *p)
{
	char answer[16];
	size_t gone = 0;

	for (size_t i = 0; i < p->count; i++)
		gone += p->changes[i].kind == CHANGE_REMOVE;
	printf("\n%zu change%s, %zu removal%s. Mail of removed accounts stays in the mail folder. Do it? [y/N] ", p->count,
	       p->count == 1 ? "" : "s", gone, gone == 1 ? "" : "s");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- doing ---- */

struct doing {
	struct cli *cli;
	struct directory *dir;
	uint32_t iterations;
	size_t without_password;
};

static struct fault do_domain(struct doing *d, const struct change *c)
{
	struct fault f = FAULT_OK;

	if (c->kind == CHANGE_REMOVE)
		return directory_domain_remove(d->dir, sv_z(c->was->key));
	if (c->kind == CHANGE_ADD) {
		f = dkimkey_make(instance_path(d->cli->instance, INSTANCE_KEYS), c->is->key);
		if (!f.kind)
			f = directory_domain_add(d->dir, sv_z(c->is->key));
	}
	return f;       /* what else it says may name accounts: see finish_domains() */
}

/* Whoever is not there to be asked is told; the account is gone all the same. */
static struct fault remove_account(struct doing *d, struct sv address)
{
	struct directory_account account;
	struct fault f = directory_account_get(d->dir, address, &account);

	if (!f.kind)
		f = directory_account_remove(d->dir, address);
	account.is_enabled = false;
	if (!f.kind)
		(void)end_barred_sessions(d->cli, &account);
	return f;
}

static struct fault do_account(struct doing *d, const struct change *c)
{
	struct directory_account account;
	struct fault f;

	if (c->kind == CHANGE_REMOVE)
		return remove_account(d, sv_z(c->was->key));
	if (c->kind == CHANGE_ADD && c->is->hash)
		f = directory_account_add_hashed(d->dir, sv_z(c->is->key), sv_z(c->is->hash), d->iterations, &account);
	else if (c->kind == CHANGE_ADD)
		f = directory_account_add(d->dir, sv_z(c->is->key), NULL, d->iterations, &account);
	else
		f = directory_account_get(d->dir, sv_z(c->is->key), &account);
	if (f.kind)
		return f;
	d->without_password += c->kind == CHANGE_ADD && !c->is->hash;
	directory_account_copy_settings(&account, &c->is->account);
	f = directory_account_set(d->dir, &account);
	/* Whoever is not there to be asked is told; the account is what it should be all the same. */
	if (!f.kind && c->kind != CHANGE_ADD)
		(void)end_barred_sessions(d->cli, &account);
	return f;
}

static struct fault do_alias(struct doing *d, const struct change *c)
{
	struct sv *targets;
	struct fault f;

	if (c->kind == CHANGE_REMOVE)
		return directory_alias_remove(d->dir, sv_z(c->was->key));
	targets = xcalloc(c->is->target_count, sizeof(*targets));
	for (size_t i = 0; i < c->is->target_count; i++)
		targets[i] = sv_z(c->is->targets[i]);
	f = c->kind == CHANGE_ADD ? directory_alias_add(d->dir, sv_z(c->is->key), targets, c->is->target_count) :
				    directory_alias_set(d->dir, sv_z(c->is->key), targets, c->is->target_count);
	free(targets);
	return f;
}

static struct fault do_grant(struct doing *d, const struct change *c)
{
	const struct declared_thing *t = c->is ? c->is : c->was;

	if (c->kind == CHANGE_REMOVE)
		return directory_grant_remove(d->dir, sv_z(t->targets[0]), sv_z(t->targets[1]));
	return directory_grant_add(d->dir, sv_z(t->targets[0]), sv_z(t->targets[1]));
}

static int do_change(struct doing *d, const struct change *c)
{
	const struct declared_thing *t = c->is ? c->is : c->was;
	struct fault f = FAULT_OK;

	switch (t->kind) {
	case DECLARED_DOMAIN:   f = do_domain(d, c); break;
	case DECLARED_ACCOUNT:  f = do_account(d, c); break;
	case DECLARED_ALIAS:    f = do_alias(d, c); break;
	case DECLARED_GRANT:    f = do_grant(d, c); break;
	}
	return cli_fault(t->key, f);
}

static int finish_domain(struct doing *d, const struct declared_thing *t)
{
	struct directory_domain domain;
	struct fault f = directory_domain_get(d->dir, sv_z(t->key), &domain);

	domain.separator = t->domain.separator;
	domain.relay = t->domain.relay;
	memcpy(domain.catch_all, t->domain.catch_all, sizeof(domain.catch_all));
	memcpy(domain.alias_of, t->domain.alias_of, sizeof(domain.alias_of));
	return cli_fault(t->key, f.kind ? f : directory_domain_set(d->dir, &domain));
}

/* Those with names of their own first: only they can be the others' domain. */
static int finish_domains(struct doing *d, const struct plan *p, bool is_alias)
{
	int code = EXIT_DONE;

	for (size_t i = 0; i < p->count && code == EXIT_DONE; i++) {
		const struct declared_thing *t = p->changes[i].is;

		if (t && t->kind == DECLARED_DOMAIN && (t->domain.alias_of[0] != '\0') == is_alias)
			code = finish_domain(d, t);
	}
	return code;
}

static int carry_out(struct doing *d, const struct plan *p)
{
	int code = EXIT_DONE;

	for (size_t i = 0; i < p->count && code == EXIT_DONE; i++)
		code = do_change(d, &p->changes[i]);
	if (code == EXIT_DONE)
		code = finish_domains(d, p, false);
	if (code == EXIT_DONE)
		code = finish_domains(d, p, true);
	if (code != EXIT_DONE)
		complain("run it again when that is mended", "stopped there; what was done before stays done");
	else if (!d->cli->json && p->count)
		printf("Done: %zu change%s.\n", p->count, p->count == 1 ? "" : "s");
	if (!d->cli->json && d->without_password)
		printf("%zu new account%s no password yet: postroom account password ADDRESS\n", d->without_password,
		       d->without_password == 1 ? " has" : "s have");
	return code;
}

/* ---- the verb ---- */

static int export_all(struct cli *cli, struct directory *dir)
{
	struct declared d = { 0 };
	int code = cli_fault("directory", declared_load(dir, &d));

	for (size_t i = 0; i < d.count && code == EXIT_DONE; i++)
		printf("%s %s%s\n", declared_kind_name(d.things[i].kind), d.things[i].key, d.things[i].text);
	(void)cli;
	declared_done(&d);
	return code;
}

static int read_file(struct cli *cli, struct directory *dir, struct declared *out)
{
	bool is_good = declared_read(dir, cli->file, cli->file == stdin ? "standard input" : cli->args[0], out);

	if (!is_good)
		complain(NULL, "nothing was changed");
	return is_good ? EXIT_DONE : EXIT_USAGE;
}

static int apply(struct cli *cli, struct directory *dir, struct plan *p)
{
	struct conf *conf = NULL;
	int code = read_file(cli, dir, &p->want);

	if (code == EXIT_DONE)
		code = cli_fault("directory", declared_load(dir, &p->have));
	if (code != EXIT_DONE)
		return code;
	make_plan(p);
	show(cli, p);
	if (cli_option(cli, "dry-run") || !p->count)
		return EXIT_DONE;
	if (!cli_option(cli, "yes")) {
		if (cli->json || strcmp(cli->args[0], "-") == 0 || !isatty(STDIN_FILENO)) {
			complain("add --yes when that is meant", "nothing was changed");
			return EXIT_USAGE;
		}
		if (!is_agreed(p)) {
			printf("Nothing was changed.\n");
			return EXIT_FAILED;
		}
	}
	code = open_conf(cli, &conf);
	if (code == EXIT_DONE) {
		struct doing d = { cli, dir, (uint32_t)conf->auth.scram_iterations, 0 };

		code = carry_out(&d, p);
	}
	conf_unref(&conf);
	return code;
}

static int run_apply(struct cli *cli)
{
	bool is_export = cli_option(cli, "export") != NULL;
	struct plan p = { .count = 0 };
	struct directory *dir = NULL;

	if (is_export == (cli->arg_count > 0))
		return cli_usage(cli, "name a file, or give --export");
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = is_export ? export_all(cli, dir) : apply(cli, dir, &p);
	free(p.changes);
	declared_done(&p.have);
	declared_done(&p.want);
	directory_close(&dir);
	return code;
}

const struct verb apply_verbs[] = {
	{ .noun = "apply", .args = "[FILE]", .args_max = 1, .needs_root = true, .reads_file = true,
	  .summary = "Make domains, accounts, aliases and grants what a file says; the differences are shown first",
	  .example = "apply /etc/postroom/accounts --dry-run", .run = run_apply,
	  .options = { { "yes", NULL, "do not ask" },
		       { "dry-run", NULL, "show the differences and change nothing" },
		       { "export", NULL, "print what is there now as such a file" } } },
	{ .noun = NULL },
};
