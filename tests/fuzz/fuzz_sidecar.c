/* Sidecars of each kind. The fuzzer cannot guess a checksum, so the target also tries its input with a right one. */
#include <stdlib.h>

#include "common/crc32c.h"
#include "common/fault.h"
#include "maildir/flaglog.h"
#include "maildir/metadata.h"
#include "maildir/seen_private.h"
#include "maildir/sidecar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct sv in)
{
	struct sidecar_mailbox m, m2;
	struct sidecar_account a;
	struct sidecar_subscriptions s;
	struct buf out;

	buf_init(&out, SIDECAR_MAX);
	if (!sidecar_mailbox_parse(in, &m).kind) {
		if (sidecar_mailbox_write(&m, &out).kind || sidecar_mailbox_parse(buf_sv(&out), &m2).kind ||
		    m2.id != m.id || m2.keywords.count != m.keywords.count)
			BUG("sidecar changed by writing it");
		sidecar_mailbox_done(&m2);
		sidecar_mailbox_done(&m);
	}
	struct metadata notes, notes2;
	struct uidset seen = { 0 };

	buf_clear(&out);
	if (!metadata_parse(in, &notes).kind) {
		if (metadata_write(&notes, &out).kind || metadata_parse(buf_sv(&out), &notes2).kind ||
		    notes2.count != notes.count)
			BUG("annotations changed by writing them");
		metadata_done(&notes2);
		metadata_done(&notes);
	}
	seen_parse(in, 1795288000, &seen);
	uidset_done(&seen);
	if (!sidecar_account_parse(in, &a).kind)
		sidecar_account_done(&a);
	if (!sidecar_subscriptions_parse(in, &s).kind)
		sidecar_subscriptions_done(&s);
	buf_done(&out);
}

static bool on_record(void *arg, const struct flag_record *r)
{
	(void)arg;
	if (!r->box)
		BUG("a record without a mailbox");
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = { (const char *)data, size };
	struct buf with;

	check(in);
	flaglog_parse(in, on_record, NULL);
	buf_init(&with, SIDECAR_MAX);
	if (size < 65536 && buf_append(&with, in) && (!size || with.p[with.len - 1] == '\n' || buf_append_c(&with, '\n')) &&
	    buf_appendf(&with, "crc %08x\n", crc32c(buf_sv(&with))))
		check(buf_sv(&with));
	buf_done(&with);
	return 0;
}
