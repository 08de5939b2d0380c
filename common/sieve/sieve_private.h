/* common/sieve/sieve_private.h - what the modules of the interpreter share. From text to answer:
 *   lex.c      characters to tokens
 *   parse.c    tokens to a tree that knows only the grammar (RFC 5228 §8.2)
 *   table.c    one row for each command, test, tag and extension
 *   compile.c  the tree checked against the table, written as a list of steps without nesting
 *   run.c      the steps carried out; variables.c, match.c, fields.c, body.c are its tools
 *   test_*.c, act_*.c   what the rows of the table do */
#ifndef COMMON_SIEVE_PRIVATE_H
#define COMMON_SIEVE_PRIVATE_H

#include "common/sieve/regex.h"
#include "common/sieve/sieve.h"

/* ---- extensions ---- */

enum sieve_cap {
	CAP_BASE = 0,
	CAP_FILEINTO, CAP_REJECT, CAP_EREJECT, CAP_ENVELOPE, CAP_ENCODED_CHARACTER, CAP_VACATION, CAP_VACATION_SECONDS,
	CAP_SUBADDRESS, CAP_COMPARATOR_OCTET, CAP_COMPARATOR_ASCII, CAP_COMPARATOR_NUMERIC, CAP_COMPARATOR_UNICODE,
	CAP_RELATIONAL, CAP_REGEX, CAP_IMAP4FLAGS, CAP_COPY, CAP_INCLUDE, CAP_VARIABLES, CAP_BODY, CAP_ENOTIFY,
	CAP_ENVIRONMENT, CAP_MAILBOX, CAP_MBOXMETADATA, CAP_SERVERMETADATA, CAP_SPECIAL_USE, CAP_DATE, CAP_INDEX, CAP_IHAVE,
	CAP_DUPLICATE, CAP_MIME, CAP_FOREVERYPART, CAP_EXTRACTTEXT, CAP_EDITHEADER, CAP_FCC, CAP_SPAMTEST, CAP_SPAMTESTPLUS,
	CAP_VIRUSTEST, CAP_EXTLISTS, CAP_MAILBOXID, CAP_REDIRECT_DSN, CAP_ENVELOPE_DSN,
	CAP_IMAPSIEVE,
	CAP_COUNT
};
#define CAP_BIT(cap) ((uint64_t)1 << (cap))
/* Names of extensions, by enum sieve_cap; empty for those that are not finished: nobody can require them. */
extern const struct sv sieve_cap_names[CAP_COUNT];
/** sieve_cap_find - CAP_BASE: no such extension. */
enum sieve_cap sieve_cap_find(struct sv name);

/* ---- tokens and the tree ---- */

struct sieve_place {
	uint32_t line, column;
};

enum sieve_token_kind {
	TOKEN_END = 0, TOKEN_IDENTIFIER, TOKEN_TAG, TOKEN_NUMBER, TOKEN_STRING,
	TOKEN_PUNCTUATION,      /* text is one of ( ) { } [ ] , ; */
	TOKEN_BAD,              /* text is the error */
};
struct sieve_token {
	enum sieve_token_kind kind;
	struct sieve_place at;
	struct sv text;         /* tags without colon; strings as they are meant, without escapes */
	uint64_t number;
};
struct sieve_lexer {
	struct sv rest;
	struct sieve_place at;
	struct arena *arena;    /* for strings with escapes */
};
void sieve_lexer_init(struct sieve_lexer *l, struct sv text, struct arena *a);
/** sieve_lexer_next - TOKEN_END for ever at the end; TOKEN_BAD ends the script. */
struct sieve_token sieve_lexer_next(struct sieve_lexer *l);

enum sieve_arg_kind { ARG_NONE = 0, ARG_STRING, ARG_LIST, ARG_NUMBER, ARG_TAG };

struct sieve_arg {
	enum sieve_arg_kind kind;
	uint8_t slot;           /* enum sieve_slot, once checked */
	bool is_dynamic;        /* holds variables: read it with sieve_text() only */
	struct sieve_place at;
	int value;              /* of a tag: what its row says */
	struct sv tag;          /* its name, for the dry run */
	uint64_t number;
	struct sv *strings;
	uint32_t count;
};

/* A command or a test as the grammar sees it. */
struct sieve_node {
	struct sieve_place at;
	struct sv name;
	struct sieve_arg *args;
	uint32_t arg_count;
	bool has_block, has_test_list;  /* { ... }; tests in ( ... ) */
	struct sieve_node *tests;
	struct sieve_node *block;
	struct sieve_node *next;
};

struct sieve_compiler;
/** sieve_complain - note an error at a place. */
void sieve_complain(struct sieve_compiler *c, struct sieve_place at, const char *format, ...) PRINTF_LIKE(3, 4);
/** sieve_say - fill in an error: well-formed UTF-8 on one line. */
void sieve_say(struct sieve_error *e, struct sv script, struct sieve_place at, const char *format, va_list ap)
	PRINTF_LIKE(4, 0);
/** sieve_parse - false after a complaint. An empty script gives NULL. */
bool sieve_parse(struct sieve_compiler *c, struct sv text, struct sieve_node **out);

/* ---- the table ---- */

enum sieve_match_type { MATCH_IS = 0, MATCH_CONTAINS, MATCH_MATCHES, MATCH_REGEX, MATCH_COUNT, MATCH_VALUE, MATCH_LIST };
enum sieve_relation { REL_EQ = 0, REL_NE, REL_GT, REL_GE, REL_LT, REL_LE };
enum sieve_comparator { COMPARE_ASCII = 0, COMPARE_OCTET, COMPARE_NUMERIC, COMPARE_UNICODE };
enum sieve_address_part { PART_ALL = 0, PART_LOCAL, PART_DOMAIN, PART_USER, PART_DETAIL };
enum sieve_body_transform { BODY_TEXT = 0, BODY_RAW, BODY_CONTENT };
enum sieve_mime_option { MIME_OPT_NONE = 0, MIME_OPT_TYPE, MIME_OPT_SUBTYPE, MIME_OPT_CONTENTTYPE, MIME_OPT_PARAM };

/* What an argument is for. Tags of one slot exclude each other. */
enum sieve_slot {
	SLOT_FIRST = 0, SLOT_SECOND, SLOT_THIRD,        /* positional */
	SLOT_MATCH = 8, SLOT_COMPARATOR, SLOT_ADDRESS_PART, SLOT_INDEX, SLOT_LAST, SLOT_MIME, SLOT_ANYCHILD, SLOT_MIME_OPTION,
	SLOT_SIZE, SLOT_COPY, SLOT_CREATE, SLOT_FLAGS, SLOT_SPECIAL_USE, SLOT_MAILBOX_ID, SLOT_LIST, SLOT_DSN_RET,
	SLOT_DSN_NOTIFY, SLOT_CASE, SLOT_FIRST_CASE, SLOT_QUOTE, SLOT_LENGTH,
	SLOT_ENCODE_URL, SLOT_FIRST_CHARS, SLOT_BODY, SLOT_ZONE, SLOT_DAYS, SLOT_SUBJECT, SLOT_FROM, SLOT_ADDRESSES, SLOT_IS_MIME,
	SLOT_HANDLE, SLOT_FCC, SLOT_HEADER, SLOT_SECONDS, SLOT_PERCENT, SLOT_IMPORTANCE, SLOT_OPTIONS, SLOT_MESSAGE, SLOT_LOCATION,
	SLOT_ONCE, SLOT_OPTIONAL, SLOT_NAME, SLOT_COUNT_OF
};

/* Sets of tags: a command's row names those it takes. */
enum sieve_tags {
	TAGS_MATCH = 1 << 0, TAGS_ADDRESS = 1 << 1, TAGS_INDEX = 1 << 2, TAGS_MIME = 1 << 3, TAGS_MIME_HEADER = 1 << 4,
	TAGS_SIZE = 1 << 5, TAGS_FILEINTO = 1 << 6, TAGS_FLAGS = 1 << 7, TAGS_COPY = 1 << 8, TAGS_REDIRECT = 1 << 9,
	TAGS_SET = 1 << 10, TAGS_BODY = 1 << 11, TAGS_ZONE = 1 << 12, TAGS_ORIGINAL_ZONE = 1 << 13, TAGS_VACATION = 1 << 14,
	TAGS_FCC = 1 << 15, TAGS_DUPLICATE = 1 << 16, TAGS_NOTIFY = 1 << 17, TAGS_INCLUDE = 1 << 18, TAGS_LAST = 1 << 19,
	TAGS_EXTRACT = 1 << 20, TAGS_NAME = 1 << 21, TAGS_SPAM = 1 << 22,
};

struct sieve_tag {
	const char *name;
	uint32_t sets;          /* enum sieve_tags */
	enum sieve_slot slot;
	enum sieve_arg_kind takes;
	int value;
	enum sieve_cap cap;     /* besides that of the command */
};
extern const struct sieve_tag sieve_tags[];
extern const size_t sieve_tag_count;

struct sieve_run;
struct sieve_call;
/* Both report failure by sieve_fail(); a test's answer then does not matter. */
typedef bool sieve_test_fn(struct sieve_run *r, const struct sieve_call *c);
typedef void sieve_action_fn(struct sieve_run *r, const struct sieve_call *c);

enum sieve_row_kind {
	ROW_TEST, ROW_ACTION,
	ROW_REQUIRE, ROW_IF, ROW_ELSIF, ROW_ELSE, ROW_STOP, ROW_INCLUDE, ROW_RETURN, ROW_GLOBAL, ROW_LOOP, ROW_BREAK,
	ROW_ALLOF, ROW_ANYOF, ROW_NOT, ROW_TRUE, ROW_FALSE,
};
struct sieve_row {
	const char *name;
	enum sieve_row_kind kind;
	enum sieve_cap cap;
	enum sieve_arg_kind args[3];    /* positional ones */
	bool is_first_optional;         /* the first positional argument may be left out (RFC 5232) */
	bool is_last_optional;
	uint32_t tags;                  /* enum sieve_tags */
	sieve_test_fn *test;
	sieve_action_fn *action;
	/* More checks; complains itself. May be NULL. */
	void (*check)(struct sieve_compiler *c, struct sieve_call *call);
};
extern const struct sieve_row sieve_rows[];
extern const size_t sieve_row_count;

/* ---- the program ---- */

struct sieve_key {
	struct sv text;         /* as written, variables filled in */
	struct sv folded;       /* in the form the comparator compares */
	struct regex *regex;
};
struct sieve_match {
	enum sieve_match_type type;
	enum sieve_relation relation;
	enum sieve_comparator comparator;
	const struct sieve_key *keys;   /* made while compiling; NULL when some hold variables */
};

struct sieve_call {
	const struct sieve_row *row;
	struct sieve_place at;
	uint64_t needs;                 /* extensions that only a successful ihave can enable (RFC 5463 §4) */
	struct sieve_arg *args;
	uint32_t arg_count;
	struct sieve_match match;
};

enum sieve_step_kind {
	STEP_TEST,              /* answer = test */
	STEP_SET,               /* answer = target */
	STEP_NOT,
	STEP_JUMP, STEP_JUMP_FALSE, STEP_JUMP_TRUE,
	STEP_ACTION,
	STEP_CALL,              /* run unit `target`; its end comes back */
	STEP_RETURN,
	STEP_STOP,
	STEP_LOOP,              /* begin a loop over parts; target: behind its end */
	STEP_LOOP_NEXT,         /* the next part, to target; or on */
	STEP_BREAK,             /* leave `count` loops, go on at target */
	STEP_FAIL,              /* text says why */
};
struct sieve_step {
	enum sieve_step_kind kind;
	uint32_t target;
	uint32_t count;
	struct sieve_place at;
	const struct sieve_call *call;
	struct sv text;
};
/* One script of the program; unit 0 is the one that was asked for. */
struct sieve_unit {
	struct sv name;
	enum sieve_location where;
	struct sieve_step *steps;
	uint32_t step_count;
	uint64_t caps;                  /* required */
	struct sv *globals;             /* names declared with `global` (RFC 6609 §3.3) */
	uint32_t global_count;
	bool is_missing;                /* it could not be loaded */
};
struct sieve_script {
	struct arena arena;
	struct sieve_unit units[SIEVE_INCLUDES_MAX + 1];
	uint32_t unit_count;
};

#define SIEVE_LOOPS_MAX 8
#define SIEVE_TREE_MEMORY ((size_t)64 << 20)    /* compiling a script of SIEVE_SCRIPT_MAX stays below */

struct sieve_compiler {
	struct arena *arena;            /* the script's */
	struct arena tree;              /* of the unit being compiled: dies with it */
	struct sieve_errors *errors;
	struct sieve_script *script;
	struct sieve_unit *unit;
	const struct sieve_loader *loader;
	uint64_t caps;                  /* required so far */
	struct sieve_step *steps;       /* growing, on the heap */
	size_t step_count, step_cap;
	struct {
		struct sv name;
		uint32_t breaks;        /* steps that leave this loop, linked through target */
	} loops[SIEVE_LOOPS_MAX];
	uint32_t loop_count;
	uint32_t nesting;
	bool has_failed;
};
/** sieve_arg_of - the argument in a slot, or NULL. */
const struct sieve_arg *sieve_arg_of(const struct sieve_call *c, enum sieve_slot slot);

/* ---- a run ---- */

/* Their sum, with SIEVE_VALUE_MAX for what a step holds for a moment, stays below 1 MiB. */
#define SIEVE_KEEP_MEMORY ((size_t)256 << 10)   /* fields, actions */
#define SIEVE_SCRATCH_MEMORY ((size_t)128 << 10)        /* of one step */
#define SIEVE_MACHINE_MEMORY ((size_t)128 << 10)        /* of one comparison by :regex, or :matches with Unicode */
#define SIEVE_PART_MEMORY ((size_t)64 << 10)    /* the header block of the part at hand */
#define SIEVE_VARIABLE_MEMORY ((size_t)224 << 10)       /* all variables and match values */
#define SIEVE_VALUE_MAX ((size_t)64 << 10)      /* a text compared; more is cut (a body is compared in windows of it) */
#define SIEVE_FIELDS_MAX 12000
#define SIEVE_MATCH_VALUES 32           /* ${0} to ${31} */

/* A field of a header block: views into what the caller gave or, for an added one, the arena. */
struct sieve_field {
	const char *p;
	uint32_t len;
	uint16_t name_len, value_at;    /* value_at: behind the colon */
};
struct sieve_fields {
	struct sieve_field *list;
	uint32_t count, cap;
};

struct sieve_variable {
	struct sv name;
	struct sv value;                /* on the heap */
	uint32_t unit;                  /* whose; UINT32_MAX: global (RFC 6609 §3.4) */
};

struct sieve_frame { uint32_t unit, step, loop_count; uint64_t caps; };
struct sieve_loop { uint32_t part, end; };      /* row of the part table, one behind the last one */

struct sieve_run {
	const struct sieve_script *script;
	const struct sieve_mail *mail;
	const struct sieve_envelope *envelope;
	const struct sieve_host *host;
	struct sieve_result *result;
	struct arena keep, scratch, machine, part;
	struct buf value, line;         /* for the text at hand */
	struct sieve_fields fields;     /* of the message, with edits */
	bool has_fields, is_edited;
	struct sv edited;               /* the block as text; p NULL: to be made */
	struct sieve_variable variables[SIEVE_VARIABLES_MAX];
	uint32_t variable_count;
	size_t variable_memory;
	struct sv match_values[SIEVE_MATCH_VALUES];     /* on the heap */
	uint32_t match_count;
	struct buf flags;               /* the internal variable of imap4flags */
	uint64_t caps;                  /* of the running unit; a successful ihave adds to it */
	struct sieve_frame frames[SIEVE_INCLUDES_MAX + 1];
	uint32_t frame_count;
	bool was_included[SIEVE_INCLUDES_MAX + 1];
	struct sieve_loop loops[SIEVE_LOOPS_MAX];
	uint32_t loop_count;
	uint32_t unit;
	bool is_keep_cancelled, has_vacation;
	uint32_t redirects;
	bool has_failed;
	const struct sieve_call *call;  /* being carried out */
};

/** sieve_fail - stop the run with this error at the present command. */
void sieve_fail(struct sieve_run *r, const char *format, ...) PRINTF_LIKE(2, 3);
/** sieve_charge - count work; false when there was too much (the run has then failed). */
bool sieve_charge(struct sieve_run *r, uint64_t work);
/** sieve_trace - a line of the dry run; costs nothing without one. */
void sieve_trace(struct sieve_run *r, const char *format, ...) PRINTF_LIKE(2, 3);
/** sieve_scratch, sieve_kept - copies; on exhaustion the run fails and the empty view is returned. */
struct sv sieve_scratch(struct sieve_run *r, struct sv s);
struct sv sieve_kept(struct sieve_run *r, struct sv s);
/** sieve_text - string i of an argument with its variables filled in; lives until the step ends. Empty for NULL. */
struct sv sieve_text(struct sieve_run *r, const struct sieve_arg *a, uint32_t i);
/** sieve_has - is the extension in force? */
bool sieve_has(const struct sieve_run *r, enum sieve_cap cap);
/** sieve_add_action - a new action of this kind at the present command; NULL: the run has failed. */
struct sieve_action *sieve_add_action(struct sieve_run *r, enum sieve_action_kind kind);

/* variables.c */
bool sieve_is_dynamic(struct sv text);
/** sieve_variable_name - is it a name that can be set: [namespace.]identifier, no number? */
bool sieve_variable_name(struct sv name);
struct sv sieve_variable_get(struct sieve_run *r, struct sv name);
void sieve_variable_set(struct sieve_run *r, struct sv name, struct sv value);
/** sieve_modify - the modifiers of `set`, RFC 5229 §4.1, in their order. */
void sieve_modify(struct sieve_run *r, const struct sieve_call *c, struct buf *value);
void sieve_match_values(struct sieve_run *r, const struct sv *values, uint32_t count);
/** sieve_variables_forget - those of one script. */
void sieve_variables_forget(struct sieve_run *r, uint32_t unit);
void sieve_variables_done(struct sieve_run *r);
void sieve_check_strings(struct sieve_compiler *c, struct sieve_arg *a);
void sieve_check_set(struct sieve_compiler *c, struct sieve_call *call);
sieve_action_fn sieve_act_set;
sieve_test_fn sieve_test_string;

/* match.c: the keys of one test against its values */
struct sieve_matcher {
	struct sieve_run *r;
	const struct sieve_match *match;
	const struct sieve_key *keys;
	uint32_t key_count;
	uint64_t count;         /* of values, for :count */
	bool sets_variables, has_matched;
};
/** sieve_matcher_init - the keys come from this slot. */
void sieve_matcher_init(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_call *c, enum sieve_slot keys);
/** sieve_matcher_init_keys - the same with keys from elsewhere: not those that the compiler saw. */
void sieve_matcher_init_keys(struct sieve_matcher *m, struct sieve_run *r, const struct sieve_match *match,
			     const struct sieve_arg *keys);
/** sieve_matcher_try - true once something matched: no more values are needed. */
bool sieve_matcher_try(struct sieve_matcher *m, struct sv value);
/** sieve_matcher_end - the answer of the test. */
bool sieve_matcher_end(struct sieve_matcher *m);
/* A pattern of :matches at work. */
struct sieve_glob {
	const uint32_t *origin;         /* of each octet of value: where its character began before folding, and one more for
					   the end; octets of one character are one "?". NULL: each octet stands for itself */
	struct { uint32_t from, to; } captures[SIEVE_MATCH_VALUES];     /* what each wildcard took, in octets of value */
	uint32_t count;
	uint64_t work;
};
/** sieve_glob - does the whole value match the pattern (RFC 5228 §2.7.1)? Wildcards take as little as they can. */
bool sieve_glob(struct sieve_glob *g, struct sv pattern, struct sv value);
void sieve_check_match(struct sieve_compiler *c, struct sieve_call *call, enum sieve_slot keys);
void sieve_check_keys_first(struct sieve_compiler *c, struct sieve_call *call);
void sieve_check_keys_second(struct sieve_compiler *c, struct sieve_call *call);
void sieve_check_keys_third(struct sieve_compiler *c, struct sieve_call *call);

/* fields.c */
/** sieve_part_fields - those of a part of the message as it came; they live in r->part until the next call. */
bool sieve_part_fields(struct sieve_run *r, const struct mime_part *part, struct sieve_fields *out);
/** sieve_message_fields - those of the message, with edits. */
const struct sieve_fields *sieve_message_fields(struct sieve_run *r);
struct sieve_walk {
	const struct sieve_fields *fields;
	struct sv name;         /* p NULL: every field */
	uint64_t index;         /* 0: all */
	bool from_end;
	uint32_t at;
};
void sieve_walk_init(struct sieve_walk *w, const struct sieve_fields *f, struct sv name, const struct sieve_call *c);
/** sieve_walk_next - the next field's position, or UINT32_MAX. */
uint32_t sieve_walk_next(struct sieve_walk *w);
struct sv sieve_field_name(const struct sieve_field *f);
struct sv sieve_field_raw_value(const struct sieve_field *f);
/** sieve_field_text - unfolded, encoded-words decoded, trimmed; lives in r->value until the next call. */
struct sv sieve_field_text(struct sieve_run *r, const struct sieve_field *f);
bool sieve_is_field_name(struct sv name);
/* The header blocks that a test with :mime and :anychild looks at, one after the other. */
struct sieve_blocks {
	uint32_t part, end;
	bool is_message;        /* the first one is the message's own */
	struct sieve_fields fields;
};
void sieve_blocks_init(struct sieve_blocks *b, struct sieve_run *r, const struct sieve_call *c);
bool sieve_blocks_next(struct sieve_blocks *b, struct sieve_run *r);
/** sieve_edited_header - the present block as text if it was edited, else p NULL. */
struct sv sieve_edited_header(struct sieve_run *r);

/* body.c */
typedef bool sieve_text_fn(void *arg, struct sv text, bool is_last);    /* true: no more is needed */
/** sieve_read_text - octets of the wire form in pieces of at most SIEVE_VALUE_MAX, each repeating the last `overlap` octets of
 *  the one before: as they are, or, with a part, decoded and in UTF-8. True when fn said so. Uses r->value. */
bool sieve_read_text(struct sieve_run *r, uint64_t offset, uint64_t len, const struct mime_part *part, size_t overlap,
		     sieve_text_fn *fn, void *arg);
/** sieve_part_end - one behind the last row of the part's subtree. */
uint32_t sieve_part_end(const struct mime_message *m, uint32_t index);

/* rows */
sieve_test_fn sieve_test_address, sieve_test_header, sieve_test_exists, sieve_test_size, sieve_test_envelope, sieve_test_body,
	sieve_test_date, sieve_test_currentdate, sieve_test_hasflag, sieve_test_environment, sieve_test_mailboxexists,
	sieve_test_ihave, sieve_test_duplicate, sieve_test_spamtest, sieve_test_virustest, sieve_test_valid_ext_list,
	sieve_test_valid_notify_method, sieve_test_notify_method_capability, sieve_test_specialuse_exists,
	sieve_test_mailboxidexists, sieve_test_metadata, sieve_test_metadataexists, sieve_test_servermetadata,
	sieve_test_servermetadataexists;
sieve_action_fn sieve_act_keep, sieve_act_fileinto, sieve_act_redirect, sieve_act_discard, sieve_act_reject, sieve_act_ereject,
	sieve_act_setflag, sieve_act_addflag, sieve_act_removeflag, sieve_act_vacation, sieve_act_notify, sieve_act_error,
	sieve_act_addheader, sieve_act_deleteheader, sieve_act_extracttext;
typedef void sieve_check_fn(struct sieve_compiler *c, struct sieve_call *call);
sieve_check_fn sieve_check_header, sieve_check_address, sieve_check_envelope, sieve_check_date, sieve_check_currentdate,
	sieve_check_flags, sieve_check_hasflag, sieve_check_fileinto, sieve_check_redirect, sieve_check_vacation, sieve_check_notify,
	sieve_check_addheader, sieve_check_deleteheader, sieve_check_extracttext, sieve_check_ihave,
	sieve_check_exists;
/** sieve_is_delivery - else the action is not for stored mail, and the run has failed (RFC 6785 §3.11). */
bool sieve_is_delivery(struct sieve_run *r, const char *action);
/** sieve_has_list - RFC 6134 §2.2: a list that cannot be asked ends the script. */
bool sieve_has_list(struct sieve_run *r, struct sv list);
/** sieve_flags_list - a set as a kept array. */
void sieve_flags_list(struct sieve_run *r, struct sv set, struct sv **out, size_t *count);
/** sieve_is_address - an address that mail can be sent to; *bare gets local@domain (in the arena). */
bool sieve_is_address(struct arena *a, struct sv text, struct sv *bare);
/** sieve_take_fcc - the :fcc tags (RFC 8580) of vacation and notify. */
void sieve_take_fcc(struct sieve_run *r, const struct sieve_call *c, struct sieve_action *a);
/** sieve_call_describe - name and arguments as they were written, on one line, for the dry run. */
void sieve_call_describe(const struct sieve_call *c, struct buf *out);

/** sieve_check_fcc - the options that go with :fcc only (RFC 8580 §3). */
void sieve_check_fcc(struct sieve_compiler *c, struct sieve_call *call);

#endif
