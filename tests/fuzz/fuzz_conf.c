/* postroom.conf: any octets give a configuration or a report, and what is shown reads back as the
 * same. */
#include <stdint.h>
#include <stdlib.h>

#include "common/conf.h"

#include "common/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf show(const struct conf *conf)
{
	struct buf text;

	buf_init(&text, 64u << 20);
	conf_show(conf, true, &text);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL, *again = NULL;
	struct fault f =
		conf_parse(sv_from((const char *)data, size), "fuzz", "/srv/mail", &report, &conf);

	if ((f.kind == FAULT_NONE) != (report.count == 0) ||
	    (f.kind == FAULT_NONE) != (conf != NULL))
		abort();
	if (conf) {
		struct buf text = show(conf), second;

		f = conf_parse(buf_sv(&text), "shown", "/elsewhere", &report, &again);
		if (f.kind)
			abort();
		second = show(again);
		if (!sv_eq(buf_sv(&text), buf_sv(&second)))
			abort();
		buf_done(&text);
		buf_done(&second);
	}
	conf_unref(&conf);
	conf_unref(&again);
	conf_report_done(&report);
	return 0;
}
