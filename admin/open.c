#include "admin/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/print.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/directory_delegate.h"
#include "common/identity.h"
#include "common/instance.h"
#include "common/memory.h"
#include "maildir/store.h"

#include "common/banned.h"

/* print_conf_report - the errors of a configuration file, one line each. */
static void print_conf_report(const struct conf_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct conf_error *e = &report->errors[i];
		if (e->line)
			fprintf(stderr, "%s:%u: %s\n", e->file, e->line, e->text);
		else
			fprintf(stderr, "%s: %s\n", e->file, e->text);
	}
	if (report->more)
		fprintf(stderr, "... and more: only the first %d are shown\n", CONF_ERRORS_MAX);
}

int open_conf_file(struct cli *cli, const char *path, struct conf **out)
{
	struct conf_report report = { 0 };
	struct fault f = conf_load(path, cli->root, &report, out);
	int code = EXIT_DONE;

	if (f.kind && report.count) {
		print_conf_report(&report);
		code = EXIT_FAILED;
	} else if (f.kind) {
		code = cli_fault(path, f);
	}
	conf_report_done(&report);
	return code;
}

int open_conf(struct cli *cli, struct conf **out)
{
	return open_conf_file(cli, instance_path(cli->instance, INSTANCE_CONF), out);
}

int open_directory(struct cli *cli, struct directory **out)
{
	struct fault f = directory_open(instance_path(cli->instance, INSTANCE_DIRECTORY), false, out);

	if (!f.kind && cli->delegate)
		directory_narrow(*out, cli->delegate);
	return f.kind ? cli_fault("account directory", f) : EXIT_DONE;
}

int list_accounts(struct cli *cli, const char *only, const char *domain, char ***out, size_t *count)
{
	struct directory_account account;
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	*out = NULL;
	*count = 0;
	if (code == EXIT_DONE && only) {
		code = cli_fault(only, directory_account_get(dir, sv_z(only), &account));
		*out = xcalloc(1, sizeof(**out));
		if (code == EXIT_DONE)
			(*out)[(*count)++] = xstrdup(account.address);
	} else if (code == EXIT_DONE) {
		code = cli_fault("accounts", directory_account_addresses(dir, sv_z(domain), out, count));
	}
	directory_close(&dir);
	return code;
}

int check_domain(struct directory *dir, const char *name)
{
	struct directory_domain domain;

	return name ? cli_fault(name, directory_domain_get(dir, sv_z(name), &domain)) : EXIT_DONE;
}

int open_store(struct cli *cli, struct store **out)
{
	struct conf *conf = NULL;
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	struct fault f = store_open_instance(cli->instance, conf, out);

	conf_unref(&conf);
	return f.kind ? cli_fault("mail store", f) : EXIT_DONE;
}

static int open_user_with(struct cli *cli, const char *address, bool has_quota, struct open_user *out)
{
	struct directory_account account;
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	*out = (struct open_user){ 0 };
	if (code != EXIT_DONE)
		return code;
	code = cli_fault(address, directory_account_get(dir, sv_z(address), &account));
	directory_close(&dir);
	if (code == EXIT_DONE)
		code = open_store(cli, &out->store);
	if (code != EXIT_DONE)
		return code;
	struct quota quota = { has_quota ? account.quota_bytes : 0, has_quota ? account.quota_messages : 0 };

	out->identity = identity_for_admin(sv_z(account.address), sv_z(account.id));
	code = cli_fault(address, maildir_user_open(out->store, out->identity, &quota, &out->user));
	if (code != EXIT_DONE)
		close_user(out);
	return code;
}

int open_user(struct cli *cli, const char *address, struct open_user *out)
{
	return open_user_with(cli, address, true, out);
}

int open_user_beyond_quota(struct cli *cli, const char *address, struct open_user *out)
{
	return open_user_with(cli, address, false, out);
}

void close_user(struct open_user *user)
{
	maildir_user_close(&user->user);
	identity_unref(&user->identity);
	store_close(&user->store);
}

#define BUSY_MS 3000                    /* how long "busy" is asked again */
#define BUSY_PAUSE_MS 100

struct asking {
	bool (*fn)(void *arg, const struct json *answer);
	void *arg;
	bool has_answer;
};

static bool on_answer(void *arg, const struct json *answer)
{
	struct asking *a = arg;

	a->has_answer = true;
	return a->fn(a->arg, answer);
}

/* A daemon that has just been started, or works on the very thing, is not busy for long. */
static struct fault ask_patiently(struct cli *cli, const char *daemon, struct sv request, struct asking *a)
{
	for (unsigned waited = 0;; waited += BUSY_PAUSE_MS) {
		struct fault f = control_ask(cli->instance, daemon, request, on_answer, a, 10000);

		if (f.kind != FAULT_BUSY || a->has_answer || waited >= BUSY_MS)
			return f;
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_MS * 1000000L }, NULL);
	}
}

bool paging_take(struct paging *place, const struct json *line)
{
	struct sv more, until;

	if (!json_get_sv(line, "more", &more) || !json_get_sv(line, "until", &until) || more.len >= sizeof(place->more) ||
	    until.len >= sizeof(place->until))
		return false;
	snprintf(place->more, sizeof(place->more), "%.*s", SV_FMT(more));
	snprintf(place->until, sizeof(place->until), "%.*s", SV_FMT(until));
	return true;
}

void paging_put(struct paging *place, struct json_out *request)
{
	if (place->more[0]) {
		json_out_z(request, "after", place->more);
		json_out_z(request, "until", place->until);
	}
	*place = (struct paging){ "", "" };
}

int ask_daemon(struct cli *cli, const char *daemon, struct sv request,
	       bool (*fn)(void *arg, const struct json *answer), void *arg)
{
	struct asking asking = { .fn = fn, .arg = arg };
	struct fault f = ask_patiently(cli, daemon, request, &asking);

	if (f.kind == FAULT_UNAVAILABLE) {
		complain("postroom serve --detach", "%s does not answer%s%s", daemon, f.detail ? ": " : "",
		     f.detail ? f.detail : "");
		return EXIT_UNAVAILABLE;
	}
	return cli_fault(f.kind == FAULT_NOT_FOUND && f.detail ? "" : daemon, f);       /* its sentence is not about the daemon */
}
