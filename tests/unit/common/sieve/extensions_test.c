/* The extensions, one test for each: their RFC's examples, their rules and their errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/support/sieve_world.h"

#define EXPECT(text, ...) do { \
		static const struct sieve_expectation list[] = { __VA_ARGS__ }; \
		struct sieve_world world = { .message = (text) }; \
		sieve_world_expect_all(&world, list, ARRAY_LEN(list)); \
		sieve_world_finish(); \
	} while (0)
#define IF(test) "if " test " { discard; }"

static void variables_rfc_5229(void **state)
{
#define VARS "require [\"variables\", \"fileinto\"]; "
	(void)state;
	EXPECT("List-ID: Filters <ietf-mta-filters@imc.org>\nSubject: [acme-users] [fwd] version 1.0 is out\n"
	       "To: coyote@ACME.Example.COM\n\n",
		/* §3.2 */
		{ VARS "if header :matches \"List-ID\" \"*<*@*\" { fileinto \"INBOX.lists.${2}\"; stop; }",
		  "fileinto INBOX.lists.ietf-mta-filters" },
		{ VARS "if header :matches \"Subject\" \"[*] *\" { fileinto \"${1}|${2}\"; stop; }",
		  "fileinto acme-users|[fwd] version 1.0 is out" },
		{ VARS "if address :matches [\"To\", \"Cc\"] [\"coyote@**.com\", \"wile@**.com\"] { fileinto \"INBOX.business.${2}\"; "
		  "fileinto \"${0}|${1}\"; stop; }", "fileinto INBOX.business.ACME.Example; fileinto coyote@ACME.Example.COM|" },
		{ VARS "if anyof (true, address :domain :matches \"To\" \"*.com\") { fileinto \"x${1}\"; stop; }", "fileinto x" },
		/* a failed match changes nothing */
		{ VARS "if header :matches \"subject\" \"[*\" { } if header :matches \"subject\" \"z*\" { } fileinto \"${1}\";",
		  "fileinto acme-users] [fwd] version 1.0 is out" },
		{ VARS "if header :matches \"subject\" \"?a??e*\" { fileinto \"${1}${2}${3}${4}\"; }", "fileinto [cm-users] [fwd] version 1.0 is out" });
	EXPECT(sieve_message_a,
		/* §3, §3.1 */
		{ VARS "set \"company\" \"ACME\"; fileinto \"${company}\";", "fileinto ACME" },
		{ VARS "set \"x\" \"1\"; fileinto \"&%${}!|${x|${x}}|$ {x}|${X}|a${president, acme inc.}\";",
		  "fileinto &%${}!|${x|1}|$ {x}|1|a${president, acme inc.}" },
		{ VARS "set \"foo\" \"F\"; fileinto \"${fo\\o}\";", "fileinto F" },
		{ VARS "set \"foo\" \"F\"; fileinto \"${fo\\\\o}\";", "fileinto ${fo\\o}" },
		{ VARS "set \"foo\" \"F\"; fileinto \"\\${foo}\";", "fileinto F" },
		{ VARS "set \"foo\" \"F\"; fileinto \"\\\\${foo}\";", "fileinto \\F" },
		{ VARS "set \"dollar\" \"$\"; set \"text\" \"regarding ${dollar}{beep}\"; fileinto \"${text}\";", "fileinto regarding ${beep}" },
		{ "require [\"encoded-character\", \"variables\", \"fileinto\"]; set \"name\" \"Ethelbert\"; "
		  "fileinto \"dear${hex:20 24 7b 4e}ame}\";", "fileinto dear Ethelbert" },
		/* §4 */
		{ VARS "set \"honorific\" \"Mr\"; set \"first_name\" \"Wile\"; set \"last_name\" \"Coyote\";\nset \"vacation\" text:\n"
		  "Dear ${HONORIFIC} ${last_name},\nI'm out, please leave a message after the meep.\n.\n;\n"
		  "if string :contains \"${vacation}\" \"Dear Mr Coyote,\" { discard; }", "discard" },
		/* §4.1 */
		{ VARS "set \"a\" \"juMBlEd lETteRS\"; set :length \"b\" \"${a}\"; fileinto \"${b}\"; set :lower \"b\" \"${a}\"; "
		  "fileinto \"${b}\"; set :upperfirst \"b\" \"${a}\"; fileinto \"${b}\"; set :upperfirst :lower \"b\" \"${a}\"; "
		  "fileinto \"${b}\"; set :quotewildcard \"b\" \"Rock*\"; fileinto \"${b}\";",
		  "fileinto 15; fileinto jumbled letters; fileinto JuMBlEd lETteRS; fileinto Jumbled letters; fileinto Rock\\*" },
		{ VARS "set :lowerfirst :upper \"b\" \"abC\"; fileinto \"${b}\";", "fileinto aBC" },
		{ VARS "set :length \"b\" \"\xc3\xa9\xe2\x82\xac\"; fileinto \"${b}\";", "fileinto 2" },
		{ VARS "set :quotewildcard :length \"b\" \"a*?\\\\\"; fileinto \"${b}\";", "fileinto 7" },
		/* §5 */
		{ VARS "set \"state\" \"x\"; set \"state\" \"${state} pending\"; " IF("string :matches \" ${state} \" \"* pending *\""),
		  "discard" },
		{ VARS IF("string \" a\" \"a\""), "keep*" },
		{ "require [\"variables\", \"relational\"]; " IF("string :count \"eq\" [\"a\", \"\", \"b\"] \"2\""), "discard" },
		/* errors */
		{ VARS "set \"1\" \"x\";", "1:40: \"1\": the texts of a match cannot be set" },
		{ VARS "set \"a b\" \"x\";", "1:40: \"a b\" is no name of a variable" },
		{ VARS "set \"a.b\" \"x\";", "1:40: \"a.b\": there is no such namespace" },
		{ VARS "set :upper :lower \"a\" \"x\";", "1:47: the options \":upper\" and \":lower\" exclude each other" },
		{ VARS "fileinto \"${32}\";", "1:45: \"${32}\": only ${0} to ${31} exist" },
		{ VARS "fileinto \"${a.b}\";", "1:45: \"${a.b}\": there is no such namespace" },
		{ VARS "fileinto \"${none}\";", "1:36: \"\" is no name of a mailbox; keep*" },
		{ "require \"fileinto\"; fileinto \"${a}\";", "fileinto ${a}" },
		{ "set \"a\" \"b\";", "1:1: the command \"set\" needs: require \"variables\";" });
}

static void relational_rfc_5231(void **state)
{
#define REL "require [\"relational\", \"comparator-i;ascii-numeric\", \"fileinto\"]; "
	(void)state;
	EXPECT(sieve_message_parts,
		{ REL IF("header :value \"lt\" :comparator \"i;ascii-numeric\" [\"x-number\"] [\"3\"]"), "keep*" },
		{ REL IF("header :value \"gt\" :comparator \"i;ascii-numeric\" [\"x-number\"] [\"3\"]"), "discard" },
		{ REL IF("header :value \"gt\" [\"x-number\"] [\"3\"]"), "keep*" },      /* as texts, "10" is less than "3" */
		{ REL IF("header :count \"ge\" :comparator \"i;ascii-numeric\" [\"received\"] [\"2\"]"), "discard" },
		{ REL IF("header :count \"eq\" :comparator \"i;ascii-numeric\" [\"received\", \"subject\"] [\"3\"]"), "discard" },
		{ REL IF("address :count \"eq\" :comparator \"i;ascii-numeric\" [\"to\", \"from\"] [\"4\"]"), "discard" },
		{ REL IF("header :count \"eq\" :comparator \"i;ascii-numeric\" \"x-missing\" \"0\""), "discard" },
		{ REL IF("header :value \"ne\" :comparator \"i;ascii-numeric\" \"x-number\" \"010\""), "keep*" },
		{ REL IF("header :value \"ge\" :comparator \"i;ascii-numeric\" \"subject\" \"999999999999999999999999\""), "discard" },
		{ REL IF("header :is :comparator \"i;ascii-numeric\" \"x-number\" \"10 apples\""), "discard" },
		{ "require \"relational\"; " IF("header :value \"foo\" \"a\" \"b\""),
		  "1:40: \":value\" must be followed by \"gt\", \"ge\", \"lt\", \"le\", \"eq\" or \"ne\"" });
	/* §7 */
#define EXTENDED REL "if header :value \"lt\" :comparator \"i;ascii-numeric\" [\"x-priority\"] [\"3\"] { fileinto \"Priority\"; } " \
	"elsif address :count \"gt\" :comparator \"i;ascii-numeric\" [\"to\"] [\"5\"] { fileinto \"SPAM\"; } " \
	"elsif address :all :value \"gt\" :comparator \"i;ascii-casemap\" [\"from\"] [\"M\"] { fileinto \"From N-Z\"; } " \
	"else { fileinto \"From A-M\"; }"
	EXPECT("X-Priority: 1\n\n", { EXTENDED, "fileinto Priority" });
	EXPECT("To: a@a,b@b,c@c,d@d,e@e,f@f\n\n", { EXTENDED, "fileinto SPAM" });
	EXPECT("From: zed@example.org\n\n", { EXTENDED, "fileinto From N-Z" });
	EXPECT("From: abe@example.org\n\n", { EXTENDED, "fileinto From A-M" });
}

static void imap4flags_rfc_5232(void **state)
{
#define FLAGS "require [\"fileinto\", \"imap4flags\", \"variables\", \"relational\", \"comparator-i;ascii-numeric\"]; "
	(void)state;
	EXPECT(sieve_message_a,
		{ FLAGS "setflag \"\\\\Deleted\";", "keep* [\\Deleted]" },
		{ FLAGS "setflag \"flagvar\" \"\\\\Flagged\"; fileinto :flags \"${flagvar}\" \"INBOX.From Boss\";",
		  "fileinto INBOX.From Boss [\\Flagged]" },
		{ FLAGS "addflag \"flagvar\" \"\\\\Deleted\"; addflag \"flagvar\" \"\\\\Answered\"; keep :flags \"${flagvar}\";",
		  "keep [\\Deleted \\Answered]" },
		{ FLAGS "addflag \"flagvar\" [\"\\\\Deleted\", \"\\\\Answered\"]; keep :flags \"${flagvar}\";", "keep [\\Deleted \\Answered]" },
		{ FLAGS "addflag \"flagvar\" \"\\\\Deleted \\\\Answered\"; keep :flags \"${flagvar}\";", "keep [\\Deleted \\Answered]" },
		{ FLAGS "setflag \"A B c\"; removeflag [\"b\", \"\"]; removeflag \"none\"; keep;", "keep [A c]" },
		{ FLAGS "addflag \"a\"; fileinto \"x\"; addflag \"b\"; fileinto \"y\"; keep :flags \"\";",
		  "fileinto x [a]; fileinto y [a b]; keep" },
		{ FLAGS "keep :flags \"a\"; keep :flags \"b\";", "keep [b]" },
		{ FLAGS "setflag [\"\\\\Recent\", \"\\\\Bogus\", \"ok\", \"OK\", \"b{d\"]; keep;", "keep [ok]" },
		{ FLAGS "setflag \"A B\"; " IF("hasflag :is \"b A\""), "discard" },
		{ FLAGS "setflag \"A B\"; " IF("hasflag [\"b\", \"A\"]"), "discard" },
		{ FLAGS "setflag \"A B\"; " IF("hasflag \"c\""), "keep* [A B]" },
		{ FLAGS "set \"MyVar\" \"NonJunk Junk gnus-forward $Forwarded NotJunk JunkRecorded $Junk $NotJunk\";"
		  "if allof (hasflag :contains \"MyVar\" \"Junk\", hasflag :contains \"MyVar\" \"forward\", hasflag :contains \"MyVar\" "
		  "[\"label\", \"forward\"], hasflag :contains \"MyVar\" [\"junk\", \"forward\"], hasflag :contains \"MyVar\" "
		  "\"junk forward\", not hasflag :contains \"MyVar\" \"label\", not hasflag :contains \"MyVar\" [\"label1\", "
		  "\"label2\"]) { discard; }", "discard" },
		{ FLAGS "set \"MyFlags\" \"A B\"; " IF("hasflag :count \"ge\" :comparator \"i;ascii-numeric\" \"MyFlags\" \"2\""), "discard" },
		{ "require [\"imap4flags\"]; setflag \"v\" \"a\";", "1:33: a variable for flags needs: require \"variables\";" });
	/* §9, with its syntax errors mended: "anyof address" needs parentheses and "remove" is "removeflag" */
	EXPECT("From: boss@company.example.com\nTo: x@y.example\nSubject: make some money very fast\n\n",
		{ "require [\"fileinto\", \"imap4flags\", \"variables\"];\nif size :over 1M { addflag \"MyFlags\" \"Big\"; if header :is \"From\" "
		  "\"boss@company.example.com\" { addflag \"MyFlags\" \"\\\\Flagged\"; } fileinto :flags \"${MyFlags}\" \"Big messages\"; }\n"
		  "if header :is \"From\" \"grandma@example.net\" { addflag \"MyFlags\" [\"\\\\Answered\", \"$MDNSent\"]; "
		  "fileinto :flags \"${MyFlags}\" \"GrandMa\"; }\n"
		  "if header :is \"Sender\" \"owner-ietf-mta-filters@example.org\" { set \"MyFlags\" \"\\\\Flagged $Work\"; "
		  "keep :flags \"${MyFlags}\"; }\n"
		  "elsif anyof (address :domain :is [\"From\", \"To\"] \"company.example.com\") { keep :flags \"${MyFlags}\"; }\n"
		  "elsif anyof (not address :all :contains [\"To\", \"Cc\"] \"me@company.example.com\", header :matches \"subject\" "
		  "[\"*make*money*fast*\", \"*university*dipl*mas*\"]) { removeflag \"MyFlags\" \"\\\\Flagged\"; "
		  "fileinto :flags \"${MyFlags}\" \"spam\"; }\nelse { fileinto :flags \"${MyFlags}\" \"personal\"; }", "keep" });
}

static void subaddress_rfc_5233(void **state)
{
	struct sieve_world w = { .message = sieve_message_a };
	static const char script[] = "require [\"envelope\", \"subaddress\", \"fileinto\"];\nif envelope :user \"to\" \"postmaster\" { "
		"fileinto \"inbox.postmaster\"; stop; }\nif envelope :detail \"to\" \"mta-filters\" { fileinto "
		"\"inbox.ietf-mta-filters\"; }\nif envelope :detail \"to\" \"foo\" { redirect \"ken@example.net\"; }";

	(void)state;
	w.to = "postmaster+x@example.com";
	sieve_world_expect(&w, script, "fileinto inbox.postmaster");
	w.to = "ken+mta-filters@example.com";
	sieve_world_expect(&w, script, "fileinto inbox.ietf-mta-filters");
	w.to = "ken+foo@example.com";
	sieve_world_expect(&w, script, "redirect ken@example.net");
	w.to = "ken@example.com";
	sieve_world_expect(&w, script, "keep*");
	/* §4: an empty detail is one; none is none */
	w.to = "ken+@example.com";
	sieve_world_expect(&w, "require [\"envelope\", \"subaddress\"]; " IF("envelope :detail \"to\" \"\""), "discard");
	w.to = "ken@example.com";
	sieve_world_expect(&w, "require [\"envelope\", \"subaddress\"]; " IF("envelope :detail \"to\" \"\""), "keep*");
	sieve_world_expect(&w, "require \"envelope\"; " IF("envelope :detail \"to\" \"\""),
			   "1:33: the option \":detail\" needs: require \"subaddress\";");
	sieve_world_finish();
}

static void date_and_index_rfc_5260(void **state)
{
#define DATES "require [\"date\", \"relational\", \"index\", \"variables\", \"fileinto\", \"vacation\", \"editheader\"]; "
#define DATE(part, value) { DATES IF("date :originalzone \"date\" \"" part "\" \"" value "\""), "discard" }
	(void)state;
	/* The world's clock says 2009-07-22T23:30:00+02:00, a Wednesday. */
	EXPECT(sieve_message_parts,
		/* §4.3 */
		{ DATES "if allof(header :is \"from\" \"boss@example.com\", date :value \"ge\" :originalzone \"date\" \"hour\" \"09\", "
		  "date :value \"lt\" :originalzone \"date\" \"hour\" \"17\") { fileinto \"urgent\"; }", "keep*" },
		{ DATES "if anyof(date :is \"received\" \"weekday\" \"0\", date :is \"received\" \"weekday\" \"6\") { fileinto \"weekend\"; }",
		  "keep*" },
		/* §5 */
		{ DATES "if anyof(currentdate :is \"weekday\" \"0\", currentdate :is \"weekday\" \"6\", currentdate :value \"lt\" \"hour\" "
		  "\"09\", currentdate :value \"ge\" \"hour\" \"17\") { redirect \"pager@example.com\"; }", "redirect pager@example.com" },
		{ DATES "if allof(currentdate :value \"ge\" \"date\" \"2007-06-30\", currentdate :value \"le\" \"date\" \"2007-07-07\") { "
		  "vacation :days 7 \"I'm away during the first week in July.\"; }", "keep*" },
		{ DATES "if currentdate :matches \"month\" \"*\" { set \"month\" \"${1}\"; } if currentdate :matches \"year\" \"*\" { set "
		  "\"year\" \"${1}\"; } fileinto \"${month}-${year}\";", "fileinto 07-2009" },
		{ DATES "if currentdate :matches \"std11\" \"*\" { addheader \"Processing-date\" \"${0}\"; }",
		  "keep* <Processing-date: Wed, 22 Jul 2009 23:30:00 +0200>" },
		/* §6 */
		{ DATES "if date :value \"gt\" :index 2 :zone \"-0500\" \"received\" \"iso8601\" \"2007-02-26T09:00:00-05:00\" "
		  "{ redirect \"aftercutoff@example.org\"; }", "redirect aftercutoff@example.org" },
		/* every part */
		DATE("year", "2009"), DATE("month", "07"), DATE("day", "22"), DATE("date", "2009-07-22"), DATE("julian", "55034"),
		DATE("hour", "23"), DATE("minute", "30"), DATE("second", "00"), DATE("time", "23:30:00"),
		DATE("iso8601", "2009-07-22T23:30:00+02:00"), DATE("std11", "Wed, 22 Jul 2009 23:30:00 +0200"), DATE("zone", "+0200"),
		DATE("weekday", "3"),
		{ DATES IF("date :zone \"+0300\" \"date\" \"date\" \"2009-07-23\""), "discard" },
		{ DATES IF("date :zone \"+0000\" \"date\" \"iso8601\" \"2009-07-22T21:30:00Z\""), "discard" },
		{ DATES IF("date :zone \"-0030\" \"date\" \"zone\" \"-0030\""), "discard" },
		{ DATES IF("date \"subject\" \"year\" \"2009\""), "keep*" },
		{ DATES IF("date :is :index 1 \"received\" \"day\" \"23\""), "discard" },
		{ DATES IF("date :is :index 1 :last \"received\" \"day\" \"22\""), "discard" },
		{ DATES IF("header :contains :index 1 :last \"received\" \"from c\""), "discard" },
		{ DATES IF("header :contains :index 1 \"received\" \"from c\""), "keep*" },
		{ DATES IF("header :contains :index 3 \"received\" \"\""), "keep*" },
		{ DATES IF("address :index 1 \"from\" \"b@example.org\""), "discard" },
		/* errors */
		{ DATES IF("date :zone \"CET\" \"date\" \"hour\" \"1\""), "1:107: a time zone is written like \"+0130\"" },
		{ DATES IF("date :zone \"+0000\" :originalzone \"date\" \"hour\" \"1\""),
		  "1:115: the options \":zone\" and \":originalzone\" exclude each other" },
		{ DATES IF("date \"date\" \"century\" \"20\""), "1:108: a date has no part \"century\"" },
		{ DATES IF("header :last \"received\" \"x\""), "1:103: \":last\" needs \":index\"" },
		{ DATES IF("header :index 0 \"received\" \"x\""), "1:110: \":index\" counts from 1" });
}

static void body_rfc_5173(void **state)
{
#define BODY "require [\"body\", \"fileinto\", \"variables\", \"relational\", \"regex\", \"comparator-i;ascii-numeric\"]; "
	(void)state;
	EXPECT(sieve_message_parts,
		{ BODY IF("body :raw :contains \"wor=\""), "discard" },
		{ BODY IF("body :raw :contains \"Content-Type: text/html\""), "discard" },
		{ BODY IF("body :raw :contains \"Subject: Gr\""), "keep*" },
		{ BODY IF("body :contains \"hello, world. gr\xc3\xbc\xc3\x9f" "e.\""), "discard" },
		{ BODY IF("body :contains \"hello, world.\""), "discard" },
		{ BODY IF("body :text :contains \"bold\""), "discard" },
		{ BODY IF("body :text :contains \"%PDF\""), "keep*" },
		{ BODY IF("body :content \"application/pdf\" :contains \"%PDF\""), "discard" },
		{ BODY IF("body :content \"application\" :is \"%PDF\""), "discard" },
		{ BODY IF("body :content \"text/\" :contains \"\""), "keep*" },
		{ BODY IF("body :content \"/plain\" :contains \"\""), "keep*" },
		{ BODY IF("body :content \"text/plain/x\" :contains \"\""), "keep*" },
		{ BODY IF("body :content \"audio/mp3\" :contains \"\""), "keep*" },
		{ BODY IF("body :content \"\" :contains \"please say\""), "discard" },
		{ BODY IF("body :content \"message/rfc822\" :contains \"hello\""), "discard" },
		{ BODY IF("body :content \"message/rfc822\" :contains \"please\""), "keep*" },
		{ BODY IF("body :content \"multipart\" :contains \"MIME format\""), "discard" },
		{ BODY IF("body :content \"multipart\" :contains \"end of the outer\""), "discard" },
		{ BODY IF("body :content \"multipart\" :contains \"--outer\""), "keep*" },
		{ BODY IF("body :content \"multipart\" :contains \"bold\""), "keep*" },
		{ BODY IF("body :matches \"*<b>*</b>*\""), "discard" },
		{ BODY IF("body :regex \"<b>(b.*)</b>\""), "discard" },
		{ BODY IF("body :count \"eq\" :comparator \"i;ascii-numeric\" \"3\""), "discard" },
		/* §6: no match variables */
		{ BODY "if body :matches \"*<b>*\" { fileinto \"x${1}\"; }", "fileinto x" },
		{ BODY IF("body :raw :text :contains \"x\""), "1:110: the options \":raw\" and \":text\" exclude each other" },
		{ "if body \"x\" { }", "1:4: the test \"body\" needs: require \"body\";" });
	EXPECT("Subject: no body\n\n", { BODY IF("body :raw :is \"\""), "discard" }, { BODY IF("body :contains \"\""), "discard" });
}

static void body_is_read_in_pieces(void **state)
{
	struct buf message;
	struct sieve_world w = { 0 };

	(void)state;
	buf_init(&message, 1 << 20);
	assert_true(buf_append(&message, SV("Subject: long\n\n")));
	for (int i = 0; i < 20000; i++)
		assert_true(buf_append(&message, SV("line of text\n")));
	assert_true(buf_append(&message, SV("the needle\n")));
	w.message = buf_z(&message);
	sieve_world_expect(&w, "require \"body\"; " IF("body :contains \"the NEEDLE\""), "discard");
	sieve_world_expect(&w, "require \"body\"; " IF("body :raw :contains \"text\r\nthe needle\""), "discard");
	sieve_world_expect(&w, "require \"body\"; " IF("body :contains \"the haystack\""), "keep*");
	w.is_unreadable = true;
	sieve_world_expect(&w, "require \"body\";\n" IF("body :contains \"x\""), "2:4: the message cannot be read (temporary); keep*");
	sieve_world_finish();
	buf_done(&message);
}

static void editheader_rfc_5293(void **state)
{
#define EDIT "require [\"editheader\", \"fileinto\"]; "
	(void)state;
	EXPECT("X-Hello: one\nX-Hello: two\nX-Hello: three\nReceived: x\nAuto-Submitted: no\n\n",
		{ EDIT "addheader \"X-A\" \"World\";", "keep* <X-A: World>" },
		{ EDIT "addheader :last \"X-A\" \"World\"; deleteheader \"X-Hello\"; deleteheader \"Received\"; deleteheader "
		  "\"auto-submitted\"; if header \"x-a\" \"world\" { keep; }", "keep <Received: x>" },
		{ EDIT "addheader \"X-Hello\" \"World\"; deleteheader :index 1 \"X-Hello\"; keep;", "keep <X-Hello: one>" },
		{ EDIT "deleteheader :index 1 \"X-Hello\"; deleteheader :index 2 \"X-Hello\"; if not header \"X-Hello\" [\"one\", \"three\"] { "
		  "keep; }", "keep <X-Hello: two>" },
		{ EDIT "deleteheader :index 1 :last \"X-Hello\"; if not header \"X-Hello\" \"three\" { discard; }", "discard" },
		{ EDIT "deleteheader :index 1 :contains \"X-Hello\" \"two\"; keep;", "keep" },
		{ EDIT "deleteheader :matches \"X-Hello\" \"t*\"; " IF("not header :matches \"x-hello\" \"t*\""), "discard" },
		{ EDIT "fileinto \"a\"; addheader \"X-A\" \"b\"; fileinto \"c\";", "fileinto a; fileinto c <X-A: b>" },
		{ EDIT "addheader \"X-A\" \"b\"; if header :contains \"X-A\" \"b\" { fileinto \"international\"; }",
		  "fileinto international <X-A: b>" },
		{ EDIT "addheader \"X-A\" \"a\nX-B: c\"; keep;", "keep <X-A: a  X-B: c>" },
		{ EDIT "addheader \"Subject\" \"Gr\xc3\xbc\xc3\x9f" "e\"; if header \"subject\" \"gr\xc3\xbc\xc3\x9f" "e\" { keep; }",
		  "keep <Subject: =?utf-8?B?R3LDvMOfZQ==?=>" },
		{ EDIT "addheader \"a b\" \"c\";", "1:47: \"a b\" is no name of a header field" },
		{ EDIT "deleteheader :last \"a\";", "1:37: \":last\" needs \":index\"" });
}

static void a_header_without_end_can_be_edited(void **state)
{
	(void)state;
	EXPECT("X: y", { EDIT "addheader :last \"X-A\" \"b\"; if header \"x\" \"y\" { keep; }", "keep <X: y>" });
}

static void rejects_and_environment_rfc_5429_5183(void **state)
{
	(void)state;
	EXPECT(sieve_message_a,
		{ "require [\"reject\"]; if header :contains \"from\" \"coyote@desert.example.org\" { reject text:\nI am not taking mail from you, "
		  "and I don't\nwant your birdseed, either!\n.\n; }",
		  "reject I am not taking mail from you, and I don't\r\nwant your birdseed, either!\r\n" },
		{ "require [\"ereject\"];\nif address \"from\" \"someone@example.com\" {\n    ereject \"I no longer accept mail from this "
		  "address\";\n}", "keep*" },
		{ "require [\"reject\"];\nif size :over 100K {\n    reject text:\nYour message is too big.  If you want to send me a big "
		  "attachment,\nput it on a public web site and send me a URL.\n.\n    ;\n}", "keep*" },
		{ "require [\"ereject\", \"spamtest\", \"fileinto\", \"comparator-i;ascii-numeric\", \"relational\"];\nif spamtest :value "
		  "\"ge\"\n :comparator \"i;ascii-numeric\" \"6\" {\n    ereject text:\nAntiSpam engine thinks your message is spam.\n.\n    "
		  ";\n} elsif spamtest :value \"ge\"\n :comparator \"i;ascii-numeric\" \"4\" {\n    fileinto \"Suspect\";\n}",
		  "fileinto Suspect" },
		{ "require [\"ereject\"]; if address \"from\" \"coyote@desert.example.org\" { ereject text:\nI am not taking mail.\n.\n; }",
		  "ereject I am not taking mail.\r\n" },
		{ "require \"environment\"; " IF("environment :matches \"remote-ip\" \"192.0.2.*\""), "discard" },
		{ "require \"environment\"; " IF("environment :contains \"location\" \"mda\""), "discard" },
		{ "require \"environment\"; " IF("environment :contains \"remote-host\" \"\""), "keep*" },
		{ "require \"environment\"; " IF("environment :matches \"vnd.example\" \"*\""), "keep*" },
		{ "require \"environment\"; " IF("environment \"name\" \"postroom\""), "discard" },
		{ "require [\"variables\", \"environment\", \"fileinto\"]; if environment :matches \"phase\" \"*ing\" { fileinto \"${1}\"; }",
		  "fileinto dur" });
}

static void vacation_rfc_5230_6131(void **state)
{
#define TO_ALICE "To: alice@example.test\nSubject: hi\n"
#define VACATION "require [\"vacation\", \"vacation-seconds\", \"variables\"]; "
#define AWAY VACATION "vacation \"away\";"
#define ANSWERED "vacation coyote@desert.example.org Auto: hi; keep*"
	struct sieve_world w = { .message = TO_ALICE "\n" };

	(void)state;
	EXPECT(TO_ALICE "\n", { AWAY, ANSWERED },
		/* §4.8 */
		{ "require \"vacation\";\nvacation :days 23 :addresses [\"tjs@example.edu\", \"ts4z@landru.example.edu\"]\n\"I'm away until "
		  "October 19.\nIf it's an emergency, call 911, I guess.\" ;",
		  "vacation coyote@desert.example.org Auto: hi 1987200; keep*" },
		{ "require \"vacation\";\nif header :contains \"from\" \"boss@example.edu\" { redirect \"pleeb@isp.example.org\"; } else { "
		  "vacation \"Sorry, I'm away, I'll read your\nmessage when I get around to it.\"; }", ANSWERED },
		/* §4.2, §4.3, §4.4 */
		{ "require \"vacation\"; vacation :mime text:\nContent-Type: multipart/alternative; boundary=foo\n\n--foo\n\nI'm at the "
		  "beach\n--foo--\n.\n;", ANSWERED },
		{ VACATION "vacation :subject \"Gone\" \"x\"; discard;", "vacation coyote@desert.example.org Gone; discard" },
		{ VACATION "vacation :subject \"Gone\nBcc: x@example.org\" \"x\"; discard;",
		  "vacation coyote@desert.example.org Auto: hi; discard" },
		{ VACATION "vacation :days 0 \"x\"; discard;", "vacation coyote@desert.example.org Auto: hi 86400; discard" },
		{ VACATION "vacation :days 999999 \"x\"; discard;", "vacation coyote@desert.example.org Auto: hi 7776000; discard" },
		{ VACATION "vacation :seconds 1800 \"x\"; discard;", "vacation coyote@desert.example.org Auto: hi 1800; discard" },
		{ VACATION "vacation :seconds 0 \"x\"; discard;", "vacation coyote@desert.example.org Auto: hi 0; discard" },
		{ VACATION "vacation :seconds 1 :days 1 \"x\";", "1:76: the options \":seconds\" and \":days\" exclude each other" },
		{ VACATION "vacation \"x\"; vacation \"x\";", "1:70: \"vacation\" is used twice; keep*" },
		{ VACATION "vacation :from \"nobody\" \"x\";", "1:71: \"nobody\" is no mail address" },
		{ "require \"vacation\"; vacation :seconds 1 \"x\";", "1:30: the option \":seconds\" needs: require \"vacation-seconds\";" },
		{ "require \"vacation\"; vacation :create \"x\";", "1:30: the option \":create\" needs: require \"mailbox\";" },
		{ "require [\"vacation\", \"mailbox\"]; vacation :create \"x\";", "1:43: the option \":create\" needs \":fcc\" here" });
	/* §4.5, §4.6: whom it does not answer */
	EXPECT("To: someone@example.org\n\n", { AWAY, "keep*" },
	       { VACATION "vacation :addresses \"Someone@Example.ORG\" \"x\";", "vacation coyote@desert.example.org Automated reply; keep*" });
	EXPECT("Cc: x@y.example, Alice <ALICE+box@example.test>\nSubject: hi\n\n", { AWAY, ANSWERED });
	EXPECT("Resent-To: alice@example.test\nSubject: hi\n\n", { AWAY, ANSWERED });
	EXPECT(TO_ALICE "List-Id: <x>\n\n", { AWAY, "keep*" });
	EXPECT(TO_ALICE "List-Unsubscribe: <x>\n\n", { AWAY, "keep*" });
	EXPECT(TO_ALICE "Precedence: bulk\n\n", { AWAY, "keep*" });
	EXPECT(TO_ALICE "Auto-Submitted: auto-replied\n\n", { AWAY, "keep*" });
	EXPECT(TO_ALICE "Auto-Submitted: no\n\n", { AWAY, ANSWERED });
	static const char *const robots[] = { "", "owner-list@example.org", "list-request@example.org", "MAILER-DAEMON@example.org",
					      "listserv@example.org", "majordomo@example.org", "alice@example.test", "again@example.org" };
	for (size_t i = 0; i < ARRAY_LEN(robots); i++) {
		w.from = robots[i];
		sieve_world_expect(&w, AWAY, "keep*");
	}
	w.from = "again@example.org";           /* had one, but :seconds 0 answers every time */
	sieve_world_expect(&w, VACATION "vacation :seconds 0 \"x\"; discard;", "vacation again@example.org Auto: hi 0; discard");
	sieve_world_finish();
}

/* RFC 5230 §4.2: what counts as the same answer. */
static void vacation_tells_answers_apart(void **state)
{
	static const char *const twice[] = {
		"require \"vacation\"; if header :contains \"subject\" \"cyrus\" { vacation \"I'm out -- send mail to cyrus-bugs\"; } else { "
		"vacation \"I'm out -- call me at +1 304 555 0123\"; }",
		"require [\"vacation\", \"variables\"]; if header :matches \"subject\" \"*\" { vacation :subject \"Automatic response to: "
		"${1}\" \"I'm away -- send mail to foo in my absence\"; }",
		"require \"vacation\"; if header :contains \"subject\" \"lunch\" { vacation :handle \"ran-away\" \"I'm out and can't meet for "
		"lunch\"; } else { vacation :handle \"ran-away\" \"I'm out\"; }",
	};
	static const bool same[] = { false, true, true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(twice); i++) {
		struct sieve_world one = { .message = "To: alice@example.test\nSubject: Cyrus bug lunch\n\n" };
		struct sieve_world two = { .message = "To: alice@example.test\nSubject: come over for dinner\n\n" };

		free(sieve_world_run(&one, sv_z(twice[i])));
		free(sieve_world_run(&two, sv_z(twice[i])));
		assert_true(*one.handle && *two.handle);
		assert_int_equal(strcmp(one.handle, two.handle) == 0, same[i]);
	}
}

static void regex_draft(void **state)
{
#define REGEX "require [\"regex\", \"variables\", \"fileinto\"]; "
	(void)state;
	EXPECT(sieve_message_a,
		{ REGEX "if header :regex \"subject\" \"have (a|an) ([^ ]+)\" { fileinto \"${0}|${1}|${2}\"; }", "fileinto have a present|a|present" },
		{ REGEX IF("header :comparator \"i;octet\" :regex \"subject\" \"HAVE\""), "keep*" },
		{ REGEX IF("header :regex \"subject\" [\"^x\", \"YOU$\"]"), "discard" },
		{ REGEX IF("address :regex :localpart \"from\" \"^coy\""), "discard" },
		{ REGEX "set \"p\" \"pres(.*)you\"; if header :regex \"subject\" \"${p}\" { fileinto \"${1}\"; }", "fileinto ent for " },
		{ REGEX "set \"p\" \"(\"; if header :regex \"subject\" \"${p}\" { }",
		  "1:61: the regular expression \"(\" is wrong: a ( has no ); keep*" },
		{ REGEX "set :quoteregex \"p\" \"a.b*\"; fileinto \"${p}\";", "fileinto a\\.b\\*" },
		{ REGEX IF("header :regex \"subject\" \"(\""), "1:72: the regular expression \"(\" is wrong: a ( has no )" },
		{ "if header :regex \"a\" \"b\" { }", "1:11: the option \":regex\" needs: require \"regex\";" },
		{ "require [\"regex\", \"comparator-i;unicode-casemap\"]; " IF("header :regex :comparator \"i;unicode-casemap\" \"a\" \"b\""),
		  "1:81: \":regex\" goes with \"i;ascii-casemap\" and \"i;octet\" only" });
}

static void comparators_rfc_4790_5051(void **state)
{
#define UNI "require [\"comparator-i;unicode-casemap\", \"variables\", \"fileinto\"]; "
	(void)state;
	EXPECT(sieve_message_parts,
		{ UNI IF("header :is :comparator \"i;unicode-casemap\" \"subject\" \"GR\xc3\x9c\xc3\x9f" "E AUS K\xc3\x96LN\""), "discard" },
		{ UNI IF("header :contains :comparator \"i;unicode-casemap\" \"subject\" \"k\xc3\x96l\""), "discard" },
		{ UNI IF("header :contains \"subject\" \"k\xc3\x96l\""), "keep*" },
		{ UNI "if header :matches :comparator \"i;unicode-casemap\" \"subject\" \"GR?\xc3\x9f? *\" { fileinto \"${1}|${2}|${3}\"; }",
		  "fileinto \xc3\xbc|e|aus K\xc3\xb6ln" },
		{ UNI "if header :matches :comparator \"i;unicode-casemap\" \"subject\" \"*\xc3\x96??\" { fileinto \"${1}|${2}\"; }",
		  "fileinto Gr\xc3\xbc\xc3\x9f" "e aus K|l" });
}

static void mailboxes_rfc_5490_8579_9042(void **state)
{
#define BOX "require [\"mailbox\", \"mboxmetadata\", \"servermetadata\", \"fileinto\", \"special-use\", \"mailboxid\"]; "
	(void)state;
	EXPECT(sieve_message_a,
		{ BOX IF("mailboxexists [\"INBOX\", \"Archive\"]"), "discard" },
		{ BOX IF("mailboxexists [\"INBOX\", \"None\"]"), "keep*" },
		{ BOX "fileinto :create \"None\";", "fileinto None create" },
		{ BOX IF("metadata :contains \"INBOX\" \"/private/comment\" \"main\""), "discard" },
		{ BOX IF("metadata :contains \"INBOX\" \"/private/none\" \"\""), "keep*" },
		{ BOX IF("metadataexists \"INBOX\" [\"/private/comment\"]"), "discard" },
		{ BOX IF("metadataexists \"INBOX\" [\"/private/comment\", \"/x\"]"), "keep*" },
		{ BOX IF("servermetadata :matches \"/shared/admin\" \"mailto:*\""), "discard" },
		{ BOX IF("servermetadataexists \"/shared/none\""), "keep*" },
		{ BOX IF("specialuse_exists \"\\\\Junk\""), "discard" },
		{ BOX IF("specialuse_exists \"Spam\" [\"\\\\Junk\"]"), "discard" },
		{ BOX IF("specialuse_exists \"INBOX\" \"\\\\Junk\""), "keep*" },
		{ BOX "fileinto :specialuse \"\\\\Junk\" :create \"Spam\";", "fileinto Spam \\Junk create" },
		{ BOX IF("mailboxidexists [\"F1\"]"), "discard" },
		{ BOX IF("mailboxidexists [\"F1\", \"F2\"]"), "keep*" },
		{ BOX "fileinto :mailboxid \"F1\" \"INBOX.x\";", "fileinto INBOX.x F1" },
		{ BOX "fileinto :mailboxid \"F1\" :specialuse \"\\\\Junk\" \"x\";",
		  "1:133: the options \":specialuse\" and \":mailboxid\" exclude each other" });
}

static void ihave_rfc_5463(void **state)
{
	(void)state;
	EXPECT(sieve_message_a,
		{ "require \"ihave\"; if ihave \"fileinto\" { fileinto \"x\"; } else { keep; }", "fileinto x" },
		{ "require \"ihave\"; if ihave \"nope\" { nope \"x\" [\"y\"] :z; } else { keep; }", "keep" },
		{ "require \"ihave\"; if ihave [\"fileinto\", \"nope\"] { fileinto \"x\"; } else { keep; }", "keep" },
		{ "require \"ihave\"; fileinto \"x\";",
		  "1:18: \"fileinto\" needs the extension \"fileinto\", which neither require nor ihave made known; keep*" },
		{ "require \"ihave\"; if ihave \"copy\" { } redirect :copy \"a@b.example\";", "redirect a@b.example; keep*" },
		{ "require \"ihave\"; if not ihave \"nope\" { error \"we need nope\"; }", "1:40: we need nope; keep*" },
		{ "require \"ihave\"; if ihave \"variables\" { discard; }", "keep*" },
		{ "require [\"ihave\", \"variables\"]; if ihave \"variables\" { discard; }", "discard" },
		{ "require \"ihave\"; nope;", "1:18: there is no command \"nope\"; keep*" },
		{ "require \"ihave\"; if anyof (true, nope \"x\") { discard; }", "discard" },
		{ "require [\"ihave\", \"variables\"]; if ihave \"${x}\" { }", "1:42: \"ihave\" takes names without variables" });
}

static void duplicate_rfc_7352(void **state)
{
#define DUP "require [\"duplicate\", \"variables\", \"fileinto\", \"mailbox\", \"imap4flags\"]; "
	(void)state;
	EXPECT("Message-ID: <new@x>\nSubject: ALERT: seen-before\nX-Event: e1\n\n",
		{ DUP IF("duplicate"), "seen 604800; keep*" },
		{ DUP IF("duplicate :header \"message-id\""), "seen 604800; keep*" },
		{ DUP "if header :matches \"message-id\" \"*\" { if duplicate :uniqueid \"${0}\" { discard; } }", "seen 604800; keep*" },
		/* §5.2 */
		{ DUP "if header :matches \"subject\" \"ALERT: *\" { if duplicate :seconds 60 :uniqueid \"${1}\" { setflag \"\\\\seen\"; } "
		  "fileinto \"Alerts\"; }", "fileinto Alerts [\\seen]" },
		{ DUP IF("duplicate :last :header \"subject\""), "seen 604800; discard" },
		{ DUP IF("duplicate :header \"x-none\""), "keep*" },
		{ DUP IF("duplicate :header \"not a name\""), "keep*" },
		{ DUP IF("duplicate :seconds 0 :header \"subject\""), "keep*" },
		{ DUP IF("duplicate :seconds 99999999999"), "seen 7776000; keep*" },
		{ DUP IF("anyof (duplicate, duplicate)"), "seen 604800; keep*" },
		{ DUP IF("anyof (duplicate, duplicate :handle \"h\")"), "seen 604800; seen 604800; keep*" },
		{ DUP IF("duplicate :header \"a\" :uniqueid \"b\""),
		  "1:99: the options \":header\" and \":uniqueid\" exclude each other" });
	/* §5.3, with mailto in place of xmpp, and §5.4 */
	EXPECT("Subject: Re: seen-before\nX-Event-ID: 1\nX-Ticket-ID: seen-before 2\nTo: support@example.com\n\n",
		{ "require [\"variables\", \"envelope\", \"enotify\", \"duplicate\"];\nif envelope :matches \"from\" \"*\" { set \"sender\" "
		  "\"${1}\"; }\nif header :matches \"subject\" \"*\" { set \"subject\" \"${1}\"; }\nif not duplicate :seconds 1800 :uniqueid "
		  "\"${sender}\" { notify :message \"[SIEVE] ${sender}: ${subject}\" \"mailto:user@im.example.com\"; }",
		  "seen 1800; notify mailto:user@im.example.com [SIEVE] coyote@desert.example.org: Re: seen-before; keep*" },
		{ "require [\"variables\", \"envelope\", \"enotify\", \"duplicate\"];\nif envelope :matches \"from\" \"*\" { set \"sender\" "
		  "\"${1}\"; }\nif header :matches \"subject\" \"*\" { set \"subject\" \"${1}\"; }\n# account for 'Re:' prefix\nif string "
		  ":comparator \"i;ascii-casemap\" :matches \"${subject}\" \"Re:*\" { set \"subject\" \"${1}\"; }\nif not duplicate :seconds "
		  "1800 :uniqueid \"${sender} ${subject}\" { notify :message \"[SIEVE] ${sender}: ${subject}\" "
		  "\"mailto:user@im.example.com\"; }", "keep*" },
		{ "require [\"duplicate\", \"imap4flags\"];\nif duplicate :header \"X-Event-ID\" :handle \"notifier\" { discard; }\nif allof ("
		  "duplicate :header \"X-Ticket-ID\" :handle \"support\", address \"to\" \"support@example.com\", header :contains \"subject\" "
		  "\"seen\") { setflag \"\\\\seen\"; }", "seen 604800; keep* [\\seen]" });
	EXPECT("Message-ID: <seen-before@x>\n\n", { DUP "if duplicate { fileinto :create \"Trash/Duplicate\"; }",
	       "fileinto Trash/Duplicate create" });
}

static void include_rfc_6609(void **state)
{
	static const char *const scripts[] = {
		"set", "require [\"variables\", \"include\"]; global \"g\"; set \"g\" \"from set\"; set \"l\" \"local\";",
		"file", "require [\"fileinto\", \"variables\", \"include\"]; global \"g\"; fileinto \"${g}|${l}|${global.g}\";",
		"more", "require [\"variables\", \"include\"]; set \"n\" \"${n}1\"; set \"global.n\" \"${n}\";",
		"stop", "stop;", "return", "require \"include\"; return; discard;", "loop", "require \"include\"; include \"loop\";",
		"loop1", "require \"include\"; include \"loop2\";", "loop2", "require \"include\"; include \"loop1\";",
		"keep", "keep;", "bad", "keep;\nnope;", "flag", "require \"imap4flags\"; addflag \"f\";", "fail", "require \"ihave\"; error \"why\";",
		NULL,
	};
	static const struct sieve_expectation list[] = {
#define INC "require [\"include\", \"fileinto\", \"variables\"]; "
		{ INC "include \"set\"; include \"file\";", "fileinto from set||from set" },
		{ INC "set \"l\" \"mine\"; include \"set\"; fileinto \"${l}\";", "fileinto mine" },
		{ INC "set \"l\" \"mine\"; include \"set\"; include \"set\"; fileinto \"${l}\";", "fileinto mine" },
		{ INC "include \"more\"; include \"more\"; fileinto \"${global.n}\";", "fileinto 1" },
		{ INC "set \"global.g\" \"G\"; include \"file\";", "fileinto G||G" },
		{ INC "include \"return\"; keep;", "keep" },
		{ INC "return; discard;", "keep*" },
		{ INC "include \"stop\"; discard;", "keep*" },
		{ INC "include :once \"flag\"; include :once \"flag\"; include :optional \"none\"; include :personal \"keep\";", "keep [f]" },
		{ INC "include \"none\";", "1:47: the included script \"none\" does not exist; keep*" },
		{ INC "if false { include \"none\"; }", "keep*" },
		{ INC "include :global \"keep\";", "1:47: the included script \"keep\" does not exist; keep*" },
		{ INC "include \"loop\";", "loop:1:20: the script \"loop\" includes itself" },
		{ INC "include \"loop1\";", "loop2:1:20: the script \"loop1\" includes itself" },
		{ INC "include \"bad\";", "bad:2:1: there is no command \"nope\"" },
		{ INC "include \"fail\";", "fail:1:18: why; keep*" },
		{ INC "include \"../x\";", "1:55: this is no name of a script" },
		{ INC "include \"a/b\";", "1:55: this is no name of a script" },
		{ INC "include \"${x}\";", "1:55: the name of an included script may hold no variables" },
		{ INC "include :personal :global \"x\";", "1:65: the options \":personal\" and \":global\" exclude each other" },
		{ "require \"include\"; global \"x\";", "1:20: \"global\" needs: require \"variables\";" },
	};
	struct sieve_world w = { .message = sieve_message_a, .included = scripts };

	(void)state;
	sieve_world_expect_all(&w, list, ARRAY_LEN(list));
	sieve_world_finish();
}

static void mime_rfc_5703(void **state)
{
#define MIME "require [\"mime\", \"foreverypart\", \"extracttext\", \"fileinto\", \"variables\", \"relational\", " \
	"\"comparator-i;ascii-numeric\"];\n"
	(void)state;
	EXPECT(sieve_message_parts,
		/* §4 */
		{ MIME "if header :mime :type \"Content-Type\" \"image\" { fileinto \"INBOX.images\"; }", "keep*" },
		{ MIME "if header :mime :anychild :contenttype \"Content-Type\" \"text/html\" { fileinto \"INBOX.html\"; }",
		  "fileinto INBOX.html" },
		{ MIME "foreverypart { if allof (header :mime :param \"filename\" :contains \"Content-Disposition\" \"important\", header :mime "
		  ":subtype \"Content-Type\" \"pdf\", size :over \"100K\") { fileinto \"INBOX.important\"; break; } }",
		  "2:157: the option \":over\" must be followed by a number" },
		{ MIME "foreverypart { if allof (header :mime :param \"filename\" :contains \"Content-Disposition\" \"important\", header :mime "
		  ":subtype \"Content-Type\" \"pdf\", size :over 1K) { fileinto \"INBOX.important\"; break; } }", "fileinto INBOX.important" },
		{ MIME "if address :mime :is :all \"content-from\" \"tim@example.com\" { fileinto \"INBOX.part-from-tim\"; }", "keep*" },
		{ MIME "if exists :mime :anychild \"content-md5\" { fileinto \"INBOX.md5\"; }", "fileinto INBOX.md5" },
		{ MIME IF("exists \"content-md5\""), "keep*" },
		{ MIME IF("header :mime :anychild :param \"name\" \"content-type\" \"important \xc3\xbc.pdf\""), "discard" },
		{ MIME IF("header :mime :anychild :type \"content-disposition\" \"attachment\""), "discard" },
		{ MIME IF("header :mime :anychild :subtype \"content-disposition\" \"\""), "discard" },
		{ MIME IF("header :mime :contenttype :count \"eq\" :comparator \"i;ascii-numeric\" \"content-type\" \"1\""), "discard" },
		{ MIME IF("header :mime :anychild \"subject\" \"hello request\""), "discard" },
		{ MIME IF("header :mime \"subject\" \"hello request\""), "keep*" },
		{ MIME IF("address :mime :anychild \"from\" \"else@example.net\""), "discard" },
		{ MIME IF("header :anychild \"a\" \"b\""), "2:4: the option \":anychild\" needs \":mime\"" },
		{ MIME IF("header :type \"a\" \"b\""), "2:4: the option \":type\" needs \":mime\"" },
		/* §3 */
		{ MIME "set \"n\" \"\"; foreverypart { set \"n\" \"${n}x\"; } fileinto \"${n}\";", "fileinto xxxxxx" },
		{ MIME "set \"n\" \"\"; foreverypart { foreverypart { set \"n\" \"${n}x\"; } } fileinto \"${n}\";", "fileinto xxxxxx" },
		{ MIME "set \"n\" \"\"; foreverypart :name \"o\" { set \"n\" \"${n}o\"; foreverypart { set \"n\" \"${n}i\"; break :name \"o\"; } } "
		  "fileinto \"${n}\";", "fileinto oi" },
		{ MIME "set \"n\" \"\"; foreverypart { if header :mime :type \"content-type\" \"multipart\" { } else { set \"n\" \"${n}o\"; break; } "
		  "} fileinto \"${n}\";", "fileinto o" },
		{ MIME "break;", "2:1: \"break\" stands outside of a \"foreverypart\"" },
		{ MIME "foreverypart { break :name \"x\"; }", "2:16: no loop of that name is around this \"break\"" },
		{ MIME "foreverypart;", "2:1: \"foreverypart\" must be followed by a block in { }" },
		/* §7 */
		{ MIME "foreverypart { if header :mime :contenttype \"content-type\" \"text/plain\" { extracttext :first 7 :upper \"t\"; break; } } "
		  "fileinto \"${t}|\";", "fileinto HELLO, |" },
		{ MIME "foreverypart { if header :mime :contenttype \"content-type\" \"text/html\" { extracttext \"t\"; } } fileinto \"${t}\";",
		  "fileinto <b>Bold</b>" },
		{ MIME "foreverypart { if header :mime :subtype \"content-type\" \"pdf\" { extracttext :length \"t\"; } } fileinto \"${t}\";",
		  "fileinto 0" },
		/* §9.3; its require forgot foreverypart */
		{ MIME "if header :contains \"from\" \"example\"\n{\n if header :matches \"Subject\" \"*\"\n {\n set \"subject\" \"${1}\";\n }\n"
		  " foreverypart\n {\n if header :mime :type :is \"Content-Type\" \"text\"\n {\n extracttext :first 100 \"msgcontent\";\n break;\n"
		  " }\n }\n if not header :contains \"subject\" \"FYI:\"\n {\n set :upper \"x\" \"${msgcontent}\"; fileinto \"${subject}\";\n }\n}",
		  "fileinto Gr\xc3\xbc\xc3\x9f" "e aus K\xc3\xb6ln" },
		{ MIME "extracttext \"t\";", "2:1: \"extracttext\" stands outside of a \"foreverypart\"" },
		{ "require [\"extracttext\", \"foreverypart\"]; foreverypart { extracttext \"t\"; }",
		  "1:57: \"extracttext\" needs: require \"variables\";" });
}

static void enotify_rfc_5435_5436(void **state)
{
#define NOTIFY "require [\"enotify\", \"fileinto\", \"variables\", \"envelope\"]; "
	(void)state;
	EXPECT(sieve_message_a,
		{ NOTIFY "if header :contains \"from\" \"coyote\" { notify :importance \"1\" :message \"This is probably very important\" "
		  "\"mailto:alm@example.com\"; stop; }", "notify mailto:alm@example.com This is probably very important; keep*" },
		{ NOTIFY "if header :matches \"Subject\" \"*\" { set \"subject\" \"${1}\"; } if header :matches \"From\" \"*\" { set \"from\" "
		  "\"${1}\"; } notify :importance \"3\" :message \"[SIEVE] ${from}: ${subject}\" \"mailto:alm@example.com\"; fileinto "
		  "\"INBOX.sieve\";",
		  "notify mailto:alm@example.com [SIEVE] coyote@desert.example.org: I have a present for you; fileinto INBOX.sieve" },
		{ NOTIFY "if envelope :all :matches \"from\" \"*\" { set \"env_from\" \" [really: ${1}]\"; } notify :message \"x${env_from}\" "
		  "\"mailto:alm@example.com\"; discard;",
		  "notify mailto:alm@example.com x [really: coyote@desert.example.org]; discard" },
		{ NOTIFY IF("not valid_notify_method [\"mailto:\", \"http://gw.example.net/notify?test\"]"), "discard" },
		{ NOTIFY IF("valid_notify_method [\"mailto:a@b.example?subject=x%20y&cc=c@d.example\", \"mailto:?to=a@b.example\"]"), "discard" },
		{ NOTIFY IF("valid_notify_method \"mailto:a@b.example?subject=%zz\""), "keep*" },
		{ NOTIFY IF("notify_method_capability \"mailto:a@b.example\" \"Online\" \"maybe\""), "discard" },
		{ NOTIFY IF("notify_method_capability \"tel:+1\" \"Online\" \"maybe\""), "keep*" },
		{ NOTIFY IF("notify_method_capability \"mailto:a@b.example\" \"color\" \"maybe\""), "keep*" },
		{ NOTIFY "set :encodeurl \"u\" \"a b@\xc3\xa9-._~\"; fileinto \"${u}\";", "fileinto a%20b%40%C3%A9-._~" },
		{ NOTIFY "notify \"tel:+14085551212\";", "1:66: \"tel:+14085551212\" is no way to notify: write \"mailto:\" and an address" },
		{ NOTIFY "notify :importance \"4\" \"mailto:a@b.example\";",
		  "1:78: \":importance\" must be followed by \"1\", \"2\" or \"3\"" },
		{ NOTIFY "set \"m\" \"xmpp:x\"; notify \"${m}\";", "1:77: \"xmpp:x\" is no way to notify; keep*" },
		{ NOTIFY "notify \"mailto:a@b.example\"; notify \"mailto:a@b.example\"; discard;", "notify mailto:a@b.example; discard" });
	EXPECT("Auto-Submitted: auto-notified\n\n", { NOTIFY "notify \"mailto:a@b.example\";", "keep*" });
}

static void imapsieve_rfc_6785(void **state)
{
	static const struct sieve_expectation events[] = {
		{ "require [\"imapsieve\", \"environment\"]; if environment \"imap.cause\" \"FLAG\" { discard; }", "discard" },
		{ "require \"environment\"; if environment :contains \"imap.mailbox\" \"or\" { discard; }", "discard" },
		{ "require \"environment\"; if environment :matches \"imap.changedflags\" \"*\" { discard; }", "keep* [$Old]" },
		/* §3.8: hasflag sees the message's flags, and what is left of them is its flags */
		{ "require \"imap4flags\"; if hasflag \"$Old\" { addflag \"$New\"; }", "keep* [$Old $New]" },
		{ "require \"imap4flags\"; removeflag \"$Old\";", "keep*" },
		/* §3.11 */
		{ "require \"reject\"; reject \"x\";", "1:1: \"reject\" is for mail that is delivered, not for what is stored already; keep*" },
		{ "require \"ereject\"; ereject \"x\";",
		  "1:1: \"ereject\" is for mail that is delivered, not for what is stored already; keep*" },
		{ "require \"vacation\"; vacation \"x\";",
		  "1:1: \"vacation\" is for mail that is delivered, not for what is stored already; keep*" },
		{ "require \"vacation\"; keep;", "1:1: \"vacation\" is for mail that is delivered, not for what is stored already; keep*" },
		/* §4.6 */
		{ "require \"envelope\"; " IF("envelope \"to\" \"x\""),
		  "1:24: \"envelope\" is for mail that is delivered, not for what is stored already; keep*" },
		{ "redirect \"a@b.example\";", "1:1: \"redirect\" is for mail that is delivered, not for what is stored already; keep*" },
	};
	struct sieve_world w = { .message = "To: alice@example.test\nSubject: hi\n\n", .cause = "FLAG" };
	(void)state;

	sieve_world_expect_all(&w, events, ARRAY_LEN(events));
	w.cause = NULL;
	sieve_world_expect(&w, "require [\"imapsieve\", \"environment\"]; if environment \"imap.user\" \"\" { discard; }", "discard");
	sieve_world_expect(&w, "require \"environment\"; if environment \"imap.user\" \"\" { discard; }", "keep*");
	sieve_world_finish();
}

static void lists_verdicts_and_copies_rfc_6134_5235_8580_6009(void **state)
{
#define MORE "require [\"extlists\", \"spamtestplus\", \"virustest\", \"relational\", \"comparator-i;ascii-numeric\", \"fcc\", \"vacation\", " \
	"\"imap4flags\", \"mailbox\", \"redirect-dsn\", \"envelope\", \"envelope-dsn\", \"variables\", \"fileinto\", \"enotify\", \"copy\"];\n"
	(void)state;
	EXPECT("From: coyote@desert.example.org\nTo: alice@example.test\nSubject: hi\n\n",
		{ MORE IF("address :list \"from\" \":addrbook:default\""), "discard" },
		{ MORE IF("address :list \"to\" \":addrbook:default\""), "keep*" },
		{ MORE "if envelope :list \"from\" \"tag:example.test,2026:friends\" { fileinto \"${0}\"; }", "fileinto coyote@desert.example.org" },
		{ MORE IF("valid_ext_list [\":addrbook:default\"]"), "discard" },
		{ MORE IF("valid_ext_list [\":addrbook:default\", \"x\"]"), "keep*" },
		{ MORE "redirect :list \"tag:example.test,2026:friends\";", "redirect coyote@desert.example.org; redirect b@example.test" },
		{ MORE "redirect :list :copy \"tag:example.test,2026:friends\";", "redirect coyote@desert.example.org; redirect b@example.test; keep*" },
		{ MORE "redirect :list \":addrbook:default\";", "2:1: \"@example.test\" is no mail address; keep*" },
		{ MORE IF("header :list \"subject\" \"none\""), "2:4: there is no list \"none\"; keep*" },
		{ MORE "redirect :list \"none\";", "2:1: there is no list \"none\"; keep*" },
		{ MORE IF("address :list :comparator \"i;octet\" \"from\" \"x\""), "2:30: \":list\" takes no comparator" },
		/* the world's spam score is 50 %, its virus verdict 2 */
		{ MORE "if spamtest :value \"eq\" :comparator \"i;ascii-numeric\" \"0\" { fileinto \"INBOX.unclassified\"; } elsif spamtest :value "
		  "\"ge\" :comparator \"i;ascii-numeric\" \"3\" { fileinto \"INBOX.spam-trap\"; }", "fileinto INBOX.spam-trap" },
		{ MORE IF("spamtest :is \"5\""), "discard" },
		{ MORE IF("spamtest :percent :is \"50\""), "discard" },
		{ MORE IF("spamtest :percent :count \"eq\" :comparator \"i;ascii-numeric\" \"0\""), "keep*" },
		{ MORE "if virustest :value \"eq\" :comparator \"i;ascii-numeric\" \"0\" { fileinto \"INBOX.unclassified\"; } if virustest :value "
		  "\"eq\" :comparator \"i;ascii-numeric\" \"4\" { fileinto \"INBOX.quarantine\"; } elsif virustest :value \"eq\" :comparator "
		  "\"i;ascii-numeric\" \"5\" { discard; }", "keep*" },
		{ MORE IF("virustest :is \"2\""), "discard" },
		{ "require [\"spamtest\"]; " IF("spamtest :percent :is \"5\""), "1:35: the option \":percent\" needs: require \"spamtestplus\";" },
		{ MORE "vacation :fcc \"Sent\" :flags [\"\\\\Seen\"] :create \"away\";",
		  "vacation coyote@desert.example.org Auto: hi fcc Sent [\\Seen]; keep*" },
		{ MORE "notify :fcc \"Sent\" \"mailto:a@b.example\";", "notify mailto:a@b.example fcc Sent; keep*" },
		{ MORE "redirect :copy :notify \"NEVER\" \"elsewhere@example.com\";", "redirect elsewhere@example.com NEVER; keep*" },
		{ MORE "redirect :notify \"SUCCESS,BOGUS\" \"a@example.com\";",
		  "2:18: \":notify\" must be followed by \"NEVER\" or some of \"SUCCESS,FAILURE,DELAY\"" },
		{ MORE "redirect :ret \"half\" \"a@example.com\";", "2:15: \":ret\" must be followed by \"FULL\" or \"HDRS\"" },
		{ MORE IF("envelope \"notify\" \"SUCCESS\""), "discard" },
		{ MORE IF("envelope :count \"eq\" :comparator \"i;ascii-numeric\" \"notify\" \"2\""), "discard" },
		{ MORE IF("envelope :matches \"orcpt\" \"rfc822;*@example.com\""), "discard" },
		{ MORE IF("envelope \"ret\" \"full\""), "discard" },
		{ MORE IF("envelope :contains \"envid\" \"\""), "keep*" },
		{ MORE IF("envelope :domain \"ret\" \"full\""), "2:21: the envelope part \"ret\" is no address that could be cut into parts" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_rfc_5229),
		cmocka_unit_test(relational_rfc_5231),
		cmocka_unit_test(imap4flags_rfc_5232),
		cmocka_unit_test(subaddress_rfc_5233),
		cmocka_unit_test(date_and_index_rfc_5260),
		cmocka_unit_test(body_rfc_5173),
		cmocka_unit_test(body_is_read_in_pieces),
		cmocka_unit_test(editheader_rfc_5293),
		cmocka_unit_test(a_header_without_end_can_be_edited),
		cmocka_unit_test(rejects_and_environment_rfc_5429_5183),
		cmocka_unit_test(vacation_rfc_5230_6131),
		cmocka_unit_test(vacation_tells_answers_apart),
		cmocka_unit_test(regex_draft),
		cmocka_unit_test(comparators_rfc_4790_5051),
		cmocka_unit_test(mailboxes_rfc_5490_8579_9042),
		cmocka_unit_test(ihave_rfc_5463),
		cmocka_unit_test(duplicate_rfc_7352),
		cmocka_unit_test(include_rfc_6609),
		cmocka_unit_test(mime_rfc_5703),
		cmocka_unit_test(enotify_rfc_5435_5436),
		cmocka_unit_test(imapsieve_rfc_6785),
		cmocka_unit_test(lists_verdicts_and_copies_rfc_6134_5235_8580_6009),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
