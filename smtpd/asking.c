#include "smtpd/asking.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/control_call.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define PATIENCE_MS (ASKING_MS + 3000)

struct asking {
	struct control_call *call;
	asking_fn *fn;
	void *arg;
	enum asking_answer answer;
	char text[ASKING_TEXT_MAX];
};

static unsigned under_way;      /* of this worker; its loop's alone */

const char *asking_word(enum asking_answer answer)
{
	switch (answer) {
	case ASKING_KNOWN:     return "yes";
	case ASKING_UNKNOWN:   return "no";
	case ASKING_NOT_ASKED:
	case ASKING_LATER:     break;
	}
	return "later";
}

static void on_line(void *arg, const struct json *line)
{
	struct asking *a = arg;
	struct sv word = SV_NONE, text = SV_NONE;

	json_get_sv(line, "known", &word);
	json_get_sv(line, "text", &text);
	snprintf(a->text, sizeof(a->text), "%.*s", SV_FMT(text));
	a->answer = sv_eq(word, SV("yes")) ? ASKING_KNOWN : sv_eq(word, SV("no")) ? ASKING_UNKNOWN : ASKING_LATER;
}

static void asking_free(struct asking *a)
{
	control_call_forget(&a->call);
	under_way--;
	free(a);
}

static void on_end(void *arg, struct fault f)
{
	struct asking *a = arg;

	if (f.kind || a->answer == ASKING_NOT_ASKED) {
		a->answer = ASKING_LATER;
		snprintf(a->text, sizeof(a->text), "the relay does not answer: %s", f.kind && f.detail ? f.detail : "nothing was said");
	}
	a->fn(a->arg, a->answer, sv_z(a->text));
	asking_free(a);
}

void asking_forget(struct asking **a)
{
	if (*a)
		asking_free(*a);
	*a = NULL;
}

struct asking *asking_start(struct loop *loop, const char *socket, struct sv address, asking_fn *fn, void *arg)
{
	static const struct control_call_events events = { .line = on_line, .end = on_end };
	struct asking *a;
	struct json_out j;
	struct buf line;

	if (under_way >= ASKING_PER_WORKER)
		return NULL;
	under_way++;
	a = xcalloc(1, sizeof(*a));
	a->fn = fn;
	a->arg = arg;
	buf_init(&line, CONTROL_LINE_MAX);
	json_out_init(&j, &line);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "recipient.ask");
	json_out_sv(&j, "address", address);
	json_out_object_end(&j);
	control_call(loop, socket, j.overflow ? SV_NONE : buf_sv(&line), PATIENCE_MS, &events, a, &a->call);
	buf_done(&line);
	return a;
}
