#include "admin/print.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

#define OUTPUT_MAX ((size_t)1 << 30)

struct cell {
	char *text;
	uint64_t number;
};

struct table {
	const struct column *columns;
	size_t column_count;
	bool as_json, is_facts;
	struct cell *cells;
	size_t count, cap;
	size_t *widths;         /* on the screen, so far */
	bool is_begun;          /* rows were printed */
};

static struct table *new_table(const struct column *columns, size_t count, bool as_json, bool facts)
{
	struct table *t = xcalloc(1, sizeof(*t));

	*t = (struct table){ .columns = columns, .column_count = count, .as_json = as_json, .is_facts = facts };
	return t;
}

struct table *table_new(const struct column *columns, size_t count, bool as_json)
{
	return new_table(columns, count, as_json, false);
}

struct table *facts_new(const struct column *columns, size_t count, bool as_json)
{
	return new_table(columns, count, as_json, true);
}

static struct cell *next_cell(struct table *t)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->cells = xrealloc(t->cells, t->cap * sizeof(*t->cells));
	}
	t->cells[t->count] = (struct cell){ 0 };
	return &t->cells[t->count++];
}

void table_sv(struct table *t, struct sv text)
{
	next_cell(t)->text = sv_copy_z(text);
}

void table_u64(struct table *t, uint64_t n)
{
	next_cell(t)->number = n;
}

void print_json_line(const struct json *value)
{
	struct json_out j;
	struct buf out;

	buf_init(&out, (size_t)1 << 20);
	json_out_init(&j, &out);
	json_out_value(&j, NULL, value);
	printf("%.*s\n", SV_FMT(buf_sv(&out)));
	buf_done(&out);
}

void print_bytes(uint64_t n, char out[24])
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
	size_t unit = 0;
	double value = (double)n;

	while (value >= 1023.95 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0 || value >= 99.95)
		snprintf(out, 24, "%.0f %s", value, units[unit]);
	else
		snprintf(out, 24, "%.1f %s", value, units[unit]);
}

bool print_parse_bytes(struct sv text, uint64_t *out)
{
	static const char letters[] = "KMGT";
	unsigned shift = 0;

	if (sv_eq_nocase(text, SV("none"))) {
		*out = 0;
		return true;
	}
	if (text.len && ascii_upper(text.p[text.len - 1]) == 'B')
		text.len--;
	if (text.len) {
		const char *at = strchr(letters, ascii_upper(text.p[text.len - 1]));
		if (at && *at) {
			shift = 10 * (unsigned)(at - letters + 1);
			text.len--;
		}
	}
	uint64_t n;

	if (!sv_to_u64(sv_trim(text), &n) || n > UINT64_MAX >> shift)
		return false;
	*out = n << shift;
	return true;
}

static void append_time(struct buf *out, uint64_t seconds, bool for_people)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[40];

	if (for_people && localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
	else if (gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	else
		snprintf(text, sizeof(text), "-");
	buf_append(out, sv_z(text));
}

/* Text of strangers on somebody's terminal: control characters could rewrite what stands there. */
static void append_safe(struct buf *out, struct sv text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c < 0x20 || c == 0x7f)
			buf_appendf(out, "\\x%02x", c);
		else
			buf_append_c(out, (char)c);
	}
}

static void append_for_people(struct buf *out, const struct column *column, const struct cell *cell)
{
	char text[24];

	if (column->kind != COLUMN_TEXT && column->kind != COLUMN_LIST && !cell->number && column->zero_text) {
		buf_append(out, sv_z(column->zero_text));
		return;
	}
	switch (column->kind) {
	case COLUMN_TEXT:
	case COLUMN_LIST:
		if (cell->text && cell->text[0])
			append_safe(out, sv_z(cell->text));
		else
			buf_append_c(out, '-');
		return;
	case COLUMN_NUMBER:
		buf_append_u64(out, cell->number);
		return;
	case COLUMN_BYTES:
		print_bytes(cell->number, text);
		buf_append(out, sv_z(text));
		return;
	case COLUMN_TIME:
		append_time(out, cell->number, true);
		return;
	case COLUMN_BOOL:
		buf_append(out, cell->number ? SV("yes") : SV("no"));
		return;
	}
}

static void write_json(struct json_out *j, const struct column *column, const struct cell *cell)
{
	struct buf text;
	struct sv rest, word;

	switch (column->kind) {
	case COLUMN_TEXT:
		json_out_z(j, column->name, cell->text);
		return;
	case COLUMN_LIST:
		json_out_array(j, column->name);
		rest = sv_z(cell->text);
		while (rest.len && sv_split(&rest, ' ', &word))
			if (word.len)
				json_out_sv(j, NULL, word);
		json_out_array_end(j);
		return;
	case COLUMN_BOOL:
		json_out_bool(j, column->name, cell->number != 0);
		return;
	case COLUMN_NUMBER:
	case COLUMN_BYTES:
		if (!cell->number && column->zero_text)
			json_out_null(j, column->name);
		else
			json_out_u64(j, column->name, cell->number);
		return;
	case COLUMN_TIME:
		if (!cell->number && column->zero_text) {
			json_out_null(j, column->name);
			return;
		}
		buf_init(&text, 64);
		append_time(&text, cell->number, false);
		json_out_sv(j, column->name, buf_sv(&text));
		buf_done(&text);
		return;
	}
}

static void put_members(const struct table *t, struct json_out *j, size_t row)
{
	for (size_t c = 0; c < t->column_count; c++)
		write_json(j, &t->columns[c], &t->cells[row * t->column_count + c]);
}

static void put_row(const struct table *t, struct json_out *j, size_t row)
{
	json_out_object(j, NULL);
	put_members(t, j, row);
	json_out_object_end(j);
}

static void put_rows(const struct table *t, struct json_out *j, const char *name)
{
	json_out_array(j, name);
	for (size_t r = 0; r < t->count / t->column_count; r++)
		put_row(t, j, r);
	json_out_array_end(j);
}

/* print_json_rows - elements of an array that may have been begun before. */
static void print_json_rows(struct table *t, struct buf *out)
{
	for (size_t r = 0; r < t->count / t->column_count; r++) {
		struct json_out j;

		buf_append_c(out, t->is_begun ? ',' : '[');
		json_out_init(&j, out);
		put_row(t, &j, r);
		t->is_begun = true;
	}
}

static void print_json(struct table *t, struct buf *out)
{
	struct json_out j;

	if (t->is_facts) {
		json_out_init(&j, out);
		put_row(t, &j, 0);
	} else {
		print_json_rows(t, out);
		buf_append(out, t->is_begun ? SV("]") : SV("[]"));
	}
	buf_append_c(out, '\n');
}

/* Columns on the screen: one per code point, which is right for the names that mail has. */
static size_t width_of(struct sv text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++)
		n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
	return n;
}

static void pad(struct buf *out, size_t n)
{
	while (n--)
		buf_append_c(out, ' ');
}

static bool is_right(enum column_kind kind)
{
	return kind == COLUMN_NUMBER || kind == COLUMN_BYTES;
}

static void print_rows(struct table *t, struct buf *out, const char *empty)
{
	size_t rows = t->count / t->column_count, *widths = t->widths;
	struct buf cell;
	bool is_terminal = isatty(STDOUT_FILENO);

	if (!rows) {
		if (empty && !t->is_begun)
			buf_appendf(out, "%s\n", empty);
		return;
	}
	if (!widths)
		widths = t->widths = xcalloc(t->column_count, sizeof(*widths));
	buf_init(&cell, OUTPUT_MAX);
	for (size_t c = 0; c < t->column_count; c++) {
		if (!t->is_begun)
			widths[c] = width_of(sv_z(t->columns[c].title));
		for (size_t r = 0; r < rows; r++) {
			buf_clear(&cell);
			append_for_people(&cell, &t->columns[c], &t->cells[r * t->column_count + c]);
			if (width_of(buf_sv(&cell)) > widths[c])
				widths[c] = width_of(buf_sv(&cell));
		}
	}
	for (size_t r = t->is_begun; r <= rows; r++) {
		if (r == 0 && is_terminal)
			buf_append(out, SV("\033[1m"));
		for (size_t c = 0; c < t->column_count; c++) {
			const struct column *column = &t->columns[c];
			buf_clear(&cell);
			if (r == 0)
				buf_append(&cell, sv_z(column->title));
			else
				append_for_people(&cell, column, &t->cells[(r - 1) * t->column_count + c]);
			size_t room = widths[c] - width_of(buf_sv(&cell));
			if (is_right(column->kind))
				pad(out, room);
			buf_append(out, buf_sv(&cell));
			if (c + 1 < t->column_count) {
				if (!is_right(column->kind))
					pad(out, room);
				pad(out, 2);
			}
		}
		if (r == 0 && is_terminal)
			buf_append(out, SV("\033[0m"));
		buf_append_c(out, '\n');
	}
	t->is_begun = true;
	buf_done(&cell);
}

static void print_facts(const struct table *t, struct buf *out)
{
	size_t width = 0;

	for (size_t c = 0; c < t->column_count; c++)
		if (width_of(sv_z(t->columns[c].title)) > width)
			width = width_of(sv_z(t->columns[c].title));
	for (size_t c = 0; c < t->column_count && c < t->count; c++) {
		buf_append(out, sv_z(t->columns[c].title));
		pad(out, width + 2 - width_of(sv_z(t->columns[c].title)));
		append_for_people(out, &t->columns[c], &t->cells[c]);
		buf_append_c(out, '\n');
	}
}

static void drop_cells(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i].text);
	t->count = 0;
}

void table_flush(struct table *t)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	if (t->as_json)
		print_json_rows(t, &out);
	else
		print_rows(t, &out, NULL);
	if (out.len)
		fwrite(out.p, 1, out.len, stdout);
	buf_done(&out);
	drop_cells(t);
}

static void table_free(struct table **t)
{
	drop_cells(*t);
	free((*t)->cells);
	free((*t)->widths);
	free(*t);
	*t = NULL;
}

void table_end_in(struct table **t, struct json_out *j, const char *name)
{
	if ((*t)->is_facts)
		put_members(*t, j, 0);
	else
		put_rows(*t, j, name);
	table_free(t);
}

void table_end(struct table **t, const char *empty)
{
	struct buf out;

	buf_init(&out, OUTPUT_MAX);
	if ((*t)->as_json)
		print_json(*t, &out);
	else if ((*t)->is_facts)
		print_facts(*t, &out);
	else
		print_rows(*t, &out, empty);
	if (out.len)
		fwrite(out.p, 1, out.len, stdout);
	buf_done(&out);
	table_free(t);
}

int table_close(struct table **t, int code, const char *empty)
{
	if (!code || (!(*t)->as_json && (*t)->count))
		table_end(t, code ? NULL : empty);
	else
		table_free(t);
	return code;
}

#define FOLD_MIN 20     /* columns: in less, folding makes nothing better */

/* Columns of the terminal on standard output; SIZE_MAX when it is none. */
static size_t terminal_width(void)
{
	struct winsize size = { 0 };

	if (!isatty(STDOUT_FILENO))
		return SIZE_MAX;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void print_folded(const char *text, size_t indent)
{
	size_t width = terminal_width(), room = width < indent + FOLD_MIN ? SIZE_MAX : width - indent, column = 0;
	struct sv rest = sv_z(text), word;

	while (sv_split(&rest, ' ', &word)) {
		size_t wide = width_of(word);

		if (column && column + 1 + wide > room) {
			printf("\n%*s", (int)indent, "");
			column = 0;
		} else if (column) {
			putchar(' ');
			column++;
		}
		printf("%.*s", SV_FMT(word));
		column += wide;
	}
	putchar('\n');
}

void complain(const char *next_step, const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("postroom: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (next_step)
		fprintf(stderr, "  try: %s\n", next_step);
}

static int64_t now_ms(void)
{
	return (int64_t)clock_ms();
}

void progress_start(struct progress *p, const char *what, const char *unit)
{
	*p = (struct progress){ .what = what, .unit = unit, .started_ms = now_ms() };
}

#define PROGRESS_QUIET_MS 500   /* what is quicker than this needs no bar */
#define PROGRESS_EVERY_MS 100
#define PROGRESS_CELLS 30

void progress_update(struct progress *p, uint64_t done, uint64_t total)
{
	int64_t now = now_ms();

	if (!isatty(STDERR_FILENO) || now - p->started_ms < PROGRESS_QUIET_MS ||
	    (p->shown && now - p->shown_ms < PROGRESS_EVERY_MS && done < total))
		return;
	p->shown = true;
	p->shown_ms = now;
	unsigned cells = total ? (unsigned)((double)done / (double)total * PROGRESS_CELLS) : 0;
	char bar[PROGRESS_CELLS + 1];

	for (unsigned i = 0; i < PROGRESS_CELLS; i++)
		bar[i] = i < cells ? '#' : '.';
	bar[PROGRESS_CELLS] = '\0';
	fprintf(stderr, "\r\033[K%s  [%s] %llu of %llu %s", p->what, bar, (unsigned long long)done,
		(unsigned long long)total, p->unit);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

bool print_parse_ago(const char *text, uint64_t *seconds)
{
	static const struct { char letter; uint64_t seconds; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	struct sv number = sv_z(text);
	uint64_t unit = 0;

	for (size_t i = 0; number.len && i < ARRAY_LEN(units); i++)
		if (number.p[number.len - 1] == units[i].letter)
			unit = units[i].seconds;
	number.len -= number.len > 0;
	return unit && sv_to_u64(number, seconds) && *seconds < 100000 && (*seconds *= unit);
}

void table_words(struct table *t, const struct sv *words, size_t count)
{
	struct buf text;

	buf_init(&text, SIZE_MAX / 2);
	for (size_t i = 0; i < count; i++)
		(void)buf_appendf(&text, "%s%.*s", i ? " " : "", SV_FMT(words[i]));
	table_sv(t, buf_sv(&text));
	buf_done(&text);
}
