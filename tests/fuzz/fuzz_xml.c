/* fuzz_xml.c: XML answers. Property: paths and texts stay within their maxima, and a text found by its path is one that reading reports. */
#include "net/xml.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

struct first {
	char path[XML_PATH_MAX + 1];
	char text[XML_LEAF_MAX + 1];
	unsigned count;
};

static int each(void *arg, const char *path, const char *text, size_t len)
{
	struct first *f = arg;

	assert(path[0] == '/' && strlen(path) <= XML_PATH_MAX);
	if (!text)
		return 0;
	assert(len <= XML_LEAF_MAX && strlen(text) == len);
	if (f->path[0] == '\0') {
		memcpy(f->path, path, strlen(path) + 1);
		memcpy(f->text, text, len + 1);
	}
	f->count += strcmp(path, f->path) == 0;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	static struct first f;
	static char text[XML_LEAF_MAX + 1];
	int r;

	memset(&f, 0, sizeof(f));
	if (xml_read((const char *)p, len, each, &f) < 0)
		return 0;
	assert(f.count > 0);
	r = xml_text((const char *)p, len, f.path, sizeof(text), text);
	assert(f.count > 1 ? r == -EUCLEAN : r == 0 && strcmp(text, f.text) == 0);
	return 0;
}
