/* Commands and actions in words: what the dry run prints and a log may hold. */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

#define TEXT_SHOWN 60

/* In quotation marks, one line, cut. */
static void append_text(struct buf *out, struct sv s)
{
	bool is_cut = s.len > TEXT_SHOWN;

	s.len = is_cut ? TEXT_SHOWN : s.len;
	while (is_cut && s.len && ((unsigned char)s.p[s.len] & 0xc0) == 0x80)
		s.len--;
	(void)buf_append_c(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '\n')
			(void)buf_append(out, SV("\\n"));
		else if ((unsigned char)c >= 32 && c != 127)
			(void)((c != '"' && c != '\\') || buf_append_c(out, '\\')), (void)buf_append_c(out, c);
	}
	(void)buf_append(out, is_cut ? SV("...\"") : SV("\""));
}

static void append_list(struct buf *out, const struct sv *list, size_t count)
{
	if (count != 1)
		(void)buf_append_c(out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i)
			(void)buf_append(out, SV(", "));
		append_text(out, list[i]);
	}
	if (count != 1)
		(void)buf_append_c(out, ']');
}

void sieve_call_describe(const struct sieve_call *c, struct buf *out)
{
	(void)buf_append(out, sv_z(c->row->name));
	for (uint32_t i = 0; i < c->arg_count; i++) {
		const struct sieve_arg *a = &c->args[i];

		(void)buf_append_c(out, ' ');
		if (a->tag.len)
			(void)buf_appendf(out, ":%.*s%s", SV_FMT(a->tag), a->kind == ARG_TAG ? "" : " ");
		if (a->kind == ARG_NUMBER)
			(void)buf_append_u64(out, a->number);
		else if (a->kind == ARG_STRING || a->kind == ARG_LIST)
			append_list(out, a->strings, a->count);
	}
}

static void append_detail(struct buf *out, const char *what, struct sv value)
{
	if (!value.len)
		return;
	(void)buf_appendf(out, ", %s ", what);
	append_text(out, value);
}

static void append_flags(struct buf *out, const char *what, const struct sv *flags, size_t count)
{
	if (!count)
		return;
	(void)buf_appendf(out, ", %s", what);
	for (size_t i = 0; i < count; i++)
		(void)(buf_append_c(out, ' ') && buf_append(out, flags[i]));
}

bool sieve_action_describe(const struct sieve_action *a, struct buf *out)
{
	static const char *const names[] = { "nothing", "keep", "fileinto", "redirect to", "discard", "reject with", "reject with",
					     "answer", "notify", "note as seen" };
	size_t before = out->len;

	(void)buf_append(out, sv_z(names[a->kind]));
	if (a->kind == SIEVE_KEEP && a->is_implicit)
		(void)buf_append(out, SV(" (because nothing else was done)"));
	if (a->kind == SIEVE_EREJECT)
		(void)buf_append(out, SV(" (in the protocol)"));
	const struct sv first[] = { a->mailbox, a->address, a->method, a->kind == SIEVE_SEEN ? a->handle : SV_NONE };
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		if (first[i].len) {
			(void)buf_append_c(out, ' ');
			append_text(out, first[i]);
		}
	if (a->kind == SIEVE_REJECT || a->kind == SIEVE_EREJECT) {
		(void)buf_append_c(out, ' ');
		append_text(out, a->text);
	} else {
		append_detail(out, a->kind == SIEVE_NOTIFY ? "message" : "text", a->text);
	}
	if (a->create)
		(void)buf_append(out, SV(", made if missing"));
	append_detail(out, "special use", a->special_use);
	append_detail(out, "mailbox id", a->mailbox_id);
	append_flags(out, "flags", a->flags, a->flag_count);
	append_detail(out, "subject", a->subject);
	append_detail(out, "from", a->from);
	append_detail(out, "dsn notify", a->dsn_notify);
	append_detail(out, "dsn ret", a->dsn_ret);
	if (a->kind == SIEVE_VACATION || a->kind == SIEVE_SEEN)
		(void)buf_appendf(out, ", remembered for %u seconds", a->seconds);
	if (a->kind == SIEVE_NOTIFY)
		(void)buf_appendf(out, ", importance %u", a->importance);
	append_detail(out, "copy in", a->fcc);
	append_flags(out, "copy's flags", a->fcc_flags, a->fcc_flag_count);
	return !a->header.p ? out->len > before : buf_append(out, SV(", with its header edited"));
}
