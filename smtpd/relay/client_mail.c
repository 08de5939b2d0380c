/* Transactions: envelope, message, the verdict of each recipient. */
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/relay/client_private.h"
#include "smtpd/relay/talk.h"

#include "common/banned.h"

static struct client_rcpt *rcpt_of(struct client *c, size_t command)
{
	return command >= 1 && command <= c->mail->count ? &c->mail->rcpts[command - 1] : NULL;
}

static bool is_chunked(const struct client *c)
{
	return (c->can & CAN_CHUNKING) && !c->to.is_lmtp;
}

/* How many commands the envelope has: BDAT waits for the recipients' answers. */
static size_t command_count(const struct client *c)
{
	return 1 + c->mail->count + (is_chunked(c) || c->mail->is_question ? 0 : 1);
}

static void give(struct client *c, struct client_rcpt *r, enum client_verdict verdict)
{
	struct buf text;

	if (r->verdict != CLIENT_OPEN)
		return;
	r->verdict = verdict;
	snprintf(r->status, sizeof(r->status), "%s", c->answer.status);
	buf_init(&text, 1000);
	(void)answer_append(&c->answer, &text);
	free(r->text);
	r->text = sv_copy_z(buf_sv(&text));
	buf_done(&text);
}

static enum client_verdict verdict_of(const struct answer *a)
{
	return answer_is_good(a) ? CLIENT_DELIVERED
	       : answer_is_final(a) ? CLIENT_REFUSED : CLIENT_DEFERRED;
}

void client_give_all(struct client *c, bool only_taken)
{
	for (size_t i = 0; i < c->mail->count; i++)
		if (!only_taken || c->mail->rcpts[i].is_taken)
			give(c, &c->mail->rcpts[i], verdict_of(&c->answer));
}

static void tell_done(struct client *c)
{
	c->mail = NULL;
	/* What follows is owed before on_done may free us. */
	if (c->state == S_RSET) {
		client_sayf(c, "RSET");
		client_wait_ms(c, c->to.reply_ms);
	} else if (c->state == S_END) {
		c->state = S_READY;
		timer_stop(&c->patience);
		client_owe(c, client_tell_ready);
	}
	c->events->on_done(c->user);
}

/* done - every recipient has a verdict. needs_reset: the server still has an envelope of ours. */
static void done(struct client *c, bool needs_reset)
{
	c->state = needs_reset ? S_RSET : S_END;
	timer_stop(&c->patience);
	client_owe(c, tell_done);
}

static void send_command(struct client *c, size_t n)
{
	struct client_rcpt *r = rcpt_of(c, n);

	if (!n)
		client_sayf(c, "MAIL FROM:<%.*s>%.*s", SV_FMT(c->mail->sender), SV_FMT(c->mail->params));
	else if (r)
		client_sayf(c, "RCPT TO:<%.*s>%.*s", SV_FMT(r->address), SV_FMT(r->params));
	else
		client_sayf(c, "DATA");
}

static void send_commands(struct client *c)
{
	size_t all = command_count(c);

	/* LMTP is pipelined, too (RFC 2033 §5). */
	do
		send_command(c, c->sent++);
	while (c->sent < all && c->can & CAN_PIPELINING && c->state == S_ENVELOPE);
	/* RFC 5321 §4.5.3.2.4: two minutes for DATA. */
	if (c->state == S_ENVELOPE)
		client_wait_ms(c, c->sent == all && !is_chunked(c) && c->answered + 1 >= c->sent
				   ? c->to.reply_ms / 5 * 2 : c->to.reply_ms);
}

static void tell_body(struct client *c)
{
	c->events->on_body(c->user);
}

static void begin_body(struct client *c)
{
	c->state = S_BODY;
	c->dots = (struct dot_writer){ .is_full = false };
	timer_stop(&c->patience);
	c->is_body_owed = true;
	client_owe(c, tell_body);
}

static void on_go_ahead(struct client *c)
{
	bool is_go_ahead = c->answer.code == 354;

	if (is_go_ahead && c->taken) {
		begin_body(c);
	} else if (is_go_ahead) {
		/* Pipelined behind refusals: an empty message ends it (RFC 2920 §3.1). */
		c->state = S_END;
		c->is_last_sent = true;
		if (!stream_write(c->stream, SV(".\r\n")))
			client_over(c, "4.4.2", "too much to send at once");
		client_wait_ms(c, c->to.reply_ms);
	} else {
		client_give_all(c, true);
		done(c, true);
	}
}

/* All of the envelope was answered (without DATA when chunked). */
static void after_envelope(struct client *c)
{
	if (is_chunked(c) && c->taken && !c->mail->is_question)
		begin_body(c);
	else
		done(c, true);
}

static void on_envelope_answer(struct client *c)
{
	size_t n = c->answered++;
	struct client_rcpt *r = rcpt_of(c, n);

	if (!n && !answer_is_good(&c->answer)) {
		c->mail->is_sender_refused = true;
		client_give_all(c, false);
		if (c->sent == 1) {
			done(c, false);
			return;
		}
	} else if (r && answer_is_good(&c->answer) && r->verdict == CLIENT_OPEN) {
		r->is_taken = true;
		c->taken++;
		if (c->mail->is_question)
			give(c, r, CLIENT_DELIVERED);
	} else if (r) {
		give(c, r, c->answer.code == 452 && c->taken ? CLIENT_TOO_MANY
			   : answer_is_final(&c->answer) ? CLIENT_REFUSED : CLIENT_DEFERRED);
	} else if (n > c->mail->count) {
		on_go_ahead(c);
		return;
	}
	if (c->answered == command_count(c)) {
		after_envelope(c);
	} else if (c->answered == 1 + c->mail->count && !c->taken && c->sent == c->answered) {
		done(c, true);          /* nobody is left for DATA */
	} else if (c->sent == c->answered) {
		send_commands(c);
	} else {
		client_wait_ms(c, c->to.reply_ms);
	}
}

/* The verdict on the message. LMTP has one per recipient that was taken, in their order (RFC 2033
 * §4.2). */
static void on_end_answer(struct client *c)
{
	if (!c->taken) {                /* the empty message of on_go_ahead() */
		done(c, false);
		return;
	}
	if (!c->to.is_lmtp) {
		client_give_all(c, true);
		done(c, false);
		return;
	}
	while (c->ended < c->mail->count && !c->mail->rcpts[c->ended].is_taken)
		c->ended++;
	give(c, &c->mail->rcpts[c->ended], verdict_of(&c->answer));
	c->ended++;
	while (c->ended < c->mail->count && !c->mail->rcpts[c->ended].is_taken)
		c->ended++;
	if (c->ended == c->mail->count)
		done(c, false);
	else
		client_wait_ms(c, 2 * c->to.reply_ms);
}

/* An answer while the message is on its way. */
static void on_body_answer(struct client *c)
{
	if (is_chunked(c) && answer_is_good(&c->answer) && c->chunks_out) {
		c->chunks_out--;
		return;
	}
	if (answer_is_good(&c->answer)) {
		client_over(c, "4.5.0", "it accepted a message before its end");
		return;
	}
	/* It will not have it, and says so in the middle: nothing sensible can follow. */
	client_give_all(c, true);
	client_over_by_answer(c, "in the middle of the message", "4.4.2");
}

void client_on_mail_answer(struct client *c)
{
	if (c->state == S_ENVELOPE)
		on_envelope_answer(c);
	else if (c->state == S_BODY)
		on_body_answer(c);
	else if (!c->mail || deferred_is_waiting(&c->soon))
		client_over(c, "4.5.0", "it answered what nobody asked");
	else if (c->chunks_out > 1)
		on_body_answer(c);
	else
		on_end_answer(c);
}

void client_ask_for_body(struct client *c)
{
	if (c->state != S_BODY || c->is_body_owed || c->is_last_sent ||
	    !stream_has_room(c->stream))
		return;
	c->is_body_owed = true;
	client_owe(c, tell_body);
}

void client_send(struct client *c, struct client_mail *mail)
{
	if (c->state == S_OVER)
		return;                 /* on_end is on its way */
	if (c->state != S_READY)
		BUG("a transaction in state %d", c->state);
	c->mail = mail;
	c->sent = c->answered = c->taken = c->ended = 0;
	c->chunks_out = 0;
	c->is_last_sent = c->is_body_owed = false;
	c->state = S_ENVELOPE;
	send_commands(c);
}

static bool to_buffer(void *ctx, struct sv run)
{
	return buf_append(ctx, run);
}

void client_body(struct client *c, struct sv octets, bool is_last)
{
	struct buf out;
	bool fits;

	if (c->state != S_BODY)
		return;
	c->is_body_owed = false;
	buf_init(&out, 2 * octets.len + 100);
	if (is_chunked(c)) {
		fits = buf_appendf(&out, "BDAT %zu%s\r\n", octets.len, is_last ? " LAST" : "");
		talk_note(&c->talk, ">", buf_sv(&out));
		fits = fits && buf_append(&out, octets);
		c->chunks_out++;
	} else {
		fits = dot_writer_feed(&c->dots, octets, to_buffer, &out) &&
		       (!is_last || dot_writer_end(&c->dots, to_buffer, &out));
		if (is_last)
			talk_note(&c->talk, ">", SV("(the message) ."));
	}
	if (!fits || !stream_write_buf(c->stream, &out)) {
		buf_done(&out);
		client_over(c, "4.4.2", "too much to send at once");
		return;
	}
	if (is_last) {
		c->is_last_sent = true;
		c->state = S_END;
		client_wait_ms(c, 2 * c->to.reply_ms); /* RFC 5321 §4.5.3.2.6: ten minutes */
		return;
	}
	client_ask_for_body(c);
}
