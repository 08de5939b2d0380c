#include "smtpd/envelope.h"

#include "common/banned.h"

/* What stands in front of each value of the serial form. Numbers are never given another meaning.
 */
enum tag {
	TAG_RECEIVED = 1,       /* decimal seconds */
	TAG_SENDER = 2,         /* exactly one */
	TAG_PARAM = 3,          /* of MAIL */
	TAG_RCPT = 4,           /* the next RCPT_... belong to it */
	TAG_RCPT_ORIGINAL = 5,
	TAG_RCPT_PARAM = 6,
	TAG_FACT = 32,          /* TAG_FACT + enum envelope_fact */
};

void envelope_init(struct envelope *e)
{
	*e = (struct envelope){ 0 };
	arena_init(&e->arena, ENVELOPE_MAX);
}

void envelope_clear(struct envelope *e)
{
	struct arena arena = e->arena;

	arena_clear(&arena);
	*e = (struct envelope){ .arena = arena };
}

void envelope_done(struct envelope *e)
{
	arena_done(&e->arena);
	envelope_init(e);
}

/* copy - false only for a value that is there and did not fit. */
static bool copy(struct envelope *e, struct sv from, struct sv *to)
{
	struct sv c = SV_NONE;

	if (from.len) {
		c = arena_copy(&e->arena, from);
		if (!c.p)
			return false;
	}
	*to = c;
	return true;
}

bool envelope_set_fact(struct envelope *e, enum envelope_fact which, struct sv value)
{
	return copy(e, value, &e->facts[which]);
}

bool envelope_set_sender(struct envelope *e, struct sv sender)
{
	if (!copy(e, sender, &e->sender))
		return false;
	e->has_sender = true;
	return true;
}

static bool add_param(struct envelope *e, struct envelope_param **list, struct sv text)
{
	struct envelope_param *p = arena_alloc(&e->arena, sizeof(*p));

	if (!p || !copy(e, text, &p->text))
		return false;
	while (*list)
		list = &(*list)->next;
	*list = p;
	return true;
}

bool envelope_add_param(struct envelope *e, struct sv text)
{
	return add_param(e, &e->params, text);
}

struct envelope_rcpt *envelope_add_rcpt(struct envelope *e, struct sv address, struct sv original)
{
	struct envelope_rcpt *r = arena_alloc(&e->arena, sizeof(*r));

	if (!r || !copy(e, address, &r->address) || !copy(e, original, &r->original))
		return NULL;
	if (!e->rcpts_end)
		e->rcpts_end = &e->rcpts;
	*e->rcpts_end = r;
	e->rcpts_end = &r->next;
	e->rcpt_count++;
	return r;
}

bool envelope_add_rcpt_param(struct envelope *e, struct envelope_rcpt *rcpt, struct sv text)
{
	return add_param(e, &rcpt->params, text);
}

bool envelope_param(const struct envelope_param *list, struct sv keyword, struct sv *value)
{
	for (; list; list = list->next) {
		struct sv rest = list->text, name;

		if (!sv_split(&rest, '=', &name) || !sv_eq_nocase(name, keyword))
			continue;
		*value = rest;
		return true;
	}
	return false;
}

static bool put(struct buf *out, unsigned tag, struct sv value)
{
	uint32_t n = (uint32_t)value.len;
	char head[5] = { (char)tag, (char)n, (char)(n >> 8), (char)(n >> 16), (char)(n >> 24) };

	return value.len <= UINT32_MAX && buf_append(out, sv_from(head, sizeof(head))) &&
	       buf_append(out, value);
}

static bool put_params(struct buf *out, unsigned tag, const struct envelope_param *p)
{
	for (; p; p = p->next)
		if (!put(out, tag, p->text))
			return false;
	return true;
}

bool envelope_write(const struct envelope *e, struct buf *out)
{
	struct buf number;
	bool ok;

	buf_init(&number, 32);
	ok = buf_appendf(&number, "%lld", (long long)e->received_s) &&
	     put(out, TAG_RECEIVED, buf_sv(&number));
	buf_done(&number);
	for (unsigned i = 0; ok && i < ENVELOPE_FACTS; i++)
		if (e->facts[i].len)
			ok = put(out, TAG_FACT + i, e->facts[i]);
	ok = ok && put(out, TAG_SENDER, e->sender) && put_params(out, TAG_PARAM, e->params);
	for (const struct envelope_rcpt *r = e->rcpts; ok && r; r = r->next)
		ok = put(out, TAG_RCPT, r->address) &&
		     (!r->original.len || put(out, TAG_RCPT_ORIGINAL, r->original)) &&
		     put_params(out, TAG_RCPT_PARAM, r->params);
	return ok;
}

static bool to_seconds(struct sv text, int64_t *out)
{
	bool is_negative = text.len && *text.p == '-';
	uint64_t n;

	if (is_negative)
		sv_skip(&text, 1);
	if (!sv_to_u64(text, &n) || n > INT64_MAX)
		return false;
	*out = is_negative ? -(int64_t)n : (int64_t)n;
	return true;
}

/* read_value - one triple. last: the recipient that RCPT_... belong to. */
static struct fault read_value(struct envelope *e, unsigned tag, struct sv value,
			       struct envelope_rcpt **last)
{
	bool fits = true;

	switch (tag) {
	case TAG_RECEIVED:
		if (!to_seconds(value, &e->received_s))
			return fault(FAULT_CORRUPT, "envelope: time");
		break;
	case TAG_SENDER:
		if (e->has_sender)
			return fault(FAULT_CORRUPT, "envelope: two senders");
		fits = envelope_set_sender(e, value);
		break;
	case TAG_PARAM:
		fits = envelope_add_param(e, value);
		break;
	case TAG_RCPT:
		if (!value.len)
			return fault(FAULT_CORRUPT, "envelope: recipient without address");
		*last = envelope_add_rcpt(e, value, SV_NONE);
		fits = *last != NULL;
		break;
	case TAG_RCPT_ORIGINAL:
	case TAG_RCPT_PARAM:
		if (!*last)
			return fault(FAULT_CORRUPT,
				     "envelope: recipient's value before the first recipient");
		fits = tag == TAG_RCPT_PARAM ? envelope_add_rcpt_param(e, *last, value)
					     : copy(e, value, &(*last)->original);
		break;
	default:        /* of a newer program: skipped */
		if (tag >= TAG_FACT && tag < TAG_FACT + ENVELOPE_FACTS)
			fits = envelope_set_fact(e, (enum envelope_fact)(tag - TAG_FACT), value);
		break;
	}
	return fits ? FAULT_OK : fault(FAULT_LIMIT, "envelope: too large");
}

struct fault envelope_read(struct envelope *e, struct sv serial)
{
	struct envelope_rcpt *last = NULL;
	struct fault f = FAULT_OK;

	while (!f.kind && serial.len) {
		const unsigned char *p = (const unsigned char *)serial.p;
		uint32_t n;

		if (serial.len < 5) {
			f = fault(FAULT_CORRUPT, "envelope: cut");
			break;
		}
		n = (uint32_t)p[1] | (uint32_t)p[2] << 8 | (uint32_t)p[3] << 16 |
		    (uint32_t)p[4] << 24;
		if (n > serial.len - 5) {
			f = fault(FAULT_CORRUPT, "envelope: cut");
			break;
		}
		f = read_value(e, p[0], sv_sub(serial, 5, n), &last);
		sv_skip(&serial, 5 + (size_t)n);
	}
	if (!f.kind && (!e->has_sender || !e->rcpt_count))
		f = fault(FAULT_CORRUPT, "envelope: no sender or no recipient");
	if (f.kind)
		envelope_clear(e);
	return f;
}
