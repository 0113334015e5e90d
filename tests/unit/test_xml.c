/* test_xml.c: what is read of XML answers, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/xml.h"

struct seen {
	char text[4096];
	unsigned left; /* calls until it says -ECANCELED; 0: never */
};

static int note(void *arg, const char *path, const char *text, size_t len)
{
	struct seen *s = arg;
	size_t at = strlen(s->text);

	assert_true(!text || strlen(text) == len);
	(void)snprintf(s->text + at, sizeof(s->text) - at, text ? "%s=%s\n" : "%s end\n", path, text);
	return s->left > 0 && --s->left == 0 ? -ECANCELED : 0;
}

static int text_of(const char *xml, const char *path, char *out, size_t max)
{
	return xml_text(xml, strlen(xml), path, max, out);
}

static void leaves_come_with_their_paths_and_ends_of_lists(void **state)
{
	static const char xml[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<L xmlns=\"u\"><!-- c --><N>b</N>\n <C a=\"1\"><Key>x&amp;&#x41;&lt;y</Key>"
				  "<Size>1</Size></C><C><Key/></C><x:P xmlns:x=\"u\"><x:Q><![CDATA[<z>]]></x:Q></x:P></L>\n";
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(xml_read(xml, sizeof(xml) - 1, note, &s), 0);
	assert_string_equal(s.text, "/L/N=b\n/L/C/Key=x&A<y\n/L/C/Size=1\n/L/C end\n/L/C/Key=\n/L/C end\n/L/P/Q=<z>\n/L/P end\n/L end\n");
	s = (struct seen){ .left = 2 };
	assert_int_equal(xml_read(xml, sizeof(xml) - 1, note, &s), -ECANCELED);
	assert_string_equal(s.text, "/L/N=b\n/L/C/Key=x&A<y\n");
}

static void one_text_is_found_by_its_path(void **state)
{
	static const char xml[] = "<E><Code>AccessDenied</Code><Code2/><In><Code>x</Code></In><Two>1</Two><Two>2</Two></E>";
	char out[64];

	(void)state;
	assert_int_equal(text_of(xml, "/E/Code", out, sizeof(out)), 0);
	assert_string_equal(out, "AccessDenied");
	assert_int_equal(text_of(xml, "/E/Code2", out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(text_of(xml, "/E/Code", out, 13), 0);
	assert_int_equal(text_of(xml, "/E/Code", out, 12), -EMSGSIZE);
	assert_int_equal(text_of(xml, "/E/Two", out, sizeof(out)), -EUCLEAN);
	assert_int_equal(text_of(xml, "/E/In", out, sizeof(out)), -ENOENT);
	assert_int_equal(text_of(xml, "Code", out, sizeof(out)), -ENOENT);
}

static void what_is_not_plain_xml_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "<a>", "<a></b>", "<a/><b/>", "<a>&x;</a>", "{\"a\":1}", "<html><body>no<br></body></html>", "<a>\xff</a>", "<a>&#0;</a>",
		"<!DOCTYPE a><a/>",
		"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
		"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
		"<!DOCTYPE a SYSTEM \"https://example.com/a.dtd\"><a/>",
		"<a><a><a><a><a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a></a></a></a></a>",
	};
	static const char latin[] = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe4</a>";
	struct seen s = { 0 };
	char out[8];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (text_of(bad[i], "/x", out, sizeof(out)) != -EUCLEAN)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(xml_read("<a>\0</a>", 8, note, &s), -EUCLEAN);
	assert_int_equal(xml_read(latin, sizeof(latin) - 1, note, &s), -EUCLEAN);
}

static char *leaf_of(size_t len, const char *name, size_t *ret_len)
{
	char *p = malloc(len + 2 * strlen(name) + 6);
	size_t n;

	assert_non_null(p);
	n = (size_t)sprintf(p, "<%s>", name);
	memset(p + n, 'x', len);
	*ret_len = n + len + (size_t)sprintf(p + n + len, "</%s>", name);
	return p;
}

static void what_is_too_large_is_refused(void **state)
{
	static char out[XML_LEAF_MAX + 2], name[XML_PATH_MAX + 1];
	size_t len;
	char *p;

	(void)state;
	p = leaf_of(XML_LEAF_MAX, "a", &len);
	assert_int_equal(xml_text(p, len, "/a", sizeof(out), out), 0);
	assert_int_equal(strlen(out), XML_LEAF_MAX);
	free(p);
	p = leaf_of(XML_LEAF_MAX + 1, "a", &len);
	assert_int_equal(xml_text(p, len, "/a", sizeof(out), out), -EUCLEAN);
	free(p);
	memset(name, 'n', XML_PATH_MAX);
	p = leaf_of(1, name, &len);
	assert_int_equal(xml_text(p, len, "/a", sizeof(out), out), -EUCLEAN);
	free(p);
	name[XML_PATH_MAX - 1] = '\0';
	p = leaf_of(1, name, &len);
	assert_int_equal(xml_text(p, len, "/a", sizeof(out), out), -ENOENT);
	free(p);
	assert_int_equal(xml_text("<a/>", (size_t)XML_BYTES_MAX + 1, "/a", sizeof(out), out), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_come_with_their_paths_and_ends_of_lists),
		cmocka_unit_test(one_text_is_found_by_its_path),
		cmocka_unit_test(what_is_not_plain_xml_is_refused),
		cmocka_unit_test(what_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
