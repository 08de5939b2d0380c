/* imapd/session_input.c - from what a client sends to the commands that run: which command it is, may it be run here, and what
 * becomes of its literals. */
#include "imapd/session_private.h"

#include <string.h>

#include "common/memory.h"

#include "common/banned.h"

/* session_refuse - the command cannot be run. False: the session has ended. */
static bool session_refuse(struct session *s, const char *word, const char *text)
{
	struct sv tag = grammar_tag(&s->grammar);

	stream_writef(s->stream, "%.*s %s %s\r\n", SV_FMT(tag.len ? tag : SV("*")), word, text);
	session_forget_command(s);      /* an APPEND whose line turned out to be bad */
	grammar_next(&s->grammar);
	s->commands++;
	if (++s->bad < s->conf->imap.bad_commands)
		return true;
	session_bye(s, "Too many wrong commands", "bad-commands");
	return false;
}

/* find_spec - the command that the tokens name, and where its arguments begin. NULL: *text says
 * what is wrong. */
static const struct command_spec *find_spec(struct session *s, uint32_t *first, const char **text)
{
	const struct command_spec *spec;
	struct args args = args_from(&s->grammar, 1);
	char name[32];
	struct sv word, verb;

	*text = "Unknown command";
	if (!grammar_tag(&s->grammar).len) {
		*text = "Bad tag";
		return NULL;
	}
	if (!args_atom(&args, &word))
		return NULL;
	if (sv_eq_nocase(word, SV("UID"))) {
		if (!args_atom(&args, &verb) || verb.len > sizeof(name) - 5)
			return NULL;
		memcpy(name, "UID ", 4);
		memcpy(name + 4, verb.p, verb.len);
		word = sv_from(name, verb.len + 4);
	}
	*first = args.at;
	spec = command_find(word);
	if (!spec || !capability_has(s->room.on, spec->capability))
		return NULL;
	if (!(spec->states & (s->room.box ? ST_SELECTED : ST_AUTH))) {
		*text = "Select a mailbox first";
		return NULL;
	}
	return spec;
}

static struct command *command_new(struct session *s, const struct command_spec *spec,
				   uint32_t first)
{
	struct command *c = xmalloc(sizeof(*c));

	command_init(c, spec, grammar_tag(&s->grammar), args_from(&s->grammar, first), &s->room,
		     &s->log);
	s->command = c;
	return c;
}

/* watch - IDLE is to be told at once. Before its first look, so that nothing falls between. */
static bool watch(struct session *s)
{
	struct fault f = maildir_user_watch(s->room.user, s);

	if (f.kind) {
		log_error(&s->log, "imap.watch.failed", KV_FAULT("fault", f));
		return session_refuse(s, "NO", "[UNAVAILABLE] Cannot watch the mailbox now");
	}
	s->is_watching = true;
	return true;
}

bool session_take_argument(struct session *s)
{
	struct grammar *g = &s->grammar;

	if (grammar_take(g)) {
		if (g->literal.is_sync)
			stream_write(s->stream, SV("+ OK\r\n"));
		return true;
	}
	if (grammar_is_flood(g)) {
		session_bye(s, "[TOOBIG] Too much", "overflow");
		return false;
	}
	return !g->literal.is_sync || session_refuse(s, "NO", "[TOOBIG] Literal too large");
}

/* run_command - the line is complete. False: wait, or the session has ended. */
static bool run_command(struct session *s)
{
	const struct command_spec *spec;
	const char *text;
	uint32_t first;

	if (s->command) {               /* APPEND, behind its literal */
		s->command->args = args_from(&s->grammar, s->command->args.at);
		session_run(s, WAKE_RUN);
		return false;
	}
	spec = find_spec(s, &first, &text);
	if (!spec)
		return session_refuse(s, "BAD", text);
	command_new(s, spec, first);
	if ((spec->run == do_idle || spec->run == do_notify) && !s->is_watching) {
		s->has_notice = false;
		if (!watch(s))
			return false;
	}
	if (s->command)
		session_run(s, WAKE_RUN);
	return false;
}

/* look_ahead - a job will read what has come, behind what its command is woken for. The stream may be gone before the job is over, so it
 * gets a copy; what it took is taken off the stream when it is back. Returns the copy. */
static struct sv look_ahead(struct session *s, struct sv input)
{
	buf_clear(&s->octets);
	s->octets.max = INPUT_MAX;
	if (!buf_append(&s->octets, input))
		BUG("more input than a stream keeps");
	s->ahead = buf_sv(&s->octets);
	s->ahead_len = s->ahead.len;
	return s->ahead;
}

/* is_asked - may the literal that is announced be as large as it is, as far as the client did not wait for an answer? */
static bool is_asked(const struct grammar *g)
{
	return g->literal.is_sync || g->literal.size <= g->limits.literal_nonsync;
}

/* announce - the command is to look at the literal. */
static void announce(struct session *s)
{
	s->command->args = args_from(&s->grammar, s->command->args.at);
	s->command->literal = s->grammar.literal;
}

/* literal - one is announced. */
static bool literal(struct session *s)
{
	struct grammar *g = &s->grammar;
	const struct command_spec *spec;
	const char *text;
	uint32_t first = 0;

	/* The mailbox of APPEND, its first argument, may be a literal like any other. */
	spec = find_spec(s, &first, &text);
	bool streams = spec && (spec->flags & CMD_STREAMS ? g->count > first :
				spec->flags & CMD_STREAMS_LATER ? g->count > first + 1 : false);

	if ((s->command || streams) && is_asked(g)) {
		if (!s->command)
			command_new(s, spec, first);
		announce(s);
		look_ahead(s, stream_input(s->stream));
		session_run(s, WAKE_LITERAL);
		return false;
	}
	return session_take_argument(s);
}

void session_read_ahead(struct session *s)
{
	struct command *c = s->command;
	struct grammar *g = &s->grammar;

	while (s->step == STEP_WAIT && s->left == GRAMMAR_MORE) {
		if (c->wake == WAKE_LITERAL) {
			if (!c->is_literal_taken || c->is_literal_kept || g->literal.is_sync)
				return;         /* the loop has something to say, or to decide */
			grammar_stream(g);
		}
		c->wake = WAKE_OCTETS;
		if (!s->ahead.len)
			return;
		enum grammar_event event = grammar_feed(g, &s->ahead);

		if (event == GRAMMAR_OCTETS) {
			c->octets = g->octets;
		} else if (event == GRAMMAR_LITERAL && is_asked(g)) {
			announce(s);
			c->wake = WAKE_LITERAL;
		} else if (event == GRAMMAR_COMMAND) {
			c->args = args_from(g, c->args.at);
			c->wake = WAKE_RUN;
		} else {
			if (event != GRAMMAR_MORE && event != GRAMMAR_LITERAL_END)
				s->left = event;
			continue;
		}
		s->step = command_step(c);
	}
}

bool session_handle(struct session *s, enum grammar_event event)
{
	struct grammar *g = &s->grammar;

	switch (event) {
	case GRAMMAR_MORE:
	case GRAMMAR_LITERAL_END:
		return true;
	case GRAMMAR_COMMAND:
		return run_command(s);
	case GRAMMAR_LITERAL:
		return literal(s);
	case GRAMMAR_OCTETS:
		session_run(s, WAKE_OCTETS);
		return false;
	case GRAMMAR_LINE:
		s->command->line = g->octets;
		session_run(s, WAKE_LINE);
		return false;
	case GRAMMAR_BAD:
		session_rewatch(s);
		return session_refuse(s, g->is_too_big ? "NO [TOOBIG]" : "BAD", g->why);
	case GRAMMAR_OVERFLOW:
		session_bye(s, "[TOOBIG] Too much", "overflow");
		return false;
	}
	BUG("grammar event %d", (int)event);
}

void session_input(struct stream *stream, void *user)
{
	struct session *s = user;

	while (stream_input_is_ready(stream)) {
		struct sv in = stream_input(stream);
		size_t had = in.len;

		if (!had)
			break;
		enum grammar_event event = grammar_feed(&s->grammar, &in);

		/* Octets of a literal are borrowed from the input: they are copied before they are taken off. What runs a job
		 * pauses the stream; nothing is read behind it until the command is done. */
		if (event == GRAMMAR_OCTETS) {
			size_t at = (size_t)(s->grammar.octets.p - stream_input(stream).p);
			struct sv copy = look_ahead(s, stream_input(stream));

			s->command->octets = sv_sub(copy, at, s->grammar.octets.len);
			sv_skip(&s->ahead, had - in.len);
			s->ahead_len = s->ahead.len;
		}
		stream_take(stream, had - in.len);
		if (!session_handle(s, event))
			return;
	}
}
