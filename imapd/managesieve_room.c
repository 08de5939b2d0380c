/* imapd/managesieve_room.c - after login: the account's scripts (RFC 5804 §2.5 to §2.12). Each command is one job. */
#include "common/directory.h"
#include "common/events.h"
#include "common/identity.h"
#include "imapd/managesieve_private.h"
#include "maildir/filter.h"

#include "common/banned.h"

/* ---- opening ---- */

static void open_run(struct ms_job *job)
{
	struct ms_session *s = job->session;
	struct maildir_user *user = NULL;
	struct directory_account account;
	struct quota quota;

	job->result = directory_account_by_id(s->house->directory, identity_account(s->identity), &account);
	if (job->result.kind)
		return;
	quota = (struct quota){ account.quota_bytes, account.quota_messages };
	job->result = maildir_user_open(s->house->store, s->identity, &quota, &user);
	if (!job->result.kind)
		job->result = scripts_open_user(user, &job->scripts);
	maildir_user_close(&user);
}

static enum ms_step open_finish(struct ms_session *s, struct ms_job *job)
{
	if (job->result.kind) {
		log_error(&s->log, "managesieve.account.failed", KV_FAULT("fault", job->result));
		roster_leave(&s->guest);
		identity_unref(&s->identity);
		return ms_no(s, "TRYLATER", "The account cannot be opened now, try again later");
	}
	ms_enter(s, MS_KNOWN);
	return ms_ok(s, "Logged in");
}

enum ms_step ms_room_enter(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, open_run, open_finish));
}

enum ms_step ms_do_unauthenticate(struct ms_session *s)
{
	scripts_close(&s->scripts);
	roster_leave(&s->guest);
	identity_unref(&s->identity);
	ms_door_open(s);
	ms_enter(s, MS_STRANGER);
	return ms_ok(s, "Who are you?");
}

/* ---- answers ---- */

/* What is wrong with a script: a line for each error, as RFC 5804 §2.6 shows. */
static enum ms_step answer_errors(struct ms_session *s, const struct sieve_errors *errors)
{
	struct buf text;
	enum ms_step step;

	buf_init(&text, 16384);
	for (size_t i = 0; i < errors->count; i++) {
		const struct sieve_error *e = &errors->list[i];

		(void)buf_appendf(&text, "%s%s%sline %u, column %u: %s", i ? "\r\n" : "", e->script, *e->script ? ": " : "", e->line,
				  e->column, e->text);
	}
	step = ms_reply(s, "NO", NULL, buf_sv(&text));
	buf_done(&text);
	return step;
}

static enum ms_step answer(struct ms_session *s, const char *what, const struct ms_job *job)
{
	if (job->errors.count)
		return answer_errors(s, &job->errors);
	return job->result.kind ? ms_fault(s, what, job->result) : ms_ok(s, "Done");
}

/* ---- checking and storing ---- */

static void check_run(struct ms_job *job)
{
	if (job->text.len > job->quota.size)
		job->result = fault(FAULT_LIMIT, "script too large");
	else
		job->result = filter_check(job->session->house->filters, job->scripts, buf_sv(&job->text), &job->errors);
}

static enum ms_step check_finish(struct ms_session *s, struct ms_job *job)
{
	return answer(s, "checkscript", job);
}

enum ms_step ms_do_checkscript(struct ms_session *s)
{
	struct ms_job *job = ms_job_new(s, check_run, check_finish);
	struct sv text;

	if (ms_grammar_string(&s->grammar, 0, &text))   /* the one string is the script, not a name */
		(void)buf_append(&job->text, text);
	return ms_job_start(s, job);
}

static void put_run(struct ms_job *job)
{
	job->result = scripts_fits(job->scripts, buf_sv(&job->name), job->text.len, &job->quota);
	if (!job->result.kind)
		job->result = filter_check(job->session->house->filters, job->scripts, buf_sv(&job->text), &job->errors);
	if (!job->result.kind)
		job->result = scripts_put(job->scripts, buf_sv(&job->name), buf_sv(&job->text), &job->quota);
}

static enum ms_step put_finish(struct ms_session *s, struct ms_job *job)
{
	return answer(s, "putscript", job);
}

enum ms_step ms_do_putscript(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, put_run, put_finish));
}

static void space_run(struct ms_job *job)
{
	job->result = scripts_fits(job->scripts, buf_sv(&job->name), job->size, &job->quota);
}

static enum ms_step space_finish(struct ms_session *s, struct ms_job *job)
{
	return answer(s, "havespace", job);
}

enum ms_step ms_do_havespace(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, space_run, space_finish));
}

/* ---- reading ---- */

static bool list_one(void *arg, const struct script_info *info)
{
	struct buf *out = arg;

	return ms_put_string(out, info->name) && (!info->is_active || buf_append(out, SV(" ACTIVE"))) && buf_append(out, SV("\r\n"));
}

static void list_run(struct ms_job *job)
{
	job->result = scripts_list(job->scripts, list_one, &job->out);
	(void)buf_append(&job->out, SV("OK\r\n"));
}

static enum ms_step out_finish(struct ms_session *s, struct ms_job *job)
{
	return job->result.kind ? ms_fault(s, "read", job->result) : ms_send(s, &job->out);
}

enum ms_step ms_do_listscripts(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, list_run, out_finish));
}

static void get_run(struct ms_job *job)
{
	struct buf text;

	buf_init(&text, SIEVE_SCRIPT_MAX);
	job->result = scripts_get(job->scripts, buf_sv(&job->name), &text);
	/* A literal: what the script holds cannot break out of it. */
	if (!job->result.kind && (!buf_appendf(&job->out, "{%zu}\r\n", text.len) || !buf_append(&job->out, buf_sv(&text)) ||
				  !buf_append(&job->out, SV("\r\nOK\r\n"))))
		job->result = fault(FAULT_LIMIT, "script too large");
	buf_done(&text);
}

enum ms_step ms_do_getscript(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, get_run, out_finish));
}

/* ---- changing ---- */

static void active_run(struct ms_job *job)
{
	job->result = scripts_activate(job->scripts, buf_sv(&job->name));
}

static void delete_run(struct ms_job *job)
{
	job->result = scripts_remove(job->scripts, buf_sv(&job->name));
}

static void rename_run(struct ms_job *job)
{
	job->result = scripts_rename(job->scripts, buf_sv(&job->name), buf_sv(&job->text));
}

static enum ms_step change_finish(struct ms_session *s, struct ms_job *job)
{
	return answer(s, "change", job);
}

enum ms_step ms_do_setactive(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, active_run, change_finish));
}

enum ms_step ms_do_deletescript(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, delete_run, change_finish));
}

enum ms_step ms_do_renamescript(struct ms_session *s)
{
	return ms_job_start(s, ms_job_new(s, rename_run, change_finish));
}
