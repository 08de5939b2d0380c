#include "smtpd/relay/talk.h"

#include "common/banned.h"

#define LINE_MAX_OCTETS 1000
#define ANSWER_LINES 30

void talk_note(struct buf *talk, const char *who, struct sv text)
{
	struct sv line;

	while (text.len && sv_split(&text, '\n', &line)) {
		line = sv_trim(line);
		if (talk->len + line.len + 8 > talk->max) {
			/* The older half goes, up to the end of a line. */
			size_t half = talk->len / 2;
			size_t eol = sv_find(sv_sub(buf_sv(talk), half, SIZE_MAX), '\n');

			buf_consume(talk, eol == SIZE_MAX ? talk->len : half + eol + 1);
		}
		(void)buf_appendf(talk, "%s ", who);
		(void)answer_clean(talk, sv_sub(line, 0, LINE_MAX_OCTETS));
		(void)buf_append_c(talk, '\n');
	}
}

void talk_note_answer(struct buf *talk, const struct answer *answer)
{
	struct buf text;

	buf_init(&text, ANSWER_TEXT_MAX + 100);
	for (size_t i = 0; i < ANSWER_LINES; i++) {
		struct sv line = answer_line(answer, i);

		if (i && !line.len)
			break;
		buf_clear(&text);
		buf_appendf(&text, "%03u %s%s%.*s", answer->code, answer->status, answer->status[0] ? " " : "", SV_FMT(line));
		talk_note(talk, "<", buf_sv(&text));
	}
	buf_done(&text);
}
