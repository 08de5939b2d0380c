/* maildir/filter_notice.c - see filter.h: telling people that their filter is broken. */
#include <stdio.h>

#include "common/crypt.h"
#include "common/date.h"
#include "common/log.h"
#include "maildir/filter_private.h"

#include "common/banned.h"

#define NOTICE_MAX 4096
#define NOTICE_SECONDS 86400            /* one for each text of a script and so long */

static bool write_notice(struct buf *out, const struct filter_request *q, const struct filter_error *e)
{
	char id[25];

	crypt_random_text(id, sizeof(id) - 1);
	return buf_append(out, SV("Date: ")) && date_append_5322(out, date_now()) &&
	       buf_appendf(out, "\r\nFrom: Mail filter <postmaster@%.*s>\r\nTo: <%.*s>\r\n"
			   "Subject: Your mail filter does not work\r\nMessage-ID: <%s@%.*s>\r\n"
			   "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
			   "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
			   SV_FMT(q->hostname), SV_FMT(q->account), id, SV_FMT(q->hostname)) &&
	       buf_appendf(out, "Your mail filter \"%s\" could not be used for a message, which was therefore put into\r\n"
			   "your inbox. No mail was lost. What is wrong:\r\n\r\n"
			   "  line %u, column %u: %s\r\n\r\n"
			   "This notice comes at most once a day for the same script.\r\n",
			   e->script, e->error.line, e->error.column, e->error.text);
}

static struct fault deliver(const struct filter_request *q, struct sv text)
{
	struct incoming *notice = NULL;
	struct delivery place = { .drop = q->drop, .mailbox = SV("INBOX") };
	struct fault f = incoming_new(NULL, q->drop, NOTICE_MAX, &notice);

	if (!f.kind)
		f = incoming_write(notice, text);
	if (!f.kind)
		f = incoming_finish(notice);
	if (!f.kind)
		f = incoming_deliver(notice, &place, 1);
	incoming_free(&notice);
	return f;
}

void filter_tell(struct filter_result *result)
{
	const struct filter_request *q = filter_request_of(result);
	struct scripts *scripts = filter_scripts(result);
	const struct filter_error *e = &result->error;
	struct buf text;
	struct fault f;

	/* What is wrong with a script for everybody is the administrator's to see, in the log. */
	if (!e->is_set || !e->is_own)
		return;
	buf_init(&text, NOTICE_MAX);
	(void)buf_appendf(&text, "%s:%u:%u: %s", e->script, e->error.line, e->error.column, e->error.text);
	scripts_note_error(scripts, buf_sv(&text));
	buf_clear(&text);
	(void)buf_appendf(&text, "e%s:%s", e->script, e->text_digest);
	f = scripts_note_seen(scripts, buf_sv(&text), NOTICE_SECONDS, false);
	buf_clear(&text);
	if (!f.kind && write_notice(&text, q, e))
		f = deliver(q, buf_sv(&text));
	buf_done(&text);
	if (f.kind && f.kind != FAULT_EXISTS)
		log_warn(NULL, "sieve.notice", KV_SV("account", q->account), KV_FAULT("fault", f));
}
