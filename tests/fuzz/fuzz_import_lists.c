/* Lists of other servers: each parser on the same octets. What is told of them is always well-formed. */
#include "common/fault.h"
#include "maildir/import_lists.h"
#include "maildir/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool on_entry(void *arg, const struct list_entry *e)
{
	const struct list_head *head = arg;

	if (!e->file.len || sv_find(e->file, ':') != SIZE_MAX || sv_find(e->file, '\n') != SIZE_MAX)
		BUG("an entry without a file name");
	if (e->len && !box_facts_is_uidl(sv_z(e->uidl)))
		BUG("an id that POP3 cannot say");
	if (e->uid && e->uid >= head->uidnext)
		BUG("a UID that is not below UIDNEXT");
	return true;
}

static bool on_keyword(void *arg, uint32_t number, struct sv name)
{
	(void)arg;
	(void)number;
	if (!name.len)
		BUG("a keyword without a name");
	return true;
}

static bool on_numbers(void *arg, struct sv file, struct sv numbers)
{
	(void)arg;
	(void)numbers;
	if (sv_find(file, ':') != SIZE_MAX)
		BUG("a file name with flags");
	return true;
}

static bool on_name(void *arg, struct sv name)
{
	struct buf checked;

	(void)arg;
	buf_init(&checked, MAILBOX_NAME_MAX + 1);
	if (mailbox_name_check(name, &checked).kind || !sv_eq(buf_sv(&checked), name))
		BUG("a mailbox name that is not canonical");
	buf_done(&checked);
	return true;
}

static void check_facts(struct sv in)
{
	struct box_facts f, again;
	struct buf out;

	if (box_facts_parse(in, &f).kind)
		return;
	buf_init(&out, FACTS_MAX);
	if (box_facts_write(&f, &out).kind || box_facts_parse(buf_sv(&out), &again).kind || again.count != f.count)
		BUG("facts changed by writing them");
	box_facts_done(&again);
	box_facts_done(&f);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = { (const char *)data, size };
	struct list_head head;
	struct buf uidl;

	(void)!list_courier_pop3(in, &head, on_entry, &head).kind;
	list_dovecot_keywords(in, on_keyword, NULL);
	list_courier_keywords(in, on_keyword, on_numbers, NULL);
	list_subscriptions(in, '.', on_name, NULL);
	list_subscriptions(in, '/', on_name, NULL);
	check_facts(in);
	(void)!list_uids(in, &head, on_entry, &head).kind;
	buf_init(&uidl, 4096);
	if (uidl_format(in, 7, 1795292441, SV("1.M1.vm,S=19"), &uidl) && !box_facts_is_uidl(buf_sv(&uidl)))
		BUG("a format that makes no id");
	buf_done(&uidl);
	return 0;
}
