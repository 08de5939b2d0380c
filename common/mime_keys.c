#include "common/mime_private.h"

#include "common/charset.h"

#include "common/banned.h"

/* Besides the fields that have a header_id: what mail programs ask for, in lower case, in alphabetic order. */
static const struct sv cached_names[] = {
	SV_INIT("archived-at"), SV_INIT("chat-version"), SV_INIT("comments"), SV_INIT("content-class"),
	SV_INIT("disposition-notification-to"), SV_INIT("errors-to"), SV_INIT("followup-to"), SV_INIT("keywords"),
	SV_INIT("list-archive"), SV_INIT("list-owner"), SV_INIT("list-subscribe"), SV_INIT("list-unsubscribe-post"),
	SV_INIT("mail-followup-to"), SV_INIT("mail-reply-to"), SV_INIT("organization"), SV_INIT("return-receipt-to"),
	SV_INIT("thread-index"), SV_INIT("thread-topic"), SV_INIT("user-agent"), SV_INIT("x-k9mail-identity"),
	SV_INIT("x-label"), SV_INIT("x-mailer"), SV_INIT("x-mozilla-draft-info"), SV_INIT("x-mozilla-keys"),
	SV_INIT("x-mozilla-status"), SV_INIT("x-mozilla-status2"), SV_INIT("x-msmail-priority"), SV_INIT("x-spam"),
	SV_INIT("x-spam-flag"), SV_INIT("x-spam-level"), SV_INIT("x-spam-score"), SV_INIT("x-uniform-type-identifier"),
	SV_INIT("x-universally-unique-identifier"),
};

bool mime_header_is_cached(struct sv name)
{
	switch (header_id(name)) {
	case HEADER_OTHER:
		break;
	case HEADER_AUTHENTICATION_RESULTS:     /* long, many, and nobody lists mail by them */
	case HEADER_DKIM_SIGNATURE:
	case HEADER_RECEIVED:
		return false;
	default:
		return true;
	}
	size_t low = 0, high = ARRAY_LEN(cached_names);

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = sv_cmp_nocase(name, cached_names[mid]);
		if (!order)
			return true;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return false;
}

void mime_keys_init(struct mime_keys *k)
{
	buf_init(&k->headers, MIME_HEADERS_MAX);
	buf_init(&k->references, HEADER_BLOCK_MAX);
	buf_init(&k->in_reply_to, MIME_VALUE_MAX);
	buf_init(&k->delivered_to, (size_t)MIME_DELIVERED_MAX * 1024);
	buf_init(&k->message_id, 998);
	buf_init(&k->base_subject, 998);
	for (size_t i = 0; i < ARRAY_LEN(k->mailboxes); i++)
		buf_init(&k->mailboxes[i], 255);
}

void mime_keys_done(struct mime_keys *k)
{
	buf_done(&k->headers);
	buf_done(&k->references);
	buf_done(&k->in_reply_to);
	buf_done(&k->delivered_to);
	buf_done(&k->message_id);
	buf_done(&k->base_subject);
	for (size_t i = 0; i < ARRAY_LEN(k->mailboxes); i++)
		buf_done(&k->mailboxes[i]);
}

/* ---- base subject ---- */

/* "[" *BLOBCHAR "]" *WSP at the beginning: its length, 0 if there is none. */
static size_t blob_length(struct sv s)
{
	size_t n = 1;

	if (!s.len || *s.p != '[')
		return 0;
	while (n < s.len && s.p[n] != '[' && s.p[n] != ']')
		n++;
	if (n == s.len || s.p[n] == '[')
		return 0;
	n++;
	while (n < s.len && s.p[n] == ' ')
		n++;
	return n;
}

/* ("re" / "fw" / "fwd") *WSP [blob] ":" behind any number of blobs: its length, 0 if there is none. */
static size_t leader_length(struct sv s)
{
	size_t n = 0, blob;

	while ((blob = blob_length(sv_sub(s, n, SIZE_MAX))))
		n += blob;
	struct sv rest = sv_sub(s, n, SIZE_MAX);
	size_t word = sv_starts_nocase(rest, SV("fwd")) ? 3 :
		      sv_starts_nocase(rest, SV("re")) || sv_starts_nocase(rest, SV("fw")) ? 2 : 0;

	if (!word)
		return 0;
	n += word;
	while (n < s.len && s.p[n] == ' ')
		n++;
	n += blob_length(sv_sub(s, n, SIZE_MAX));
	return n < s.len && s.p[n] == ':' ? n + 1 : 0;
}

/* mime_base_subject - RFC 5256 §2.1, of an unfolded and decoded subject. *is_reply: something like "re:" went. */
static struct sv mime_base_subject(struct sv s, bool *is_reply)
{
	*is_reply = false;
	for (;;) {
		size_t n;
		for (;;) {                                              /* (2) trailers */
			s = sv_trim(s);
			if (s.len < 5 || !sv_eq_nocase(sv_sub(s, s.len - 5, 5), SV("(fwd)")))
				break;
			s.len -= 5;
			*is_reply = true;
		}
		for (;;) {                                              /* (3) leaders, (4) blobs */
			s = sv_trim(s);
			if ((n = leader_length(s)))
				*is_reply = true;
			else if ((n = blob_length(s)) == s.len)
				n = 0;                                  /* it is all there is: keep it */
			if (!n)
				break;
			sv_skip(&s, n);
		}
		if (!sv_starts_nocase(s, SV("[fwd:")) || !sv_ends(s, SV("]")))  /* (6) */
			return s;
		s = sv_sub(s, 5, s.len - 6);
		*is_reply = true;
	}
}

static void take_subject(struct mime_keys *k, struct sv value)
{
	struct buf line, text;
	size_t n = 0;
	bool is_reply;

	buf_init(&line, MIME_SUBJECT_MAX);
	buf_init(&text, MIME_SUBJECT_MAX);
	(void)header_unfold(value, &line);
	(void)charset_decode_words(buf_sv(&line), &text);
	for (size_t i = 0; i < text.len; i++) { /* (1) one space for white space */
		char c = text.p[i] == '\t' ? ' ' : text.p[i];
		if (c != ' ' || !n || text.p[n - 1] != ' ')
			text.p[n++] = c;
	}
	text.len = n;
	struct sv base = mime_base_subject(buf_sv(&text), &is_reply);

	if (base.len > k->base_subject.max) {
		base.len = k->base_subject.max;
		while (base.len && ((unsigned char)base.p[base.len] & 0xc0) == 0x80)
			base.len--;
	}
	(void)buf_append(&k->base_subject, base);
	if (is_reply)
		k->facts |= MIME_SUBJECT_IS_REPLY;
	buf_done(&line);
	buf_done(&text);
}

/* ---- fields ---- */

/* Ids with a '\n' behind each; only_first: no more than one in all. Over-long ones are left out. */
static void take_ids(struct arena *scratch, struct sv value, bool only_first, struct buf *out)
{
	struct sv rest = value, id;

	while (!(only_first && out->len) && header_next_msg_id(scratch, &rest, &id))
		if (id.len <= 998 && buf_reserve(out, id.len + 1))
			(void)(buf_append(out, id) && buf_append_c(out, '\n'));
}

static void cache_field(struct mime_keys *k, const struct header_field *f)
{
	struct crlf_writer w = { 0 };
	size_t before = k->headers.len;

	if (!f->is_truncated && crlf_writer_feed(&w, f->raw, byte_sink_buf, &k->headers))
		return;
	k->headers.len = before;
	k->facts |= MIME_HEADERS_INCOMPLETE;
}

void mime_keys_field(struct mime_keys *k, struct arena *scratch, const struct header_field *f)
{
	struct sv value = sv_trim(f->value);

	if (f->is_malformed) {
		k->facts |= MIME_MALFORMED_HEADER;
		return;
	}
	if (mime_header_is_cached(f->name))
		cache_field(k, f);
	switch (f->id) {
	case HEADER_BCC:
		k->facts |= MIME_HAS_BCC;
		break;
	case HEADER_DATE:
		if (!k->date_count++ && date_parse_5322(f->value, &k->date))
			k->facts |= MIME_HAS_DATE;
		break;
	case HEADER_DELIVERED_TO:
		k->delivered_to_count++;
		if (k->delivered_to_kept == MIME_DELIVERED_MAX || memchr(value.p, '\n', value.len) ||
		    value.len > 1000)
			break;
		k->delivered_to_kept++;
		(void)(buf_append(&k->delivered_to, value) && buf_append_c(&k->delivered_to, '\n'));
		break;
	case HEADER_FROM:
		k->from_count++;
		break;
	case HEADER_IN_REPLY_TO:
		take_ids(scratch, f->value, true, &k->in_reply_to);
		break;
	case HEADER_MESSAGE_ID:
		if (!k->message_id_count++) {
			struct sv rest = f->value, id;
			if (header_next_msg_id(scratch, &rest, &id))
				(void)buf_append(&k->message_id, sv_sub(id, 0, k->message_id.max));
		}
		break;
	case HEADER_RECEIVED:
		k->received_count++;
		break;
	case HEADER_REFERENCES:
		take_ids(scratch, f->value, false, &k->references);
		mime_trim_references(&k->references);   /* whatever was cut now would be cut at the end */
		break;
	case HEADER_SUBJECT:
		if (!k->has_subject)
			take_subject(k, f->value);
		k->has_subject = true;
		break;
	default:
		break;
	}
}

void mime_trim_references(struct buf *ids)
{
	struct sv all = buf_sv(ids);
	size_t first_end = sv_find(all, '\n'), count = 0, from = all.len;

	if (first_end == SIZE_MAX)
		return;
	first_end++;
	while (from > first_end && count < MIME_REFERENCES_MAX - 1) {
		size_t start = from - 1;
		while (start > first_end && ids->p[start - 1] != '\n')
			start--;
		if (first_end + (all.len - start) > MIME_VALUE_MAX)
			break;
		from = start;
		count++;
	}
	memmove(ids->p + first_end, ids->p + from, all.len - from);
	ids->len = first_end + (all.len - from);
}
