/* Tests of what only the host knows: environment (RFC 5183), mailboxes (RFC 5490, 8579, 9042), lists (RFC 6134), spam and
 * viruses (RFC 5235), duplicates (RFC 7352); and ihave (RFC 5463). */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

#define DUPLICATE_SECONDS 604800u       /* RFC 7352 §3.3: about 7 days */
#define DUPLICATE_SECONDS_MAX 7776000u  /* 90 days */

bool sieve_test_environment(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_host *h = r->host;
	const struct { const char *name; struct sv value; } items[] = {
		{ "domain", h->domain }, { "host", h->host }, { "imap.cause", h->imap_cause },
		{ "imap.changedflags", h->imap_changedflags }, { "imap.email", h->imap_email }, { "imap.mailbox", h->imap_mailbox },
		{ "imap.user", h->imap_user }, { "location", h->location }, { "name", SV("Postroom") },
		{ "phase", h->phase }, { "remote-host", h->remote_host }, { "remote-ip", h->remote_ip },
		{ "version", sv_z(POSTROOM_VERSION) },
	};
	struct sv name = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);
	struct sieve_matcher m;

	sieve_matcher_init(&m, r, c, SLOT_SECOND);
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		if (sv_eq_nocase(sv_z(items[i].name), name)) {
			struct sv value = items[i].value;

			/* RFC 6785 §4.2, §4.5: at delivery nobody's, and empty */
			if (!value.p && sv_starts(sv_z(items[i].name), SV("imap.")) && sieve_has(r, CAP_IMAPSIEVE))
				value = SV("");
			if (!value.p)
				return false;   /* §4: unknown items fail */
			/* §4: :count is 0 for an empty text */
			if (value.len || c->match.type != MATCH_COUNT)
				(void)sieve_matcher_try(&m, value);
			return sieve_matcher_end(&m);
		}
	return false;
}

/* ---- mailboxes ---- */

bool sieve_test_mailboxexists(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST);

	for (uint32_t i = 0; i < names->count; i++)
		if (!r->host->mailbox_exists || !r->host->mailbox_exists(r->host->arg, sieve_text(r, names, i)))
			return false;
	return true;
}

bool sieve_test_mailboxidexists(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *ids = sieve_arg_of(c, SLOT_FIRST);

	for (uint32_t i = 0; i < ids->count; i++)
		if (!r->host->mailbox_id_exists || !r->host->mailbox_id_exists(r->host->arg, sieve_text(r, ids, i)))
			return false;
	return true;
}

bool sieve_test_specialuse_exists(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *mailbox = sieve_arg_of(c, SLOT_FIRST), *uses = sieve_arg_of(c, SLOT_SECOND);
	struct sv name = mailbox ? sieve_text(r, mailbox, 0) : SV_NONE;

	for (uint32_t i = 0; i < uses->count; i++)
		if (!r->host->special_use_exists || !r->host->special_use_exists(r->host->arg, name, sieve_text(r, uses, i)))
			return false;
	return true;
}

static bool has_annotation(struct sieve_run *r, struct sv mailbox, struct sv name)
{
	buf_clear(&r->value);
	return r->host->metadata && r->host->metadata(r->host->arg, mailbox, name, &r->value);
}

static bool try_annotation(struct sieve_run *r, const struct sieve_call *c, struct sv mailbox, struct sv name,
			   enum sieve_slot keys)
{
	struct sieve_matcher m;

	sieve_matcher_init(&m, r, c, keys);
	if (has_annotation(r, mailbox, name))
		(void)sieve_matcher_try(&m, buf_sv(&r->value));
	return sieve_matcher_end(&m);
}

bool sieve_test_metadata(struct sieve_run *r, const struct sieve_call *c)
{
	return try_annotation(r, c, sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0), sieve_text(r, sieve_arg_of(c, SLOT_SECOND), 0),
			      SLOT_THIRD);
}

bool sieve_test_servermetadata(struct sieve_run *r, const struct sieve_call *c)
{
	return try_annotation(r, c, SV_NONE, sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0), SLOT_SECOND);
}

bool sieve_test_metadataexists(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_SECOND);
	struct sv mailbox = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);

	for (uint32_t i = 0; i < names->count; i++)
		if (!has_annotation(r, mailbox, sieve_text(r, names, i)))
			return false;
	return true;
}

bool sieve_test_servermetadataexists(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST);

	for (uint32_t i = 0; i < names->count; i++)
		if (!has_annotation(r, SV_NONE, sieve_text(r, names, i)))
			return false;
	return true;
}

bool sieve_test_valid_ext_list(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *lists = sieve_arg_of(c, SLOT_FIRST);

	for (uint32_t i = 0; i < lists->count; i++)
		if (!r->host->list_exists || !r->host->list_exists(r->host->arg, sieve_text(r, lists, i)))
			return false;
	return true;
}

/* ---- verdicts ---- */

static bool try_number(struct sieve_run *r, const struct sieve_call *c, uint64_t n, bool is_known)
{
	struct sieve_matcher m;

	sieve_matcher_init(&m, r, c, SLOT_FIRST);
	buf_clear(&r->value);
	(void)buf_append_u64(&r->value, n);
	/* RFC 5235 §3.2.1: what was not tested counts 0 */
	if (is_known || c->match.type != MATCH_COUNT)
		(void)sieve_matcher_try(&m, buf_sv(&r->value));
	return sieve_matcher_end(&m);
}

bool sieve_test_spamtest(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_host *h = r->host;
	uint32_t percent = h->spam_percent < 100 ? h->spam_percent : 100;
	uint32_t score = sieve_arg_of(c, SLOT_PERCENT) ? percent : 1 + percent * 9 / 100;

	return try_number(r, c, h->has_spam_score ? score : 0, h->has_spam_score);
}

bool sieve_test_virustest(struct sieve_run *r, const struct sieve_call *c)
{
	return try_number(r, c, (uint64_t)r->host->virus, r->host->virus != SIEVE_VIRUS_UNKNOWN);
}

/* ---- duplicate ---- */

bool sieve_test_duplicate(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *source = sieve_arg_of(c, SLOT_HEADER), *handle = sieve_arg_of(c, SLOT_HANDLE);
	const struct sieve_arg *seconds = sieve_arg_of(c, SLOT_SECONDS);
	struct sv id = source ? sieve_text(r, source, 0) : SV("Message-ID");
	struct sieve_walk walk;
	struct sieve_action *a;
	struct buf whole;
	bool is_seen;

	if (!source || !source->value) {        /* the first field of that name; none: never a duplicate (§3.1) */
		const struct sieve_fields *fields = sieve_message_fields(r);

		sieve_walk_init(&walk, fields, id, c);
		walk.index = 0;
		uint32_t at = sieve_walk_next(&walk);
		if (at == UINT32_MAX)
			return false;
		id = sieve_scratch(r, sieve_field_text(r, &fields->list[at]));
	}
	if (!id.len || (seconds && !seconds->number))
		return false;
	/* One record for each id and handle: joined so that no two pairs look alike. */
	buf_init(&whole, SIEVE_VALUE_MAX);
	(void)(buf_append_u64(&whole, id.len) && buf_append_c(&whole, ':') && buf_append(&whole, id) &&
	       (!handle || buf_append(&whole, sieve_text(r, handle, 0))));
	struct sv key = sieve_kept(r, buf_sv(&whole));
	buf_done(&whole);
	is_seen = r->host->is_duplicate && r->host->is_duplicate(r->host->arg, key);
	for (size_t i = 0; i < r->result->action_count; i++)    /* asked before in this run: noted once */
		if (r->result->actions[i].kind == SIEVE_SEEN && sv_eq(r->result->actions[i].handle, key))
			return is_seen;
	if (is_seen && !sieve_arg_of(c, SLOT_LAST))             /* §3.3: its time runs from when it was first seen */
		return true;
	a = sieve_add_action(r, SIEVE_SEEN);
	if (a) {
		uint64_t n = seconds ? seconds->number : DUPLICATE_SECONDS;

		a->handle = key;
		a->seconds = n > DUPLICATE_SECONDS_MAX ? DUPLICATE_SECONDS_MAX : (uint32_t)n;
		a->is_last = sieve_arg_of(c, SLOT_LAST) != NULL;
	}
	return is_seen;
}

/* ---- ihave ---- */

void sieve_check_ihave(struct sieve_compiler *c, struct sieve_call *call)
{
	if (call->args[0].is_dynamic)           /* RFC 5463 §4 */
		sieve_complain(c, call->args[0].at, "\"ihave\" takes names without variables");
}

bool sieve_test_ihave(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST);
	uint64_t caps = 0;

	for (uint32_t i = 0; i < names->count; i++) {
		enum sieve_cap cap = sieve_cap_find(names->strings[i]);

		/* What changes the meaning of texts cannot come that late (§4). */
		if (!cap || ((cap == CAP_VARIABLES || cap == CAP_ENCODED_CHARACTER) && !sieve_has(r, cap)))
			return false;
		caps |= CAP_BIT(cap);
	}
	r->caps |= caps;
	if (caps & CAP_BIT(CAP_VACATION_SECONDS))
		r->caps |= CAP_BIT(CAP_VACATION);
	if (caps & CAP_BIT(CAP_SPAMTESTPLUS))
		r->caps |= CAP_BIT(CAP_SPAMTEST);
	return true;
}
