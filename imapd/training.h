/* imapd/training.h - what people put into Junk, what they take out of it, and what they mark as junk or as none, teaches the spam
 * filter (`spam-training`).
 *
 * A COPY, MOVE or STORE notes a lesson for each message: a file of its own in mail/.lessons, written behind the command and before its
 * answer. A chore sends the lessons to rspamd's controller by HTTP (training_send.h), one worker each, and removes what was taken. A
 * filter that does not answer is asked again later, after waits that double; nobody ever waits for it, and no command fails by it.
 *
 * Programs mark a message and move it, too: what an account has taught by a message's octets is remembered for a day, and the same
 * lesson is not given twice, in whatever order and by whichever session; the opposite one is. A lesson that cannot be written (the disk is full, LESSONS_MAX or LESSONS_SIZE_MAX wait) is left out, and the log says so. */
#ifndef IMAPD_TRAINING_H
#define IMAPD_TRAINING_H

#include "common/netaddr.h"
#include "imapd/command.h"

#define LESSON_SIZE_MAX ((uint64_t)10 << 20)    /* octets of a message; a larger one teaches nothing */
#define LESSONS_MAX 2000                /* that wait */
#define LESSONS_SIZE_MAX ((uint64_t)256 << 20)  /* octets of them: no quota counts them */
#define LESSONS_REMEMBERED_MAX 4096     /* that were given */

struct training;

/** training_new - @mail: the folder of all accounts; copied. */
MUST_CHECK struct fault training_new(const char *mail, const struct netaddr *place, struct training **out);
/** training_free - lessons that wait lie on the disk. NULL is fine. */
void training_free(struct training **training);

enum lesson { LESSON_NONE = 0, LESSON_SPAM, LESSON_HAM };
/** training_lesson - what it means to bring mail from one mailbox to another, by their special uses: into \Junk it is spam; out of it,
 *  but not to \Trash, it is none. */
enum lesson training_lesson(uint32_t from_use, uint32_t to_use);

/* ---- behind a command: jobs ---- */

/** training_note - these messages of a mailbox came there from the selected one. */
void training_note(struct command *c, struct sv to, const struct uidset *made);
/** training_note_marked - these messages of the selected mailbox were marked as what they are. In Junk spam is no news. */
void training_note_marked(struct command *c, enum lesson kind, const struct uidset *marked);
/** training_step - STEP_DONE when all lessons are written. */
enum step training_step(struct command *c);
void training_done(struct command *c);

/* ---- the chore ---- */

/** training_is_due - loop thread. */
bool training_is_due(struct training *training);
/** training_send - a job: some of the lessons. */
void training_send(struct training *training);

#endif
