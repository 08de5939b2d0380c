/* imapd/capability.c - see capability.h. */
#include "imapd/capability.h"

#include "common/banned.h"

static const struct row {
	const char *name;       /* one that ends in "=" has a value */
	bool before_login;      /* of use to a client that has not logged in */
	const char *source;
} rows[CAP_COUNT] = {
	[CAP_NONE]          = { "IMAP4rev1",      true,  "RFC 3501" },
	[CAP_REV2]          = { "IMAP4rev2",      true,  "RFC 9051" },
	[CAP_LITERAL_PLUS]  = { "LITERAL+",       true,  "RFC 7888" },
	[CAP_LITERAL_MINUS] = { "LITERAL-",       true,  "RFC 7888" },
	[CAP_SASL_IR]       = { "SASL-IR",        true,  "RFC 4959" },
	[CAP_ID]            = { "ID",             true,  "RFC 2971" },
	[CAP_ENABLE]        = { "ENABLE",         true,  "RFC 5161" },
	[CAP_IDLE]          = { "IDLE",           true,  "RFC 2177" },
	[CAP_NAMESPACE]     = { "NAMESPACE",      false, "RFC 2342" },
	[CAP_UIDPLUS]       = { "UIDPLUS",        false, "RFC 4315" },
	[CAP_MOVE]          = { "MOVE",           false, "RFC 6851" },
	[CAP_UNSELECT]      = { "UNSELECT",       false, "RFC 3691" },
	[CAP_CHILDREN]      = { "CHILDREN",       false, "RFC 3348" },
	[CAP_SPECIAL_USE]   = { "SPECIAL-USE",    false, "RFC 6154" },
	[CAP_CREATE_SPECIAL_USE] = { "CREATE-SPECIAL-USE", false, "RFC 6154" },
	[CAP_LIST_EXTENDED] = { "LIST-EXTENDED",  false, "RFC 5258" },
	[CAP_BINARY]        = { "BINARY",         false, "RFC 3516" },
	[CAP_UTF8_ACCEPT]   = { "UTF8=ACCEPT",    false, "RFC 9755" },
	[CAP_PREVIEW]       = { "PREVIEW",        false, "RFC 8970" },
	[CAP_COMPRESS]      = { "COMPRESS=DEFLATE", false, "RFC 4978" },
	[CAP_CATENATE]      = { "CATENATE",       false, "RFC 4469" },
	[CAP_URL_PARTIAL]   = { "URL-PARTIAL",    false, "RFC 5550 §5.7.1" },
	[CAP_REPLACE]       = { "REPLACE",        false, "RFC 8508" },
	[CAP_ESEARCH]       = { "ESEARCH",        false, "RFC 4731" },
	[CAP_SEARCHRES]     = { "SEARCHRES",      false, "RFC 5182" },
	[CAP_MULTISEARCH]   = { "MULTISEARCH",    false, "RFC 7377" },
	[CAP_WITHIN]        = { "WITHIN",         false, "RFC 5032" },
	[CAP_FILTERS]       = { "FILTERS",        false, "RFC 5466" },
	[CAP_PARTIAL]       = { "PARTIAL",        false, "RFC 9394" },
	[CAP_SORT]          = { "SORT",           false, "RFC 5256" },
	[CAP_SORT_DISPLAY]  = { "SORT=DISPLAY",   false, "RFC 5957" },
	[CAP_ESORT]         = { "ESORT",          false, "RFC 5267 §3" },
	[CAP_CONTEXT_SEARCH] = { "CONTEXT=SEARCH", false, "RFC 5267 §4" },
	[CAP_CONTEXT_SORT]  = { "CONTEXT=SORT",   false, "RFC 5267 §4" },
	[CAP_THREAD_ORDEREDSUBJECT] = { "THREAD=ORDEREDSUBJECT", false, "RFC 5256" },
	[CAP_THREAD_REFERENCES] = { "THREAD=REFERENCES", false, "RFC 5256" },
	[CAP_THREAD_REFS]   = { "THREAD=REFS",    false, "draft-ietf-morg-inthread" },
	[CAP_I18NLEVEL]     = { "I18NLEVEL=1",    false, "RFC 5255 §4" },
	[CAP_INPROGRESS]    = { "INPROGRESS",     false, "RFC 9585" },
	[CAP_MESSAGELIMIT]  = { "MESSAGELIMIT=",  false, "RFC 9738" },
	[CAP_SAVELIMIT]     = { "SAVELIMIT=",     false, "RFC 9738" },
	[CAP_CONDSTORE]     = { "CONDSTORE",      false, "RFC 7162" },
	[CAP_QRESYNC]       = { "QRESYNC",        false, "RFC 7162" },
	[CAP_UIDONLY]       = { "UIDONLY",        false, "RFC 9586" },
	[CAP_UIDBATCHES]    = { "UIDBATCHES",     false, "RFC 10022" },
	[CAP_LIST_STATUS]   = { "LIST-STATUS",    false, "RFC 5819" },
	[CAP_STATUS_SIZE]   = { "STATUS=SIZE",    false, "RFC 8438" },
	[CAP_QUOTA]         = { "QUOTA",          false, "RFC 9208" },
	[CAP_QUOTA_STORAGE] = { "QUOTA=RES-STORAGE", false, "RFC 9208 §5.1" },
	[CAP_QUOTA_MESSAGE] = { "QUOTA=RES-MESSAGE", false, "RFC 9208 §5.2" },
	[CAP_OBJECTID]      = { "OBJECTID",       false, "RFC 8474" },
	[CAP_SAVEDATE]      = { "SAVEDATE",       false, "RFC 8514" },
	[CAP_MULTIAPPEND]   = { "MULTIAPPEND",    false, "RFC 3502" },
	[CAP_APPENDLIMIT]   = { "APPENDLIMIT=",   false, "RFC 7889" },
	[CAP_ACL]           = { "ACL",            false, "RFC 4314" },
	[CAP_RIGHTS]        = { "RIGHTS=kxte",    false, "RFC 4314 §5.1.1" },
	[CAP_LIST_MYRIGHTS] = { "LIST-MYRIGHTS",  false, "RFC 8440" },
	[CAP_METADATA]      = { "METADATA",       false, "RFC 5464" },
	[CAP_METADATA_SERVER] = { "METADATA-SERVER", false, "RFC 5464" },
	[CAP_LIST_METADATA] = { "LIST-METADATA",  false, "RFC 9590" },
	[CAP_NOTIFY]        = { "NOTIFY",         false, "RFC 5465" },
	[CAP_IMAPSIEVE]     = { "IMAPSIEVE=",     false, "RFC 6785" },
	[CAP_UNAUTHENTICATE] = { "UNAUTHENTICATE", false, "RFC 8437" },
};

/* bare - a name without the "=" of its value. */
static struct sv bare(struct sv name)
{
	return sv_sub(name, 0, name.len - (name.len && name.p[name.len - 1] == '='));
}

enum capability capability_find(struct sv name)
{
	name = bare(name);
	for (size_t i = CAP_NONE + 1; i < CAP_COUNT; i++)
		if (sv_eq_nocase(name, bare(sv_z(rows[i].name))))
			return (enum capability)i;
	return CAP_NONE;
}

size_t capability_unasked_max(capability_set on)
{
	return capability_has(on, CAP_LITERAL_PLUS)    ? SIZE_MAX
	       : capability_has(on, CAP_LITERAL_MINUS) ? LITERAL_MINUS_MAX
						       : 0;
}

capability_set capability_settle(capability_set on)
{
	static const struct {
		enum capability what, needs;
	} rules[] = {
		/* RFC 9051 appendix E: what was folded in */
		{ CAP_REV2, CAP_SASL_IR },      { CAP_REV2, CAP_ENABLE },
		{ CAP_REV2, CAP_IDLE },         { CAP_REV2, CAP_NAMESPACE },     { CAP_REV2, CAP_UIDPLUS },
		{ CAP_REV2, CAP_MOVE },         { CAP_REV2, CAP_UNSELECT },      { CAP_REV2, CAP_SPECIAL_USE },
		{ CAP_REV2, CAP_LIST_EXTENDED }, { CAP_REV2, CAP_BINARY },       { CAP_REV2, CAP_ESEARCH },
		{ CAP_REV2, CAP_SEARCHRES },    { CAP_REV2, CAP_LIST_STATUS },   { CAP_REV2, CAP_STATUS_SIZE },
		{ CAP_QRESYNC, CAP_ENABLE },    { CAP_QRESYNC, CAP_CONDSTORE },  { CAP_UIDONLY, CAP_ENABLE },
		{ CAP_SEARCHRES, CAP_ESEARCH }, { CAP_MULTISEARCH, CAP_ESEARCH }, { CAP_PARTIAL, CAP_ESEARCH },    { CAP_ESORT, CAP_ESEARCH },
		{ CAP_FILTERS, CAP_METADATA },  { CAP_CONTEXT_SEARCH, CAP_ESEARCH }, { CAP_CONTEXT_SORT, CAP_ESORT },
		{ CAP_ESORT, CAP_SORT },        { CAP_SORT_DISPLAY, CAP_SORT },
	};
	capability_set before;

	if (!capability_unasked_max(on))        /* LITERAL- at least */
		on &= ~CAPABILITY_BIT(CAP_REV2);
	do {
		before = on;
		for (size_t i = 0; i < ARRAY_LEN(rules); i++)
			if (!capability_has(on, rules[i].needs))
				on &= ~CAPABILITY_BIT(rules[i].what);
	} while (on != before);
	return on;
}

void capability_write(struct writer *w, const struct capability_context *context)
{
	writer_z(w, "CAPABILITY");
	for (size_t i = 0; i < CAP_COUNT; i++) {
		if (!capability_has(context->on, (enum capability)i) ||
		    (!context->is_logged_in && !rows[i].before_login) ||
		    (i == CAP_LITERAL_MINUS && capability_has(context->on, CAP_LITERAL_PLUS)))
			continue;
		writer_c(w, ' ');
		writer_z(w, rows[i].name);
		if (i == CAP_APPENDLIMIT)
			writer_u64(w, context->append_limit);
		if (i == CAP_IMAPSIEVE) {
			writer_z(w, "sieve://");
			writer_z(w, context->hostname ? context->hostname : "localhost");
		}
		if (i == CAP_MESSAGELIMIT || i == CAP_SAVELIMIT)
			writer_u64(w, context->message_limit);
	}
	if (context->is_logged_in)
		return;
	if (context->has_starttls)
		writer_z(w, " STARTTLS");
	if (context->is_login_disabled)
		writer_z(w, " LOGINDISABLED");
	for (struct sv rest = sv_z(context->mechanisms), name; sv_split(&rest, ' ', &name);) {
		if (!name.len)
			continue;
		writer_z(w, " AUTH=");
		writer_put(w, name);
	}
}
