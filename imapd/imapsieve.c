#include "imapd/imapsieve.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define MESSAGES_PER_STEP 16
#define FLAGS_MAX 4096

struct imapsieve {
	struct filter_event event;
	struct buf mailbox, script, flags;
	struct uidset uids;
	uint32_t next;                  /* UID */
};

static void write_flags(const struct flag_change *change, struct buf *out)
{
	static const struct { uint32_t flag; const char *name; } names[] = {
		{ FLAG_SEEN, "\\Seen" }, { FLAG_ANSWERED, "\\Answered" }, { FLAG_FLAGGED, "\\Flagged" }, { FLAG_DELETED, "\\Deleted" },
		{ FLAG_DRAFT, "\\Draft" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (change->flags & names[i].flag)
			(void)buf_appendf(out, "%s%s", out->len ? " " : "", names[i].name);
	for (size_t i = 0; i < change->keyword_count; i++)
		(void)buf_appendf(out, "%s%.*s", out->len ? " " : "", SV_FMT(change->keywords[i]));
}

void imapsieve_note(struct command *c, struct sv mailbox, enum filter_cause cause, const struct uidset *uids,
		    const struct flag_change *changed)
{
	struct imapsieve *x;
	struct buf script;
	struct fault f;

	if (c->events || !uids->count || !c->room->filters || !capability_has(c->room->on, CAP_IMAPSIEVE))
		return;
	buf_init(&script, SCRIPT_NAME_MAX);
	f = filter_event_script(c->room->user, mailbox, &script);
	if (f.kind)
		log_warn(c->log, "imapsieve.annotation", KV_SV("mailbox", mailbox), KV_FAULT("fault", f));
	if (f.kind || !script.len) {
		buf_done(&script);
		return;
	}
	x = xcalloc(1, sizeof(*x));
	x->script = script;
	buf_init(&x->mailbox, MAILBOX_NAME_MAX + 1);
	buf_init(&x->flags, FLAGS_MAX);
	(void)buf_append(&x->mailbox, mailbox);
	if (changed)
		write_flags(changed, &x->flags);
	uidset_copy(&x->uids, uids);
	x->event = (struct filter_event){
		.filters = c->room->filters, .user = c->room->user, .address = c->room->account,
		.hostname = sv_z(c->room->conf->host.hostname), .mailbox = buf_sv(&x->mailbox), .script = buf_sv(&x->script),
		.cause = cause, .changed_flags = x->flags.len ? buf_sv(&x->flags) : SV(""),
	};
	c->events = x;
}

enum step imapsieve_step(struct command *c)
{
	struct imapsieve *x = c->events;

	for (int n = 0; x && n < MESSAGES_PER_STEP; n++) {
		uint32_t uid = uidset_next(&x->uids, x->next);
		struct fault f;

		if (!uid) {
			imapsieve_done(c);
			return STEP_DONE;
		}
		f = filter_event_run(&x->event, uid);
		if (f.kind)             /* the client's command is done all the same */
			log_warn(c->log, "imapsieve.failed", KV_SV("mailbox", x->event.mailbox), KV_U64("uid", uid),
				 KV_FAULT("fault", f));
		if (uid == UINT32_MAX) {
			imapsieve_done(c);
			return STEP_DONE;
		}
		x->next = uid + 1;
	}
	return x ? STEP_MORE : STEP_DONE;
}

void imapsieve_done(struct command *c)
{
	struct imapsieve *x = c->events;

	if (!x)
		return;
	buf_done(&x->mailbox);
	buf_done(&x->script);
	buf_done(&x->flags);
	uidset_done(&x->uids);
	free(x);
	c->events = NULL;
}
