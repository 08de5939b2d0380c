/* The steps carried out. */
#include "common/sieve/sieve_private.h"

#include <stdlib.h>

#include "common/banned.h"

void sieve_fail(struct sieve_run *r, const char *format, ...)
{
	va_list ap;

	if (r->has_failed)
		return;
	r->has_failed = true;
	va_start(ap, format);
	sieve_say(&r->result->error, r->script->units[r->unit].name, r->call ? r->call->at : (struct sieve_place){ 0, 0 }, format, ap);
	va_end(ap);
}

bool sieve_charge(struct sieve_run *r, uint64_t work)
{
	r->result->work += work;
	if (r->result->work > SIEVE_WORK_MAX)
		sieve_fail(r, "the script takes too long for this message");
	return !r->has_failed;
}

void sieve_trace(struct sieve_run *r, const char *format, ...)
{
	struct buf text;
	va_list ap;

	if (!r->host->trace)
		return;
	buf_init(&text, 4096);
	va_start(ap, format);
	(void)buf_vappendf(&text, format, ap);
	va_end(ap);
	r->host->trace(r->host->arg, r->call ? r->call->at.line : 0, buf_sv(&text));
	buf_done(&text);
}

struct sv sieve_scratch(struct sieve_run *r, struct sv s)
{
	struct sv copy = arena_copy(&r->scratch, s);

	if (!copy.p) {
		sieve_fail(r, "this command takes too much memory");
		return SV("");
	}
	return copy;
}

struct sv sieve_kept(struct sieve_run *r, struct sv s)
{
	struct sv copy = arena_copy(&r->keep, s);

	if (!copy.p) {
		sieve_fail(r, "the script takes too much memory for this message");
		return SV("");
	}
	return copy;
}

bool sieve_has(const struct sieve_run *r, enum sieve_cap cap)
{
	return (r->caps & CAP_BIT(cap)) != 0;
}

struct sieve_action *sieve_add_action(struct sieve_run *r, enum sieve_action_kind kind)
{
	struct sieve_result *out = r->result;

	if (r->has_failed)
		return NULL;
	if (out->action_count == SIEVE_ACTIONS_MAX) {
		sieve_fail(r, "the script does more than %d things with one message", SIEVE_ACTIONS_MAX);
		return NULL;
	}
	struct sieve_action *a = &out->actions[out->action_count++];
	*a = (struct sieve_action){ .kind = kind, .line = r->call ? r->call->at.line : 0 };
	return a;
}

/* ---- control ---- */

/* RFC 6785 §3.11: an IMAP event ends a script that as much as requires one of these. */
static void check_event(struct sieve_run *r)
{
	static const enum sieve_cap forbidden[] = { CAP_REJECT, CAP_EREJECT, CAP_VACATION };

	for (size_t i = 0; i < ARRAY_LEN(forbidden) && !r->has_failed; i++)
		if (sieve_has(r, forbidden[i]) && !sieve_is_delivery(r, sieve_cap_names[forbidden[i]].p) && !r->call)
			r->result->error.line = r->result->error.column = 1;    /* "require" stands on top */
}

static void come_back(struct sieve_run *r, bool *is_running)
{
	if (r->frame_count == 1) {
		*is_running = false;
		return;
	}
	r->frame_count--;
	r->unit = r->frames[r->frame_count - 1].unit;
	r->caps = r->frames[r->frame_count - 1].caps;
	r->loop_count = r->frames[r->frame_count - 1].loop_count;
}

static void enter_unit(struct sieve_run *r, const struct sieve_step *step)
{
	const struct sieve_unit *u = &r->script->units[step->target];

	if (sieve_arg_of(step->call, SLOT_ONCE) && r->was_included[step->target])
		return;
	if (u->is_missing) {
		if (!sieve_arg_of(step->call, SLOT_OPTIONAL))
			sieve_fail(r, "the included script \"%.*s\" does not exist", SV_FMT(u->name));
		return;
	}
	sieve_variables_forget(r, step->target);        /* its variables are its own and begin empty (§3.2) */
	r->frames[r->frame_count - 1].caps = r->caps;
	r->frames[r->frame_count - 1].loop_count = r->loop_count;
	r->frames[r->frame_count++] = (struct sieve_frame){ .unit = step->target };
	r->was_included[step->target] = true;
	r->unit = step->target;
	r->caps = u->caps;
	check_event(r);
	sieve_trace(r, "include \"%.*s\"", SV_FMT(u->name));
}

/* RFC 5703 §3: an inner loop goes over what is in the part of the outer one. */
static bool begin_loop(struct sieve_run *r)
{
	struct sieve_loop loop = { .part = 0, .end = r->mail->message->part_count };

	if (r->loop_count) {
		loop.part = r->loops[r->loop_count - 1].part;
		loop.end = sieve_part_end(r->mail->message, loop.part);
		loop.part++;
	}
	if (loop.part >= loop.end)
		return false;
	if (r->loop_count == SIEVE_LOOPS_MAX) {         /* through included scripts */
		sieve_fail(r, "loops are nested too deep (at most %d)", SIEVE_LOOPS_MAX);
		return false;
	}
	r->loops[r->loop_count++] = loop;
	return true;
}

static bool next_part(struct sieve_run *r)
{
	struct sieve_loop *loop = &r->loops[r->loop_count - 1];

	if (++loop->part < loop->end)
		return true;
	r->loop_count--;
	return false;
}

static bool check_needs(struct sieve_run *r, const struct sieve_call *c)
{
	uint64_t missing = c->needs & ~r->caps;

	for (int i = CAP_BASE + 1; missing && i < CAP_COUNT; i++)
		if (missing & CAP_BIT(i)) {
			sieve_fail(r, "\"%s\" needs the extension \"%.*s\", which neither require nor ihave made known",
				   c->row->name, SV_FMT(sieve_cap_names[i]));
			return false;
		}
	return true;
}

static bool run_test(struct sieve_run *r, const struct sieve_call *c)
{
	bool answer = check_needs(r, c) && c->row->test(r, c);

	if (r->host->trace && !r->has_failed) {
		struct buf text;

		buf_init(&text, 2048);
		sieve_call_describe(c, &text);
		sieve_trace(r, "%.*s: %s", SV_FMT(buf_sv(&text)), answer ? "true" : "false");
		buf_done(&text);
	}
	return answer;
}

static void run_steps(struct sieve_run *r)
{
	bool answer = false, is_running = true;

	while (is_running && !r->has_failed && sieve_charge(r, 16)) {
		struct sieve_frame *frame = &r->frames[r->frame_count - 1];
		const struct sieve_step *step = &r->script->units[frame->unit].steps[frame->step++];

		if (step->call) {
			r->call = step->call;
			arena_clear(&r->scratch);
		}
		switch (step->kind) {
		case STEP_TEST: answer = run_test(r, step->call); break;
		case STEP_SET: answer = step->target != 0; break;
		case STEP_NOT: answer = !answer; break;
		case STEP_JUMP: frame->step = step->target; break;
		case STEP_JUMP_FALSE: frame->step = answer ? frame->step : step->target; break;
		case STEP_JUMP_TRUE: frame->step = answer ? step->target : frame->step; break;
		case STEP_ACTION:
			if (check_needs(r, step->call))
				step->call->row->action(r, step->call);
			break;
		case STEP_CALL: if (check_needs(r, step->call)) enter_unit(r, step); break;
		case STEP_RETURN: come_back(r, &is_running); break;
		case STEP_STOP: is_running = false; break;
		case STEP_LOOP:
			if (check_needs(r, step->call) && !begin_loop(r))
				frame->step = step->target;
			break;
		case STEP_LOOP_NEXT:
			if (next_part(r))
				frame->step = step->target;
			break;
		case STEP_BREAK:
			r->loop_count -= step->count;
			frame->step = step->target;
			break;
		case STEP_FAIL:
			sieve_fail(r, "%.*s", SV_FMT(step->text));
			r->result->error.line = step->at.line;
			r->result->error.column = step->at.column;
			break;
		}
	}
}

/* ---- the whole ---- */

static void implicit_keep(struct sieve_run *r)
{
	struct sieve_action *a = &r->result->actions[r->result->action_count++];        /* there is always room for this one */

	*a = (struct sieve_action){ .kind = SIEVE_KEEP, .is_implicit = true };
	if (r->has_failed)
		return;
	sieve_flags_list(r, buf_sv(&r->flags), &a->flags, &a->flag_count);
	a->header = sieve_edited_header(r);
}

void sieve_run(const struct sieve_script *s, const struct sieve_mail *mail, const struct sieve_envelope *envelope,
	       const struct sieve_host *host, struct sieve_result *out)
{
	struct sieve_run *r = xcalloc(1, sizeof(*r));

	*out = (struct sieve_result){ .run = r };
	*r = (struct sieve_run){ .script = s, .mail = mail, .envelope = envelope, .host = host, .result = out,
				 .frame_count = 1, .caps = s->units[0].caps };
	arena_init(&r->keep, SIEVE_KEEP_MEMORY);
	arena_init(&r->scratch, SIEVE_SCRATCH_MEMORY);
	arena_init(&r->machine, SIEVE_MACHINE_MEMORY);
	arena_init(&r->part, SIEVE_PART_MEMORY);
	buf_init(&r->value, SIEVE_VALUE_MAX);
	buf_init(&r->line, SIEVE_VALUE_MAX);
	buf_init(&r->flags, SIEVE_VARIABLE_SIZE);
	if (host->flags.len <= SIEVE_VARIABLE_SIZE)
		(void)buf_append(&r->flags, host->flags);
	out->actions = arena_array(&r->keep, SIEVE_ACTIONS_MAX + 1, sizeof(*out->actions));
	if (!out->actions)
		BUG("sieve: no room for actions");
	check_event(r);
	if (!r->has_failed)
		run_steps(r);
	r->call = NULL;
	if (!r->has_failed && !r->is_keep_cancelled)
		implicit_keep(r);
	if (r->has_failed) {            /* RFC 5228 §2.10.6: all or nothing */
		out->has_failed = true;
		out->action_count = 0;
		implicit_keep(r);
	}
	out->memory = sizeof(*r) + r->keep.used + SIEVE_SCRATCH_MEMORY + r->machine.used + r->part.used + r->variable_memory +
		      r->value.cap + r->line.cap + r->flags.cap + SIEVE_VALUE_MAX;
	arena_done(&r->scratch);
	arena_done(&r->machine);
	arena_done(&r->part);
	buf_done(&r->value);
	buf_done(&r->line);
	buf_done(&r->flags);
	sieve_variables_done(r);
}

void sieve_result_free(struct sieve_result *out)
{
	if (out->run) {
		arena_done(&out->run->keep);
		free(out->run);
	}
	*out = (struct sieve_result){ 0 };
}

void sieve_act_error(struct sieve_run *r, const struct sieve_call *c)
{
	struct sv text = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);

	sieve_fail(r, "%.*s", SV_FMT(sv_sub(text, 0, 200)));
}
