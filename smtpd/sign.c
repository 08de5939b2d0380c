#include "smtpd/sign.h"

#include <stdlib.h>

#include "common/address.h"
#include "common/transfer.h"
#include "smtpd/dkim_private.h"

#include "common/banned.h"

#define NAMES_MAX 8192          /* octets of h= */
#define FIELD_MAX 16384         /* octets of one signature */
#define FOLD_AT 72

struct signer {
	struct dkimkeys *ring;
	const struct dkimkey_set *keys; /* of the author; NULL: none, or a seal */
	int64_t now_s;
	struct canon_message message;
	struct buf names;               /* h= */
	struct crypt_digest *header[DKIMKEY_SIGNERS_MAX];       /* the fields that h= names, for each signature */
	bool is_seal, has_header;
	uint8_t body_hash[CANON_HASH];
	/* a seal's: */
	struct crypt_digest *sets;      /* the sets that are there */
	size_t set_count;
	bool is_broken;                 /* they are no chain */
};

/* What is signed when it is there (RFC 6376 §5.4.1), and what is signed once more than it is there, so that nobody can
 * add one: who wrote it, what people see, and what a mail program acts on (RFC 8058 §4). */
static const struct {
	const char *name;
	bool is_closed;
} signed_fields[] = {
	{ "From", true }, { "To", true }, { "Cc", true }, { "Subject", true }, { "Date", true },
	{ "Message-ID", true }, { "Reply-To", true }, { "Content-Type", true }, { "MIME-Version", true },
	{ "List-Unsubscribe", true }, { "List-Unsubscribe-Post", true }, { "Sender", false },
	{ "In-Reply-To", false }, { "References", false }, { "Content-Transfer-Encoding", false },
	{ "Resent-From", false }, { "Resent-To", false }, { "Resent-Date", false },
	{ "List-Id", false }, { "List-Help", false }, { "List-Post", false }, { "Autocrypt", false },
};

static struct signer *new_signer(struct dkimkeys *keys, int64_t now_s, bool is_seal)
{
	struct signer *s = xcalloc(1, sizeof(*s));

	s->ring = keys;
	s->now_s = now_s;
	s->is_seal = is_seal;
	canon_init(&s->message);
	buf_init(&s->names, NAMES_MAX);
	return s;
}

struct signer *signer_new(struct dkimkeys *keys, int64_t now_s)
{
	return new_signer(keys, now_s, false);
}

struct signer *signer_new_seal(struct dkimkeys *keys, int64_t now_s)
{
	return new_signer(keys, now_s, true);
}

void signer_free(struct signer **ps)
{
	struct signer *s = *ps;

	*ps = NULL;
	if (!s)
		return;
	dkimkeys_release(s->ring, &s->keys);
	canon_done(&s->message);
	buf_done(&s->names);
	for (size_t i = 0; i < ARRAY_LEN(s->header); i++)
		crypt_digest_free(&s->header[i]);
	crypt_digest_free(&s->sets);
	free(s);
}

/* ---- the header ---- */

static size_t count_fields(const struct canon_message *m, struct sv name)
{
	size_t n = 0;

	for (size_t i = 0; i < canon_field_count(m); i++)
		n += sv_eq_nocase(canon_field(m, i).name, name);
	return n;
}

/* add_name - times in h=, folded between names. False: too many. */
static bool add_name(struct buf *names, size_t *column, size_t *total, struct sv name, size_t times)
{
	*total += times;
	for (; times && *total <= CANON_NAMES_MAX; times--) {
		if (names->len && !buf_append_c(names, ':'))
			return false;
		if (*column + name.len > FOLD_AT) {
			if (!buf_append(names, SV("\r\n\t ")))
				return false;
			*column = 9;
		}
		if (!buf_append(names, name))
			return false;
		*column += name.len + 1;
	}
	return *total <= CANON_NAMES_MAX;
}

/* choose_names - false: more of them than anybody verifies. */
static bool choose_names(struct signer *s)
{
	size_t column = 8 + 2, total = 0;
	bool fits = true;

	for (size_t i = 0; i < ARRAY_LEN(signed_fields) && fits; i++) {
		struct sv name = sv_z(signed_fields[i].name);

		fits = add_name(&s->names, &column, &total, name,
				count_fields(&s->message, name) + signed_fields[i].is_closed);
	}
	/* The signatures that came say who wrote it: a seal covers them (RFC 8617 §4.1.2). */
	if (s->is_seal && fits)
		fits = add_name(&s->names, &column, &total, SV("DKIM-Signature"),
				count_fields(&s->message, SV("DKIM-Signature")));
	return fits;
}

/* find_author - the domain of the first address in From, in A-labels. */
static bool find_author(const struct canon_message *m, struct arena *arena, struct sv *domain)
{
	struct address_list list;
	struct address_item item;
	bool found = false;

	for (size_t i = 0; i < canon_field_count(m) && !found; i++) {
		struct canon_field f = canon_field(m, i);

		if (!sv_eq_nocase(f.name, SV("From")))
			continue;
		address_list_init(&list, f.value);
		while (!found && address_list_next(&list, &item))
			found = item.kind == ADDRESS_ITEM_MAILBOX && !address_domain(arena, item.host, domain).kind;
		address_list_done(&list);
	}
	return found;
}

static void hold_keys(struct signer *s)
{
	struct arena arena;
	struct sv domain;

	arena_init(&arena, 4096);
	if (find_author(&s->message, &arena, &domain))
		s->keys = dkimkeys_hold(s->ring, domain);
	arena_done(&arena);
}

static void read_sets(struct signer *s)
{
	struct arc_table table;

	arc_gather(&s->message, &table);
	s->set_count = table.count;
	s->is_broken = table.broken || table.count == DKIM_ARC_SETS_MAX;
	s->sets = crypt_digest_new(CRYPT_SHA256);
	for (size_t i = 0; i < table.count && !s->is_broken; i++)
		arc_add_set(&s->message, &table, i, false, s->sets);
}

static void end_header(struct signer *s)
{
	bool can_sign = !canon_is_over(&s->message) && count_fields(&s->message, SV("From")) && choose_names(s);
	size_t count = 0;

	if (can_sign && s->is_seal) {
		read_sets(s);
		count = !s->is_broken;
	} else if (can_sign) {
		hold_keys(s);
		count = s->keys ? s->keys->count : 0;
	}
	for (size_t i = 0; i < count; i++) {
		s->header[i] = crypt_digest_new(CRYPT_SHA256);
		if (!canon_add_named(&s->message, s->header[i], CANON_RELAXED, buf_sv(&s->names), SIZE_MAX))
			BUG("sign: %zu octets of names", s->names.len);
	}
	if (count)
		canon_want_body(&s->message, CANON_RELAXED);
	canon_forget_header(&s->message);
	s->has_header = true;
}

void signer_feed(struct signer *s, struct sv octets)
{
	if (!s->has_header && canon_header(&s->message, &octets))
		end_header(s);
	if (s->has_header)
		canon_body(&s->message, octets);
}

/* ---- signatures ---- */

static bool append_base64(struct buf *out, struct sv octets, bool is_folded)
{
	struct buf text;
	bool fits;

	buf_init(&text, 4 * CRYPT_SIGNATURE_MAX);
	fits = base64_encode(octets, &text);
	for (size_t at = 0; at < text.len && fits; at += FOLD_AT)
		fits = (!is_folded || buf_append(out, SV("\r\n\t "))) &&
		       buf_append(out, sv_sub(buf_sv(&text), at, is_folded ? FOLD_AT : text.len));
	buf_done(&text);
	return fits;
}

/* complete - the field ends in "b=": sign what the digest and the field give, and append it. */
static struct fault complete(struct buf *field, struct crypt_digest *digest, const struct crypt_private *key)
{
	uint8_t hash[CRYPT_HASH_MAX];
	struct buf signature;
	struct fault f;

	canon_add_field(digest, CANON_RELAXED, buf_sv(field), true);
	crypt_digest_get(digest, hash);
	buf_init(&signature, CRYPT_SIGNATURE_MAX);
	f = crypt_private_sign(key, hash, &signature);
	if (!f.kind && (!append_base64(field, buf_sv(&signature), true) || !buf_append(field, SV("\r\n"))))
		f = fault(FAULT_LIMIT, "no room for a signature");
	buf_done(&signature);
	return f;
}

/* append_signature - a DKIM-Signature, or an ARC-Message-Signature; "head" has its name and first tags. */
static struct fault append_signature(struct signer *s, struct crypt_digest *digest, const struct dkimkey_set *set,
				     const struct dkimkey_signer *key, struct buf *field)
{
	struct sv bh = sv_from((const char *)s->body_hash, CANON_HASH);
	const char *algorithm = crypt_private_type(key->key) == CRYPT_RSA ? "rsa-sha256" : "ed25519-sha256";

	if (!buf_appendf(field, " a=%s; c=relaxed/relaxed;\r\n\td=%s; s=%s; t=%lld;\r\n\th=", algorithm, set->domain,
			 key->selector, (long long)s->now_s) ||
	    !buf_append(field, buf_sv(&s->names)) || !buf_append(field, SV(";\r\n\tbh=")) ||
	    !append_base64(field, bh, false) || !buf_append(field, SV(";\r\n\tb=")))
		return fault(FAULT_LIMIT, "signature too long");
	return complete(field, digest, key->key);
}

/* end_message - the body's hash; false when nothing is to be signed. */
static bool end_message(struct signer *s)
{
	if (canon_header_finish(&s->message))
		end_header(s);
	if (!canon_wants_body(&s->message))
		return false;
	canon_body_hash(&s->message, CANON_RELAXED, s->body_hash);
	return true;
}

struct fault signer_finish(struct signer *s, struct buf *out)
{
	size_t before = out->len;
	struct fault f = FAULT_OK;
	struct buf field;

	if (!end_message(s))
		return FAULT_OK;
	buf_init(&field, FIELD_MAX);
	for (size_t i = 0; i < s->keys->count && !f.kind; i++) {
		buf_clear(&field);
		buf_append(&field, SV("DKIM-Signature: v=1;"));
		f = append_signature(s, s->header[i], s->keys, &s->keys->keys[i], &field);
		if (!f.kind && !buf_append(out, buf_sv(&field)))
			f = fault(FAULT_LIMIT, "no room for signatures");
	}
	buf_done(&field);
	if (f.kind)
		out->len = before;
	return f;
}

/* ---- seals ---- */

/* A set while it is made. */
struct set {
	struct buf results, message, seal;
};

/* append_results - line ends inside belong to folding, whoever wrote them. */
static bool append_results(struct buf *out, size_t instance, const struct signer_seal *seal)
{
	struct sv rest = sv_trim(seal->results), line;
	bool fits = buf_appendf(out, "ARC-Authentication-Results: i=%zu; %.*s;", instance, SV_FMT(seal->authserv_id));

	if (!rest.len)
		fits = fits && buf_append(out, SV(" none"));
	while (fits && sv_split(&rest, '\n', &line)) {
		line = sv_trim(line);
		if (line.len)
			fits = buf_append(out, SV("\r\n\t")) && buf_append(out, line);
	}
	return fits && buf_append(out, SV("\r\n"));
}

static struct fault make_set(struct signer *s, const struct signer_seal *seal, const struct dkimkey_set *keys, struct set *set)
{
	size_t instance = s->set_count + 1;
	const struct dkimkey_signer *key = &keys->keys[0];
	const char *algorithm = crypt_private_type(key->key) == CRYPT_RSA ? "rsa-sha256" : "ed25519-sha256";
	struct fault f = fault(FAULT_LIMIT, "results too long");

	if (append_results(&set->results, instance, seal) &&
	    buf_appendf(&set->message, "ARC-Message-Signature: i=%zu;", instance))
		f = append_signature(s, s->header[0], keys, key, &set->message);
	if (f.kind)
		return f;
	canon_add_field(s->sets, CANON_RELAXED, buf_sv(&set->results), false);
	canon_add_field(s->sets, CANON_RELAXED, buf_sv(&set->message), false);
	if (!buf_appendf(&set->seal, "ARC-Seal: i=%zu; a=%s; cv=%s;\r\n\td=%s; s=%s; t=%lld;\r\n\tb=", instance, algorithm,
			 s->set_count ? "pass" : "none", keys->domain, key->selector, (long long)s->now_s))
		return fault(FAULT_LIMIT, "seal too long");
	return complete(&set->seal, s->sets, key->key);
}

/* can_seal - what came is a chain that holds, or no chain. */
static bool can_seal(const struct signer *s, const struct arc_chain *chain)
{
	if (s->is_broken)
		return false;
	if (!s->set_count)
		return true;
	return chain && chain->result == DKIM_PASS && chain->count == s->set_count;
}

struct fault signer_finish_seal(struct signer *s, const struct signer_seal *seal, struct buf *out)
{
	const struct dkimkey_set *keys;
	struct set set;
	struct fault f;

	if (!end_message(s) || !can_seal(s, seal->chain))
		return FAULT_OK;
	keys = dkimkeys_hold(s->ring, seal->domain);
	if (!keys)
		return FAULT_OK;
	buf_init(&set.results, FIELD_MAX);
	buf_init(&set.message, FIELD_MAX);
	buf_init(&set.seal, FIELD_MAX);
	f = make_set(s, seal, keys, &set);
	if (!f.kind && !buf_reserve(out, set.results.len + set.message.len + set.seal.len))
		f = fault(FAULT_LIMIT, "no room for a seal");
	if (!f.kind) {
		buf_append(out, buf_sv(&set.seal));
		buf_append(out, buf_sv(&set.message));
		buf_append(out, buf_sv(&set.results));
	}
	buf_done(&set.results);
	buf_done(&set.message);
	buf_done(&set.seal);
	dkimkeys_release(s->ring, &keys);
	return f;
}
