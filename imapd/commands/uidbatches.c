/* imapd/commands/uidbatches.c - UIDBATCHES (RFC 10022): where to cut a mailbox so that each piece has so many messages. */
#include "imapd/command.h"

#include "common/banned.h"

#define SIZE_MIN 500

struct batches {
	uint32_t size, low, high;
};

/* write_batches - newest first, each from its highest UID down to its lowest; one walk down the view's ranges. */
static void write_batches(struct command *c, const struct batches *x)
{
	const struct uidset *uids = &c->room->view.uids;
	const char *gap = " ";
	uint64_t batch = 1, have = 0;
	uint32_t top = 0;

	for (size_t i = uids->count; i-- && batch <= x->high;) {
		struct uid_range r = uids->ranges[i];

		for (uint64_t left = (uint64_t)r.last - r.first + 1; left && batch <= x->high;) {
			uint64_t take = x->size - have < left ? x->size - have : left;

			if (!have)
				top = r.first + (uint32_t)(left - 1);
			left -= take;
			have += take;
			/* Full, or the last message of all. */
			if (have < x->size && (left || i))
				continue;
			if (batch >= x->low) {
				writer_f(&c->out, "%s%u:%u", gap, top, r.first + (uint32_t)left);
				gap = ",";
			}
			batch++;
			have = 0;
		}
	}
}

/* read_range - low:high, numbers of batches from the newest on. */
static bool read_range(struct sv text, struct batches *x)
{
	struct sv low;

	return sv_split(&text, ':', &low) && sv_to_u32(low, &x->low) && sv_to_u32(text, &x->high) && x->low &&
	       x->low <= x->high;
}

enum step do_uidbatches(struct command *c)
{
	struct batches x = { .low = 1, .high = UINT32_MAX };
	struct sv range;

	if (!args_u32(&c->args, &x.size) || !x.size || (args_raw(&c->args, &range) && !read_range(range, &x)) ||
	    !args_end(&c->args))
		return command_bad(c, "UIDBATCHES takes a number of messages and, if need be, numbers of batches, low:high");
	if (x.size < SIZE_MIN)
		return command_no(c, "TOOSMALL", "A batch has 500 messages or more");
	writer_z(&c->out, "* UIDBATCHES (TAG ");
	writer_quoted(&c->out, c->tag);
	writer_c(&c->out, ')');
	write_batches(c, &x);
	writer_crlf(&c->out);
	return command_ok(c, "Batches told");
}
