#include "smtpd/receipt.h"

#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/relay/dsn.h"

#include "common/banned.h"

static bool is_asked(const struct accept_rcpt *r, struct sv *original)
{
	struct sv value, item;
	bool asked = false;

	*original = SV_NONE;
	for (size_t i = 0; i < r->param_count; i++) {
		value = r->params[i];
		if (sv_starts_nocase(value, SV("ORCPT=")))
			*original = sv_sub(value, 6, SIZE_MAX);
		if (!sv_starts_nocase(value, SV("NOTIFY=")))
			continue;
		sv_skip(&value, 7);
		while (sv_split(&value, ',', &item))
			asked |= sv_eq_nocase(item, SV("SUCCESS"));
	}
	return asked;
}

/* is_delivered - here; what is sent on is the relay's to tell. */
static bool is_delivered(const struct accept_rcpt *r)
{
	for (const struct accept_place *p = r->places; p; p = p->next)
		if (p->kind == ACCEPT_MAILBOX)
			return true;
	return false;
}

static size_t collect(const struct outlet_source *source, const struct outlet_result *results, struct dsn_rcpt *rcpts)
{
	size_t i = 0, count = 0;

	for (const struct accept_rcpt *r = source->plan->rcpts; r; r = r->next, i++) {
		struct sv original;

		if (!results[i].fault.kind && is_asked(r, &original) && is_delivered(r))
			rcpts[count++] = (struct dsn_rcpt){ .address = r->address, .original = original,
							    .action = DSN_DELIVERED, .status = SV("2.0.0"),
							    .at_s = source->trace->now.seconds };
	}
	return count;
}

static struct fault send_one(const struct outlet_source *source, const struct dsn_rcpt *rcpts, size_t count,
			 const struct log_ctx *log)
{
	const struct envelope *mail = source->mail;
	char id[QUEUE_ID_LEN + 1];
	/* A stranger hears from the domain that he wrote to. */
	struct sv voice = source->is_ours ? mail->sender : rcpts[0].address;
	size_t at = sv_rfind(voice, '@');
	struct dsn d = { .notice = SPOOL_NOTICE_SUCCESS, .hostname = source->trace->hostname, .to = mail->sender,
			 .original_id = mail->facts[ENVELOPE_ID], .now = source->trace->now,
			 .received_s = mail->received_s, .rcpts = rcpts, .count = count };
	struct buf from, text;
	struct fault f;

	queue_new_id(id);
	d.id = sv_z(id);
	buf_init(&from, 512);
	buf_init(&text, DSN_MAX);
	(void)buf_appendf(&from, "postmaster@%.*s", SV_FMT(sv_sub(voice, at + 1, SIZE_MAX)));
	d.from = buf_sv(&from);
	(void)envelope_param(mail->params, SV("ENVID"), &d.envelope_id);
	f = dsn_write(&d, &text) ? outlet_send(source->queue, id, &mail->sender, 1, SV_NONE, buf_sv(&text), log)
				 : fault(FAULT_LIMIT, "a receipt too long");
	buf_done(&from);
	buf_done(&text);
	return f;
}

void receipt_send(const struct outlet_source *source, const struct outlet_result *results, const struct log_ctx *log)
{
	struct dsn_rcpt *rcpts;
	size_t count;
	struct fault f = FAULT_OK;

	if (!source->mail->sender.len || !source->plan->rcpt_count || !source->is_believed ||
	    (source->plan->is_junk && !source->is_ours))
		return;
	rcpts = xcalloc(source->plan->rcpt_count, sizeof(*rcpts));
	count = collect(source, results, rcpts);
	if (count)
		f = send_one(source, rcpts, count, log);
	if (f.kind)
		log_error(log, "receipt.lost", KV_SV("queue_id", source->mail->facts[ENVELOPE_ID]), KV_FAULT("fault", f));
	free(rcpts);
}
