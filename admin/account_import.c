/* postroom account import: a passwd-file of Dovecot (also Apache's htpasswd, which has its first two fields), CSV, JSON; export. */
#include "admin/account_import.h"

#include <stdio.h>

#include "admin/csv.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/protocols.h"
#include "common/identity.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

/* "storage=1G" counts KiB when it has no unit, "bytes=" octets. */
static bool storage(struct sv text, const char *key, uint64_t unit, uint64_t *out)
{
	size_t at = sv_search(text, sv_z(key)), len = 0;
	uint64_t n;

	if (at == SIZE_MAX)
		return false;
	sv_skip(&text, at + strlen(key));
	while (len < text.len && text.p[len] >= '0' && text.p[len] <= '9')
		len++;
	if (!sv_to_u64(sv_sub(text, 0, len), &n))
		return false;
	switch (len < text.len ? ascii_lower(text.p[len]) : 0) {
	case 'b': unit = 1; break;
	case 'k': unit = 1 << 10; break;
	case 'm': unit = 1 << 20; break;
	case 'g': unit = 1 << 30; break;
	case 't': unit = (uint64_t)1 << 40; break;
	}
	return !__builtin_mul_overflow(n, unit, out);
}

/* The rule for the whole account: "...quota_rule=*:storage=1G:messages=1000". */
static void read_quota(struct sv extra, struct directory_account *account)
{
	size_t at = sv_search(extra, SV("quota_rule=*:"));

	if (at == SIZE_MAX)
		return;
	sv_skip(&extra, at);
	extra = sv_sub(extra, 0, sv_find(extra, ' '));
	if (!storage(extra, ":storage=", 1 << 10, &account->quota_bytes))
		(void)storage(extra, ":bytes=", 1, &account->quota_bytes);
	(void)storage(extra, ":messages=", 1, &account->quota_messages);
}

static struct fault look(struct bulk *b, struct sv address, struct sv secret)
{
	struct directory_account there;
	struct directory_domain domain;
	struct sv password;
	struct fault f = directory_account_get(b->dir, address, &there);

	if (!f.kind)
		return fault(FAULT_EXISTS, "there already");
	if (f.kind == FAULT_NOT_FOUND)
		f = directory_domain_get(b->dir, sv_sub(address, sv_rfind(address, '@') + 1, address.len), &domain);
	if (f.kind && !bulk_is_planned(b, sv_sub(address, sv_rfind(address, '@') + 1, address.len)))
		return f;
	f = !secret.len || passhash_clear(secret, &password) ? FAULT_OK : passhash_check(secret);
	return f.kind ? fault_detail(f.kind, "%s; make that account by postroom account add %.*s", f.detail, SV_FMT(address)) : FAULT_OK;
}

/* What stands in the place of a password that nobody is to have: "!", "*", "!$6$...", as passwd(1) locks one. */
static bool is_locked(struct sv secret)
{
	return secret.len && (secret.p[0] == '!' || secret.p[0] == '*' || sv_eq(secret, SV("x")));
}

/* What holds for all lines of a passwd-file. */
struct passwd {
	uint32_t iterations;
	struct sv scheme;               /* of passwords that name none; empty: CRYPT */
};

/* full_secret - with its scheme in front, where the file does not name it: in `out`, or as it stands. */
static struct sv full_secret(struct sv scheme, struct sv secret, struct buf *out)
{
	if (!secret.len || secret.p[0] == '{' || !scheme.len || sv_eq_nocase(scheme, SV("CRYPT")))
		return secret;
	return buf_appendf(out, "{%.*s}%.*s", SV_FMT(scheme), SV_FMT(secret)) ? buf_sv(out) : secret;
}

/* A field behind the seventh, or one that Dovecot's passdb knows by itself: "nologin", "nologin=y". */
static bool has_field(struct sv rest, const char *name, struct sv *value)
{
	struct sv word, key = sv_z(name);

	for (int i = 0; i < 5 && rest.p; i++)
		(void)sv_split(&rest, ':', &word);
	while (rest.p && sv_split(&rest, ' ', &word))
		if (sv_starts(word, key) && (word.len == key.len || word.p[key.len] == '=')) {
			*value = sv_sub(word, key.len + 1, SIZE_MAX);
			return true;
		}
	return false;
}

static struct fault add(struct bulk *b, struct sv address, struct sv secret, uint32_t iterations,
			struct directory_account *made)
{
	struct sv password;

	if (!secret.len)
		return directory_account_add(b->dir, address, NULL, iterations, made);
	if (passhash_clear(secret, &password))
		return directory_account_add(b->dir, address, &password, iterations, made);
	return directory_account_add_hashed(b->dir, address, secret, iterations, made);
}

/* What a line says of an account besides its password. */
static struct fault set_up(struct bulk *b, struct sv rest, bool is_barred, struct directory_account *made)
{
	uint64_t bytes = made->quota_bytes, messages = made->quota_messages;

	read_quota(rest, made);
	if (is_barred)
		(void)directory_state_parse(SV("nologin"), made);
	return !is_barred && bytes == made->quota_bytes && messages == made->quota_messages ? FAULT_OK : directory_account_set(b->dir, made);
}

static struct fault take(struct bulk *b, struct sv line)
{
	const struct passwd *passwd = b->arg;
	char address[DIRECTORY_ADDRESS_MAX + 1] = "";
	struct directory_account made;
	struct sv name, secret, value, rest = line;

	if (!sv_split(&rest, ':', &name) || !sv_split(&rest, ':', &secret) || !name.len)
		return fault(FAULT_INVALID, "not of the form user:password:...");
	struct fault f = bulk_address(b, name, address);
	bool was_locked = is_locked(secret), is_barred = bulk_is_barred(b, sv_z(address)) || has_field(rest, "nologin", &value);
	struct buf full;

	buf_init(&full, PASSHASH_MAX + 64);
	secret = full_secret(passwd->scheme, secret, &full);
	was_locked = was_locked && !passhash_clear(secret, &value);     /* a password in clear may begin so */
	secret = was_locked ? SV_NONE : secret;
	if (!f.kind)
		f = look(b, sv_z(address), secret);
	if (!f.kind && has_field(rest, "allow_nets", &value))
		bulk_note(b, "%s could log in from %.*s only (allow_nets), and can from everywhere here", address, SV_FMT(value));
	if (!f.kind && was_locked)
		bulk_note(b, "%s has no password there: postroom account password %s gives one", address, address);
	if (!f.kind && is_barred)
		bulk_note(b, "%s may not log in there, and has the state nologin here", address);
	if (!f.kind && !b->is_dry)
		f = add(b, sv_z(address), secret, passwd->iterations, &made);
	buf_wipe(&full);
	return f.kind || b->is_dry ? f : set_up(b, rest, is_barred, &made);
}

/* ---- tables: CSV with a header (RFC 4180), or an array of JSON ---- */

enum field { FIELD_ACCOUNT, FIELD_PASSWORD, FIELD_HASH, FIELD_QUOTA, FIELD_MESSAGES, FIELD_PROTOCOLS, FIELD_PASSWORD_PROTOCOLS, FIELD_ENABLED,
	     FIELD_STATE, FIELD_MESSAGE, FIELD_FORWARD, FIELD_WHEN_ENABLED, FIELD_COUNT };
static const char *const field_names[FIELD_COUNT] = {
	"account", "password", "hash", "quota_bytes", "quota_messages", "protocols", "password_protocols", "enabled", "state", "message", "forward",
	"when_enabled",
};

#define COLUMNS_MAX 32

struct csv {
	uint32_t iterations;
	bool has_header;
	size_t column_count;
	enum field columns[COLUMNS_MAX];        /* FIELD_COUNT: one that is not looked at */
};

/* What one row says; a field that it lacks is empty. */
struct row {
	struct sv field[FIELD_COUNT];
};

static struct fault read_state(const struct row *row, struct directory_account *account)
{
	struct sv state = row->field[FIELD_STATE], message = row->field[FIELD_MESSAGE], forward = row->field[FIELD_FORWARD];
	struct sv later = row->field[FIELD_WHEN_ENABLED];
	struct directory_account enabled = { .is_enabled = false };

	if (state.len && !directory_state_parse(state, account))
		return fault_detail(FAULT_INVALID, "%.*s: a state is " STATE_WORDS, SV_FMT(state));
	if (later.len && (!directory_state_parse(later, &enabled) || !enabled.is_enabled))
		return fault_detail(FAULT_INVALID, "%.*s: when_enabled is one of the states but disabled", SV_FMT(later));
	if (later.len && !account->is_enabled)
		account->use = enabled.use;
	if (message.len && !directory_message_set(message, account))
		return fault_detail(FAULT_INVALID, "%.*s: the message is one line of ASCII", SV_FMT(message));
	if (forward.len && !directory_forward_set(forward, account))
		return fault_detail(FAULT_INVALID, "%.*s: not an address to forward to", SV_FMT(forward));
	return FAULT_OK;
}

static bool read_protocols(struct sv words, unsigned *scope)
{
	return !words.len || protocols_parse(words, scope);
}

static struct fault no_protocols(struct sv words)
{
	return fault_detail(FAULT_INVALID, "%.*s: protocols are " PROTOCOL_WORDS ", separated by commas", SV_FMT(words));
}

static struct fault read_limits(const struct row *row, struct directory_account *account)
{
	struct sv quota = row->field[FIELD_QUOTA], messages = row->field[FIELD_MESSAGES], enabled = row->field[FIELD_ENABLED];
	unsigned password = SCOPE_ALL & ~account->password_denied;

	if (quota.len && !print_parse_bytes(quota, &account->quota_bytes))
		return fault_detail(FAULT_INVALID, "%.*s is no size such as 500M or 10G", SV_FMT(quota));
	if (sv_eq(messages, SV("none")))
		account->quota_messages = 0;
	else if (messages.len && !sv_to_u64(messages, &account->quota_messages))
		return fault_detail(FAULT_INVALID, "%.*s is no number of messages", SV_FMT(messages));
	if (!read_protocols(row->field[FIELD_PROTOCOLS], &account->scope))
		return no_protocols(row->field[FIELD_PROTOCOLS]);
	if (!read_protocols(row->field[FIELD_PASSWORD_PROTOCOLS], &password))
		return no_protocols(row->field[FIELD_PASSWORD_PROTOCOLS]);
	account->password_denied = SCOPE_ALL & ~password;
	if (enabled.len && !sv_eq(enabled, SV("true")) && !sv_eq(enabled, SV("false")))
		return fault_detail(FAULT_INVALID, "%.*s: enabled is true or false", SV_FMT(enabled));
	if (enabled.len)
		account->is_enabled = sv_eq(enabled, SV("true"));
	return read_state(row, account);
}

static struct fault take_row(struct bulk *b, const struct row *row, uint32_t iterations)
{
	struct sv password = row->field[FIELD_PASSWORD], hash = row->field[FIELD_HASH];
	struct directory_account account = { .is_enabled = true, .scope = SCOPE_ALL }, made;
	char address[DIRECTORY_ADDRESS_MAX + 1];
	struct fault f;

	if (!row->field[FIELD_ACCOUNT].len)
		return fault(FAULT_INVALID, "no account is named");
	if (password.len && hash.len)
		return fault(FAULT_INVALID, "both a password and a hash");
	f = bulk_address(b, row->field[FIELD_ACCOUNT], address);
	if (!f.kind)
		f = look(b, sv_z(address), hash);
	if (!f.kind)
		f = read_limits(row, &account);
	if (f.kind || b->is_dry)
		return f;
	f = password.len ? directory_account_add(b->dir, sv_z(address), &password, iterations, &made) :
			   add(b, sv_z(address), hash, iterations, &made);
	if (f.kind)
		return f;
	directory_account_copy_settings(&made, &account);
	return directory_account_set(b->dir, &made);
}

static enum field field_of(struct sv name)
{
	for (enum field f = 0; f < FIELD_COUNT; f++)
		if (sv_eq_nocase(sv_trim(name), sv_z(field_names[f])))
			return f;
	return FIELD_COUNT;
}

static struct fault take_csv(struct bulk *b, struct sv line)
{
	struct csv *csv = b->arg;
	struct buf texts[COLUMNS_MAX];
	struct row row = { 0 };
	size_t count;
	bool has_account = false;
	struct fault f = csv_split(line, texts, COLUMNS_MAX, BULK_LINE_MAX, &count);

	for (size_t i = 0; i < count && !f.kind; i++) {
		if (!csv->has_header) {
			csv->columns[i] = field_of(buf_sv(&texts[i]));
			has_account |= csv->columns[i] == FIELD_ACCOUNT;
		} else if (i < csv->column_count && csv->columns[i] != FIELD_COUNT) {
			row.field[csv->columns[i]] = buf_sv(&texts[i]);
		}
	}
	if (!f.kind && csv->has_header)
		f = count == csv->column_count ? take_row(b, &row, csv->iterations) :
						 fault(FAULT_INVALID, "not as many fields as the first line has");
	else if (!f.kind && !has_account)
		f = fault(FAULT_INVALID, "the first line has to name the columns, one of them \"account\"");
	if (!csv->has_header) {
		b->is_no_thing = true;
		csv->has_header = true;
		csv->column_count = has_account ? count : 0;
	}
	for (size_t i = 0; i < count; i++)
		buf_wipe(&texts[i]);
	return f;
}

/* take_list - a list of words as --protocols has them. */
static struct sv take_list(const struct json *list, struct buf *words)
{
	buf_init(words, 256);
	for (size_t i = 0; i < json_count(list); i++) {
		struct sv word = SV_NONE;

		json_to_sv(json_at(list, i), &word);
		buf_appendf(words, "%s%.*s", i ? "," : "", SV_FMT(word));
	}
	return words->len ? buf_sv(words) : SV("none");
}

/* As `account export --json` writes it. */
static struct fault take_json(struct bulk *b, const struct json *object)
{
	const uint32_t *iterations = b->arg;
	struct row row = { 0 };
	struct buf numbers[2], words[2];
	bool enabled;
	uint64_t n;

	if (!json_value_is_object(object))
		return fault(FAULT_INVALID, "not an object");
	for (enum field i = 0; i < FIELD_COUNT; i++)
		(void)json_get_sv(object, field_names[i], &row.field[i]);
	for (size_t i = 0; i < 2; i++) {
		enum field field = i ? FIELD_MESSAGES : FIELD_QUOTA, list = i ? FIELD_PASSWORD_PROTOCOLS : FIELD_PROTOCOLS;
		struct sv text = take_list(json_get(object, field_names[list]), &words[i]);

		if (json_value_is_array(json_get(object, field_names[list])))
			row.field[list] = text;
		buf_init(&numbers[i], 32);
		if (json_get_u64(object, field_names[field], &n) && buf_append_u64(&numbers[i], n))
			row.field[field] = buf_sv(&numbers[i]);
	}
	if (json_get_bool(object, "enabled", &enabled))
		row.field[FIELD_ENABLED] = enabled ? SV("true") : SV("false");
	struct fault f = take_row(b, &row, *iterations);

	for (size_t i = 0; i < 2; i++) {
		buf_done(&numbers[i]);
		buf_done(&words[i]);
	}
	return f;
}

int account_import(struct cli *cli, uint32_t iterations)
{
	struct csv csv = { .iterations = iterations };
	struct passwd passwd = { iterations, sv_z(cli_option(cli, "scheme")) };
	struct sv path = sv_z(cli->args[0]);

	if (sv_ends(path, SV(".csv")))
		return bulk_run(cli, false, take_csv, &csv);
	if (sv_ends(path, SV(".json")))
		return bulk_run_json(cli, take_json, &iterations);
	return bulk_run(cli, false, take, &passwd);
}

int account_import_from(struct cli *cli, const struct bulk_source *source, struct sv scheme, struct bulk_counts *counts)
{
	struct passwd passwd = { account_iterations(cli), scheme };

	return bulk_run_from(cli, source, false, take, &passwd, counts);
}

/* ---- export ---- */

static void csv_put(struct sv text)
{
	bool is_plain = sv_find(text, '"') == SIZE_MAX && sv_find(text, ',') == SIZE_MAX && sv_find(text, ' ') == SIZE_MAX;

	if (!is_plain)
		putchar('"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"')
			putchar('"');
		putchar(text.p[i]);
	}
	if (!is_plain)
		putchar('"');
}

struct exporting {
	struct table *table;            /* NULL: CSV */
};

/* As one field of CSV: words separated by commas. */
static void put_protocols(struct sv words)
{
	struct buf list;

	buf_init(&list, 256);
	for (size_t i = 0; i < words.len; i++)
		buf_append_c(&list, words.p[i] == ' ' ? ',' : words.p[i]);
	csv_put(list.len ? buf_sv(&list) : SV("none"));
	buf_done(&list);
}

static bool export_one(void *arg, const struct directory_account *a)
{
	const struct exporting *e = arg;
	struct buf words[2];

	for (size_t i = 0; i < 2; i++) {
		buf_init(&words[i], 256);
		protocols_append(&words[i], i ? ~a->password_denied : a->scope);
	}
	if (e->table) {
		table_sv(e->table, sv_z(a->address));
		table_sv(e->table, sv_z(directory_state_name(a)));
		table_u64(e->table, a->quota_bytes);
		table_u64(e->table, a->quota_messages);
		table_sv(e->table, buf_sv(&words[0]));
		table_sv(e->table, buf_sv(&words[1]));
		table_sv(e->table, sv_z(a->message));
		table_sv(e->table, sv_z(a->forward));
		table_sv(e->table, sv_z(directory_use_name(a->use)));
	} else {
		csv_put(sv_z(a->address));
		printf(",%s,%llu,%llu,", directory_state_name(a), (unsigned long long)a->quota_bytes,
		       (unsigned long long)a->quota_messages);
		for (size_t i = 0; i < 2; i++) {
			put_protocols(buf_sv(&words[i]));
			putchar(',');
		}
		csv_put(sv_z(a->message));
		putchar(',');
		csv_put(sv_z(a->forward));
		printf(",%s\n", directory_use_name(a->use));
	}
	buf_done(&words[0]);
	buf_done(&words[1]);
	return true;
}

int account_export(struct cli *cli)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "account", COLUMN_TEXT, NULL },
		{ "STATE", "state", COLUMN_TEXT, NULL },
		{ "QUOTA", "quota_bytes", COLUMN_BYTES, NULL },
		{ "MESSAGES", "quota_messages", COLUMN_NUMBER, NULL },
		{ "MAY USE", "protocols", COLUMN_LIST, NULL },
		{ "BY PASSWORD", "password_protocols", COLUMN_LIST, NULL },
		{ "SAYS", "message", COLUMN_TEXT, NULL },
		{ "FORWARD", "forward", COLUMN_TEXT, NULL },
		{ "WHEN ENABLED", "when_enabled", COLUMN_TEXT, NULL },
	};
	struct exporting e = { NULL };
	struct directory *dir = NULL;
	int code = open_directory(cli, &dir);

	if (code == EXIT_DONE)
		code = check_domain(dir, cli->args[0]);
	if (code != EXIT_DONE) {
		directory_close(&dir);
		return code;
	}
	if (cli->json)
		e.table = table_new(columns, ARRAY_LEN(columns), true);
	else
		printf("account,state,quota_bytes,quota_messages,protocols,password_protocols,message,forward,when_enabled\n");
	code = cli_fault("accounts", directory_account_list(dir, cli->arg_count ? sv_z(cli->args[0]) : SV_NONE, export_one, &e));
	if (e.table)
		table_end(&e.table, NULL);
	directory_close(&dir);
	return code;
}
