#include "admin/bulk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/open.h"
#include "admin/print.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

#define JSON_MAX ((size_t)64 << 20)

struct reading {
	struct bulk bulk;
	bulk_fn *fn;
	struct buf line;                /* with what continues it */
	size_t number;                  /* of this line; bulk.number is that of the one that `line` began with */
	uint64_t taken, known, refused;
};

static void refuse(struct reading *r, const char *why)
{
	complain(NULL, "%s:%zu: %s", r->bulk.source->path, r->bulk.number, why);
	r->refused++;
}

void bulk_note(const struct bulk *b, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	complain(NULL, "%s:%zu: %s", b->source->path, b->number, text);
}

/* count - what came of one thing. */
static void count(struct reading *r, struct fault f)
{
	if (f.kind == FAULT_EXISTS)
		r->known++;
	else if (f.kind)
		refuse(r, f.detail ? f.detail : fault_name(f.kind));
	else if (!r->bulk.is_no_thing)
		r->taken++;
}

static void take_line(struct reading *r)
{
	struct sv line = sv_trim(buf_sv(&r->line));

	if (line.len && line.p[0] != '#') {
		r->bulk.is_no_thing = false;
		count(r, r->fn(&r->bulk, line));
	}
	buf_clear(&r->line);
}

static bool is_continued(struct sv line, bool continues)
{
	return continues && line.len && (line.p[0] == ' ' || line.p[0] == '\t') && sv_trim(line).len;
}

static void read_lines(struct reading *r, FILE *file, bool continues)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&text, &cap, file)) >= 0) {
		struct sv line = sv_from(text, (size_t)len);

		r->number++;
		if (!is_continued(line, continues)) {
			take_line(r);
			r->bulk.number = r->number;
		}
		if (!buf_append(&r->line, line)) {
			refuse(r, "the line is too long");
			buf_clear(&r->line);
		}
	}
	take_line(r);
	if (text)
		secret_wipe(text, cap);
	free(text);
}

static void tell(const struct reading *r)
{
	const struct column columns[] = {
		{ r->bulk.is_dry ? "would be added" : "added", "added", COLUMN_NUMBER, NULL },
		{ "there already, left as they are", "known", COLUMN_NUMBER, NULL },
		{ "refused", "refused", COLUMN_NUMBER, NULL },
	};
	struct table *t = facts_new(columns, ARRAY_LEN(columns), r->bulk.cli->json);

	table_u64(t, r->taken);
	table_u64(t, r->known);
	table_u64(t, r->refused);
	table_end(&t, NULL);
}

static void read_array(struct reading *r, FILE *file, bulk_json_fn *fn)
{
	struct json *all = NULL;
	struct buf text;
	size_t n;

	buf_init(&text, JSON_MAX);
	while (buf_reserve(&text, 65536) && (n = fread(text.p + text.len, 1, 65536, file)) > 0)
		text.len += n;
	struct fault f = feof(file) ? json_parse(buf_sv(&text), &all) : fault(FAULT_LIMIT, "the file is too long");

	if (f.kind || !json_value_is_array(all)) {
		r->bulk.number = 1;
		refuse(r, f.kind == FAULT_LIMIT ? f.detail : "not an array of JSON: [{\"account\":\"alice@example.org\",...},...]");
	}
	for (size_t i = 0; i < json_count(all); i++) {
		r->bulk.number = i + 1;
		count(r, fn(&r->bulk, json_at(all, i)));
	}
	json_free(&all);
	buf_wipe(&text);
}

static int run_file(struct cli *cli, const struct bulk_source *source, bool continues, bulk_fn *fn, bulk_json_fn *json_fn, void *arg,
		    struct bulk_counts *counts)
{
	struct reading r = {
		.bulk = { .cli = cli, .domain = sv_z(source->domain), .is_dry = source->is_dry, .arg = arg, .source = source },
		.fn = fn,
	};
	int code = open_directory(cli, &r.bulk.dir);

	if (code == EXIT_DONE) {
		buf_init(&r.line, BULK_LINE_MAX);
		if (json_fn)
			read_array(&r, source->file, json_fn);
		else
			read_lines(&r, source->file, continues);
		buf_wipe(&r.line);
		if (counts)
			*counts = (struct bulk_counts){ r.taken, r.known, r.refused };
		else
			tell(&r);
		if (ferror(source->file)) {
			complain(NULL, "%s could not be read to its end", source->path);
			code = EXIT_FAILED;
		}
		if (r.refused)
			code = EXIT_FAILED;
	}
	directory_close(&r.bulk.dir);
	return code;
}

static int run(struct cli *cli, bool continues, bulk_fn *fn, bulk_json_fn *json_fn, void *arg)
{
	struct bulk_source source = { .path = cli->args[0], .domain = cli_option(cli, "domain"),
				      .is_dry = cli_option(cli, "dry-run") != NULL, .file = cli->file };

	return run_file(cli, &source, continues, fn, json_fn, arg, NULL);
}

int bulk_run_from(struct cli *cli, const struct bulk_source *source, bool continues, bulk_fn *fn, void *arg,
		  struct bulk_counts *counts)
{
	return run_file(cli, source, continues, fn, NULL, arg, counts);
}

int bulk_run(struct cli *cli, bool continues, bulk_fn *fn, void *arg)
{
	return run(cli, continues, fn, NULL, arg);
}

int bulk_run_json(struct cli *cli, bulk_json_fn *fn, void *arg)
{
	return run(cli, false, NULL, fn, arg);
}

static bool is_among(const struct sv *list, size_t count, struct sv name)
{
	for (size_t i = 0; i < count; i++)
		if (sv_eq_nocase(list[i], name))
			return true;
	return false;
}

bool bulk_is_planned(const struct bulk *b, struct sv domain)
{
	return b->is_dry && is_among(b->source->planned, b->source->planned_count, domain);
}

bool bulk_is_planned_account(const struct bulk *b, struct sv address)
{
	return b->is_dry && is_among(b->source->accounts, b->source->account_count, address);
}

bool bulk_is_barred(const struct bulk *b, struct sv address)
{
	return is_among(b->source->barred, b->source->barred_count, address);
}

struct fault bulk_address(const struct bulk *b, struct sv name, char out[DIRECTORY_ADDRESS_MAX + 1])
{
	bool has_domain = sv_find(name, '@') != SIZE_MAX;

	if (!has_domain && !b->domain.len)
		return fault_detail(FAULT_INVALID, "%.*s has no domain; add --domain", SV_FMT(name));
	int len = snprintf(out, DIRECTORY_ADDRESS_MAX + 1, "%.*s%s%.*s", SV_FMT(name), has_domain ? "" : "@",
			   has_domain ? 0 : (int)b->domain.len, has_domain ? "" : b->domain.p);

	return len > DIRECTORY_ADDRESS_MAX ? fault(FAULT_INVALID, "an address is too long") : FAULT_OK;
}
