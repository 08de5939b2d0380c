#include "imapd/settings.h"

#include <stdlib.h>

#include "common/directory.h"
#include "common/identity.h"
#include "common/memory.h"
#include "common/work.h"
#include "maildir/rulebook.h"
#include "maildir/store.h"

#include "common/banned.h"

#define JOB_MAX (64u << 10)     /* octets of a request's texts: CONTROL_LINE_MAX */

struct settings_job {
	struct work work;
	struct settings_house house;
	struct scripts_quota limits;
	struct control_reply *reply;
	struct arena arena;             /* of the texts of the request */
	struct sv address, account;
	bool is_change, is_on;
	struct sv message, subject, from, until;
	/* The answer. */
	struct quota_usage usage;
	struct rules *rules;
	bool rules_are_edited;
	struct fault fault;
};

static struct sv take(struct settings_job *job, const struct json *request, const char *name)
{
	struct sv text;

	return json_get_sv(request, name, &text) ? arena_copy(&job->arena, sv_trim(text)) : SV_NONE;
}

/* ---- on a pool thread ---- */

static struct fault open_account(struct settings_job *job, struct maildir_user **user)
{
	struct directory_account account;
	struct fault f = directory_account_get(job->house.directory, job->address, &account);

	if (f.kind)
		return f;
	/* The address may be somebody else's by now. */
	if (!sv_eq(sv_z(account.id), job->account))
		return fault(FAULT_NOT_FOUND, "there is no such account");

	struct quota quota = { account.quota_bytes, account.quota_messages };
	struct auth_identity *id = identity_for_web(sv_z(account.address), sv_z(account.id));

	f = maildir_user_open(job->house.store, id, &quota, user);
	identity_unref(&id);
	return f;
}

/* What the person wants to say, or a sentence on what cannot be. */
static struct fault check_vacation(const struct settings_job *job)
{
	if (!job->message.len)
		return fault(FAULT_INVALID, "Write what is to be answered.");
	if (job->message.len > SETTINGS_MESSAGE_MAX || job->subject.len > SETTINGS_SUBJECT_MAX)
		return fault(FAULT_INVALID, "The answer or its subject is too long.");
	for (size_t i = 0; i < job->subject.len; i++)
		if ((unsigned char)job->subject.p[i] < ' ' || job->subject.p[i] == 0x7f)
			return fault(FAULT_INVALID, "The subject has to be one line.");
	if ((job->from.len && !rules_is_day(job->from)) || (job->until.len && !rules_is_day(job->until)))
		return fault(FAULT_INVALID, "A day is written like 2026-12-24.");
	if (job->from.len && job->until.len && sv_cmp(job->from, job->until) > 0)
		return fault(FAULT_INVALID, "The last day is before the first.");
	return FAULT_OK;
}

static struct fault change_vacation(struct settings_job *job, struct scripts *scripts)
{
	struct rules *r = job->rules;
	struct fault f = job->is_on ? check_vacation(job) : FAULT_OK;

	if (f.kind)
		return f;
	if (job->is_on) {
		/* How often, and what else was set by the administrator, stays. */
		r->vacation.is_set = true;
		r->vacation.message = job->message;
		r->vacation.subject = job->subject;
		r->vacation.from = job->from;
		r->vacation.until = job->until;
	} else {
		memset(&r->vacation, 0, sizeof(r->vacation));
	}
	f = rulebook_write(scripts, job->house.filters, r, &job->limits, NULL);
	if (f.kind == FAULT_INVALID || f.kind == FAULT_LIMIT || f.kind == FAULT_QUOTA)
		return fault(FAULT_INVALID, "This answer cannot be stored. Make it shorter, or ask your administrator.");
	return f;
}

static void run(struct work *work)
{
	struct settings_job *job = CONTAINER_OF(work, struct settings_job, work);
	struct maildir_user *user = NULL;
	struct scripts *scripts = NULL;
	struct fault f = open_account(job, &user);

	if (!f.kind && !job->is_change)
		f = maildir_user_quota(user, &job->usage);
	if (!f.kind)
		f = scripts_open_user(user, &scripts);
	if (!f.kind)
		f = rulebook_read(scripts, job->rules);
	if (f.kind == FAULT_INVALID) {
		job->rules_are_edited = true;
		f = job->is_change ? fault(FAULT_INVALID, "Your mail filter was edited by hand. Change the answer there.") : FAULT_OK;
	} else if (!f.kind && job->is_change) {
		f = change_vacation(job, scripts);
	}
	scripts_close(&scripts);
	maildir_user_close(&user);
	job->fault = f;
}

/* ---- on the loop ---- */

static void answer(struct settings_job *job)
{
	const struct rules *r = job->rules;
	struct json_out *j = control_line(job->reply);

	json_out_u64(j, "bytes", job->usage.bytes);
	json_out_u64(j, "bytes_max", job->usage.bytes_max);
	json_out_u64(j, "messages", job->usage.messages);
	json_out_u64(j, "messages_max", job->usage.messages_max);
	json_out_bool(j, "rules_are_edited", job->rules_are_edited);
	json_out_object(j, "vacation");
	json_out_bool(j, "on", r->vacation.is_set && !job->rules_are_edited);
	if (!job->rules_are_edited) {
		json_out_sv(j, "message", r->vacation.message);
		json_out_sv(j, "subject", r->vacation.subject);
		json_out_sv(j, "from", r->vacation.from);
		json_out_sv(j, "until", r->vacation.until);
	}
	json_out_object_end(j);
	(void)control_line_end(job->reply);
}

static void finish(struct settings_job *job, struct fault f)
{
	if (!f.kind && !job->is_change)
		answer(job);
	control_finish(&job->reply, f);
	rules_done(job->rules);
	free(job->rules);
	arena_done(&job->arena);
	free(job);
}

static void done(struct work *work, bool is_cancelled)
{
	struct settings_job *job = CONTAINER_OF(work, struct settings_job, work);

	finish(job, is_cancelled ? fault(FAULT_UNAVAILABLE, "the server is stopping") : job->fault);
}

static void start(const struct settings_house *house, const struct json *request, struct control_reply *reply, bool is_change)
{
	struct settings_job *job = xcalloc(1, sizeof(*job));
	struct fault f;

	job->house = *house;
	job->limits = (struct scripts_quota){ house->conf->scripts, house->conf->script_size };
	job->reply = reply;
	job->is_change = is_change;
	job->rules = xcalloc(1, sizeof(*job->rules));
	rules_init(job->rules);
	arena_init(&job->arena, JOB_MAX);
	job->address = take(job, request, "address");
	job->account = take(job, request, "account");
	(void)json_get_bool(request, "on", &job->is_on);
	job->message = take(job, request, "message");
	job->subject = take(job, request, "subject");
	job->from = take(job, request, "from");
	job->until = take(job, request, "until");
	job->work.run = run;
	job->work.done = done;
	f = work_submit(house->loop, WORK_MAIL, &job->work);
	if (f.kind)
		finish(job, f);
}

void settings_show(const struct settings_house *house, const struct json *request, struct control_reply *reply)
{
	start(house, request, reply, false);
}

void settings_vacation(const struct settings_house *house, const struct json *request, struct control_reply *reply)
{
	start(house, request, reply, true);
}
