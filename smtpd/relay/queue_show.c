#include "smtpd/relay/queue_show.h"

#include "smtpd/relay/explain.h"
#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

struct showing {
	struct relay *relay;
	const char *id;
	const struct queue_line *line;
	int64_t now_s;
	struct buf *lines;
};

static void describe_facts(struct json_out *j, const struct envelope *e)
{
	static const char *const names[ENVELOPE_FACTS] = {
		[ENVELOPE_ID] = "id",
		[ENVELOPE_LISTENER] = "listener",
		[ENVELOPE_PROTOCOL] = "protocol",
		[ENVELOPE_PEER] = "peer",
		[ENVELOPE_HELO] = "helo",
		[ENVELOPE_USER] = "user",
		[ENVELOPE_TLS] = "tls",
		[ENVELOPE_SESSION] = "sid",
	};

	for (unsigned i = 0; i < ENVELOPE_FACTS; i++)
		json_out_sv(j, names[i], e->facts[i]);
	json_out_i64(j, "since", e->received_s);
	json_out_sv(j, "from", e->sender);
}

static void describe_params(struct json_out *j, const struct envelope_param *p)
{
	json_out_array(j, "parameters");
	for (; p; p = p->next)
		json_out_sv(j, NULL, p->text);
	json_out_array_end(j);
}

static void describe(struct showing *a, const struct spool *s)
{
	const struct envelope *e = spool_envelope(s);
	const struct queue_line *k = a->line;
	struct json_out json, *j = &json;
	uint32_t i = 0;

	json_out_init(j, a->lines);
	json_out_object(j, NULL);
	describe_facts(j, e);
	json_out_u64(j, "size", spool_size(s));
	json_out_z(j, "state", k->state);
	json_out_i64(j, "next", relay_shown_s(a->relay, k->next_s));
	describe_params(j, e->params);
	json_out_array(j, "recipients");
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next, i++) {
		struct spool_rcpt known = spool_rcpt(s, i);

		json_out_object(j, NULL);
		json_out_sv(j, "to", r->address);
		json_out_sv(j, "original", r->original);
		json_out_z(j, "status", spool_outcome_name(known.outcome));
		json_out_u64(j, "attempts", known.attempts);
		json_out_i64(j, "last", relay_shown_s(a->relay, known.at_s));
		queue_put_said(j, "reason", known.text.len || known.outcome ? known.text : sv_z(k->reason));
		describe_params(j, r->params);
		json_out_object_end(j);
	}
	json_out_array_end(j);
	json_out_object_end(j);
	(void)buf_append_c(a->lines, '\n');
}

/* ---- the same for people ---- */

static void say_line(struct showing *a, const char *name, struct sv value)
{
	struct json_out j;
	struct buf text;

	buf_init(&text, 4096);
	if (*name)
		buf_appendf(&text, "%-12s", name);
	buf_append(&text, sv_sub(value, 0, 2000));
	json_out_init(&j, a->lines);
	json_out_object(&j, NULL);
	json_out_sv(&j, "line", buf_sv(&text));
	json_out_object_end(&j);
	buf_append_c(a->lines, '\n');
	buf_done(&text);
}

/* say_meaning - the plain sentence for a well-known refusal. */
static void say_meaning(struct showing *a, struct sv reply)
{
	struct sv rest = reply, word, status = SV_NONE;
	const char *sentence;

	for (int i = 0; i < 2 && !status.len && sv_split(&rest, ' ', &word); i++)
		if (word.len >= 5 && word.p[1] == '.')
			status = word;
	sentence = reply.len ? explain_refusal(status, reply) : NULL;
	if (sentence)
		say_line(a, "means", sv_z(sentence));
}

static void say_recipient(struct showing *a, const struct envelope_rcpt *r, struct spool_rcpt known, struct buf *text)
{
	struct sv words = known.text, remote = SV_NONE;

	buf_clear(text);
	buf_appendf(text, "%.*s (%s%s%.*s", SV_FMT(r->address), spool_outcome_name(known.outcome),
		    r->original.len ? ", for " : "", SV_FMT(r->original));
	if (known.attempts && !known.outcome)
		buf_appendf(text, ", %u attempt%s", known.attempts, known.attempts == 1 ? "" : "s");
	buf_append_c(text, ')');
	say_line(a, "to", buf_sv(text));
	if (sv_find(words, '\n') != SIZE_MAX)
		(void)sv_split(&words, '\n', &remote);
	buf_clear(text);
	if (remote.len)
		buf_appendf(text, "%.*s said: ", SV_FMT(remote));
	buf_append(text, words);
	if (text->len)
		say_line(a, "", buf_sv(text));
	say_meaning(a, words);
}

static void say_state(struct showing *a, struct buf *text)
{
	const struct queue_line *k = a->line;

	buf_clear(text);
	buf_appendf(text, "%s", k->state);
	if (k->next_s > a->now_s)
		buf_appendf(text, ", next attempt in %lld s", (long long)(k->next_s - a->now_s));
	say_line(a, "state", buf_sv(text));
	if (k->destinations[0])
		say_line(a, "goes to", sv_z(k->destinations));
	if (k->reason[0])
		say_line(a, "because", sv_z(k->reason));
	say_meaning(a, sv_z(k->reason));
}

static void say_envelope(struct showing *a, const struct spool *s)
{
	const struct envelope *e = spool_envelope(s);
	struct buf text;
	uint32_t i = 0;

	buf_init(&text, 8192);
	say_line(a, "id", e->facts[ENVELOPE_ID]);
	say_line(a, "from", e->sender.len ? e->sender : SV("<>"));
	for (const struct envelope_rcpt *r = e->rcpts; r; r = r->next)
		say_recipient(a, r, spool_rcpt(s, i++), &text);
	say_state(a, &text);
	buf_clear(&text);
	buf_appendf(&text, "%llu octets", (unsigned long long)spool_size(s));
	say_line(a, "size", buf_sv(&text));
	buf_clear(&text);
	buf_appendf(&text, "%.*s by %.*s, session %.*s", SV_FMT(e->facts[ENVELOPE_PEER]),
		    SV_FMT(e->facts[ENVELOPE_PROTOCOL]), SV_FMT(e->facts[ENVELOPE_SESSION]));
	say_line(a, "came from", buf_sv(&text));
	say_line(a, "user", e->facts[ENVELOPE_USER]);
	buf_done(&text);
}

/* say_header - up to the empty line, as far as it lies in the first records: what was put on top is
 * one. */
static struct fault say_header(struct showing *a, struct spool *s)
{
	struct buf body;
	struct sv rest, line;
	struct fault f;

	buf_init(&body, 2 * SPOOL_BODY_MAX);
	f = spool_read_body(s, &body);
	if (!f.kind && body.len < SPOOL_BODY_MAX)
		f = spool_read_body(s, &body);
	rest = buf_sv(&body);
	say_line(a, "", SV_NONE);
	while (!f.kind && sv_split(&rest, '\n', &line) && sv_trim(line).len)
		say_line(a, "", line.len && line.p[line.len - 1] == '\r' ? sv_sub(line, 0, line.len - 1) : line);
	buf_done(&body);
	return f;
}

static void say_talk(struct showing *a)
{
	struct buf talk;
	struct sv rest, line;

	buf_init(&talk, 32768);
	if (queue_talk(a->relay->queue, a->id, &talk)) {
		say_line(a, "", SV_NONE);
		say_line(a, "", SV("The last conversation about it:"));
		rest = buf_sv(&talk);
		while (sv_split(&rest, '\n', &line))
			say_line(a, "", line);
	}
	buf_done(&talk);
}

struct fault queue_show(struct relay *r, const char *id, const struct queue_line *line, struct buf *out)
{
	struct showing a = { .relay = r, .id = id, .line = line, .now_s = relay_now_s(r), .lines = out };
	struct spool *s = NULL;
	struct fault f = queue_read(r->queue, sv_z(id), &s);

	if (f.kind)
		return f;
	describe(&a, s);
	say_envelope(&a, s);
	say_talk(&a);
	f = say_header(&a, s);
	spool_close(&s);
	return f;
}
