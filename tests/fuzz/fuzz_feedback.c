/* A report of somebody else, or a message that brings some. What must hold: a line is JSON of bounded length and has no line end; what
 * was refused leaves nothing behind. */
#include <stdlib.h>

#include "common/daybook.h"
#include "common/json.h"
#include "common/log.h"
#include "smtpd/feedback.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct sv line)
{
	struct json *parsed = NULL;

	if (line.len > DAYBOOK_LINE_MAX || sv_find(line, '\n') != SIZE_MAX || json_parse(line, &parsed).kind || !json_get(parsed, "domain"))
		abort();
	json_free(&parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct feedback_mail mail = { 1, SV_INIT("a.test"), false };
	struct sv octets = sv_from((const char *)data, size), rest, line;
	struct complaint complaint;
	struct buf out;
	size_t count = 0;

	log_set_level(LOG_LEVEL_ERROR);
	buf_init(&out, FEEDBACK_PARTS_MAX * (DAYBOOK_LINE_MAX + 1));
	if (!feedback_parse(octets, &mail, &out).kind)
		check(buf_sv(&out));
	else if (out.len)
		abort();
	buf_clear(&out);
	size = feedback_take(octets, &mail, &out, &complaint);
	rest = buf_sv(&out);
	while (sv_split(&rest, '\n', &line) && line.len) {
		check(line);
		count++;
	}
	if (count != size)
		abort();
	buf_done(&out);
	return 0;
}
