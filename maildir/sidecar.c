/* maildir/sidecar.c - see sidecar.h. */
#include "maildir/sidecar.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/crc32c.h"
#include "common/memory.h"

#include "common/banned.h"

#define VERSION 1

struct fault sidecar_lines(struct sv text, struct sv kind, sidecar_line_fn *fn, void *out, struct buf *unknown)
{
	struct sv rest = text, line, key;
	uint64_t crc;
	uint32_t version;
	bool bad = false;

	/* The last line first: nothing is believed before. */
	if (!text.len || text.p[text.len - 1] != '\n')
		return fault(FAULT_CORRUPT, "sidecar is cut off");
	size_t start = sv_rfind(sv_sub(text, 0, text.len - 1), '\n');
	if (start == SIZE_MAX)
		return fault(FAULT_CORRUPT, "sidecar has no checksum");
	line = sv_sub(text, start + 1, text.len - start - 2);
	rest = sv_sub(text, 0, start + 1);
	if (!sv_starts(line, SV("crc ")) || !sv_hex_to_u64(sv_sub(line, 4, SIZE_MAX), &crc) || crc != crc32c(rest))
		return fault(FAULT_CORRUPT, "sidecar's checksum is wrong");

	if (!sv_split(&rest, '\n', &line) || !sv_split(&line, ' ', &key) || !sv_eq(key, kind) ||
	    !sv_to_u32(line, &version) || !version)
		return fault(FAULT_CORRUPT, "not this kind of sidecar");
	if (version > VERSION)
		return fault(FAULT_UNSUPPORTED, "sidecar was written by a newer postroom");
	while (rest.len && sv_split(&rest, '\n', &line)) {
		struct sv value = line;
		sv_split(&value, ' ', &key);
		if (value.p == line.p)
			value = SV_NONE;
		if (!fn(out, key, value, &bad) &&
		    (!buf_append(unknown, line) || !buf_append_c(unknown, '\n')))
			return fault(FAULT_CORRUPT, "sidecar has too many unknown lines");
		if (bad)
			return fault_detail(FAULT_CORRUPT, "sidecar: bad value of %.*s", SV_FMT(key));
	}
	return FAULT_OK;
}

struct fault sidecar_finish(struct buf *out, size_t start, bool ok, const struct buf *unknown)
{
	ok = ok && buf_append(out, buf_sv(unknown));
	uint32_t crc = ok ? crc32c(sv_from(out->p + start, out->len - start)) : 0;

	return ok && buf_appendf(out, "crc %08x\n", crc) ? FAULT_OK : fault(FAULT_LIMIT, "sidecar too long");
}

int keyword_find(const struct keyword_names *k, struct sv name)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (sv_eq_nocase(sv_z(k->name[i]), name))
			return (int)i;
	return -1;
}

static bool is_keyword(struct sv s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || strchr("(){%*\"\\]", s.p[i]))
			return false;
	return s.len > 0;
}

struct fault keyword_add(struct keyword_names *k, struct sv name, unsigned *number)
{
	int at = keyword_find(k, name);

	if (at < 0) {
		if (name.len > KEYWORD_LEN_MAX)
			return fault(FAULT_LIMIT, "keyword too long");
		if (!is_keyword(name))
			return fault(FAULT_INVALID, "not a keyword");
		if (k->count == KEYWORDS_MAX)
			return fault(FAULT_LIMIT, "too many keywords in this mailbox");
		at = (int)k->count++;
		memcpy(k->name[at], name.p, name.len);
		k->name[at][name.len] = '\0';
	}
	*number = (unsigned)at;
	return FAULT_OK;
}

static bool mailbox_line(void *arg, struct sv key, struct sv value, bool *bad)
{
	struct sidecar_mailbox *s = arg;

	if (sv_eq(key, SV("generation"))) {
		*bad = !sv_to_u64(value, &s->generation);
	} else if (sv_eq(key, SV("mailbox-id"))) {
		*bad = !sv_hex_to_u64(value, &s->id) || !s->id;
	} else if (sv_eq(key, SV("uidvalidity"))) {
		*bad = !sv_to_u32(value, &s->uidvalidity) || !s->uidvalidity;
	} else if (sv_eq(key, SV("uid-ceiling"))) {
		*bad = !sv_to_u32(value, &s->uid_ceiling);
	} else if (sv_eq(key, SV("special-use"))) {
		*bad = !sv_to_u32(value, &s->special_use);
	} else if (sv_eq(key, SV("keyword"))) {
		struct sv number = SV_NONE;
		uint32_t n;
		unsigned got;
		*bad = !sv_split(&value, ' ', &number) || !sv_to_u32(number, &n) || n != s->keywords.count ||
		       keyword_add(&s->keywords, value, &got).kind || got != n;
	} else if (sv_eq(key, SV("acl"))) {
		return acl_read_line(value, &s->acl);   /* else it is a newer program's: kept, and grants nothing */
	} else {
		return false;
	}
	return true;
}

struct fault sidecar_mailbox_parse(struct sv text, struct sidecar_mailbox *out)
{
	memset(out, 0, sizeof(*out));
	buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
	struct fault f = sidecar_lines(text, SV("postroom-mailbox"), mailbox_line, out, &out->unknown);

	if (!f.kind && (!out->id || !out->uidvalidity))
		f = fault(FAULT_CORRUPT, "mailbox sidecar without identity");
	if (f.kind)
		sidecar_mailbox_done(out);
	return f;
}

struct fault sidecar_mailbox_write(const struct sidecar_mailbox *s, struct buf *out)
{
	size_t start = out->len;
	bool ok = buf_appendf(out, "postroom-mailbox %d\ngeneration %llu\nmailbox-id %016llx\nuidvalidity %u\n"
			      "uid-ceiling %u\nspecial-use %u\n", VERSION, (unsigned long long)s->generation,
			      (unsigned long long)s->id, s->uidvalidity, s->uid_ceiling, s->special_use);

	for (uint32_t i = 0; ok && i < s->keywords.count; i++)
		ok = buf_appendf(out, "keyword %u %s\n", i, s->keywords.name[i]);
	for (size_t i = 0; ok && i < s->acl.count; i++)
		ok = buf_append(out, SV("acl ")) && acl_write_line(&s->acl.entries[i], out) && buf_append_c(out, '\n');
	return sidecar_finish(out, start, ok, &s->unknown);
}

void sidecar_mailbox_done(struct sidecar_mailbox *s)
{
	acl_done(&s->acl);
	buf_done(&s->unknown);
	memset(s, 0, sizeof(*s));
}

static bool parse_pending(struct sv value, struct sidecar_account *s)
{
	struct sv kind = SV_NONE, from = SV_NONE;

	/* Mailbox names hold no control characters, so a tab separates. */
	if (!sv_split(&value, '\t', &kind) || !sv_split(&value, '\t', &from))
		return false;
	s->pending = sv_eq(kind, SV("rename")) ? PENDING_RENAME : sv_eq(kind, SV("inbox")) ? PENDING_INBOX : PENDING_NONE;
	if (!s->pending || !from.len || !value.len || from.len > MAILBOX_NAME_MAX || value.len > MAILBOX_NAME_MAX)
		return false;
	memcpy(s->from, from.p, from.len);
	s->from[from.len] = '\0';
	memcpy(s->to, value.p, value.len);
	s->to[value.len] = '\0';
	return true;
}

static bool account_line(void *arg, struct sv key, struct sv value, bool *bad)
{
	struct sidecar_account *s = arg;

	if (sv_eq(key, SV("generation")))
		*bad = !sv_to_u64(value, &s->generation);
	else if (sv_eq(key, SV("uidvalidity-floor")))
		*bad = !sv_to_u32(value, &s->uidvalidity_floor);
	else if (sv_eq(key, SV("modseq-ceiling")))
		*bad = !sv_to_u64(value, &s->modseq_ceiling);
	else if (sv_eq(key, SV("pending")))
		*bad = !parse_pending(value, s);
	else
		return false;
	return true;
}

struct fault sidecar_account_parse(struct sv text, struct sidecar_account *out)
{
	memset(out, 0, sizeof(*out));
	buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
	struct fault f = sidecar_lines(text, SV("postroom-account"), account_line, out, &out->unknown);

	if (f.kind)
		sidecar_account_done(out);
	return f;
}

struct fault sidecar_account_write(const struct sidecar_account *s, struct buf *out)
{
	size_t start = out->len;
	bool ok = buf_appendf(out, "postroom-account %d\ngeneration %llu\nuidvalidity-floor %u\nmodseq-ceiling %llu\n",
			      VERSION, (unsigned long long)s->generation, s->uidvalidity_floor,
			      (unsigned long long)s->modseq_ceiling);

	if (ok && s->pending)
		ok = buf_appendf(out, "pending %s\t%s\t%s\n", s->pending == PENDING_RENAME ? "rename" : "inbox",
				 s->from, s->to);
	return sidecar_finish(out, start, ok, &s->unknown);
}

void sidecar_account_done(struct sidecar_account *s)
{
	buf_done(&s->unknown);
	memset(s, 0, sizeof(*s));
}

static size_t find_subscription(const struct sidecar_subscriptions *s, struct sv name)
{
	size_t i = 0;

	while (i < s->count && !sv_eq(sv_z(s->names[i]), name))
		i++;
	return i;
}

static void add_subscription(struct sidecar_subscriptions *s, struct sv name)
{
	if (s->count == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->names = xrealloc(s->names, s->cap * sizeof(*s->names));
	}
	s->names[s->count++] = sv_copy_z(name);
}

bool sidecar_subscribe(struct sidecar_subscriptions *s, struct sv name, bool on)
{
	size_t at = find_subscription(s, name);

	if ((at < s->count) == on)
		return false;
	if (on) {
		add_subscription(s, name);
	} else {
		free(s->names[at]);
		memmove(s->names + at, s->names + at + 1, (s->count - at - 1) * sizeof(*s->names));
		s->count--;
	}
	return true;
}

static bool subscription_line(void *arg, struct sv key, struct sv value, bool *bad)
{
	struct sidecar_subscriptions *s = arg;

	if (sv_eq(key, SV("generation"))) {
		*bad = !sv_to_u64(value, &s->generation);
	} else if (sv_eq(key, SV("subscribed"))) {
		*bad = !value.len || value.len > MAILBOX_NAME_MAX || sv_find(value, '\0') != SIZE_MAX;
		if (!*bad)
			add_subscription(s, value);
	} else {
		return false;
	}
	return true;
}

struct fault sidecar_subscriptions_parse(struct sv text, struct sidecar_subscriptions *out)
{
	memset(out, 0, sizeof(*out));
	buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
	struct fault f = sidecar_lines(text, SV("postroom-subscriptions"), subscription_line, out, &out->unknown);

	if (f.kind)
		sidecar_subscriptions_done(out);
	return f;
}

struct fault sidecar_subscriptions_write(const struct sidecar_subscriptions *s, struct buf *out)
{
	size_t start = out->len;
	bool ok = buf_appendf(out, "postroom-subscriptions %d\ngeneration %llu\n", VERSION,
			      (unsigned long long)s->generation);

	for (size_t i = 0; ok && i < s->count; i++)
		ok = buf_appendf(out, "subscribed %s\n", s->names[i]);
	return sidecar_finish(out, start, ok, &s->unknown);
}

void sidecar_subscriptions_done(struct sidecar_subscriptions *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->names[i]);
	free(s->names);
	buf_done(&s->unknown);
	memset(s, 0, sizeof(*s));
}

void sidecar_id_text(uint64_t id, char out[24])
{
	snprintf(out, 24, "F%016llx", (unsigned long long)id);
}
