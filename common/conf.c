/* Reading postroom.conf: lines, words, blocks, and every error in one run. */
#include "common/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf_private.h"
#include "common/memory.h"

#include "common/banned.h"

struct parser {
	struct conf_reading reading;
	unsigned line;
	struct buf scratch;             /* the words of this line, without quotes */
	struct sv words[CONF_WORDS_MAX];
	size_t word_count;
	bool opens;                     /* the line ends in { */
	/* the block that is open */
	bool in_block;
	unsigned block_line;
	struct conf_listener row;
	unsigned *row_line;             /* per option of the table: where this row set it */
};

/* ---- the report ---- */

static void report_add(struct conf_report *report, const char *file, unsigned line, struct sv text)
{
	struct conf_error *e;

	if (report->count == CONF_ERRORS_MAX) {
		report->more = true;
		return;
	}
	report->errors = xrealloc(report->errors, (report->count + 1) * sizeof(*report->errors));
	e = &report->errors[report->count++];
	e->file = xstrdup(file);
	e->line = line;
	e->text = sv_copy_z(text);
}

void conf_complain(const struct conf_reading *r, unsigned line, const char *format, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, 4096);
	va_start(ap, format);
	(void)buf_vappendf(&text, format, ap);
	va_end(ap);
	report_add(r->report, r->file, line, buf_sv(&text));
	buf_done(&text);
}

#define complain(p, ...) conf_complain(&(p)->reading, (p)->line, __VA_ARGS__)

void conf_report_done(struct conf_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->errors[i].file);
		free(report->errors[i].text);
	}
	free(report->errors);
	*report = (struct conf_report){ NULL, 0, false };
}

/* ---- words ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A quoted word; *line starts behind the opening quote and ends behind the closing one. */
static bool read_quoted(struct parser *p, struct sv *line)
{
	while (line->len) {
		char c = line->p[0];

		sv_skip(line, 1);
		if (c == '"') {
			if (!line->len || is_blank(line->p[0]))
				return true;
			complain(p, "a space is missing behind the closing quote");
			return false;
		}
		if (c == '\\') {
			if (!line->len || (line->p[0] != '"' && line->p[0] != '\\')) {
				complain(p, "\\ in quotes stands before \" or \\ only");
				return false;
			}
			c = line->p[0];
			sv_skip(line, 1);
		}
		(void)buf_append_c(&p->scratch, c);
	}
	complain(p, "the closing quote is missing");
	return false;
}

/* Words of a line into p->words; a { at the end is not one of them. */
static bool read_words(struct parser *p, struct sv line)
{
	size_t room = line.len;

	p->word_count = 0;
	p->opens = false;
	buf_clear(&p->scratch);
	/* The words together are no longer than the line, so the buffer never moves below. */
	(void)buf_reserve(&p->scratch, room + 1);
	for (;;) {
		size_t start = p->scratch.len;

		while (line.len && is_blank(line.p[0]))
			sv_skip(&line, 1);
		if (!line.len || line.p[0] == '#')
			return true;
		if (p->opens) {
			complain(p, "nothing may stand behind { on its line");
			return false;
		}
		if (line.p[0] == '{' && (line.len == 1 || is_blank(line.p[1]))) {
			p->opens = true;
			sv_skip(&line, 1);
			continue;
		}
		if (p->word_count == CONF_WORDS_MAX) {
			complain(p, "more than %d words on one line", CONF_WORDS_MAX);
			return false;
		}
		if (line.p[0] == '"') {
			sv_skip(&line, 1);
			if (!read_quoted(p, &line))
				return false;
		} else {
			while (line.len && !is_blank(line.p[0])) {
				if (line.p[0] == '"') {
					complain(p, "a quote in the middle of a word; quote the "
						    "whole word");
					return false;
				}
				(void)buf_append_c(&p->scratch, line.p[0]);
				sv_skip(&line, 1);
			}
		}
		p->words[p->word_count++] = sv_from(p->scratch.p + start, p->scratch.len - start);
	}
}

static bool line_is_text(struct parser *p, struct sv line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			complain(p, "octet 0x%02x does not belong into a text file", c);
			return false;
		}
	}
	if (!sv_is_utf8(line)) {
		complain(p, "the line is not UTF-8");
		return false;
	}
	return true;
}

/* ---- options ---- */

static void set_option(struct parser *p, const struct conf_option *option, void *base,
		       unsigned *set_line)
{
	struct buf why;

	if (*set_line) {
		complain(p, "%s is given twice; the first time in line %u", option->name,
			 *set_line);
		return;
	}
	buf_init(&why, 2048);
	*set_line = p->line;
	if (!conf_value_set(option, base, p->words + 1, p->word_count - 1, p->reading.base_dir, &why))
		complain(p, "%s: %.*s", option->name, SV_FMT(buf_sv(&why)));
	buf_done(&why);
}

/* What stands behind "listener." in a name, or NULL. */
static const char *member_of(const char *name)
{
	struct sv prefix = SV(CONF_BLOCK ".");

	return sv_starts(sv_z(name), prefix) ? name + prefix.len : NULL;
}

/* The row of a block's member, by the name it has inside the block. */
static const struct conf_option *find_member(struct sv name)
{
	char memory[sizeof(CONF_BLOCK) + CONF_NAME_MAX];
	struct buf full = { .p = memory, .cap = sizeof(memory), .max = sizeof(memory) };

	if (!buf_append(&full, SV(CONF_BLOCK ".")) || !buf_append(&full, name))
		return NULL;
	return conf_option_find(buf_sv(&full));
}

static void unknown_option(struct parser *p, struct sv name)
{
	struct sv shown = sv_sub(name, 0, 80);
	const char *nearest = conf_option_nearest(name);
	const struct conf_former *former = conf_former_find(name);

	if (former)
		complain(p, "there is no option %s any more: %s; `postroom conf upgrade` makes the line a comment", former->name,
			 former->instead);
	else if (find_member(name))
		complain(p, "%.*s belongs into a %s block", SV_FMT(shown), CONF_BLOCK);
	else if (nearest && !member_of(nearest))
		complain(p, "unknown option \"%.*s\"; did you mean %s?", SV_FMT(shown), nearest);
	else
		complain(p, "unknown option \"%.*s\"; `postroom conf describe` lists all",
			 SV_FMT(shown));
}

static void read_option(struct parser *p)
{
	const struct conf_option *option = conf_option_find(p->words[0]);

	if (!option || member_of(option->name))
		unknown_option(p, p->words[0]);
	else
		set_option(p, option, p->reading.conf,
			   &p->reading.conf->private->set_line[conf_option_index(option)]);
}

static void read_member(struct parser *p)
{
	const struct conf_option *option = find_member(p->words[0]);

	if (option)
		set_option(p, option, &p->row, &p->row_line[conf_option_index(option)]);
	else if (conf_option_find(p->words[0]))
		complain(p,
			 "%.*s does not belong into a %s block (opened in line %u; is its } "
			 "missing?)",
			 SV_FMT(p->words[0]), CONF_BLOCK, p->block_line);
	else
		complain(
			p,
			"unknown member \"%.*s\"; a %s block has kind, address, port, path and tls",
			SV_FMT(sv_sub(p->words[0], 0, 80)), CONF_BLOCK);
}

/* ---- listeners ---- */

static unsigned member_line(const struct parser *p, const char *name)
{
	const struct conf_option *option = conf_option_find(sv_z(name));

	return option ? p->row_line[conf_option_index(option)] : 0;
}

static void block_open(struct parser *p)
{
	struct sv name = p->word_count > 1 ? p->words[1] : SV_NONE;

	if (!sv_eq(p->words[0], SV(CONF_BLOCK)))
		complain(p, "unknown block \"%.*s\"; there is only %s NAME { ... }",
		         SV_FMT(sv_sub(p->words[0], 0, 80)), CONF_BLOCK);
	else if (p->word_count != 2 || !name.len || name.len > CONF_NAME_MAX)
		complain(p, "a %s block has one name: %s NAME {", CONF_BLOCK, CONF_BLOCK);
	for (size_t i = 0; i < p->reading.conf->listener_count; i++)
		if (name.len && sv_eq(name, sv_z(p->reading.conf->listeners[i].name)))
			complain(p, "there is a %s %.*s already", CONF_BLOCK, SV_FMT(name));
	/* The members are read whatever was wrong, so that their errors are told in the same run.
	 */
	conf_listener_done(&p->row);
	p->row.name = sv_copy_z(name);
	memset(p->row_line, 0, conf_option_count() * sizeof(*p->row_line));
	p->in_block = true;
	p->block_line = p->line;
}

static void block_close(struct parser *p)
{
	struct conf_listener *row = &p->row;
	const struct conf_kind *kind;
	unsigned line = p->block_line;

	p->in_block = false;
	if (!row->kind) {
		if (!member_line(p, CONF_BLOCK ".kind"))
			conf_complain(&p->reading, line, "%s %s has no kind", CONF_BLOCK, row->name);
		conf_listener_done(row);
		return;
	}
	kind = conf_kind_row(row->kind);
	if (row->path &&
	    (member_line(p, CONF_BLOCK ".address") || member_line(p, CONF_BLOCK ".port")))
		conf_complain(&p->reading, line,
			    "%s %s has a path and an address or port; it is one or the other",
			    CONF_BLOCK, row->name);
	if (row->path && row->kind != LISTENER_LMTP && !kind->is_path_only)
		conf_complain(&p->reading, line, "%s %s: only lmtp and local listen on a path", CONF_BLOCK, row->name);
	if (!row->path && kind->is_path_only)
		conf_complain(&p->reading, line, "%s %s: kind %s needs a path", CONF_BLOCK, row->name, kind->name);
	if (row->address && !conf_is_address(row->address))
		conf_complain(&p->reading, member_line(p, CONF_BLOCK ".address"),
			    "\"%s\" is not a numeric address, nor *", row->address);
	if (!member_line(p, CONF_BLOCK ".tls"))
		row->tls = kind->tls;
	else if ((row->tls == CONF_TLS_IMPLICIT) != (kind->tls == CONF_TLS_IMPLICIT))
		conf_complain(&p->reading, member_line(p, CONF_BLOCK ".tls"),
			    "tls %s does not fit kind %s; with implicit the kind is %s",
			    conf_tls_mode_name(row->tls), kind->name,
			    "submissions, imaps, pop3s or https");
	if (row->path) {
		row->port = 0;
	} else {
		if (!row->address)
			row->address = xstrdup(kind->loopback_only ? "127.0.0.1" : "*");
		/* The offset may stand further down in the file: added at the end. */
		if (!member_line(p, CONF_BLOCK ".port"))
			row->port = UINT64_MAX;
	}
	conf_listener_add(p->reading.conf, row);
}

/* ---- the whole ---- */

static void read_line(struct parser *p, struct sv line)
{
	if (!line_is_text(p, line) || !read_words(p, line))
		return;
	if (p->opens && !p->word_count) {
		complain(p, "{ without a block's name before it");
	} else if (p->opens && p->in_block) {
		complain(p, "a block inside a block; the } of line %u's is missing", p->block_line);
	} else if (p->opens) {
		block_open(p);
	} else if (!p->word_count) {
		return;
	} else if (sv_eq(p->words[0], SV("}"))) {
		if (!p->in_block)
			complain(p, "} without a block");
		else if (p->word_count > 1)
			complain(p, "nothing may stand behind } on its line");
		if (p->in_block)
			block_close(p);
	} else if (p->in_block) {
		read_member(p);
	} else {
		read_option(p);
	}
}

/* Default listeners where the file has none; ports that the file leaves open. */
static void settle_listeners(struct parser *p)
{
	struct conf *conf = p->reading.conf;

	if (conf->listener_count)
		conf->private->set_line[conf_option_index(conf_option_find(SV(CONF_BLOCK ".kind")))] = 1;
	else
		conf_listeners_default(conf, p->reading.base_dir);
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].port == UINT64_MAX)
			conf->listeners[i].port = conf_kind_row(conf->listeners[i].kind)->port + conf->host.port_offset;
}

static struct conf *conf_new(const char *base_dir)
{
	struct conf *conf = xcalloc(1, sizeof(*conf));
	const struct conf_option *option;

	conf->private = xcalloc(1, sizeof(*conf->private));
	conf->private->set_line = xcalloc(conf_option_count(), sizeof(*conf->private->set_line));
	atomic_init(&conf->private->refs, 1);
	for (size_t i = 0; (option = conf_option_at(i)); i++)
		if (!member_of(option->name))
			conf_value_default(option, conf, base_dir);
	return conf;
}

struct fault conf_parse(struct sv text, const char *file, const char *base_dir,
			struct conf_report *report, struct conf **out)
{
	size_t errors_before = report->count;
	struct parser *p = xcalloc(1, sizeof(*p));
	struct sv line;

	p->reading = (struct conf_reading){ conf_new(base_dir), report, file, base_dir };
	p->row_line = xcalloc(conf_option_count(), sizeof(*p->row_line));
	buf_init(&p->scratch, CONF_FILE_MAX + 1);
	if (text.len > CONF_FILE_MAX) {
		complain(p, "the file is larger than %u octets", CONF_FILE_MAX);
		text.len = 0;
	}
	while (sv_split(&text, '\n', &line)) {
		p->line++;
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		read_line(p, line);
	}
	if (p->in_block) {
		conf_complain(&p->reading, p->block_line, "the } of this block is missing");
		conf_listener_done(&p->row);
	}
	conf_check(&p->reading);
	settle_listeners(p);
	buf_done(&p->scratch);
	conf_listener_done(&p->row);
	free(p->row_line);
	if (report->count == errors_before && !report->more)
		*out = p->reading.conf;
	else
		conf_unref(&p->reading.conf);
	free(p);
	return report->count == errors_before ? FAULT_OK
					      : fault(FAULT_INVALID, "configuration has errors");
}

static struct fault read_file(const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n = 0;
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("open", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		f = fault_detail(FAULT_INVALID, "%s: not a regular file", path);
	/* When the buffer is full, conf_parse says that the file is too large. */
	while (!f.kind && buf_reserve(text, 4096)) {
		do
			n = read(fd, text->p + text->len, 4096);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			f = fault_errno("read", path);
		if (n <= 0)
			break;
		text->len += (size_t)n;
	}
	close(fd);
	return f;
}

struct fault conf_load(const char *path, const char *base_dir, struct conf_report *report,
		       struct conf **out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, CONF_FILE_MAX + 8192);
	f = read_file(path, &text);
	if (f.kind)
		report_add(report, path, 0, sv_z(f.detail));
	else
		f = conf_parse(buf_sv(&text), path, base_dir, report, out);
	buf_done(&text);
	return f;
}

struct conf *conf_default(const char *base_dir)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct fault f = conf_parse(SV_NONE, "-", base_dir, &report, &conf);

	if (f.kind)
		BUG("the default configuration: %s", report.errors[0].text);
	return conf;
}

struct conf *conf_ref(struct conf *conf)
{
	atomic_fetch_add(&conf->private->refs, 1);
	return conf;
}

void conf_unref(struct conf **conf)
{
	struct conf *c = *conf;
	const struct conf_option *option;

	*conf = NULL;
	if (!c || atomic_fetch_sub(&c->private->refs, 1) != 1)
		return;
	for (size_t i = 0; (option = conf_option_at(i)); i++)
		if (!member_of(option->name))
			conf_value_done(option, c);
	for (size_t i = 0; i < c->listener_count; i++)
		conf_listener_done(&c->listeners[i]);
	free(c->listeners);
	free(c->private->set_line);
	free(c->private);
	free(c);
}

bool conf_is_set(const struct conf *conf, const struct conf_option *option)
{
	return conf->private->set_line[conf_option_index(option)] != 0;
}

static bool same_text(const char *a, const char *b)
{
	return sv_eq(sv_z(a), sv_z(b));
}

static bool same_listeners(const struct conf *a, const struct conf *b)
{
	if (a->listener_count != b->listener_count)
		return false;
	for (size_t i = 0; i < a->listener_count; i++) {
		const struct conf_listener *x = &a->listeners[i], *y = &b->listeners[i];

		if (x->kind != y->kind || x->port != y->port || x->tls != y->tls ||
		    !same_text(x->name, y->name) || !same_text(x->address, y->address) ||
		    !same_text(x->path, y->path))
			return false;
	}
	return true;
}

void conf_diff(const struct conf *was, const struct conf *is,
               void (*f)(void *arg, const char *option, bool need_restart), void *arg)
{
	const struct conf_option *option;

	for (size_t i = 0; (option = conf_option_at(i)); i++)
		if (!member_of(option->name) && !conf_value_eq(option, was, is))
			f(arg, option->name, option->need_restart);
	if (!same_listeners(was, is))
		f(arg, CONF_BLOCK, true);
}
