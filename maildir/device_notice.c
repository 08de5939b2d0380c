/* maildir/device_notice.c - see device_notice.h. */
#include "maildir/device_notice.h"

#include <string.h>

#include "common/date.h"
#include "common/log.h"
#include "maildir/files.h"
#include "maildir/incoming.h"

#include "common/banned.h"

#define MESSAGE_MAX 8192

static void append_fact(struct buf *out, const char *what, struct sv value)
{
	if (value.len)
		buf_appendf(out, "  %-10s %.*s\r\n", what, SV_FMT(value));
}

/* RFC 3834 §5 keeps vacation programs from answering it. What the program said about itself is the peer's text, with its control
 * characters replaced, and stands in the body only. */
static bool device_notice_write(const struct logins_device *d, struct sv address, struct buf *out)
{
	size_t at = sv_rfind(address, '@');
	struct sv domain = at == SIZE_MAX ? SV("@localhost") : sv_sub(address, at, address.len);
	char id[FILES_TEMP_LEN];

	files_temp_name("device", id);
	buf_appendf(out, "From: Mail server <postmaster%.*s>\r\nTo: <%.*s>\r\nSubject: A new device uses your mailbox\r\n"
		    "Message-ID: <%s%.*s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nDate: ",
		    SV_FMT(domain), SV_FMT(address), id, SV_FMT(domain));
	date_append_5322(out, date_now());
	buf_append(out, SV("\r\n\r\nThis is a message of your mail server.\r\n\r\nSomebody logged in to your mailbox with a device "
			   "that was not seen before:\r\n\r\n"));
	append_fact(out, "Device", d->name);
	append_fact(out, "Program", d->client);
	append_fact(out, "Password", d->number ? d->credential : SV("the mailbox's own"));
	append_fact(out, "By", d->protocol);
	append_fact(out, "From", d->address);
	append_fact(out, "TLS", d->tls.len ? d->tls : SV("none"));
	return buf_append(out, SV("\r\nIf that was you, there is nothing to do. If not, change your password now, and tell whoever "
				  "runs this mail server.\r\n"));
}

static struct fault put(struct store *store, struct sv address, struct sv text)
{
	struct maildir_drop *drop = NULL;
	struct incoming *in = NULL;
	struct fault f = maildir_drop_open(store, address, NULL, &drop);        /* no quota: this one message may pass it */

	if (!f.kind)
		f = incoming_new(NULL, drop, text.len, &in);
	if (!f.kind)
		f = incoming_write(in, text);
	if (!f.kind)
		f = incoming_finish(in);
	if (!f.kind) {
		struct delivery place = { .drop = drop, .mailbox = SV("INBOX") };

		f = incoming_deliver(in, &place, 1);
	}
	incoming_free(&in);
	maildir_drop_close(&drop);
	return f;
}

void device_notice(void *arg, const struct logins_device *d)
{
	const struct device_notice *to = arg;
	struct directory_account account;
	struct buf text;
	struct fault f = directory_account_by_id(to->directory, d->account, &account);

	buf_init(&text, MESSAGE_MAX);
	if (!f.kind && !device_notice_write(d, sv_z(account.address), &text))
		f = fault(FAULT_LIMIT, "text of a notice");
	if (!f.kind)
		f = put(to->store, sv_z(account.address), buf_sv(&text));
	buf_done(&text);
	if (f.kind)
		log_warn(NULL, "login.device.untold", KV_SV("account", d->account), KV_FAULT("fault", f));
	else
		log_info(NULL, "login.device.new", KV_Z("account", account.address), KV_SV("device", d->name),
			 KV_SV("peer", d->address));
}
