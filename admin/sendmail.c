#include "admin/sendmail.h"

#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin/cli.h"
#include "admin/dialogue.h"
#include "admin/outgoing.h"
#include "admin/verbs.h"
#include "common/memory.h"

#include "common/banned.h"

#define SOCKET_VARIABLE "POSTROOM_SUBMIT"

/* ---- the command line ---- */

static struct sv base_name(const char *argv0)
{
	struct sv name = sv_z(argv0);
	size_t slash = sv_rfind(name, '/');

	return slash == SIZE_MAX ? name : sv_sub(name, slash + 1, SIZE_MAX);
}

bool sendmail_is_called(const char *argv0)
{
	struct sv name = base_name(argv0);

	return sv_eq(name, SV("sendmail")) || sv_eq(name, SV("mailq")) || sv_eq(name, SV("newaliases"));
}

static enum sendmail_mode mode_of(char letter)
{
	switch (letter) {
	case 'm': return SENDMAIL_DELIVER;
	case 's': return SENDMAIL_SMTP;
	case 'p': return SENDMAIL_LIST;
	case 'i': return SENDMAIL_ALIASES;
	default:  return SENDMAIL_USAGE;        /* a daemon, a test of addresses: not this program */
	}
}

/* take_option - one letter; value: what stands behind it, in its word or in the next one. */
static void take_option(struct sendmail_options *o, char letter, const char *value)
{
	switch (letter) {
	case 'b':
		o->mode = mode_of(value[0]);
		break;
	case 'f':
	case 'r':
		o->sender = value;
		break;
	case 'F':
		o->name = value;
		break;
	case 'N':
		o->notify = value;
		break;
	case 'V':
		o->envelope_id = value;
		break;
	case 'R':
		o->ret = value;
		break;
	case 'o':
		o->ignores_dots |= !strcmp(value, "i");
		break;
	default:        /* -A -B -C -D -L -O -X -d -e -h -p: of other programs' insides */
		break;
	}
}

void sendmail_parse(int argc, char **argv, struct sendmail_options *o)
{
	struct sv name = base_name(argv[0]);
	int i = 1;

	*o = (struct sendmail_options){ .mode = sv_eq(name, SV("mailq"))        ? SENDMAIL_LIST
						: sv_eq(name, SV("newaliases")) ? SENDMAIL_ALIASES : SENDMAIL_DELIVER };
	for (; i < argc && argv[i][0] == '-' && argv[i][1] && o->mode != SENDMAIL_USAGE; i++) {
		const char *word = argv[i];

		if (!strcmp(word, "--")) {
			i++;
			break;
		}
		for (const char *p = word + 1; *p && o->mode != SENDMAIL_USAGE; p++) {
			if (*p == 't') {
				o->takes_header = true;
			} else if (*p == 'i') {
				o->ignores_dots = true;
			} else if (*p == 'q') {
				o->mode = SENDMAIL_FLUSH;
				break;  /* -q30m, -qRdomain: at once, all of it */
			} else if (strchr("GUnvmsTc", *p)) {
				continue;
			} else if (strchr("obdeq", *p) ? p[1] != '\0' : strchr("ABCDFLNORVXfhpr", *p) && (p[1] || i + 1 < argc)) {
				take_option(o, *p, p[1] ? p + 1 : argv[++i]);
				break;
			} else {
				o->mode = SENDMAIL_USAGE;
			}
		}
		if (o->mode == SENDMAIL_USAGE)
			o->wrong = word;
	}
	o->rcpts = argv + i;
	o->rcpt_count = (size_t)(argc - i);
}

/* ---- errors ---- */

static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...)
{
	va_list ap;

	fputs("sendmail: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* code_of - what a reply, or its absence, is in sysexits. otherwise: for a final refusal that says no more. */
static int code_of(const struct dialogue *d, struct fault f, int otherwise)
{
	struct sv text = buf_sv(&d->text);

	if (!d->in)
		return f.kind == FAULT_DENIED ? EX_NOPERM : f.kind == FAULT_LIMIT ? EX_CONFIG : EX_TEMPFAIL;
	if (f.kind == FAULT_UNAVAILABLE)
		return EX_TEMPFAIL;
	if (f.kind != FAULT_DENIED)
		return EX_IOERR;
	return sv_starts(text, SV("5.7.")) ? EX_NOPERM : sv_starts(text, SV("5.1.1")) ? EX_NOUSER : otherwise;
}

static int fail(const struct dialogue *d, const char *what, struct fault f, int otherwise)
{
	say("%s%s%s", what, *what ? ": " : "", f.detail ? f.detail : fault_name(f.kind));
	if (!d->in && f.kind == FAULT_UNAVAILABLE)
		say("the mail server does not run; try again later");
	return code_of(d, f, otherwise);
}

static const char *socket_path(void)
{
	const char *given = getenv(SOCKET_VARIABLE);

	return given && *given ? given : POSTROOM_RUNDIR "/submit.sock";
}

/* ---- a message ---- */

/* who_am_i - "XUSER root@example.org" among the lines of EHLO's reply; the buffer's text stays borrowed until the next one. */
static struct sv who_am_i(const struct dialogue *d)
{
	struct sv rest = buf_sv(&d->text), line, word = SV("XUSER ");

	while (sv_split(&rest, '\n', &line))
		if (sv_starts(line, word) && sv_rfind(line, '@') != SIZE_MAX)
			return sv_sub(line, word.len, SIZE_MAX);
	return SV_NONE;
}

/* full_name - of -F, else of the user's entry: the first of its words that commas part. */
static struct sv full_name(const struct sendmail_options *o)
{
	const struct passwd *pw = o->name ? NULL : getpwuid(getuid());
	struct sv gecos = sv_z(pw ? pw->pw_gecos : "");

	return o->name ? sv_z(o->name) : sv_trim(sv_sub(gecos, 0, sv_find(gecos, ',')));
}

/* bare - an address without the <> that programs like to put around it. */
static struct sv bare(const char *text)
{
	struct sv s = sv_trim(sv_z(text));

	return s.len >= 2 && s.p[0] == '<' && s.p[s.len - 1] == '>' ? sv_sub(s, 1, s.len - 2) : s;
}

/* has_control - what would end a command line in its middle. */
static bool has_control(struct sv text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 127)
			return true;
	return false;
}

static int give_rcpt(struct dialogue *d, const struct sendmail_options *o, const char *text)
{
	struct sv rcpt = bare(text);
	struct fault f;

	if (!rcpt.len || has_control(rcpt)) {
		say("\"%s\" is no address", text);
		return EX_NOUSER;
	}
	f = dialogue_ask(d, "RCPT TO:<%.*s>%s%s", SV_FMT(rcpt), o->notify ? " NOTIFY=" : "", o->notify ? o->notify : "");
	return f.kind ? fail(d, text, f, EX_NOUSER) : EX_OK;
}

static int give_envelope(struct dialogue *d, const struct sendmail_options *o, const struct outgoing *m, struct sv sender)
{
	bool is_utf8 = m->is_utf8 || sv_has_8bit(sender);
	struct fault f;
	int code = EX_OK;

	for (size_t i = 0; i < o->rcpt_count; i++)
		is_utf8 |= sv_has_8bit(sv_z(o->rcpts[i]));
	f = dialogue_ask(d, "MAIL FROM:<%.*s>%s%s%s%s%s%s", SV_FMT(sender), m->is_8bit ? " BODY=8BITMIME" : "",
			 is_utf8 ? " SMTPUTF8" : "", o->ret ? " RET=" : "", o->ret ? o->ret : "",
			 o->envelope_id ? " ENVID=" : "", o->envelope_id ? o->envelope_id : "");
	if (f.kind)
		return fail(d, "", f, EX_DATAERR);
	/* All or none: who is told of a failure sends again, and nobody should have it twice. */
	for (size_t i = 0; i < o->rcpt_count && code == EX_OK; i++)
		code = give_rcpt(d, o, o->rcpts[i]);
	for (size_t i = 0; i < m->rcpt_count && o->takes_header && code == EX_OK; i++)
		code = give_rcpt(d, o, m->rcpts[i]);
	return code;
}

static int submit(struct dialogue *d, const struct sendmail_options *o, struct outgoing *m)
{
	struct fault f = dialogue_open(d, socket_path());
	struct sv user = SV_NONE, sender;
	char *copy;
	int code;

	if (!f.kind)
		f = dialogue_ask(d, "EHLO localhost");
	if (f.kind)
		return fail(d, "", f, EX_UNAVAILABLE);
	user = who_am_i(d);
	if (!user.len) {
		say("%s is not the local socket of Postroom", socket_path());
		return EX_CONFIG;
	}
	copy = sv_copy_z(user);
	user = sv_z(copy);
	sender = o->sender ? bare(o->sender) : user;
	f = outgoing_prepare(m, user, full_name(o));
	if (f.kind)
		code = fail(d, "", f, EX_DATAERR);
	else if (!o->rcpt_count && (!o->takes_header || !m->rcpt_count))
		code = (say(o->takes_header ? "no recipient in the header" : "no recipient given"), EX_USAGE);
	else
		code = give_envelope(d, o, m, sender);
	if (code == EX_OK) {
		f = dialogue_ask(d, "DATA");
		if (!f.kind)
			f = dialogue_octets(d, buf_sv(&m->header), fileno(m->file), m->body);
		code = f.kind ? fail(d, "", f, EX_DATAERR) : EX_OK;
	}
	free(copy);
	return code;
}

static int deliver(const struct sendmail_options *o)
{
	struct dialogue d = { .in = NULL };
	struct outgoing m;
	struct fault f;
	int code;

	if (!o->rcpt_count && !o->takes_header) {
		say("no recipient given: sendmail ADDRESS..., or sendmail -t");
		return EX_USAGE;
	}
	if (has_control(sv_z(o->sender)) || has_control(sv_z(o->notify)) || has_control(sv_z(o->envelope_id)) ||
	    has_control(sv_z(o->ret))) {
		say("a control character in an option's value");
		return EX_USAGE;
	}
	/* First all of it: a job may take hours until its output ends, and no server waits so long. */
	f = outgoing_read(&m, stdin, !o->ignores_dots);
	if (f.kind) {
		say("%s", f.detail ? f.detail : fault_name(f.kind));
		code = f.kind == FAULT_INVALID ? EX_NOINPUT : EX_IOERR;
	} else {
		code = submit(&d, o, &m);
	}
	dialogue_close(&d);
	outgoing_done(&m);
	return code;
}

/* ---- -bs ---- */

static bool copy_some(int from, int to)
{
	char octets[16384];
	ssize_t n, done = 0;

	do
		n = read(from, octets, sizeof(octets));
	while (n < 0 && errno == EINTR);
	while (done < n) {
		ssize_t w = write(to, octets + done, (size_t)(n - done));

		if (w < 0 && errno != EINTR)
			return false;
		done += w > 0 ? w : 0;
	}
	return n > 0;
}

/* speak_smtp - octets to and fro, until the server hangs up. */
static int speak_smtp(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd both[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path());
	if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at))) {
		int code = errno == EACCES ? EX_NOPERM : EX_TEMPFAIL;

		say("%s: %s", socket_path(), strerrordesc_np(errno));
		printf("421 4.3.2 The mail server does not run, try again later\r\n");
		if (fd >= 0)
			close(fd);
		return code;
	}
	while (poll(both, 2, -1) > 0 || errno == EINTR) {
		if (both[0].revents && !copy_some(STDIN_FILENO, fd)) {
			shutdown(fd, SHUT_WR);
			both[0].fd = -1;
		}
		if (both[1].revents && !copy_some(fd, STDOUT_FILENO))
			break;
	}
	close(fd);
	return EX_OK;
}

/* ---- the queue ---- */

/* ask_queue - what `postroom queue` does, for those who may. */
static int ask_queue(const char *verb, const char *option)
{
	static const struct sv in_root = SV_INIT("/run/submit.sock");
	struct sv path = sv_z(socket_path());
	char *words[7] = { xstrdup("postroom") };
	int count = 1, code;

	if (sv_ends(path, in_root) && !sv_starts(path, SV("/run/"))) {  /* an instance in a folder of its own */
		words[count++] = xstrdup("--root");
		words[count++] = sv_copy_z(sv_sub(path, 0, path.len - in_root.len));
	}
	words[count++] = xstrdup("queue");
	words[count++] = xstrdup(verb);
	if (option)
		words[count++] = xstrdup(option);
	code = cli_main(all_verbs, count, words);
	while (count)
		free(words[--count]);
	return code == EXIT_DONE ? EX_OK : code == EXIT_UNAVAILABLE ? EX_TEMPFAIL : code == EXIT_USAGE ? EX_USAGE : EX_NOPERM;
}

int sendmail_main(int argc, char **argv)
{
	struct sendmail_options o;

	sendmail_parse(argc, argv, &o);
	switch (o.mode) {
	case SENDMAIL_DELIVER:
		return deliver(&o);
	case SENDMAIL_SMTP:
		return speak_smtp();
	case SENDMAIL_LIST:
		return ask_queue("list", NULL);
	case SENDMAIL_ALIASES:
		return EX_OK;   /* aliases lie in the account directory, and hold at once */
	case SENDMAIL_FLUSH:
		return ask_queue("retry", "--all");
	case SENDMAIL_USAGE:
		break;
	}
	say("%s is not understood: sendmail [-t] [-i] [-f SENDER] [-F NAME] [-bs] [-bp] [ADDRESS...]; see sendmail(8)", o.wrong);
	return EX_USAGE;
}
