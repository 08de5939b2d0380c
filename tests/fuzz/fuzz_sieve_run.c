/* tests/fuzz/fuzz_sieve_run.c - any octets as a message that Sieve scripts look at: the first octet chooses what the world answers, the
 * second the script, the rest is the message. The scripts together use every test and action. */
#include "tests/fuzz/sieve_stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALL "require [\"fileinto\", \"reject\", \"ereject\", \"envelope\", \"vacation-seconds\", \"subaddress\", " \
	"\"comparator-i;ascii-numeric\", \"comparator-i;unicode-casemap\", \"relational\", \"regex\", \"imap4flags\", \"copy\", " \
	"\"include\", \"variables\", \"body\", \"enotify\", \"environment\", \"mailbox\", \"special-use\", \"date\", \"index\", " \
	"\"duplicate\", \"mime\", \"foreverypart\", \"extracttext\", \"editheader\", \"fcc\", \"extlists\"];\n"

static const char *const scripts[] = {
	ALL "if anyof (header :contains \"subject\" \"x\", header :matches [\"to\", \"x-a\"] \"*a?*b*\", header :is \"x-a\" \"\", exists \"x-b\") "
	"{ fileinto \"${0}|${1}|${2}\"; } else { keep; }",
	ALL "if header :comparator \"i;unicode-casemap\" :matches \"subject\" \"*?\xc3\x96*\" { fileinto \"${1}|${2}\"; } "
	"if header :comparator \"i;unicode-casemap\" :contains \"subject\" \"\xc3\x9f\" { keep; }",
	ALL "if header :regex [\"subject\", \"from\"] \"^((a|ab)*)([[:alpha:]]+|x{2,5})?(.*)$\" { fileinto \"${1}-${3}-${4}\"; }",
	ALL "if address :matches :all [\"from\", \"to\", \"cc\", \"resent-to\"] \"*@*\" { fileinto \"${1}/${2}\"; } if address :detail :contains "
	"\"to\" \"\" { keep; } if address :user :value \"gt\" \"from\" \"m\" { addflag \"x\"; } if address :domain :count \"gt\" "
	":comparator \"i;ascii-numeric\" [\"to\", \"cc\"] \"3\" { discard; } if address :index 2 :last \"from\" \"x\" { stop; }",
	ALL "if body :text :contains \"needle\" { fileinto \"t\"; } if body :raw :matches \"*--*\" { fileinto \"r\"; } if body :content [\"text\", "
	"\"message/rfc822\", \"multipart\"] :regex \"a.b\" { fileinto \"c\"; } if body :count \"ge\" :comparator \"i;ascii-numeric\" \"2\" "
	"{ keep; }",
	ALL "set \"n\" \"\"; foreverypart :name \"o\" { if header :mime :type :matches \"content-type\" \"*\" { set \"n\" \"${n}${1}.\"; } if header "
	":mime :param [\"name\", \"filename\", \"charset\"] :matches [\"content-type\", \"content-disposition\"] \"*\" { set \"n\" \"${n}${1},\"; "
	"} extracttext :first 40 \"t\"; set \"n\" \"${n}${t}\"; foreverypart { extracttext :quotewildcard :upper \"u\"; set :length \"v\" "
	"\"${u}\"; if string \"${v}\" \"1\" { break :name \"o\"; } } } fileinto \"x${n}\";",
	ALL "set \"n\" \"\"; foreverypart { if header :mime :anychild :subtype \"content-type\" \"html\" { set \"n\" \"${n}h\"; } extracttext \"t\"; set "
	":length \"l\" \"${t}\"; set \"n\" \"${n}${l}\"; } fileinto \"x${n}\";",
	ALL "if header :mime :anychild :contenttype :matches \"content-type\" \"*/*\" { fileinto \"${1}-${2}\"; } if exists :mime :anychild "
	"\"content-id\" { keep; } if address :mime :anychild :localpart \"from\" \"a\" { addflag \"b\"; }",
	ALL "if date :originalzone :matches \"date\" \"iso8601\" \"*\" { fileinto \"${1}\"; } if date :zone \"-0130\" :value \"gt\" \"received\" "
	"\"julian\" \"55000\" { keep; } if date :index 2 :last :matches \"received\" \"std11\" \"*\" { fileinto \"${1}\"; } if date "
	":originalzone \"date\" \"weekday\" [\"0\", \"6\"] { addflag \"w\"; } if date :matches \"resent-date\" \"zone\" \"*\" { keep; }",
	ALL "if header :matches \"subject\" \"*\" { addheader \"X-Subject\" \"${1}\"; addheader :last \"Subject\" \"again ${1}\"; } deleteheader "
	":index 1 :contains \"x-a\" \"b\"; deleteheader :matches \"x-b\" [\"*a*\"]; deleteheader \"received\"; deleteheader :index 2 :last "
	"\"to\"; fileinto \"a\"; deleteheader \"from\"; redirect :copy \"a@b.example\"; if not exists \"from\" { addheader \"From\" \"x\ny\"; }",
	ALL "vacation :seconds 5 :addresses [\"bob@example.test\"] :fcc \"Sent\" \"away\";",
	ALL "if header :matches \"subject\" \"*\" { vacation :subject \"Re: ${1}\" :from \"alice@example.test\" \"${1}\"; }",
	ALL "if duplicate { discard; } elsif duplicate :header \"x-a\" :handle \"h\" { fileinto \"d\"; } if header :matches \"x-b\" \"*\" { if duplicate "
	":last :uniqueid \"${1}\" { keep; } }",
	ALL "if header :matches [\"subject\", \"from\"] \"*\" { notify :message \"${1}\" \"mailto:a@b.example?subject=${1}\"; set :encodeurl \"u\" "
	"\"${1}\"; set :quoteregex \"q\" \"${1}\"; if header :regex \"subject\" \"${q}\" { fileinto \"${u}\"; } }",
	ALL "if header :matches \"x-a\" \"*\" { set :upperfirst :lower \"a\" \"${1}\"; set :length \"b\" \"${a}\"; addflag \"${1}\"; removeflag \"b\"; fileinto "
	":flags \"${a} ${1}\" :create \"${b}\"; redirect \"${1}\"; reject \"${1}\"; }",
	ALL "if header :list \"from\" \":addrbook:default\" { fileinto \"${0}\"; } redirect :list \":addrbook:default\"; if header :value \"ge\" :comparator "
	"\"i;ascii-numeric\" [\"x-a\", \"subject\"] [\"5\", \"\"] { keep; } if size :over 200 { addflag \"big\"; } if header :matches \"x-a\" \"*\" "
	"{ ereject \"${1}\"; }",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sieve_script *compiled[ARRAY_LEN(scripts)];
	struct sieve_errors errors;
	struct mime_message *m;
	struct sv wire;

	if (size < 2)
		return 0;
	mood = data[0];
	size_t which = data[1] % ARRAY_LEN(scripts);
	if (!compiled[which] && sieve_compile(sv_z(scripts[which]), NULL, &compiled[which], &errors).kind)
		abort();
	wire = sv_from((const char *)data + 2, size - 2);
	m = mime_parse(wire);
	stage_run(compiled[which], wire, m);
	mime_message_free(&m);
	return 0;
}
