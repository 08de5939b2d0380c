#include "common/lines.h"

#include "common/banned.h"

bool byte_sink_buf(void *ctx, struct sv run)
{
	return buf_append(ctx, run);
}

/* ---- command lines ---- */

void line_reader_init(struct line_reader *r, size_t limit)
{
	*r = (struct line_reader){ .is_over = true };
	line_reader_limit(r, limit);
}

void line_reader_limit(struct line_reader *r, size_t limit)
{
	size_t max = limit > 2 ? limit - 2 : 0;

	r->line.max = max < r->line.len ? r->line.len : max;
}

bool line_reader_is_idle(const struct line_reader *r)
{
	return r->is_over || (!r->line.len && !r->saw_cr && !r->dropped);
}

void line_reader_rest(struct line_reader *r)
{
	if (line_reader_is_idle(r))
		buf_wipe(&r->line);
}

void line_reader_done(struct line_reader *r)
{
	buf_wipe(&r->line);
}

/* Keeps what fits; false when so much was dropped that waiting for the end makes no sense. */
static bool line_keep(struct line_reader *r, struct sv s)
{
	struct sv fits = sv_sub(s, 0, r->line.max - r->line.len);

	if (memchr(s.p, '\0', s.len))
		r->faults |= LINE_NUL;
	if (!buf_append(&r->line, fits) || fits.len < s.len) {
		r->faults |= LINE_TOO_LONG;
		r->dropped += s.len - fits.len;
	}
	return r->dropped < LINE_DROP_MAX;
}

enum feed line_reader_feed(struct line_reader *r, struct sv *in)
{
	if (!in->len)
		return FEED_MORE;
	if (r->is_over) {
		buf_clear(&r->line);
		r->faults = 0;
		r->dropped = 0;
		r->saw_cr = r->is_over = false;
	}
	/* Never look farther than to where the line would be given up: the answer must not depend on the cuts. */
	struct sv text = sv_sub(*in, 0, r->line.max - r->line.len + (LINE_DROP_MAX - r->dropped));
	const char *nl = memchr(text.p, '\n', text.len);

	text.len = nl ? (size_t)(nl - text.p) : text.len;
	sv_skip(in, text.len + (nl ? 1 : 0));

	bool ends_by_cr = text.len ? text.p[text.len - 1] == '\r' : r->saw_cr;
	bool goes_on = true;

	if (r->saw_cr && text.len) {
		r->faults |= LINE_BARE_CR;
		goes_on = line_keep(r, SV("\r"));
	}
	r->saw_cr = ends_by_cr;
	if (text.len && ends_by_cr)
		text.len--;
	if (text.len) {
		if (memchr(text.p, '\r', text.len))
			r->faults |= LINE_BARE_CR;
		goes_on = line_keep(r, text) && goes_on;
	}
	if (!goes_on) {
		r->faults |= LINE_ENDLESS;
		r->is_over = true;
		return FEED_BAD;
	}
	if (!nl)
		return FEED_MORE;
	if (!ends_by_cr)
		r->faults |= LINE_BARE_LF;
	r->is_over = true;
	return r->faults ? FEED_BAD : FEED_DONE;
}

/* ---- SMTP DATA and BDAT ---- */

enum data_state {
	DATA_START = 0, /* behind CRLF, or at the beginning */
	DATA_DOT,       /* a dot at a line's start, not given yet */
	DATA_DOT_CR,    /* that dot and a CR */
	DATA_MID,       /* inside a line */
	DATA_CR,        /* a CR that is not given yet */
	DATA_SOFT,      /* behind a bare CR or LF that became CRLF */
	DATA_SOFT_DOT,  /* a dot there, not given yet */
};

void data_scanner_init(struct data_scanner *s, unsigned flags, byte_sink_fn *sink, void *ctx)
{
	*s = (struct data_scanner){ .sink = sink, .ctx = ctx, .flags = flags, .is_line_start = true };
}

static void data_give(struct data_scanner *s, struct sv run)
{
	if (!run.len)
		return;
	s->size += run.len;
	if (!(s->flags & DATA_BINARY) && memchr(run.p, '\0', run.len))
		s->faults |= DATA_NUL;
	if (s->faults & DATA_SINK_FULL)
		return;
	if (!(s->flags & DATA_NORMALISE) && (s->faults & (DATA_BARE_CR | DATA_BARE_LF)))
		return;
	if (!s->sink(s->ctx, run))
		s->faults |= DATA_SINK_FULL;
}

static void data_line_grew(struct data_scanner *s, size_t n)
{
	s->line += n;
	if (s->line > s->longest_line)
		s->longest_line = s->line;
	if (s->line > DATA_LINE_MAX)
		s->faults |= DATA_LONG_LINE;
}

static void data_bare(struct data_scanner *s, enum data_fault which)
{
	s->faults |= which;
	s->line = 0;
	if (s->flags & DATA_NORMALISE) {
		data_give(s, SV("\r\n"));
		s->state = DATA_SOFT;
	} else {
		s->size++;
		s->state = DATA_MID;
	}
}

enum feed data_scanner_feed(struct data_scanner *s, struct sv *in)
{
	if (!in->len)
		return FEED_MORE;
	if (s->flags & DATA_BINARY) {
		data_give(s, *in);
		sv_skip(in, in->len);
		return FEED_MORE;
	}
	const char *p = in->p, *end = p + in->len, *run = p, *nl = NULL, *cr;
	bool has_dots = !(s->flags & DATA_NO_DOTS);

	while (p < end) {
		switch ((enum data_state)s->state) {
		case DATA_START:
		case DATA_SOFT:
			if (*p != '.' || !has_dots) {
				s->state = DATA_MID;
				break;
			}
			data_give(s, sv_from(run, (size_t)(p - run)));
			run = ++p;
			s->state = s->state == DATA_START ? DATA_DOT : DATA_SOFT_DOT;
			break;
		case DATA_DOT:
			s->state = DATA_MID;
			if (*p == '\r') {
				run = ++p;
				s->state = DATA_DOT_CR;
			}
			break;
		case DATA_DOT_CR:
			s->state = DATA_CR;
			if (*p == '\n') {       /* RFC 5321 §4.1.1.4: the only end there is */
				sv_skip(in, (size_t)(p + 1 - in->p));
				s->state = DATA_START;
				s->is_line_start = true;
				return FEED_DONE;
			}
			break;
		case DATA_SOFT_DOT:
			s->state = DATA_MID;
			if (*p != '.') {
				data_line_grew(s, 1);
				data_give(s, SV("."));
			}
			break;
		case DATA_CR:
			if (*p != '\n') {
				data_bare(s, DATA_BARE_CR);
				break;
			}
			data_give(s, SV("\r\n"));
			run = ++p;
			s->line = 0;
			s->state = DATA_START;
			break;
		case DATA_MID:
			if (!nl || nl < p) {    /* looked for once per line: many CRs must not make it quadratic */
				nl = memchr(p, '\n', (size_t)(end - p));
				nl = nl ? nl : end;
			}
			cr = memchr(p, '\r', (size_t)(nl - p));
			data_line_grew(s, (size_t)((cr ? cr : nl) - p));
			if (cr && cr + 1 == nl && nl < end) {
				p = nl + 1;     /* the usual line: the run simply goes on */
				s->line = 0;
				s->state = DATA_START;
			} else if (cr) {
				data_give(s, sv_from(run, (size_t)(cr - run)));
				run = p = cr + 1;
				s->state = DATA_CR;
			} else if (nl < end) {
				data_give(s, sv_from(run, (size_t)(nl - run)));
				run = p = nl + 1;
				data_bare(s, DATA_BARE_LF);
			} else {
				p = end;
			}
			break;
		}
	}
	data_give(s, sv_from(run, (size_t)(end - run)));
	s->is_line_start = s->state == DATA_START || s->state == DATA_SOFT;
	sv_skip(in, in->len);
	return FEED_MORE;
}

void data_scanner_finish(struct data_scanner *s)
{
	if (s->state == DATA_CR)
		data_bare(s, DATA_BARE_CR);
	s->is_line_start = s->state == DATA_START || s->state == DATA_SOFT;
}

/* ---- writing ---- */

enum dot_state { DOT_START = 0, DOT_MID, DOT_CR };

static bool put(bool *is_full, struct sv run, byte_sink_fn *sink, void *ctx)
{
	if (run.len && !*is_full && !sink(ctx, run))
		*is_full = true;
	return !*is_full;
}

bool dot_writer_feed(struct dot_writer *w, struct sv in, byte_sink_fn *sink, void *ctx)
{
	if (!in.len)
		return !w->is_full;
	const char *p = in.p, *end = p + in.len, *run = p;

	while (p < end && !w->is_full) {
		if (w->state == DOT_START && *p == '.') {
			put(&w->is_full, sv_from(run, (size_t)(p - run)), sink, ctx);
			put(&w->is_full, SV("."), sink, ctx);
			run = p;
		}
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl) {
			w->state = end[-1] == '\r' ? DOT_CR : DOT_MID;
			break;
		}
		bool is_crlf = nl > p ? nl[-1] == '\r' : w->state == DOT_CR;
		w->state = is_crlf ? DOT_START : DOT_MID;
		p = nl + 1;
	}
	return put(&w->is_full, sv_from(run, (size_t)(end - run)), sink, ctx);
}

bool dot_writer_end(struct dot_writer *w, byte_sink_fn *sink, void *ctx)
{
	if (w->state != DOT_START)
		put(&w->is_full, SV("\r\n"), sink, ctx);
	w->state = DOT_START;
	return put(&w->is_full, SV(".\r\n"), sink, ctx);
}

bool crlf_writer_feed(struct crlf_writer *w, struct sv in, byte_sink_fn *sink, void *ctx)
{
	if (!in.len)
		return !w->is_full;
	const char *p = in.p, *end = p + in.len, *run = p;

	while (p < end && !w->is_full) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			break;
		if (!(nl > in.p ? nl[-1] == '\r' : w->saw_cr)) {
			put(&w->is_full, sv_from(run, (size_t)(nl - run)), sink, ctx);
			put(&w->is_full, SV("\r"), sink, ctx);
			run = nl;
		}
		p = nl + 1;
	}
	w->saw_cr = end[-1] == '\r';
	return put(&w->is_full, sv_from(run, (size_t)(end - run)), sink, ctx);
}
