/* extracttext (RFC 5703 §7): the text of the part at hand into a variable. */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

void sieve_check_extracttext(struct sieve_compiler *c, struct sieve_call *call)
{
	if (!(c->caps & CAP_BIT(CAP_VARIABLES)))
		sieve_complain(c, call->at, "\"extracttext\" needs: require \"variables\";");
	if (!c->loop_count)             /* RFC 5703 §7: should be flagged while compiling */
		sieve_complain(c, call->at, "\"extracttext\" stands outside of a \"foreverypart\"");
	sieve_check_set(c, call);
}

struct extract {
	struct buf text;
	uint64_t left;          /* characters still wanted */
};

static bool take_text(void *arg, struct sv text, bool is_last)
{
	struct extract *x = arg;
	size_t n = 0;

	(void)is_last;
	while (n < text.len) {
		if (((unsigned char)text.p[n] & 0xc0) != 0x80 && x->left-- == 0) {
			x->left = 0;
			break;
		}
		n++;
	}
	(void)buf_append(&x->text, sv_sub(text, 0, n < x->text.max - x->text.len ? n : x->text.max - x->text.len));
	return !x->left || x->text.len == x->text.max;
}

void sieve_act_extracttext(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *first = sieve_arg_of(c, SLOT_FIRST_CHARS);
	struct sv name = sieve_arg_of(c, SLOT_FIRST)->strings[0];
	struct extract x = { .left = first ? first->number : UINT64_MAX };
	struct mime_part part;

	buf_init(&x.text, SIEVE_VARIABLE_SIZE);
	if (r->loop_count && mime_part_at(r->mail->message, r->loops[r->loop_count - 1].part, &part) &&
	    part.kind == MIME_TEXT && part.encoding != TRANSFER_OTHER)
		(void)sieve_read_text(r, part.body_offset, part.body_len, &part, 0, take_text, &x);
	sieve_modify(r, c, &x.text);
	if (!r->has_failed) {
		sieve_trace(r, "set \"%.*s\" to \"%.*s\"", SV_FMT(name), SV_FMT(buf_sv(&x.text)));
		sieve_variable_set(r, name, buf_sv(&x.text));
	}
	buf_done(&x.text);
}
