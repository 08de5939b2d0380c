#include "smtpd/relay/narrow.h"

#include "smtpd/sign.h"

#include "common/banned.h"

struct fault narrow_read(struct spool *reader, struct data_scanner *scanner, bool *is_last)
{
	struct buf chunk;
	struct fault f;
	struct sv in;

	buf_init(&chunk, SPOOL_BODY_MAX);
	f = spool_read_body(reader, &chunk);
	*is_last = !f.kind && !chunk.len;
	/* What lies in the queue has whole lines; should it not, it is mended, since a bare CR or LF is how one message becomes two
	 * (RFC 5321 §2.3.8). */
	in = buf_sv(&chunk);
	(void)data_scanner_feed(scanner, &in);
	if (*is_last)
		data_scanner_finish(scanner);
	if (!f.kind && scanner->faults & DATA_SINK_FULL)
		f = fault(FAULT_LIMIT, "a chunk too long");
	buf_done(&chunk);
	return f;
}

/* pass - the whole message into a sink. */
static struct fault pass(struct queue *queue, struct sv id, byte_sink_fn *sink, void *ctx)
{
	struct data_scanner scanner;
	struct spool *reader = NULL;
	bool is_last = false;
	struct fault f = queue_read(queue, id, &reader);

	data_scanner_init(&scanner, DATA_NORMALISE | DATA_NO_DOTS, sink, ctx);
	while (!f.kind && !is_last)
		f = narrow_read(reader, &scanner, &is_last);
	spool_close(&reader);
	return f;
}

static bool parse(void *ctx, struct sv octets)
{
	downgrade_parse(ctx, octets);
	return true;
}

static bool count(void *ctx, struct sv octets)
{
	downgrade_count(ctx, octets);
	return true;
}

/* What will be sent: measured, and signed. */
struct measure {
	struct narrow *narrow;
	struct signer *signer;
};

static bool measure_out(void *ctx, struct sv octets)
{
	struct measure *m = ctx;

	m->narrow->size += octets.len;
	if (m->signer)
		signer_feed(m->signer, octets);
	return true;
}

static bool measure_in(void *ctx, struct sv octets)
{
	struct measure *m = ctx;

	return downgrade_feed(m->narrow->downgrade, octets, measure_out, m);
}

static struct fault measure(struct queue *queue, struct sv id, struct dkimkeys *keys, int64_t now_s, struct narrow *n)
{
	struct measure m = { .narrow = n };
	struct fault f;

	/* RFC 6376 §5.3: who converts a message signs it afterwards. */
	if (keys && downgrade_was_ours(n->downgrade))
		m.signer = signer_new(keys, now_s);
	downgrade_begin(n->downgrade);
	f = pass(queue, id, measure_in, &m);
	(void)downgrade_end(n->downgrade, measure_out, &m);
	if (!f.kind && m.signer)
		f = signer_finish(m.signer, &n->top);
	signer_free(&m.signer);
	n->size += n->top.len;
	downgrade_begin(n->downgrade);
	return f;
}

struct fault narrow_prepare(struct queue *queue, struct sv id, struct dkimkeys *keys, int64_t now_s, struct narrow *n)
{
	uint64_t top_len = 0;
	struct spool *reader = NULL;
	struct fault f = queue_read(queue, id, &reader);

	if (f.kind)
		return f;
	top_len = spool_top_size(reader);
	spool_close(&reader);
	buf_init(&n->top, SIGN_FIELDS_MAX);
	n->downgrade = downgrade_new(top_len);
	f = pass(queue, id, parse, n->downgrade);
	if (f.kind || !downgrade_parsed(n->downgrade)) {
		downgrade_free(&n->downgrade);
		return f;
	}
	f = pass(queue, id, count, n->downgrade);
	if (!f.kind)
		n->obstacle = downgrade_obstacle(n->downgrade);
	if (!f.kind && !n->obstacle)
		f = measure(queue, id, keys, now_s, n);
	return f;
}

void narrow_done(struct narrow *n)
{
	downgrade_free(&n->downgrade);
	buf_done(&n->top);
}
