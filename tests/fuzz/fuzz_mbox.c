/* mbox files: whole and cut input say the same, and what goes in comes out or was taken out for a reason. */
#include "common/fault.h"
#include "maildir/import_mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	struct buf text;
	uint64_t octets;
	bool is_open;
};

static bool on_begin(void *arg)
{
	struct told *t = arg;

	if (t->is_open)
		BUG("a message in a message");
	t->is_open = true;
	return buf_append(&t->text, SV("\1"));
}

static bool on_octets(void *arg, struct sv run)
{
	struct told *t = arg;

	if (!t->is_open || !run.len)
		BUG("octets of no message");
	t->octets += run.len;
	return buf_append(&t->text, run);
}

static bool on_end(void *arg, const struct mbox_meta *m)
{
	struct told *t = arg;

	t->is_open = false;
	if (m->uidl[0] && !box_facts_is_uidl(sv_z(m->uidl)))
		BUG("an id that POP3 cannot say");
	return buf_appendf(&t->text, "\2%x %u %u %s %s %s", m->flags, m->uid, m->uidvalidity, m->keywords, m->all_keywords,
			   m->uidl);
}

static const struct mbox_sink sink = { on_begin, on_octets, on_end };

static void read_cut(struct sv in, size_t step, struct told *t)
{
	struct mbox_reader r;

	*t = (struct told){ 0 };
	buf_init(&t->text, (size_t)64 << 20);
	mbox_init(&r, &sink, t);
	for (size_t at = 0; at < in.len; at += step)
		mbox_feed(&r, sv_sub(in, at, step));
	if (!mbox_end(&r) || t->is_open)
		BUG("the reader stopped by itself");
	mbox_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = { (const char *)data, size };
	struct told whole, cut;

	read_cut(in, size ? size : 1, &whole);
	read_cut(in, size % 7 + 1, &cut);
	if (!sv_eq(buf_sv(&whole.text), buf_sv(&cut.text)))
		BUG("cutting the input changes what it says");
	if (whole.octets > size)
		BUG("more octets than there were");
	buf_done(&whole.text);
	buf_done(&cut.text);
	return 0;
}
