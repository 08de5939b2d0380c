#include "smtpd/milter.h"

#include <stdlib.h>

#include "common/header.h"
#include "common/lines.h"
#include "common/memory.h"
#include "common/stream.h"
#include "smtpd/pieces.h"

#include "common/banned.h"

#define VERSION 6u

/* What we let a filter do: add fields, set its own (rspamd sets X-Spam), quarantine. */
#define ACTIONS (1u | 0x10u | 0x20u)
enum protocol {
	NO_CONNECT = 0x1,
	NO_HELO = 0x2,
	NO_MAIL = 0x4,
	NO_RCPT = 0x8,
	NO_BODY = 0x10,
	NO_HEADERS = 0x20,
	NO_EOH = 0x40,
	SILENT_HEADER = 0x80,
	NO_UNKNOWN = 0x100,
	NO_DATA = 0x200,
	MAY_SKIP = 0x400,
	SILENT_CONNECT = 0x1000,
	SILENT_HELO = 0x2000,
	SILENT_MAIL = 0x4000,
	SILENT_RCPT = 0x8000,
	SILENT_DATA = 0x10000,
	SILENT_EOH = 0x40000,
	SILENT_BODY = 0x80000,
	LEADING_SPACE = 0x100000,
};
/* All of it but an answer of their own for recipients that were refused. */
#define PROTOCOL 0x1ff7ffu

enum stage {
	AT_OPTIONS = 0,
	AT_CONNECT,
	AT_HELO,
	AT_MAIL,
	AT_RCPT,
	AT_DATA,
	AT_HEADER,
	AT_EOH,
	AT_BODY,
	AT_END,
	AT_DONE,
};

struct milter {
	struct loop *loop;
	struct screen_message message;
	screen_fn *fn;
	void *arg;
	uint32_t timeout_ms;
	struct connector *connector;
	struct stream *stream;
	struct timer deadline; /* for an answer; when done, the next turn */
	enum stage stage;
	uint32_t protocol;
	bool is_waiting; /* for an answer */
	size_t rcpt_next, rcpt_refused;
	struct screen_verdict verdict;
	struct header_reader reader;
	struct buf packet;
	struct pieces *pieces; /* of the file; one is a packet of the body */
	struct sv rest; /* of the piece: not sent yet */
	bool is_at_end;
};

static void advance(struct milter *m);

/* ---- the end ---- */

static void release(struct milter *m)
{
	header_reader_done(&m->reader);
	buf_done(&m->packet);
	screen_verdict_done(&m->verdict);
	pieces_free(&m->pieces);
	free(m);
}

void milter_free(struct milter **milter)
{
	struct milter *m = *milter;

	*milter = NULL;
	if (!m)
		return;
	connect_forget(&m->connector);
	stream_close(&m->stream, false);
	timer_stop(&m->deadline);
	release(m);
}

static void finish(struct milter *m)
{
	if (m->stage == AT_DONE)
		return;
	m->stage = AT_DONE;
	if (m->stream)
		(void)stream_write(m->stream, SV("\0\0\0\1Q"));
	timer_start_ms(&m->deadline, 0);
}

static void fail(struct milter *m, const char *why)
{
	if (m->stage == AT_DONE)
		return;
	screen_fail(&m->verdict, why);
	finish(m);
}

static void on_deadline(struct timer *t)
{
	struct milter *m = CONTAINER_OF(t, struct milter, deadline);

	if (m->stage != AT_DONE) {
		fail(m, "no answer in time");
		return;
	}
	stream_close(&m->stream, true);
	m->fn(m->arg, &m->verdict);
}

/* ---- packets ---- */

static void put_u32(struct buf *b, uint32_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_append_c(b, (char)(n >> shift));
}

/* begin - a packet whose length is set when it is sent. */
static void begin(struct milter *m, char letter)
{
	buf_clear(&m->packet);
	put_u32(&m->packet, 0);
	buf_append_c(&m->packet, letter);
}

static void put_word(struct milter *m, struct sv word)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.p[i])
			buf_append_c(&m->packet, word.p[i]);
	buf_append_c(&m->packet, '\0');
}

static bool send_packet(struct milter *m)
{
	uint32_t len = (uint32_t)(m->packet.len - 4);

	for (unsigned i = 0; i < 4; i++)
		m->packet.p[i] = (char)(len >> (24 - 8 * i));
	if (stream_write(m->stream, buf_sv(&m->packet)))
		return true;
	fail(m, "it reads too slowly");
	return false;
}

/* send_command - what is in the packet; silent: nobody answers it. */
static void send_command(struct milter *m, uint32_t silent)
{
	if (!send_packet(m) || (silent & m->protocol))
		return;
	m->is_waiting = true;
	timer_start_ms(&m->deadline, m->timeout_ms);
}

static void send_macros(struct milter *m, char command, const char *const names[],
			const struct sv values[], size_t count)
{
	begin(m, 'D');
	buf_append_c(&m->packet, command);
	for (size_t i = 0; i < count; i++) {
		if (!values[i].len)
			continue;
		put_word(m, sv_z(names[i]));
		put_word(m, values[i]);
	}
	(void)send_packet(m);
}

/* ---- the dialogue: each function sends one command ---- */

static void send_options(struct milter *m)
{
	begin(m, 'O');
	put_u32(&m->packet, VERSION);
	put_u32(&m->packet, ACTIONS);
	put_u32(&m->packet, PROTOCOL);
	send_command(m, 0);
}

static void send_connect(struct milter *m)
{
	const struct screen_message *g = &m->message;
	static const char *const names[] = { "j", "{daemon_name}", "v" };
	struct sv values[] = { g->hostname, SV("smtpd"), SV("Postroom") };
	char ip[NETADDR_TEXT_MAX];
	struct sv text = netaddr_text(&g->peer, ip);
	bool is_ip = g->peer.family == NET_IPV4 || g->peer.family == NET_IPV6;

	send_macros(m, 'C', names, values, ARRAY_LEN(names));
	begin(m, 'C');
	if (g->host.len)
		put_word(m, g->host);
	else
		put_word(m, SV("unknown"));
	buf_append_c(&m->packet, g->peer.family == NET_IPV4 ? '4' : is_ip ? '6' : 'U');
	if (is_ip) {
		buf_append_c(&m->packet, (char)(g->peer.port >> 8));
		buf_append_c(&m->packet, (char)g->peer.port);
		put_word(m, text);
	}
	send_command(m, SILENT_CONNECT);
}

static void send_helo(struct milter *m)
{
	static const char *const names[] = { "{tls_version}", "{cipher}" };
	struct sv values[2] = { SV_NONE, m->message.tls };

	if (sv_split(&values[1], ' ', &values[0]))
		send_macros(m, 'H', names, values, ARRAY_LEN(names));
	begin(m, 'H');
	put_word(m, m->message.helo);
	send_command(m, SILENT_HELO);
}

static void put_path(struct milter *m, struct sv address)
{
	buf_append_c(&m->packet, '<');
	put_word(m, address);
	m->packet.len--;
	buf_append(&m->packet, sv_from(">\0", 2));
}

static void send_mail(struct milter *m)
{
	static const char *const names[] = { "i", "{mail_addr}", "{auth_authen}" };
	struct sv values[] = { m->message.queue_id, m->message.sender, m->message.user };

	send_macros(m, 'M', names, values, ARRAY_LEN(names));
	begin(m, 'M');
	put_path(m, m->message.sender);
	send_command(m, SILENT_MAIL);
}

static void send_rcpt(struct milter *m)
{
	static const char *const names[] = { "{rcpt_addr}" };
	struct sv to = m->message.rcpts[m->rcpt_next++];

	send_macros(m, 'R', names, &to, 1);
	begin(m, 'R');
	put_path(m, to);
	send_command(m, SILENT_RCPT);
}

static void send_letter(struct milter *m, char letter, uint32_t silent)
{
	begin(m, letter);
	send_command(m, silent);
}

/* send_header - line ends inside are LF here, which is how filters know them. */
static void send_header(struct milter *m, const struct header_field *f)
{
	struct sv value = f->value;

	if (f->is_malformed || f->is_truncated)
		return;
	if (!(m->protocol & LEADING_SPACE) && value.len && value.p[0] == ' ')
		sv_skip(&value, 1);
	begin(m, 'L');
	put_word(m, f->name);
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] && value.p[i] != '\r')
			buf_append_c(&m->packet, value.p[i]);
	buf_append_c(&m->packet, '\0');
	send_command(m, SILENT_HEADER);
}

static void send_body(struct milter *m)
{
	begin(m, 'B');
	buf_append(&m->packet, m->rest);
	m->rest = SV_NONE;
	send_command(m, SILENT_BODY);
}

/* ---- the file ---- */

static void on_piece(void *arg, struct sv octets, bool is_last, struct fault f)
{
	struct milter *m = arg;

	if (f.kind) {
		fail(m, "the message cannot be read");
		return;
	}
	m->rest = octets;
	m->is_at_end = is_last;
	advance(m);
}

static void fetch_piece(struct milter *m)
{
	if (!pieces_next(m->pieces))
		fail(m, "no thread to read the message");
}

/* ---- the order of things ---- */

/* next_header - true: something was sent, or the header has ended. */
static bool next_header(struct milter *m)
{
	switch (header_reader_feed(&m->reader, &m->rest)) {
	case HEADER_FIELD:
		if (!(m->protocol & NO_HEADERS))
			send_header(m, &m->reader.field);
		return true;
	case HEADER_END:
		m->stage = AT_EOH;
		return true;
	case HEADER_MORE:
		break;
	}
	if (!m->is_at_end)
		return false;
	if (header_reader_finish(&m->reader) == HEADER_FIELD) {
		if (!(m->protocol & NO_HEADERS))
			send_header(m, &m->reader.field);
	} else {
		m->stage = AT_EOH;
	}
	return true;
}

/* is_due - is the command of this stage wanted? */
static bool is_due(const struct milter *m, uint32_t unwanted)
{
	return !(m->protocol & unwanted);
}

/* step - one command, or none when it is not wanted. False: nothing can be sent now. */
static bool step(struct milter *m)
{
	switch (m->stage) {
	case AT_OPTIONS:
		m->stage = AT_CONNECT;
		send_options(m);
		return true;
	case AT_CONNECT:
		m->stage = AT_HELO;
		if (is_due(m, NO_CONNECT))
			send_connect(m);
		return true;
	case AT_HELO:
		m->stage = AT_MAIL;
		if (is_due(m, NO_HELO))
			send_helo(m);
		return true;
	case AT_MAIL:
		m->stage = AT_RCPT;
		if (is_due(m, NO_MAIL))
			send_mail(m);
		return true;
	case AT_RCPT:
		if (m->rcpt_next < m->message.rcpt_count && is_due(m, NO_RCPT))
			send_rcpt(m);
		else
			m->stage = AT_DATA;
		return true;
	case AT_DATA:
		m->stage = AT_HEADER;
		if (is_due(m, NO_DATA))
			send_letter(m, 'T', SILENT_DATA);
		return true;
	case AT_HEADER:
		if (next_header(m))
			return true;
		fetch_piece(m);
		return false;
	case AT_EOH:
		m->stage = AT_BODY;
		if (is_due(m, NO_EOH))
			send_letter(m, 'N', SILENT_EOH);
		return true;
	case AT_BODY:
		if (!is_due(m, NO_BODY) || (m->is_at_end && !m->rest.len)) {
			m->stage = AT_END;
			return true;
		}
		if (!stream_has_room(m->stream))
			return false;
		if (m->rest.len) {
			send_body(m);
			return true;
		}
		fetch_piece(m);
		return false;
	case AT_END:
		m->stage = AT_END;
		send_letter(m, 'E', 0);
		return true;
	case AT_DONE:
		return false;
	}
	return false;
}

static void advance(struct milter *m)
{
	while (!m->is_waiting && !pieces_is_reading(m->pieces) && m->stage != AT_DONE && step(m))
		;
}

/* ---- answers ---- */

static void take_options(struct milter *m, char letter, struct sv data)
{
	const unsigned char *p = (const unsigned char *)data.p;

	if (letter != 'O' || data.len < 12) {
		fail(m, "it does not speak the protocol");
		return;
	}
	m->protocol = ((uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11]) &
		      PROTOCOL;
	m->is_waiting = false;
}

static bool is_of_rcpt(const struct milter *m)
{
	return m->stage == AT_RCPT && m->rcpt_next;
}

/* take_packet - one recipient alone cannot be refused any more: only when all are, the message is.
 */
static void take_packet(struct milter *m, char letter, struct sv data)
{
	bool is_final = false;

	timer_start_ms(&m->deadline, m->timeout_ms);
	if (!m->is_waiting && m->stage != AT_END) {
		/* An answer to what it said it would not answer. */
		fail(m, "it answers what nobody asked");
		return;
	}
	if (!milter_take_answer(letter, data, &m->verdict, &is_final))
		return;
	if (is_of_rcpt(m) && m->verdict.action >= SCREEN_DEFER &&
	    ++m->rcpt_refused < m->message.rcpt_count) {
		m->verdict.action = SCREEN_ACCEPT;
		m->verdict.text[0] = '\0';
		is_final = false;
	}
	m->is_waiting = false;
	if (letter == 's' && m->stage == AT_BODY) {
		m->rest = SV_NONE;
		m->stage = AT_END;
	} else if (is_final || m->stage == AT_END) {
		finish(m);
	}
}

static void on_input(struct stream *stream, void *user)
{
	struct milter *m = user;
	struct sv in = stream_input(stream), data;
	size_t had = in.len;
	enum feed feed = FEED_DONE;
	char letter;

	while (m->stage != AT_DONE &&
	       (feed = milter_take_packet(&in, &letter, &data)) == FEED_DONE) {
		bool is_options = m->stage == AT_CONNECT && m->is_waiting;

		if (is_options)
			take_options(m, letter, data);
		else
			take_packet(m, letter, data);
	}
	stream_take(stream, had - in.len);
	if (feed == FEED_BAD)
		fail(m, "it sends what is no packet");
	advance(m);
}

static void on_writable(struct stream *stream, void *user)
{
	(void)stream;
	advance(user);
}

static void on_end(struct stream *stream, enum stream_end why, void *user)
{
	(void)stream;
	(void)why;
	fail(user, "it has hung up");
}

static const struct stream_events events = { .on_input = on_input,
					     .on_writable = on_writable,
					     .on_end = on_end };

static void on_connected(void *arg, int fd, struct fault f)
{
	struct milter *m = arg;
	struct stream_limits limits = stream_limits_default;

	m->connector = NULL;
	limits.input_max = MILTER_PACKET_MAX + 16;
	if (fd < 0) {
		fail(m, f.detail ? f.detail : "cannot connect");
		return;
	}
	f = stream_new(m->loop, fd, &limits, &events, m, &m->stream);
	if (f.kind)
		fail(m, "cannot connect");
	else
		advance(m);
}

struct milter *milter_ask(struct loop *loop, const struct screen_place *place, uint32_t timeout_ms,
			  const struct screen_message *message, screen_fn *fn, void *arg)
{
	struct milter *m = xcalloc(1, sizeof(*m));

	m->loop = loop;
	m->message = *message;
	m->fn = fn;
	m->arg = arg;
	m->timeout_ms = timeout_ms;
	m->pieces = pieces_new(loop, message->octets, on_piece, m);
	buf_init(&m->packet, HEADER_FIELD_MAX + 4096);
	screen_verdict_init(&m->verdict);
	header_reader_init(&m->reader);
	timer_init(&m->deadline, loop, on_deadline);
	timer_start_ms(&m->deadline, timeout_ms);
	screen_connect(loop, place, timeout_ms, on_connected, m, &m->connector);
	return m;
}
