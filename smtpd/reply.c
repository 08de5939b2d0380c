#include "smtpd/reply.h"

#include "common/banned.h"

static const struct reply replies[REPLY_COUNT] = {
#define X(id, c, e, t, r) [id] = { .code = (c), .enhanced = (e), .text = (t), .reason = (r) },
	REPLY_TABLE(X)
#undef X
};

const struct reply *reply_get(enum reply_id id)
{
	return &replies[id];
}

enum reply_id reply_for_fault(enum fault_kind kind)
{
	switch (kind) { /* no default: the compiler names the fault we forgot */
	case FAULT_NONE:        return REPLY_OK;
	case FAULT_LIMIT:       return REPLY_TOO_BIG;
	case FAULT_QUOTA:       return REPLY_MAILBOX_FULL;
	case FAULT_NO_SPACE:    return REPLY_NO_SPACE;
	case FAULT_READ_ONLY:   return REPLY_READ_ONLY;
	case FAULT_BUSY:
	case FAULT_IN_USE:      return REPLY_MAILBOX_BUSY;
	case FAULT_NOT_FOUND:
	case FAULT_EXISTS:
	case FAULT_DENIED:
	case FAULT_AUTH:
	case FAULT_INVALID:
	case FAULT_GONE:
	case FAULT_CORRUPT:
	case FAULT_UNSUPPORTED:
	case FAULT_UNAVAILABLE:
	case FAULT_INTERNAL:    return REPLY_INTERNAL;
	}
	BUG("fault %d", kind);
}

/* put_line - "250-2.1.0 text\r\n"; what is too long for a line is cut: texts are ours and short. */
static bool put_line(struct buf *out, unsigned code, const char *enhanced, struct sv text,
		     bool is_last)
{
	size_t room = REPLY_LINE_MAX - 2 - 4 - (enhanced ? strlen(enhanced) + 1 : 0);

	if (!buf_appendf(out, "%03u%c%s%s", code, is_last ? ' ' : '-', enhanced ? enhanced : "",
			 enhanced ? " " : ""))
		return false;
	text = sv_sub(text, 0, room);
	for (size_t i = 0; i < text.len; i++) {
		bool is_printable = text.p[i] >= ' ' && text.p[i] < 127;

		if (!buf_append_c(out, is_printable ? text.p[i] : '?'))
			return false;
	}
	return buf_append(out, SV("\r\n"));
}

bool reply_write(struct buf *out, unsigned code, const char *enhanced, struct sv text)
{
	size_t start = out->len;
	struct sv line;
	bool ok = true;

	do {
		size_t end = sv_find(text, '\n');
		bool is_last = end == SIZE_MAX;

		line = sv_sub(text, 0, is_last ? text.len : end);
		sv_skip(&text, is_last ? text.len : end + 1);
		ok = put_line(out, code, enhanced, line, is_last);
		if (is_last)
			break;
	} while (ok);
	if (!ok)
		out->len = start;
	return ok;
}
