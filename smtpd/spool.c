#include "smtpd/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/memory.h"

#include "common/banned.h"

enum record {
	RECORD_ENVELOPE = 1,
	RECORD_BODY = 2,
	RECORD_TOP = 16,
	RECORD_END = 3,
	RECORD_OUTCOME = 4,
	RECORD_ATTEMPT = 5,
	RECORD_NOTICE = 6,
	RECORD_HOLD = 7,
	RECORD_BORN = 8,
};

#define HEAD_LEN 5      /* length and type */
#define CRC_LEN 4
#define MAGIC_LEN 16
#define OUTCOME_TEXT_MAX 4096

static const char magic[MAGIC_LEN] = "postroom spool\1\n";

struct spool {
	int fd;
	struct fault stuck;             /* the first failed write: nothing more is written */
	struct envelope envelope;       /* what was read; not used while writing */
	uint64_t at;                    /* where the next record begins */
	uint64_t body_at;               /* reading: the next BODY record; 0 when all were read */
	uint64_t body_start;
	uint64_t top_at;                /* reading: TOP; 0 when there is none, or it was read */
	uint64_t top_size;
	uint64_t size;                  /* of the body */
	uint32_t body_crc, read_crc;
	bool is_finished;               /* END is there */
	struct buf body;                /* writing: octets not yet in a record */
	struct rcpt *rcpts;             /* reading: per recipient */
	bool is_held;
	int64_t born_s;                 /* 0: unknown */
	enum spool_notice notice;       /* begun and not done; 0: none */
	char notice_id[SPOOL_ID_LEN + 1];
};

struct rcpt {
	uint8_t outcome, told;
	uint32_t attempts;
	int64_t at_s;
	char *text;
	size_t text_len;
};

static void put_u32(char *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(n >> (8 * i));
}

static uint32_t get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void put_u64(char *p, uint64_t n)
{
	put_u32(p, (uint32_t)n);
	put_u32(p + 4, (uint32_t)(n >> 32));
}

static uint64_t get_u64(const char *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static struct fault write_at(int fd, uint64_t at, struct sv octets)
{
	while (octets.len) {
		ssize_t n = pwrite(fd, octets.p, octets.len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_errno("spool write", "");
		at += (uint64_t)n;
		sv_skip(&octets, (size_t)n);
	}
	return FAULT_OK;
}

/* read_at - all n octets, or FAULT_CORRUPT when the file ends before. */
static struct fault read_at(int fd, uint64_t at, char *p, size_t n)
{
	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno("spool read", "");
		if (!got)
			return fault(FAULT_CORRUPT, "spool: cut");
		at += (uint64_t)got;
		p += got;
		n -= (size_t)got;
	}
	return FAULT_OK;
}

/* put_record - head, payload and checksum in one write. Nothing is written after a fault: an fsync
 * error leaves a file whose content is unknown, and a torn record in the middle would hide what
 * follows. */
static struct fault put_record(struct spool *s, enum record type, struct sv payload)
{
	struct buf b;

	if (s->stuck.kind)
		return s->stuck;
	buf_init(&b, payload.len + HEAD_LEN + CRC_LEN);
	buf_reserve(&b, b.max);
	b.len = HEAD_LEN;
	put_u32(b.p, (uint32_t)payload.len);
	b.p[4] = (char)type;
	buf_append(&b, payload);
	put_u32(b.p + b.len, crc32c(buf_sv(&b)));
	b.len += CRC_LEN;
	s->stuck = write_at(s->fd, s->at, buf_sv(&b));
	if (!s->stuck.kind)
		s->at += b.len;
	buf_done(&b);
	return s->stuck;
}

static struct fault sync_file(struct spool *s)
{
	if (!s->stuck.kind && fdatasync(s->fd))
		s->stuck = fault_errno("spool flush", "");
	return s->stuck;
}

static struct spool *spool_new(int fd)
{
	struct spool *s = xcalloc(1, sizeof(*s));

	s->fd = fd;
	envelope_init(&s->envelope);
	buf_init(&s->body, SPOOL_BODY_MAX);
	return s;
}

struct fault spool_create(int dir, const char *name, struct spool **out)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct spool *s;
	struct fault f;

	if (fd < 0)
		return fault_errno("spool create", name);
	s = spool_new(fd);
	f = flock(fd, LOCK_EX | LOCK_NB) ? fault_errno("spool lock", name)
					 : write_at(fd, 0, sv_from(magic, MAGIC_LEN));
	s->at = MAGIC_LEN;
	if (f.kind) {
		unlinkat(dir, name, 0);
		spool_close(&s);
		return f;
	}
	*out = s;
	return FAULT_OK;
}

struct fault spool_put_envelope(struct spool *s, const struct envelope *e)
{
	struct buf serial;
	struct fault f;

	buf_init(&serial, ENVELOPE_SERIAL_MAX);
	f = envelope_write(e, &serial) ? put_record(s, RECORD_ENVELOPE, buf_sv(&serial))
				       : fault(FAULT_LIMIT, "spool: envelope too large");
	if (!s->stuck.kind)
		s->stuck = f;
	buf_done(&serial);
	return f;
}

static struct fault flush_body(struct spool *s)
{
	struct fault f = FAULT_OK;

	if (s->body.len)
		f = put_record(s, RECORD_BODY, buf_sv(&s->body));
	buf_clear(&s->body);
	return f;
}

struct fault spool_put_body(struct spool *s, struct sv octets)
{
	s->size += octets.len;
	s->body_crc = crc32c_more(s->body_crc, octets);
	while (octets.len && !s->stuck.kind) {
		size_t room = s->body.max - s->body.len;
		struct sv part = sv_sub(octets, 0, room);

		buf_append(&s->body, part);
		sv_skip(&octets, part.len);
		if (s->body.len == s->body.max)
			(void)flush_body(s);    /* sticks */
	}
	return s->stuck;
}

struct fault spool_put_top(struct spool *s, struct sv fields)
{
	struct fault f = flush_body(s);

	if (!f.kind && fields.len > SPOOL_BODY_MAX)
		f = s->stuck = fault(FAULT_LIMIT, "spool: fields too long");
	if (!f.kind && fields.len) {
		f = put_record(s, RECORD_TOP, fields);
		s->top_size = fields.len;
	}
	return f;
}

struct fault spool_finish(struct spool *s)
{
	char end[12];
	struct fault f = flush_body(s);

	put_u64(end, s->size);
	put_u32(end + 8, s->body_crc);
	if (!f.kind)
		f = put_record(s, RECORD_END, sv_from(end, sizeof(end)));
	if (!f.kind)
		f = sync_file(s);
	s->is_finished = !f.kind;
	buf_done(&s->body);
	return f;
}

/* read_record - payload of the record at s->at into out, checked; s->at moves behind it. */
static struct fault read_record(struct spool *s, uint32_t len, size_t max, struct buf *out)
{
	struct fault f;

	if (len > max)
		return fault(FAULT_CORRUPT, "spool: record too long");
	buf_init(out, (size_t)len + HEAD_LEN + CRC_LEN);
	buf_reserve(out, out->max);
	f = read_at(s->fd, s->at, out->p, out->max);
	if (f.kind)
		return f;
	out->len = out->max - CRC_LEN;
	if (get_u32(out->p + out->len) != crc32c(buf_sv(out)))
		return fault(FAULT_CORRUPT, "spool: damaged record");
	buf_consume(out, HEAD_LEN);
	s->at += (uint64_t)len + HEAD_LEN + CRC_LEN;
	return FAULT_OK;
}

static struct fault read_end(struct spool *s, struct sv payload, uint64_t body_seen)
{
	if (payload.len < 12 || get_u64(payload.p) != body_seen)
		return fault(FAULT_CORRUPT, "spool: END does not fit the body");
	s->size = body_seen;
	s->body_crc = get_u32(payload.p + 8);
	s->is_finished = true;
	return FAULT_OK;
}

static void set_text(struct rcpt *r, struct sv text)
{
	free(r->text);
	r->text = sv_copy_z(text);
	r->text_len = text.len;
}

static void take_outcome(struct spool *s, struct sv payload)
{
	uint32_t i = payload.len >= 13 ? get_u32(payload.p) : UINT32_MAX;

	if (i >= s->envelope.rcpt_count)
		return;
	s->rcpts[i].outcome = (uint8_t)payload.p[4];
	s->rcpts[i].at_s = (int64_t)get_u64(payload.p + 5);
	set_text(&s->rcpts[i], sv_sub(payload, 13, SIZE_MAX));
}

/* take_list - count and numbers of recipients at the front of *in; *list points to them. */
static bool take_list(struct sv *in, uint32_t *count, const char **list)
{
	if (in->len < 4)
		return false;
	*count = get_u32(in->p);
	sv_skip(in, 4);
	if (*count > in->len / 4)
		return false;
	*list = in->p;
	sv_skip(in, 4 * (size_t)*count);
	return true;
}

static void take_attempt(struct spool *s, struct sv in)
{
	const char *list;
	uint32_t count;
	int64_t at_s;

	if (in.len < 8)
		return;
	at_s = (int64_t)get_u64(in.p);
	sv_skip(&in, 8);
	if (!take_list(&in, &count, &list))
		return;
	for (uint32_t k = 0; k < count; k++) {
		uint32_t i = get_u32(list + 4 * (size_t)k);

		if (i >= s->envelope.rcpt_count)
			continue;
		s->rcpts[i].attempts++;
		s->rcpts[i].at_s = at_s;
		set_text(&s->rcpts[i], in);
	}
}

#define NOTICE_HEAD (2 + SPOOL_ID_LEN + 8)

static void take_notice(struct spool *s, struct sv in)
{
	const char *list;
	uint32_t count;
	unsigned notice;

	if (in.len < NOTICE_HEAD)
		return;
	notice = (unsigned char)in.p[0] & 7;
	s->notice = in.p[1] ? 0 : (enum spool_notice)notice;
	memcpy(s->notice_id, in.p + 2, SPOOL_ID_LEN);
	sv_skip(&in, NOTICE_HEAD);
	if (!take_list(&in, &count, &list))
		return;
	for (uint32_t k = 0; k < count; k++) {
		uint32_t i = get_u32(list + 4 * (size_t)k);

		if (i < s->envelope.rcpt_count)
			s->rcpts[i].told |= (uint8_t)(1u << notice);
	}
}

/* take - a record behind END; others are of a newer program. */
static void take(struct spool *s, unsigned type, struct sv payload)
{
	switch (type) {
	case RECORD_OUTCOME:
		take_outcome(s, payload);
		break;
	case RECORD_ATTEMPT:
		take_attempt(s, payload);
		break;
	case RECORD_NOTICE:
		take_notice(s, payload);
		break;
	case RECORD_HOLD:
		s->is_held = payload.len && payload.p[0];
		break;
	case RECORD_BORN:
		s->born_s = payload.len >= 8 ? (int64_t)get_u64(payload.p) : 0;
		break;
	default:
		break;
	}
}

/* read_one - the record at s->at, whose head says type and len. Bodies are only counted here. */
static struct fault read_one(struct spool *s, unsigned type, uint32_t len, uint64_t *body_seen)
{
	struct buf payload;
	struct fault f;

	buf_init(&payload, 0);
	if (type == RECORD_BODY && !s->is_finished) {
		if (len > SPOOL_BODY_MAX)
			return fault(FAULT_CORRUPT, "spool: body record too long");
		if (!s->body_start)
			s->body_start = s->at;
		*body_seen += len;
		s->at += (uint64_t)len + HEAD_LEN + CRC_LEN;
		return FAULT_OK;
	}
	if (type == RECORD_TOP && !s->is_finished) {
		if (len > SPOOL_BODY_MAX || s->top_at)
			return fault(FAULT_CORRUPT, "spool: fields too long, or there twice");
		s->top_at = len ? s->at : 0;
		s->top_size = len;
		s->at += (uint64_t)len + HEAD_LEN + CRC_LEN;
		return FAULT_OK;
	}
	f = read_record(s, len, ENVELOPE_SERIAL_MAX, &payload);
	if (!f.kind && s->is_finished) {
		take(s, type, buf_sv(&payload));
	} else if (!f.kind && type == RECORD_ENVELOPE) {
		f = s->rcpts ? fault(FAULT_CORRUPT, "spool: two envelopes")
			     : envelope_read(&s->envelope, buf_sv(&payload));
		if (!f.kind)
			s->rcpts = xcalloc(s->envelope.rcpt_count, sizeof(*s->rcpts));
	} else if (!f.kind && type == RECORD_END) {
		f = s->rcpts ? read_end(s, buf_sv(&payload), *body_seen)
			     : fault(FAULT_CORRUPT, "spool: END without an envelope");
	}
	buf_done(&payload);
	return f;
}

/* read_all - walk over the records. Behind END only whole, undamaged records count: the rest is
 * what a crash tore. */
static struct fault read_all(struct spool *s)
{
	char head[MAGIC_LEN];
	uint64_t body_seen = 0;
	struct fault f = read_at(s->fd, 0, head, MAGIC_LEN);

	if (!f.kind && memcmp(head, magic, MAGIC_LEN))
		f = fault(FAULT_CORRUPT, "spool: not a spool file of this version");
	s->at = MAGIC_LEN;
	while (!f.kind) {
		f = read_at(s->fd, s->at, head, HEAD_LEN);
		if (!f.kind)
			f = read_one(s, (unsigned char)head[4], get_u32(head), &body_seen);
	}
	s->body_at = s->body_start;
	return f.kind == FAULT_CORRUPT && s->is_finished ? FAULT_OK : f;
}

struct fault spool_open(int dir, const char *name, enum spool_wait lock, struct spool **out)
{
	int fd = openat(dir, name,
			(lock == SPOOL_LOCKED ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK |
				O_CLOEXEC);
	struct spool *s;
	struct stat st;
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("spool open", name);
	s = spool_new(fd);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		f = fault(FAULT_CORRUPT, "spool: not a regular file");
	else if (lock == SPOOL_LOCKED && flock(fd, LOCK_EX | LOCK_NB))
		f = errno == EWOULDBLOCK ? fault(FAULT_BUSY, "spool: locked")
					 : fault_errno("spool lock", name);
	/* Whoever had the lock may have removed the name meanwhile. */
	else if (lock == SPOOL_LOCKED && (fstat(fd, &st) || !st.st_nlink))
		f = fault(FAULT_NOT_FOUND, "spool: removed");
	if (!f.kind)
		f = read_all(s);
	if (f.kind) {
		spool_close(&s);
		return f;
	}
	*out = s;
	return FAULT_OK;
}

const struct envelope *spool_envelope(const struct spool *s)
{
	return &s->envelope;
}

uint64_t spool_size(const struct spool *s)
{
	return s->top_size + s->size;
}

uint64_t spool_top_size(const struct spool *s)
{
	return s->top_size;
}

enum spool_outcome spool_outcome(const struct spool *s, uint32_t i)
{
	return s->rcpts && i < s->envelope.rcpt_count ? (enum spool_outcome)s->rcpts[i].outcome : 0;
}

/* read_top - what goes on top of the body. */
static struct fault read_top(struct spool *s, struct buf *out)
{
	uint64_t keep = s->at;
	struct buf payload;
	struct fault f;

	buf_init(&payload, 0);
	s->at = s->top_at;
	f = read_record(s, (uint32_t)s->top_size, SPOOL_BODY_MAX, &payload);
	if (!f.kind && !buf_append(out, buf_sv(&payload)))
		f = fault(FAULT_LIMIT, "spool: no room for a record");
	s->at = keep;
	if (!f.kind)
		s->top_at = 0;
	buf_done(&payload);
	return f;
}

struct fault spool_read_body(struct spool *s, struct buf *out)
{
	uint64_t keep = s->at;
	char head[HEAD_LEN];
	struct buf payload;
	struct fault f;

	if (s->top_at)
		return read_top(s, out);
	if (!s->body_at)
		return FAULT_OK;
	buf_init(&payload, 0);
	f = read_at(s->fd, s->body_at, head, HEAD_LEN);
	if (!f.kind &&
	    head[4] != RECORD_BODY) { /* END, or a kind we do not know: the body is over */
		s->body_at = 0;
		return s->read_crc == s->body_crc
			       ? FAULT_OK
			       : fault(FAULT_CORRUPT, "spool: body differs from its checksum");
	}
	s->at = s->body_at;
	if (!f.kind)
		f = read_record(s, get_u32(head), SPOOL_BODY_MAX, &payload);
	if (!f.kind) {
		s->body_at = s->at;
		s->read_crc = crc32c_more(s->read_crc, buf_sv(&payload));
		if (!buf_append(out, buf_sv(&payload)))
			f = fault(FAULT_LIMIT, "spool: no room for a record");
	}
	s->at = keep;
	buf_done(&payload);
	return f;
}

/* append - a record of the message's life, which counts from here on. */
static struct fault append(struct spool *s, enum record type, struct sv payload)
{
	struct fault f;

	/* What a crash tore lies behind the last whole record. */
	if (!s->stuck.kind && ftruncate(s->fd, (off_t)s->at))
		s->stuck = fault_errno("spool truncate", "");
	f = put_record(s, type, payload);
	if (!f.kind)
		take(s, type, payload);
	return f;
}

static void append_u64(struct buf *b, uint64_t n)
{
	char octets[8];

	put_u64(octets, n);
	buf_append(b, sv_from(octets, sizeof(octets)));
}

static void append_list(struct buf *b, const uint32_t *rcpts, uint32_t count)
{
	char octets[4];

	put_u32(octets, count);
	buf_append(b, sv_from(octets, sizeof(octets)));
	for (uint32_t i = 0; i < count; i++) {
		put_u32(octets, rcpts[i]);
		buf_append(b, sv_from(octets, sizeof(octets)));
	}
}

struct fault spool_put_outcomes(struct spool *s, const struct spool_change *changes, size_t count,
				int64_t now_s)
{
	struct buf payload;
	struct fault f = FAULT_OK;
	char head[5];

	buf_init(&payload, 13 + OUTCOME_TEXT_MAX);
	for (size_t i = 0; i < count && !f.kind; i++) {
		if (changes[i].rcpt >= s->envelope.rcpt_count) {
			f = fault(FAULT_INVALID, "spool: no such recipient");
			break;
		}
		buf_clear(&payload);
		put_u32(head, changes[i].rcpt);
		head[4] = (char)changes[i].outcome;
		buf_append(&payload, sv_from(head, sizeof(head)));
		append_u64(&payload, (uint64_t)now_s);
		buf_append(&payload, sv_sub(changes[i].text, 0, OUTCOME_TEXT_MAX));
		f = append(s, RECORD_OUTCOME, buf_sv(&payload));
	}
	buf_done(&payload);
	return f.kind ? f : sync_file(s);
}

struct fault spool_put_attempt(struct spool *s, const uint32_t *rcpts, uint32_t count,
			       int64_t now_s, struct sv text)
{
	struct buf payload;
	struct fault f;

	buf_init(&payload, 12 + 4 * (size_t)count + OUTCOME_TEXT_MAX);
	append_u64(&payload, (uint64_t)now_s);
	append_list(&payload, rcpts, count);
	buf_append(&payload, sv_sub(text, 0, OUTCOME_TEXT_MAX));
	f = append(s, RECORD_ATTEMPT, buf_sv(&payload));
	buf_done(&payload);
	return f;
}

struct fault spool_put_notice(struct spool *s, enum spool_notice notice, const char *id,
			      const uint32_t *rcpts, uint32_t count, int64_t now_s, bool is_done)
{
	struct buf payload;
	struct fault f;

	buf_init(&payload, NOTICE_HEAD + 4 + 4 * (size_t)count);
	buf_append_c(&payload, (char)notice);
	buf_append_c(&payload, (char)is_done);
	buf_append(&payload, sv_from(id, SPOOL_ID_LEN));
	append_u64(&payload, (uint64_t)now_s);
	append_list(&payload, rcpts, count);
	f = append(s, RECORD_NOTICE, buf_sv(&payload));
	buf_done(&payload);
	return f.kind ? f : sync_file(s);
}

bool spool_open_notice(const struct spool *s, enum spool_notice *notice, char *id)
{
	if (!s->notice)
		return false;
	*notice = s->notice;
	memcpy(id, s->notice_id, sizeof(s->notice_id));
	return true;
}

struct fault spool_put_hold(struct spool *s, bool is_held, int64_t now_s, struct sv by)
{
	struct buf payload;
	struct fault f;

	buf_init(&payload, 9 + OUTCOME_TEXT_MAX);
	buf_append_c(&payload, (char)is_held);
	append_u64(&payload, (uint64_t)now_s);
	buf_append(&payload, sv_sub(by, 0, OUTCOME_TEXT_MAX));
	f = append(s, RECORD_HOLD, buf_sv(&payload));
	buf_done(&payload);
	return f.kind ? f : sync_file(s);
}

bool spool_is_held(const struct spool *s)
{
	return s->is_held;
}

struct fault spool_put_born(struct spool *s, int64_t born_s)
{
	char payload[8];

	put_u64(payload, (uint64_t)born_s);
	return append(s, RECORD_BORN, sv_from(payload, sizeof(payload)));
}

int64_t spool_born(const struct spool *s)
{
	return s->born_s;
}

struct spool_rcpt spool_rcpt(const struct spool *s, uint32_t i)
{
	const struct rcpt *r;

	if (!s->rcpts || i >= s->envelope.rcpt_count)
		return (struct spool_rcpt){ .attempts = 0 };
	r = &s->rcpts[i];
	return (struct spool_rcpt){ .outcome = (enum spool_outcome)r->outcome,
				    .at_s = r->at_s,
				    .attempts = r->attempts,
				    .told = r->told,
				    .text = sv_from(r->text, r->text_len) };
}

void spool_close(struct spool **s)
{
	if (!*s)
		return;
	close((*s)->fd);
	for (uint32_t i = 0; (*s)->rcpts && i < (*s)->envelope.rcpt_count; i++)
		free((*s)->rcpts[i].text);
	free((*s)->rcpts);
	envelope_done(&(*s)->envelope);
	buf_done(&(*s)->body);
	free(*s);
	*s = NULL;
}

const char *spool_outcome_name(enum spool_outcome outcome)
{
	switch (outcome) {
	case SPOOL_DELIVERED: return "delivered";
	case SPOOL_BOUNCED:   return "bounced";
	case SPOOL_EXPIRED:   return "expired";
	case SPOOL_PASSED_ON: return "delivered";
	}
	return "pending";
}
