/* address, header, exists, size, envelope (RFC 5228 §5; RFC 5233, 5260 §6, 5703 §4, 6009 §4). */
#include "common/sieve/sieve_private.h"

#include "common/address.h"
#include "common/charset.h"

#include "common/banned.h"

/* ---- while compiling ---- */

static void check_names(struct sieve_compiler *c, const struct sieve_arg *names)
{
	for (uint32_t i = 0; i < names->count; i++)
		if (!(names->is_dynamic && sieve_is_dynamic(names->strings[i])) && !sieve_is_field_name(names->strings[i]))
			sieve_complain(c, names->at, "\"%.*s\" is no name of a header field", SV_FMT(sv_sub(names->strings[i], 0, 60)));
}

static void check_parts(struct sieve_compiler *c, const struct sieve_call *call)
{
	const struct sieve_arg *child = sieve_arg_of(call, SLOT_ANYCHILD), *option = sieve_arg_of(call, SLOT_MIME_OPTION);

	if (sieve_arg_of(call, SLOT_MIME))
		return;
	if (child || option)            /* RFC 5703 §4.1 */
		sieve_complain(c, call->at, "the option \":%.*s\" needs \":mime\"", SV_FMT((child ? child : option)->tag));
}

static void check_index(struct sieve_compiler *c, const struct sieve_call *call)
{
	const struct sieve_arg *index = sieve_arg_of(call, SLOT_INDEX), *last = sieve_arg_of(call, SLOT_LAST);

	if (index && !index->number)
		sieve_complain(c, index->at, "\":index\" counts from 1");
	if (last && !index)             /* RFC 5260 §6 */
		sieve_complain(c, last->at, "\":last\" needs \":index\"");
}

void sieve_check_header(struct sieve_compiler *c, struct sieve_call *call)
{
	check_names(c, sieve_arg_of(call, SLOT_FIRST));
	check_parts(c, call);
	check_index(c, call);
	sieve_check_match(c, call, SLOT_SECOND);
}

void sieve_check_exists(struct sieve_compiler *c, struct sieve_call *call)
{
	check_names(c, sieve_arg_of(call, SLOT_FIRST));
	check_parts(c, call);
}

/* RFC 5228 §5.1: the test is for fields that hold addresses. */
static bool holds_addresses(struct sv name)
{
	static const char *const names[] = {
		"from", "to", "cc", "bcc", "sender", "reply-to", "resent-from", "resent-to", "resent-cc", "resent-bcc",
		"resent-sender", "resent-reply-to", "return-path", "delivered-to", "envelope-to", "x-envelope-to", "x-original-to",
		"original-recipient", "final-recipient", "errors-to", "mail-followup-to", "mail-reply-to", "return-receipt-to",
		"disposition-notification-to", "abuse-reports-to", "complaints-to", "list-post", "approved", "x-sender", "x-to",
		"x-cc", "x-original-from", "original-from", "apparently-to",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (sv_eq_nocase(sv_z(names[i]), name))
			return true;
	return false;
}

void sieve_check_address(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *names = sieve_arg_of(call, SLOT_FIRST);

	check_names(c, names);
	for (uint32_t i = 0; i < names->count && !sieve_arg_of(call, SLOT_MIME); i++)
		if (!(names->is_dynamic && sieve_is_dynamic(names->strings[i])) && sieve_is_field_name(names->strings[i]) &&
		    !holds_addresses(names->strings[i]))
			sieve_complain(c, names->at, "the header field \"%.*s\" holds no addresses; test it with \"header\"",
				       SV_FMT(sv_sub(names->strings[i], 0, 60)));
	check_parts(c, call);
	check_index(c, call);
	sieve_check_match(c, call, SLOT_SECOND);
}

enum envelope_part { ENVELOPE_NONE = 0, ENVELOPE_FROM, ENVELOPE_TO, ENVELOPE_AUTH, ENVELOPE_NOTIFY, ENVELOPE_ORCPT,
	ENVELOPE_RET, ENVELOPE_ENVID };

static enum envelope_part find_envelope_part(struct sv name)
{
	static const char *const names[] = { "", "from", "to", "auth", "notify", "orcpt", "ret", "envid" };

	for (size_t i = 1; i < ARRAY_LEN(names); i++)
		if (sv_eq_nocase(sv_z(names[i]), name))
			return (enum envelope_part)i;
	return ENVELOPE_NONE;
}

void sieve_check_envelope(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *parts = sieve_arg_of(call, SLOT_FIRST);

	for (uint32_t i = 0; i < parts->count; i++) {
		enum envelope_part part = find_envelope_part(parts->strings[i]);

		if (parts->is_dynamic && sieve_is_dynamic(parts->strings[i]))
			continue;
		if (!part || (part > ENVELOPE_AUTH && !(c->caps & CAP_BIT(CAP_ENVELOPE_DSN))))
			sieve_complain(c, parts->at, part ? "the envelope part \"%.*s\" needs: require \"envelope-dsn\";" :
				       "the envelope has no part \"%.*s\"", SV_FMT(sv_sub(parts->strings[i], 0, 40)));
		else if (part > ENVELOPE_AUTH && sieve_arg_of(call, SLOT_ADDRESS_PART))
			sieve_complain(c, parts->at, "the envelope part \"%.*s\" is no address that could be cut into parts",
				       SV_FMT(parts->strings[i]));
	}
	sieve_check_match(c, call, SLOT_SECOND);
}

/* ---- addresses ---- */

static enum sieve_address_part part_of(const struct sieve_call *c)
{
	const struct sieve_arg *part = sieve_arg_of(c, SLOT_ADDRESS_PART);

	return part ? (enum sieve_address_part)part->value : PART_ALL;
}

/* Try one address; what it does not have does not match (RFC 5228 §2.7.4, RFC 5233 §4). */
static bool try_address(struct sieve_matcher *m, enum sieve_address_part part, struct sv local, struct sv domain, bool is_null)
{
	struct sieve_run *r = m->r;
	struct sv user, tag;
	bool has_tag;

	if (is_null)                    /* RFC 5228 §5.4: <> is the empty text, whatever the part */
		return sieve_matcher_try(m, SV(""));
	if (!domain.len && part != PART_ALL)
		return false;
	has_tag = address_split_tag(local, r->host->tag_separator ? r->host->tag_separator : '+', &user, &tag);
	switch (part) {
	case PART_ALL:
		buf_clear(&r->value);
		(void)(buf_append(&r->value, local) && (!domain.len || (buf_append_c(&r->value, '@') && buf_append(&r->value, domain))));
		return sieve_matcher_try(m, buf_sv(&r->value));
	case PART_LOCAL: return sieve_matcher_try(m, local);
	case PART_DOMAIN: return sieve_matcher_try(m, domain);
	case PART_USER: return sieve_matcher_try(m, user);
	case PART_DETAIL: return has_tag && sieve_matcher_try(m, tag);
	}
	return false;
}

static bool try_address_field(struct sieve_matcher *m, enum sieve_address_part part, const struct sieve_field *f)
{
	struct address_list list;
	struct address_item item;
	bool is_enough = false;

	address_list_init(&list, sieve_field_raw_value(f));
	while (!is_enough && sieve_charge(m->r, 16) && address_list_next(&list, &item))
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			is_enough = try_address(m, part, item.mailbox, item.host, !item.mailbox.len && !item.host.len);
	address_list_done(&list);
	sieve_charge(m->r, f->len);
	return is_enough;
}

bool sieve_test_address(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST);
	struct sieve_matcher m;
	struct sieve_blocks blocks;
	bool is_enough = false;

	sieve_matcher_init(&m, r, c, SLOT_SECOND);
	sieve_blocks_init(&blocks, r, c);
	while (!is_enough && sieve_blocks_next(&blocks, r))
		for (uint32_t i = 0; i < names->count && !is_enough; i++) {
			struct sieve_walk walk;
			struct sv name = sieve_text(r, names, i);

			if (!sieve_arg_of(c, SLOT_MIME) && !holds_addresses(name))
				continue;
			sieve_walk_init(&walk, &blocks.fields, name, c);
			for (uint32_t at; !is_enough && (at = sieve_walk_next(&walk)) != UINT32_MAX; )
				is_enough = try_address_field(&m, part_of(c), &blocks.fields.list[at]);
			sieve_charge(r, blocks.fields.count);
		}
	return sieve_matcher_end(&m);
}

static bool try_path(struct sieve_matcher *m, enum sieve_address_part part, struct sv path)
{
	size_t at = sv_rfind(path, '@');

	return try_address(m, part, sv_sub(path, 0, at), at == SIZE_MAX ? SV("") : sv_sub(path, at + 1, SIZE_MAX), !path.len);
}

bool sieve_test_envelope(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *parts = sieve_arg_of(c, SLOT_FIRST);
	const struct sieve_envelope *e = r->envelope;
	struct sieve_matcher m;
	struct sv rest, word;

	if (!sieve_is_delivery(r, "envelope"))          /* RFC 6785 §4.6 */
		return false;
	sieve_matcher_init(&m, r, c, SLOT_SECOND);
	for (uint32_t i = 0; i < parts->count && !m.has_matched && !r->has_failed; i++) {
		enum envelope_part part = find_envelope_part(sieve_text(r, parts, i));

		if (part > ENVELOPE_AUTH && !sieve_has(r, CAP_ENVELOPE_DSN))
			continue;
		switch (part) {
		case ENVELOPE_NONE: break;
		case ENVELOPE_FROM: (void)try_path(&m, part_of(c), e->from); break;
		case ENVELOPE_TO: (void)try_path(&m, part_of(c), e->to); break;
		case ENVELOPE_AUTH:
			if (e->auth.p)
				(void)try_path(&m, part_of(c), e->auth);
			break;
		case ENVELOPE_NOTIFY:   /* each condition is a value */
			for (rest = e->notify; e->notify.p && sv_split(&rest, ',', &word); )
				if (sieve_matcher_try(&m, word))
					break;
			break;
		case ENVELOPE_ORCPT: if (e->orcpt.p) (void)sieve_matcher_try(&m, e->orcpt); break;
		case ENVELOPE_RET: if (e->ret.p) (void)sieve_matcher_try(&m, e->ret); break;
		case ENVELOPE_ENVID: if (e->envid.p) (void)sieve_matcher_try(&m, e->envid); break;
		}
	}
	return sieve_matcher_end(&m);
}

/* ---- header ---- */

/* RFC 5703 §4.1: an aspect of a Content-* field. */
static bool try_aspect(struct sieve_matcher *m, const struct sieve_arg *option, const struct sieve_field *f)
{
	struct sieve_run *r = m->r;
	bool is_type = sv_eq_nocase(sieve_field_name(f), SV("Content-Type"));
	bool is_disposition = sv_eq_nocase(sieve_field_name(f), SV("Content-Disposition"));
	struct header_content content = { 0 };
	struct arena a;
	bool is_enough = false;

	arena_init(&a, SIEVE_PART_MEMORY / 2);
	(void)header_parse_content(&a, sieve_field_raw_value(f), &content);
	sieve_charge(r, f->len);
	if (option->value == MIME_OPT_PARAM) {
		for (uint32_t i = 0; i < option->count && !is_enough; i++) {
			struct sv name = sieve_text(r, option, i);

			for (size_t k = 0; k < content.param_count && !is_enough; k++) {
				const struct header_param *p = &content.params[k];

				if (!sv_eq_nocase(p->name, name))
					continue;
				buf_clear(&r->value);
				if (p->is_extended)
					(void)charset_to_utf8(p->charset, p->value, &r->value);
				else
					(void)charset_decode_words(p->value, &r->value);
				is_enough = sieve_matcher_try(m, buf_sv(&r->value));
			}
		}
	} else {
		buf_clear(&r->value);
		if (option->value == MIME_OPT_SUBTYPE) {
			(void)buf_append(&r->value, is_type ? content.subtype : SV(""));
		} else if (is_type || is_disposition) {
			(void)buf_append(&r->value, content.type);
			if (option->value == MIME_OPT_CONTENTTYPE && is_type && content.subtype.len)
				(void)(buf_append_c(&r->value, '/') && buf_append(&r->value, content.subtype));
		}
		/* §4.1 a: only what parsed is counted */
		if (r->value.len || m->match->type != MATCH_COUNT)
			is_enough = sieve_matcher_try(m, buf_sv(&r->value));
	}
	arena_done(&a);
	return is_enough;
}

bool sieve_test_header(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST), *option = sieve_arg_of(c, SLOT_MIME_OPTION);
	struct sieve_matcher m;
	struct sieve_blocks blocks;
	bool is_enough = false;

	sieve_matcher_init(&m, r, c, SLOT_SECOND);
	sieve_blocks_init(&blocks, r, c);
	while (!is_enough && sieve_blocks_next(&blocks, r))
		for (uint32_t i = 0; i < names->count && !is_enough; i++) {
			struct sieve_walk walk;

			sieve_walk_init(&walk, &blocks.fields, sieve_text(r, names, i), c);
			for (uint32_t at; !is_enough && (at = sieve_walk_next(&walk)) != UINT32_MAX; ) {
				const struct sieve_field *f = &blocks.fields.list[at];

				is_enough = option ? try_aspect(&m, option, f) : sieve_matcher_try(&m, sieve_field_text(r, f));
			}
			sieve_charge(r, blocks.fields.count);
		}
	return sieve_matcher_end(&m);
}

bool sieve_test_exists(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST);
	struct sieve_blocks blocks;

	sieve_blocks_init(&blocks, r, c);
	while (sieve_blocks_next(&blocks, r)) {
		uint32_t i = 0;

		for (; i < names->count; i++) {
			struct sieve_walk walk;

			sieve_walk_init(&walk, &blocks.fields, sieve_text(r, names, i), c);
			if (!sieve_charge(r, blocks.fields.count) || sieve_walk_next(&walk) == UINT32_MAX)
				break;
		}
		if (i == names->count)
			return true;
	}
	return false;
}

bool sieve_test_size(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *limit = sieve_arg_of(c, SLOT_SIZE);
	uint64_t size = r->mail->message->wire_size;

	if (!limit)
		return false;
	return limit->value ? size > limit->number : size < limit->number;      /* §5.9: neither when equal */
}
