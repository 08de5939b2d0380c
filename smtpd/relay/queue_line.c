#include "smtpd/relay/queue_line.h"

#include <stdio.h>

#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

static void append_word(char *to, size_t size, const char *word)
{
	size_t len = strlen(to);

	if (len + strlen(word) + 2 < size)
		snprintf(to + len, size - len, "%s%s", len ? " " : "", word);
}

static const char *state_of(const struct message *m)
{
	const char *state = "waiting";

	if (m->is_held)
		return "held";
	for (const struct part *p = m->parts; p; p = p->next_of_message) {
		if (p->state == PART_ACTIVE)
			return "sending";
		if (p->destination->is_paused)
			state = "paused";
		else if (p->failures || p->destination->blocked_until_ms ||
			 (p->destination->provider && p->destination->provider->blocked_until_ms))
			state = "deferred";
	}
	return state;
}

void queue_line_of(const struct relay *r, const struct message *m, struct queue_line *k)
{
	uint64_t now = loop_now_ms(r->loop), next = UINT64_MAX;

	*k = (struct queue_line){ .state = state_of(m), .received_s = m->received_s };
	memcpy(k->id, m->id, sizeof(k->id));
	for (const struct part *p = m->parts; p; p = p->next_of_message) {
		const struct destination *d = p->destination;
		uint64_t due = p->state == PART_WAITING ? p->due_ms : now;

		if (d->blocked_until_ms > due)
			due = d->blocked_until_ms;
		if (d->provider && d->provider->blocked_until_ms > due)
			due = d->provider->blocked_until_ms;
		if (due < next)
			next = due;
		if (p->failures > k->failures)
			k->failures = p->failures;
		append_word(k->destinations, sizeof(k->destinations),
			    d->name[0] == '=' ? "(local)" : d->name);
		if (d->reason[0] && !k->reason[0])
			snprintf(k->reason, sizeof(k->reason), "%s %.280s", d->status, d->reason);
		else if (d->provider && d->provider->blocked_until_ms && !k->reason[0])
			snprintf(k->reason, sizeof(k->reason), "%s %s: %.200s", d->provider->status, d->provider->name, d->provider->reason);
	}
	if (next != UINT64_MAX && next > now && !m->is_held)
		k->next_s = relay_now_s(r) + (int64_t)((next - now) / 1000);
}

struct sv queue_line_reason(const struct queue_line *k, const struct spool *sp)
{
	const struct envelope *e = spool_envelope(sp);
	int64_t newest = -1;
	struct sv text = SV_NONE;

	for (uint32_t i = 0; i < e->rcpt_count; i++) {
		struct spool_rcpt r = spool_rcpt(sp, i);

		if (!r.outcome && r.text.len && r.at_s > newest) {
			newest = r.at_s;
			text = r.text;
		}
	}
	return k->reason[0] || !text.len ? sv_z(k->reason) : text;
}

void queue_put_said(struct json_out *j, const char *name, struct sv text)
{
	struct buf line;
	size_t eol = sv_find(text, '\n');

	buf_init(&line, 8192);
	if (eol != SIZE_MAX)
		(void)buf_appendf(&line, "%.*s said: %.*s", SV_FMT(sv_sub(text, 0, eol)),
				  SV_FMT(sv_sub(text, eol + 1, SIZE_MAX)));
	else
		(void)buf_append(&line, text);
	json_out_sv(j, name, buf_sv(&line));
	buf_done(&line);
}

bool queue_line_write(const struct relay *r, const struct queue_line *k, const struct spool *sp, struct sv reason, struct buf *out)
{
	const struct envelope *e = spool_envelope(sp);
	struct json_out j;
	size_t n = 0;

	json_out_init(&j, out);
	json_out_object(&j, NULL);
	json_out_z(&j, "id", k->id);
	json_out_i64(&j, "since", e->received_s);
	json_out_u64(&j, "size", spool_size(sp));
	json_out_sv(&j, "from", e->sender);
	json_out_array(&j, "to");
	for (const struct envelope_rcpt *to = e->rcpts; to && n < QUEUE_RCPTS_LISTED; to = to->next, n++)
		json_out_sv(&j, NULL, to->address);
	json_out_array_end(&j);
	json_out_u64(&j, "recipients", e->rcpt_count);
	json_out_sv(&j, "user", e->facts[ENVELOPE_USER]);
	json_out_z(&j, "state", k->state);
	json_out_u64(&j, "attempts", k->failures);
	json_out_i64(&j, "next", relay_shown_s(r, k->next_s));
	json_out_z(&j, "destinations", k->destinations);
	queue_put_said(&j, "reason", reason);
	json_out_object_end(&j);
	return !j.overflow && buf_append_c(out, '\n');
}
