/* Complete example scripts of the standards that no other test has, each with a message written for it. doc/sieve.md counts them all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/support/sieve_world.h"

static void expect(const char *message, const char *script, const char *answer)
{
	struct sieve_world w = { .message = message };

	sieve_world_expect(&w, script, answer);
}

static void rfc_5228_section_5_5(void **state)
{
	static const char script[] = "if not exists [\"From\",\"Date\"] {\n          discard;\n       }";
	(void)state;

	expect("From: a@b.example\n\n", script, "discard");
	expect("Date: Mon, 7 Feb 1994 21:52:25 -0800\n\n", script, "discard");
	expect("From: a@b.example\nDate: Mon, 7 Feb 1994 21:52:25 -0800\n\n", script, "keep*");
	sieve_world_finish();
}

/* The RFC has "fileinfo" once. */
static void rfc_5229_section_3_2(void **state)
{
	static const char script[] =
		"require [\"fileinto\", \"variables\"];\n\nif header :matches \"List-ID\" \"*<*@*\" {\n    fileinto \"INBOX.lists.${2}\"; stop;\n}\n\n"
		"# Imagine the header\n# Subject: [acme-users] [fwd] version 1.0 is out\nif header :matches \"Subject\" \"[*] *\" {\n"
		"    # ${1} will hold \"acme-users\",\n    # ${2} will hold \"[fwd] version 1.0 is out\"\n"
		"    fileinto \"INBOX.lists.${1}\"; stop;\n}\n\n# Imagine the header\n# To: coyote@ACME.Example.COM\n"
		"if address :matches [\"To\", \"Cc\"] [\"coyote@**.com\",\n        \"wile@**.com\"] {\n    # ${0} is the matching address\n"
		"    # ${1} is always the empty string\n    # ${2} is part of the domain name (\"ACME.Example\")\n"
		"    fileinto \"INBOX.business.${2}\"; stop;\n} else {\n    # Control wouldn't reach this block if any match was\n"
		"    # successful, so no match variables are set at this\n    # point.\n}\n\n"
		"if anyof (true, address :domain :matches\n              [\"To\", \"Cc\"] \"*.com\") {\n    # The second test is never evaluated, so there are\n"
		"    # still no match variables set.\n    stop;\n}";
	(void)state;

	expect("List-ID: <filters@imc.org>\n\n", script, "fileinto INBOX.lists.filters");
	expect("Subject: [acme-users] [fwd] version 1.0 is out\n\n", script, "fileinto INBOX.lists.acme-users");
	expect("To: coyote@ACME.Example.COM\n\n", script, "fileinto INBOX.business.ACME.Example");
	expect("To: x@y.example\n\n", script, "keep*");
	sieve_world_finish();
}

static void rfc_5230_section_7(void **state)
{
	static const char language[] = "require \"vacation\";\nif header :contains [\"accept-language\", \"content-language\"] \"en\"\n{\n"
				       "    vacation \"I am away this week.\";\n} else {\n    vacation \"Estoy ausente esta semana.\";\n}";
	static const char colleague[] = "require \"vacation\";\nif address :matches \"from\" \"*@ourdivision.example.com\"\n{\n"
					"    vacation :subject \"Gone fishing\"\n             \"Having lots of fun! Back in a day or two!\";\n} else {\n"
					"    vacation :subject \"Je suis parti cette semaine\"\n"
					"             \"Je lirai votre message quand je retourne.\";\n}";
	(void)state;

	expect("To: alice@example.test\nAccept-Language: en\nSubject: a\n\n", language, "vacation coyote@desert.example.org Auto: a; keep*");
	expect("To: alice@example.test\nSubject: a\n\n", language, "vacation coyote@desert.example.org Auto: a; keep*");
	expect("To: alice@example.test\nFrom: x@ourdivision.example.com\n\n", colleague,
	       "vacation coyote@desert.example.org Gone fishing; keep*");
	expect("To: alice@example.test\nFrom: x@elsewhere.example\n\n", colleague,
	       "vacation coyote@desert.example.org Je suis parti cette semaine; keep*");
	sieve_world_finish();
}

/* The world's spam score is 50 of 100, its virus verdict "cured". */
static void rfc_5235(void **state)
{
	(void)state;
	expect("Subject: x\n\n",
	       "require [\"spamtest\", \"fileinto\", \"relational\", \"comparator-i;ascii-numeric\"];\n\n"
	       "if spamtest :value \"eq\" :comparator \"i;ascii-numeric\" \"0\"\n{\n    fileinto \"INBOX.unclassified\";\n}\n"
	       "elsif spamtest :value \"ge\" :comparator \"i;ascii-numeric\" \"3\"\n{\n    fileinto \"INBOX.spam-trap\";\n}",
	       "fileinto INBOX.spam-trap");
	expect("Subject: x\n\n",
	       "require [\"spamtestplus\", \"fileinto\", \"relational\",\n         \"comparator-i;ascii-numeric\"];\n\n"
	       "if spamtest :value \"eq\"\n            :comparator \"i;ascii-numeric\" \"0\"\n{\n    fileinto \"INBOX.unclassified\";\n}\n"
	       "elsif spamtest :percent :value \"eq\"\n               :comparator \"i;ascii-numeric\" \"0\"\n{\n    fileinto \"INBOX.not-spam\";\n}\n"
	       "elsif spamtest :percent :value \"lt\"\n               :comparator \"i;ascii-numeric\" \"37\"\n{\n    fileinto \"INBOX.spam-trap\";\n}\n"
	       "else\n{\n    discard;\n}", "discard");
	expect("Subject: x\n\n",
	       "require [\"virustest\", \"fileinto\", \"relational\", \"comparator-i;ascii-numeric\"];\n\n"
	       "if virustest :value \"eq\" :comparator \"i;ascii-numeric\" \"0\"\n{\n    fileinto \"INBOX.unclassified\";\n}\n"
	       "if virustest :value \"eq\" :comparator \"i;ascii-numeric\" \"4\"\n{\n    fileinto \"INBOX.quarantine\";\n}\n"
	       "elsif virustest :value \"eq\" :comparator \"i;ascii-numeric\" \"5\"\n{\n    discard;\n}", "keep*");
	sieve_world_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_5228_section_5_5),
		cmocka_unit_test(rfc_5229_section_3_2),
		cmocka_unit_test(rfc_5230_section_7),
		cmocka_unit_test(rfc_5235),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
