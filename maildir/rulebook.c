#include "maildir/rulebook.h"

#include "common/banned.h"

struct fault rulebook_read(struct scripts *scripts, struct rules *out)
{
	struct buf active, text;
	struct fault f;

	buf_init(&active, SCRIPT_NAME_MAX);
	buf_init(&text, RULES_TEXT_MAX);
	f = scripts_active_name(scripts, &active);
	if (!f.kind)
		f = scripts_get(scripts, SV(RULES_SCRIPT), &text);
	if (!f.kind)
		f = rules_read(out, buf_sv(&text));
	else if (f.kind == FAULT_NOT_FOUND)
		f = FAULT_OK;
	if (!f.kind && active.len && !sv_eq(buf_sv(&active), SV(RULES_SCRIPT)))
		out->include = arena_copy(&out->arena, buf_sv(&active));
	buf_done(&active);
	buf_done(&text);
	return f;
}

static struct fault remove_script(struct scripts *scripts, struct sv include)
{
	struct fault f = scripts_activate(scripts, include);

	if (f.kind == FAULT_NOT_FOUND)  /* it is not there any more */
		f = scripts_activate(scripts, SV(""));
	if (!f.kind)
		f = scripts_remove(scripts, SV(RULES_SCRIPT));
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

struct fault rulebook_write(struct scripts *scripts, struct filters *filters, const struct rules *rules, const struct scripts_quota *quota,
			    struct sieve_errors *errors)
{
	struct sieve_errors unwanted;
	struct buf text;
	struct fault f;

	if (!rules->count && !rules->vacation.is_set)
		return remove_script(scripts, rules->include);
	buf_init(&text, RULES_TEXT_MAX);
	f = rules_write(rules, &text) ? filter_check(filters, scripts, buf_sv(&text), errors ? errors : &unwanted)
				      : fault(FAULT_LIMIT, "there are too many rules");
	if (!f.kind)
		f = scripts_put(scripts, SV(RULES_SCRIPT), buf_sv(&text), quota);
	if (!f.kind)
		f = scripts_activate(scripts, SV(RULES_SCRIPT));
	buf_done(&text);
	return f;
}
