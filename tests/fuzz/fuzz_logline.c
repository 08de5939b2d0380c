/* A line of the log: total on hostile octets, and what is taken as ours has no control character that could reach a terminal. */
#include "admin/logline.h"
#include "common/fault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct logline line;
	static FILE *nowhere;
	struct sv text = sv_from((const char *)data, size);
	int64_t seconds;
	unsigned milliseconds;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	(void)logline_time(text, &seconds, &milliseconds);
	if (!logline_parse(&line, text))
		return 0;
	if (!logline_get(&line, "event").len)
		BUG("a line without an event");
	for (size_t i = 0; i < line.count; i++)
		for (size_t k = 0; k < line.fields[i].text.len; k++)
			if ((unsigned char)line.fields[i].text.p[k] < ' ')
				BUG("a control character");
	(void)logline_is_about(&line, SV("bob@example.org"));
	(void)logline_is_about(&line, SV("example.org"));
	if (nowhere) {
		logline_print(&line, nowhere);
		logline_json(&line, nowhere);
	}
	return 0;
}
