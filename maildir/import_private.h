/* maildir/import_private.h - what the parts of an import share: the source (import_source.c), what is laid ready
 * (import_stage.c), putting it in place (import_exchange.c, import_join.c). */
#ifndef MAILDIR_IMPORT_PRIVATE_H
#define MAILDIR_IMPORT_PRIVATE_H

#include "common/memory.h"
#include "maildir/adopt_private.h"
#include "maildir/facts.h"
#include "maildir/import.h"

#define IMPORT_FOLDER "import"          /* in the account's folder */
#define IMPORT_SOURCE "Maildir.import"  /* likewise: another server's Maildir that lay in our place */
#define IMPORT_NOTE "postroom-import"   /* in IMPORT_FOLDER: which source it is of */
#define KEYWORD_NONE 255

enum source_kind { SOURCE_MAILDIR = 0, SOURCE_DOVECOT, SOURCE_COURIER, SOURCE_MBOX };

/* One message file of the source. Texts are in the box's arena. */
struct source_file {
	const char *name;               /* in cur/ or new/ */
	const char *uidl;               /* NULL: not said */
	uint32_t key_len;               /* of the name, up to ':' */
	uint32_t uid;                   /* 0: not said */
	int64_t saved;
	struct keyword_bits keywords;   /* by number in the box's names, besides the letters of the name */
	bool in_new;
};

struct source_box {
	char *name;                     /* canonical */
	char *path;                     /* of its folder or file, below the source; "." for the source itself */
	char dir[LAYOUT_DIR_MAX + 1];   /* of its folder here */
	enum source_kind kind;
	struct import_result result;    /* numbers */
	struct buf notes;
	uint64_t compressed, nameless_letters, unreadable, bad_lines;

	/* While it is loaded; of an mbox file after source_survey(). */
	uint32_t uidvalidity, uidnext;  /* 0: not said */
	struct keyword_names *keywords;
	uint8_t letters[26];            /* number of the keyword of each letter */
	struct source_file *files;
	size_t count, cap;
	struct arena text;
};

/* Which messages are there already: digest of the id -> UID. */
struct id_map {
	struct id_slot { uint8_t digest[16]; uint32_t uid; } *slots;
	size_t count, size;             /* size: a power of two, or 0 */
};
bool id_map_has(const struct id_map *m, const uint8_t digest[16], uint32_t *uid);
void id_map_add(struct id_map *m, const uint8_t digest[16], uint32_t uid);
void id_map_done(struct id_map *m);

struct import {
	struct maildir_user *user;
	struct account *account;
	const struct import_options *options;
	const struct import_events *events;
	int source;                     /* the folder; of one mbox file the folder that holds it */
	int lists;                      /* the folder of the lists beside the mail; the same unless said otherwise */
	int staging;                    /* IMPORT_FOLDER; -1 in a dry run */
	struct source_box *boxes;
	size_t count, cap;
	char **subscriptions;
	size_t subscription_count, subscription_cap;
	uint64_t done, total;
};

/* --- import_source.c --- */
/** source_open - find every mailbox of the source. */
MUST_CHECK struct fault source_open(struct import *im);
void source_close(struct import *im);
/** source_load - read a mailbox's lists and folders: files with known UIDs first, ascending, then the others as they
 *  came. source_unload() ends it. */
MUST_CHECK struct fault source_load(struct import *im, struct source_box *box);
void source_unload(struct source_box *box);
PRINTF_LIKE(2, 3) void source_note(struct source_box *box, const char *format, ...);

/* What a file is, beyond its name. */
struct measured {
	uint64_t size, wire_size;
	int64_t mtime;
	dev_t dev;
	uid_t owner;
	mode_t mode;
	const char *compression;        /* "gzip", ...; NULL: plain */
};
/** source_measure - reads the file only when its name does not say all, or `must_read`. */
MUST_CHECK struct fault source_measure(int dir, const char *path, bool must_read, struct measured *out);
void source_file_path(const struct source_box *box, const struct source_file *file, char out[2 * PATH_MAX]);

/* --- import_stage.c --- */
/** stage_survey - count, and find what cannot be imported. */
MUST_CHECK struct fault stage_survey(struct import *im, struct source_box *box);
/** stage_box - lay a mailbox ready. In a dry run: only say what would be done. */
MUST_CHECK struct fault stage_box(struct import *im, struct source_box *box);
/** stage_read_sidecar, stage_write_sidecar - of a mailbox below folder `at`. */
MUST_CHECK struct fault stage_read_sidecar(int at, const char *dir, struct sidecar_mailbox *out);
/** stage_find_sidecar - the same for one that may be half made: then it is removed, and FAULT_NOT_FOUND. */
MUST_CHECK struct fault stage_find_sidecar(int at, const char *dir, struct sidecar_mailbox *out);
MUST_CHECK struct fault stage_write_sidecar(int at, const char *dir, const struct sidecar_mailbox *side);
/** stage_has_message - is there a file in cur/ or new/ of a mailbox below folder `at`? */
bool stage_has_message(int at, const char *dir);
/** stage_id - the id that a message gets from what names it in the source, NUL-terminated; and its digest. */
void stage_id(struct sv base, char id[FILENAME_ID_LEN + 1], uint8_t digest[16]);

/** stage_present - the messages that the account's mailbox of this name has; none when there is no such mailbox. From
 *  outside the account. */
MUST_CHECK struct fault stage_present(struct import *im, const char *name, struct id_map *map);

/* --- import_mail.c --- */
/** stage_mbox - as stage_box() and, with `survey`, stage_survey(), for an mbox file. */
MUST_CHECK struct fault stage_mbox(struct import *im, struct source_box *box, bool survey);
/** stage_begin - the folder that a mailbox is laid ready in, made or found again; staged gets what lies there. The caller
 *  ends side with sidecar_mailbox_done(). present: what the account's mailbox of this name has. */
MUST_CHECK struct fault stage_begin(struct import *im, struct source_box *box, struct sidecar_mailbox *side,
				    struct id_map *staged, struct id_map *present, uint32_t *uid_max);
/** stage_keywords - numbers of the source's keywords in the sidecar, added as needed. */
void stage_keywords(struct source_box *box, struct sidecar_mailbox *side, uint8_t map[KEYWORDS_MAX]);
struct keyword_bits stage_map_bits(const struct keyword_bits *bits, const uint8_t map[KEYWORDS_MAX]);

/* --- import_exchange.c --- */
/** exchange_all - put everything in place, if the account never held a message; else *is_done is false, and nothing happened. */
MUST_CHECK struct fault exchange_all(struct import *im, bool *is_done);

/* --- import_join.c --- */
/** join_all - put what is laid ready in place. */
MUST_CHECK struct fault join_all(struct import *im);
/** join_tidy - remove IMPORT_FOLDER, in which no message is left; FAULT_BUSY when there is one. From outside. */
MUST_CHECK struct fault join_tidy(struct account *a);

#endif
