#include "common/header.h"

#include "common/banned.h"

/* In alphabetic order, as the enum is: found by bisection. */
static const struct sv names[HEADER_ID_COUNT] = {
	[HEADER_AUTHENTICATION_RESULTS] = SV_INIT("Authentication-Results"),
	[HEADER_AUTO_SUBMITTED] = SV_INIT("Auto-Submitted"),
	[HEADER_BCC] = SV_INIT("Bcc"),
	[HEADER_CC] = SV_INIT("Cc"),
	[HEADER_CONTENT_DESCRIPTION] = SV_INIT("Content-Description"),
	[HEADER_CONTENT_DISPOSITION] = SV_INIT("Content-Disposition"),
	[HEADER_CONTENT_ID] = SV_INIT("Content-ID"),
	[HEADER_CONTENT_LANGUAGE] = SV_INIT("Content-Language"),
	[HEADER_CONTENT_LOCATION] = SV_INIT("Content-Location"),
	[HEADER_CONTENT_MD5] = SV_INIT("Content-MD5"),
	[HEADER_CONTENT_TRANSFER_ENCODING] = SV_INIT("Content-Transfer-Encoding"),
	[HEADER_CONTENT_TYPE] = SV_INIT("Content-Type"),
	[HEADER_DATE] = SV_INIT("Date"),
	[HEADER_DELIVERED_TO] = SV_INIT("Delivered-To"),
	[HEADER_DKIM_SIGNATURE] = SV_INIT("DKIM-Signature"),
	[HEADER_FROM] = SV_INIT("From"),
	[HEADER_IMPORTANCE] = SV_INIT("Importance"),
	[HEADER_IN_REPLY_TO] = SV_INIT("In-Reply-To"),
	[HEADER_LIST_HELP] = SV_INIT("List-Help"),
	[HEADER_LIST_ID] = SV_INIT("List-ID"),
	[HEADER_LIST_POST] = SV_INIT("List-Post"),
	[HEADER_LIST_UNSUBSCRIBE] = SV_INIT("List-Unsubscribe"),
	[HEADER_MESSAGE_ID] = SV_INIT("Message-ID"),
	[HEADER_MIME_VERSION] = SV_INIT("MIME-Version"),
	[HEADER_NEWSGROUPS] = SV_INIT("Newsgroups"),
	[HEADER_PRECEDENCE] = SV_INIT("Precedence"),
	[HEADER_PRIORITY] = SV_INIT("Priority"),
	[HEADER_RECEIVED] = SV_INIT("Received"),
	[HEADER_REFERENCES] = SV_INIT("References"),
	[HEADER_REPLY_TO] = SV_INIT("Reply-To"),
	[HEADER_RESENT_BCC] = SV_INIT("Resent-Bcc"),
	[HEADER_RESENT_CC] = SV_INIT("Resent-Cc"),
	[HEADER_RESENT_DATE] = SV_INIT("Resent-Date"),
	[HEADER_RESENT_FROM] = SV_INIT("Resent-From"),
	[HEADER_RESENT_MESSAGE_ID] = SV_INIT("Resent-Message-ID"),
	[HEADER_RESENT_SENDER] = SV_INIT("Resent-Sender"),
	[HEADER_RESENT_TO] = SV_INIT("Resent-To"),
	[HEADER_RETURN_PATH] = SV_INIT("Return-Path"),
	[HEADER_SENDER] = SV_INIT("Sender"),
	[HEADER_SUBJECT] = SV_INIT("Subject"),
	[HEADER_TO] = SV_INIT("To"),
	[HEADER_X_PRIORITY] = SV_INIT("X-Priority"),
};

enum header_id header_id(struct sv name)
{
	int low = HEADER_OTHER + 1, high = HEADER_ID_COUNT - 1;

	while (low <= high) {
		int mid = (low + high) / 2;
		int order = sv_cmp_nocase(name, names[mid]);
		if (!order)
			return (enum header_id)mid;
		if (order < 0)
			high = mid - 1;
		else
			low = mid + 1;
	}
	return HEADER_OTHER;
}

struct sv header_name(enum header_id id)
{
	return id > HEADER_OTHER && id < HEADER_ID_COUNT ? names[id] : SV("");
}

/* ---- one field ---- */

void header_parse_field(struct sv raw, struct header_field *out)
{
	*out = (struct header_field){ .raw = raw, .len = raw.len, .name = SV("") };
	struct sv line = raw;

	if (sv_ends(line, SV("\n")))
		line.len--;
	if (sv_ends(line, SV("\r")))
		line.len--;
	size_t colon = sv_find(line, ':');

	out->is_malformed = true;
	out->value = line;
	if (colon == SIZE_MAX)
		return;
	struct sv name = sv_sub(line, 0, colon);

	while (name.len && (name.p[name.len - 1] == ' ' || name.p[name.len - 1] == '\t'))
		name.len--;
	if (!name.len)
		return;
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] < 33 || name.p[i] > 126)
			return;
	out->is_malformed = false;
	out->has_space_colon = name.len < colon;
	out->name = name;
	out->id = header_id(name);
	out->value = sv_sub(line, colon + 1, SIZE_MAX);
}

bool header_unfold(struct sv value, struct buf *out)
{
	value = sv_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i], next = i + 1 < value.len ? value.p[i + 1] : ' ';
		if (c == '\r' && next == '\n')
			continue;
		if (c == '\n' && (next == ' ' || next == '\t'))
			continue;
		if (c == '\r' || c == '\n' || c == '\0')
			c = ' ';
		if (!buf_append_c(out, c))
			return false;
	}
	return true;
}

/* ---- a block of fields ---- */

void header_reader_init(struct header_reader *r)
{
	*r = (struct header_reader){ 0 };
	buf_init(&r->text, HEADER_FIELD_MAX);
}

void header_reader_again(struct header_reader *r)
{
	struct buf text = r->text;

	buf_clear(&text);
	*r = (struct header_reader){ .text = text };
}

void header_reader_done(struct header_reader *r)
{
	buf_done(&r->text);
}

static void next_field(struct header_reader *r)
{
	buf_clear(&r->text);
	r->field_start = r->offset;
	r->field_len = 0;
	r->is_given = false;
}

/* The field in r->text is whole. False when it lies beyond what is looked at. */
static bool give(struct header_reader *r)
{
	if (r->offset > HEADER_BLOCK_MAX) {
		r->is_capped = true;
		next_field(r);
		return false;
	}
	header_parse_field(buf_sv(&r->text), &r->field);
	r->field.offset = r->field_start;
	r->field.len = r->field_len;
	r->field.is_truncated = r->field_len > r->text.len;
	r->is_given = true;
	return true;
}

enum header_event header_reader_feed(struct header_reader *r, struct sv *in)
{
	if (r->is_given)
		next_field(r);
	if (r->is_ended)
		return HEADER_END;
	while (in->len) {
		if (!r->line_len && r->field_len && *in->p != ' ' && *in->p != '\t' && give(r))
			return HEADER_FIELD;
		const char *nl = memchr(in->p, '\n', in->len);
		size_t n = nl ? (size_t)(nl - in->p) + 1 : in->len;
		bool is_crlf = n > 1 ? in->p[n - 2] == '\r' : r->is_cr;
		(void)buf_append(&r->text, sv_sub(*in, 0, r->text.max - r->text.len < n ? r->text.max - r->text.len : n));
		r->is_cr = in->p[n - 1] == '\r';
		r->line_len += n;
		r->field_len += n;
		r->offset += n;
		sv_skip(in, n);
		if (!nl)
			break;
		if (r->line_len == 1 || (r->line_len == 2 && is_crlf)) {
			next_field(r);
			r->is_ended = true;
			return HEADER_END;
		}
		r->line_len = 0;
	}
	return HEADER_MORE;
}

enum header_event header_reader_finish(struct header_reader *r)
{
	if (r->is_given)
		next_field(r);
	if (!r->is_ended && r->field_len && give(r))
		return HEADER_FIELD;
	r->is_ended = true;
	return HEADER_END;
}

/* ---- message ids ---- */

bool header_next_msg_id(struct arena *a, struct sv *rest, struct sv *id)
{
	size_t depth = 0;

	while (rest->len) {
		char c = *rest->p;
		sv_skip(rest, 1);
		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (c == '\\' && depth && rest->len)
			sv_skip(rest, 1);
		if (c != '<' || depth)
			continue;
		size_t n = 0, kept = 0;
		bool is_plain = true;
		while (n < rest->len && rest->p[n] != '>' && rest->p[n] != '<') {
			is_plain = is_plain && !memchr(" \t\r\n\"\\\0", rest->p[n], 7);
			n++;
		}
		if (n == rest->len || rest->p[n] == '<')
			continue;               /* not closed; perhaps the next one is */
		*id = sv_sub(*rest, 0, n);
		sv_skip(rest, n + 1);
		if (!is_plain) {
			struct sv copy = arena_copy(a, *id);
			if (!copy.p)
				return false;
			char *p = (char *)copy.p;       /* ours */
			for (size_t i = 0; i < n; i++)
				if (!memchr(" \t\r\n\"\\\0", p[i], 7))
					p[kept++] = p[i];
			*id = sv_from(p, kept);
		}
		if (id->len)
			return true;
	}
	return false;
}
