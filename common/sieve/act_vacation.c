/* vacation (RFC 5230, 6131): every rule about whom not to answer, and what the answer is made of. */
#include "common/sieve/sieve_private.h"

#include "common/address.h"
#include "common/crypt.h"

#include "common/banned.h"

#define DAY 86400u
#define SUBJECT_MAX 256
#define DEFAULT_DAYS 7

static bool is_from(struct sv text)
{
	struct address_list list;
	struct address_item item;
	uint32_t good = 0, bad = 0;

	address_list_init(&list, text);
	while (address_list_next(&list, &item))
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			item.mailbox.len && item.host.len ? good++ : bad++;
	address_list_done(&list);
	return good && !bad;
}

void sieve_check_vacation(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *from = sieve_arg_of(call, SLOT_FROM);

	if (from && !from->is_dynamic && !is_from(from->strings[0]))
		sieve_complain(c, from->at, "\"%.*s\" is no mail address", SV_FMT(sv_sub(from->strings[0], 0, 60)));
	sieve_check_fcc(c, call);
}

/* ---- whom not to answer ---- */

static bool is_own(struct sieve_run *r, const struct sieve_arg *more, struct sv address)
{
	struct sv bare;

	if (sv_eq_nocase(address, r->envelope->to))
		return true;
	for (size_t i = 0; i < r->host->address_count; i++)
		if (sv_eq_nocase(address, r->host->addresses[i]))
			return true;
	for (uint32_t i = 0; more && i < more->count; i++)
		if (sieve_is_address(&r->scratch, sieve_text(r, more, i), &bare) && sv_eq_nocase(address, bare))
			return true;
	return false;
}

/* RFC 5230 §4.6 and RFC 3834 §2: addresses behind which there is no person. */
static bool is_robot(struct sv address)
{
	static const char *const whole[] = { "mailer-daemon", "listserv", "majordomo", "noreply", "no-reply" };
	struct sv local = sv_sub(address, 0, sv_rfind(address, '@'));

	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (sv_eq_nocase(local, sv_z(whole[i])))
			return true;
	return sv_starts_nocase(local, SV("owner-")) ||
	       (local.len > 8 && sv_eq_nocase(sv_sub(local, local.len - 8, 8), SV("-request")));
}

static bool is_to_owner(struct sieve_run *r, const struct sieve_arg *more, const struct sieve_field *f)
{
	struct address_list list;
	struct address_item item;
	bool is_found = false;
	struct buf text;

	buf_init(&text, ADDRESS_PATH_MAX * 2);
	address_list_init(&list, sieve_field_raw_value(f));
	while (!is_found && sieve_charge(r, 64) && address_list_next(&list, &item)) {
		buf_clear(&text);
		if (item.kind == ADDRESS_ITEM_MAILBOX && buf_append(&text, item.mailbox) && buf_append_c(&text, '@') &&
		    buf_append(&text, item.host))
			is_found = is_own(r, more, buf_sv(&text));
	}
	address_list_done(&list);
	buf_done(&text);
	return is_found;
}

/* NULL: answer it; else why not. */
static const char *why_not(struct sieve_run *r, const struct sieve_call *c)
{
	static const char *const receivers[] = { "To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc" };
	const struct sieve_arg *more = sieve_arg_of(c, SLOT_ADDRESSES);
	const struct sieve_fields *fields = sieve_message_fields(r);
	bool is_to_me = false;

	if (!r->envelope->from.len)
		return "the message has no sender";
	if (is_robot(r->envelope->from))
		return "the sender is a program";
	if (is_own(r, more, r->envelope->from))
		return "the sender is the recipient";
	for (uint32_t i = 0; i < fields->count; i++) {
		const struct sieve_field *f = &fields->list[i];
		struct sv name = sieve_field_name(f);

		if (sv_starts_nocase(name, SV("List-")))
			return "the message comes from a mailing list";
		if (sv_eq_nocase(name, SV("Auto-Submitted")) && !sv_starts_nocase(sieve_field_text(r, f), SV("no")))
			return "the message was sent by a program";
		if (sv_eq_nocase(name, SV("Precedence"))) {
			struct sv how = sieve_field_text(r, f);

			if (sv_eq_nocase(how, SV("bulk")) || sv_eq_nocase(how, SV("list")) || sv_eq_nocase(how, SV("junk")))
				return "the message is bulk mail";
		}
		if (sv_eq_nocase(name, SV("X-Auto-Response-Suppress"))) {       /* [MS-OXCMAIL] 2.2.3.2.14 */
			struct sv how = sieve_field_text(r, f);
			struct sv word;

			while (sv_split(&how, ',', &word))
				if (sv_eq_nocase(sv_trim(word), SV("All")) || sv_eq_nocase(sv_trim(word), SV("OOF")))
					return "the message asks not to be answered";
		}
		for (size_t k = 0; k < ARRAY_LEN(receivers) && !is_to_me; k++)
			if (sv_eq_nocase(name, sv_z(receivers[k])))
				is_to_me = is_to_owner(r, more, f);
	}
	return is_to_me ? NULL : "the message is not addressed to the recipient (see \":addresses\")";
}

/* ---- the answer ---- */

static struct sv default_subject(struct sieve_run *r)
{
	const struct sieve_fields *fields = sieve_message_fields(r);
	struct sv subject = SV_NONE;
	struct buf out;

	for (uint32_t i = 0; i < fields->count && !subject.len; i++)
		if (sv_eq_nocase(sieve_field_name(&fields->list[i]), SV("Subject")))
			subject = sieve_field_text(r, &fields->list[i]);
	if (!subject.len)
		return SV("Automated reply");
	if (subject.len > SUBJECT_MAX) {
		subject.len = SUBJECT_MAX;
		while (subject.len && ((unsigned char)subject.p[subject.len] & 0xc0) == 0x80)
			subject.len--;
	}
	buf_init(&out, SUBJECT_MAX + 16);
	(void)(buf_append(&out, SV("Auto: ")) && buf_append(&out, subject));    /* RFC 5230 §4.3 */
	subject = sieve_kept(r, buf_sv(&out));
	buf_done(&out);
	return subject;
}

/* RFC 5230 §4.2: without a handle, answers written alike are the same answer; variables are not filled in for that. */
static struct sv default_handle(struct sieve_run *r, const struct sieve_call *c)
{
	static const enum sieve_slot parts[] = { SLOT_SUBJECT, SLOT_FROM, SLOT_FIRST };
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t digest[CRYPT_HASH_MAX];
	struct buf text;
	struct sv handle;

	buf_init(&text, 2 * CRYPT_HASH_MAX + 32);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct sieve_arg *arg = sieve_arg_of(c, parts[i]);
		struct sv part = arg ? arg->strings[0] : SV("");

		buf_clear(&text);
		(void)buf_appendf(&text, "%zu:", part.len);     /* counted: no two lists of parts look alike */
		crypt_digest_add(d, buf_sv(&text));
		crypt_digest_add(d, part);
	}
	crypt_digest_add(d, sieve_arg_of(c, SLOT_IS_MIME) ? SV("m") : SV("t"));
	size_t n = crypt_digest_get(d, digest);
	crypt_digest_free(&d);
	buf_clear(&text);
	for (size_t i = 0; i < n; i++)
		(void)buf_appendf(&text, "%02x", digest[i]);
	handle = sieve_kept(r, buf_sv(&text));
	buf_done(&text);
	return handle;
}

static uint32_t seconds_of(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *given = sieve_arg_of(c, SLOT_DAYS);
	uint64_t seconds = given ? given->number > UINT32_MAX ? UINT64_MAX : given->number * (uint64_t)given->value :
			   (uint64_t)DEFAULT_DAYS * DAY;
	uint64_t min = r->host->vacation_seconds_min ? r->host->vacation_seconds_min : DAY;
	uint64_t max = r->host->vacation_seconds_max ? r->host->vacation_seconds_max : 90 * DAY;

	if (given && given->value == 1 && !given->number)
		return 0;               /* RFC 6131 §2: answer every time */
	if (given && given->value == 1 && !r->host->vacation_seconds_min)
		min = 1;
	seconds = seconds < min ? min : seconds;
	return (uint32_t)(seconds > max ? max : seconds);
}

static bool is_one_line(struct sv s)
{
	return sv_find(s, '\r') == SIZE_MAX && sv_find(s, '\n') == SIZE_MAX;
}

void sieve_act_vacation(struct sieve_run *r, const struct sieve_call *c)
{
	struct sv reason = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);
	struct sv subject = sieve_text(r, sieve_arg_of(c, SLOT_SUBJECT), 0), from = sieve_text(r, sieve_arg_of(c, SLOT_FROM), 0);
	const struct sieve_host *host = r->host;
	const char *why;

	if (!sieve_is_delivery(r, "vacation"))
		return;
	if (r->has_vacation) {          /* RFC 5230 §4.7 */
		sieve_fail(r, "\"vacation\" is used twice");
		return;
	}
	for (size_t i = 0; i < r->result->action_count; i++)
		if (r->result->actions[i].kind == SIEVE_REJECT || r->result->actions[i].kind == SIEVE_EREJECT) {
			sieve_fail(r, "the message is rejected and answered at once");
			return;
		}
	if (from.len && !is_from(from)) {
		sieve_fail(r, "\"%.*s\" is no mail address", SV_FMT(sv_sub(from, 0, 60)));
		return;
	}
	r->has_vacation = true;
	why = why_not(r, c);
	if (why) {
		sieve_trace(r, "vacation: no answer, because %s", why);
		return;
	}
	struct sv handle = sieve_arg_of(c, SLOT_HANDLE) ? sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_HANDLE), 0)) :
			   default_handle(r, c);
	uint32_t seconds = seconds_of(r, c);
	if (seconds && host->is_answered && host->is_answered(host->arg, handle, r->envelope->from, seconds)) {
		sieve_trace(r, "vacation: no answer, because %.*s had one", SV_FMT(r->envelope->from));
		return;
	}
	struct sieve_action *a = sieve_add_action(r, SIEVE_VACATION);
	if (!a)
		return;
	a->address = sieve_kept(r, r->envelope->from);
	a->text = sieve_kept(r, reason);
	/* A line end here would begin a header field of the script's choosing, or of the sender's, through variables. */
	a->subject = subject.len && is_one_line(subject) ? sieve_kept(r, subject) : default_subject(r);
	if (from.len && is_one_line(from))
		a->from = sieve_kept(r, from);
	a->handle = handle;
	a->seconds = seconds;
	a->is_mime = sieve_arg_of(c, SLOT_IS_MIME) != NULL;
	sieve_take_fcc(r, c, a);
	sieve_trace(r, "vacation: answer %.*s", SV_FMT(a->address));
}
