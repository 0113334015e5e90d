/* xml.c: a stack of names is all that is kept: the path of the element we are in, and the text since its beginning.
 *
 * expat is fed in pieces: it copies each into a buffer of its own, and that lies in locked memory. */
#include "net/xml.h"

#include <stdbool.h>
#include <string.h>

#include <expat.h>

#include "crypt/heap.h"

#define PIECE 4096

struct reader {
	XML_Parser parser;
	xml_each *each;
	void *arg;
	int r;
	char path[XML_PATH_MAX + 1];
	size_t path_len;
	size_t starts[XML_DEPTH_MAX]; /* of path_len, before each element */
	unsigned depth;
	bool leaf;                    /* the innermost element has no child so far */
	char *text;                   /* XML_LEAF_MAX + 1 bytes of the locked heap */
	size_t text_len;
};

static const XML_Memory_Handling_Suite memory = { heap_alloc, heap_resize, heap_release };

static void stop(struct reader *x, int r)
{
	if (x->r == 0)
		x->r = r;
	(void)XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *x = arg;
	const char *colon = strrchr(name, ':');
	size_t len;

	(void)attributes;
	name = colon ? colon + 1 : name;
	len = strlen(name);
	if (x->r < 0)
		return;
	if (x->depth == XML_DEPTH_MAX || len + 1 > XML_PATH_MAX - x->path_len) {
		stop(x, -EUCLEAN);
		return;
	}
	x->starts[x->depth++] = x->path_len;
	x->path[x->path_len] = '/';
	memcpy(x->path + x->path_len + 1, name, len + 1);
	x->path_len += len + 1;
	x->leaf = true;
	x->text_len = 0;
}

static void XMLCALL on_text(void *arg, const XML_Char *p, int len)
{
	struct reader *x = arg;

	if (x->r < 0 || !x->leaf)
		return;
	if ((size_t)len > XML_LEAF_MAX - x->text_len) {
		stop(x, -EUCLEAN);
		return;
	}
	memcpy(x->text + x->text_len, p, (size_t)len);
	x->text_len += (size_t)len;
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reader *x = arg;
	int r;

	(void)name;
	if (x->r < 0)
		return;
	x->text[x->text_len] = '\0';
	r = x->each(x->arg, x->path, x->leaf ? x->text : NULL, x->leaf ? x->text_len : 0);
	if (r < 0) {
		stop(x, r);
		return;
	}
	x->path_len = x->starts[--x->depth];
	x->path[x->path_len] = '\0';
	x->leaf = false;
	x->text_len = 0;
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int internal)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)internal;
	stop(arg, -EUCLEAN);
}

static int feed(struct reader *x, const char *p, size_t len)
{
	size_t n;

	do {
		n = len < PIECE ? len : PIECE;
		if (XML_Parse(x->parser, p, (int)n, n == len) != XML_STATUS_OK)
			return x->r < 0 ? x->r : XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EUCLEAN;
		p += n;
		len -= n;
	} while (len > 0);
	return x->r;
}

int xml_read(const char *p, size_t len, xml_each *each, void *arg)
{
	struct reader x = { .each = each, .arg = arg };
	int r = -ENOMEM;

	if (len > XML_BYTES_MAX)
		return -EFBIG;
	x.text = heap_alloc(XML_LEAF_MAX + 1);
	x.parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
	if (x.parser && x.text) {
		XML_SetUserData(x.parser, &x);
		XML_SetElementHandler(x.parser, on_start, on_end);
		XML_SetCharacterDataHandler(x.parser, on_text);
		XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
		r = feed(&x, p, len);
	}
	if (x.parser)
		XML_ParserFree(x.parser);
	heap_release(x.text);
	return r;
}

struct wanted {
	const char *path;
	char *text;
	size_t max;
	unsigned found;
};

static int take(void *arg, const char *path, const char *text, size_t len)
{
	struct wanted *w = arg;

	if (!text || strcmp(path, w->path) != 0)
		return 0;
	if (w->found++ > 0)
		return -EUCLEAN;
	if (len >= w->max)
		return -EMSGSIZE;
	memcpy(w->text, text, len + 1);
	return 0;
}

int xml_text(const char *p, size_t len, const char *path, size_t max, char *ret_text)
{
	struct wanted w = { .path = path, .text = ret_text, .max = max };
	int r;

	r = xml_read(p, len, take, &w);
	if (r < 0)
		return r;
	return w.found == 0 ? -ENOENT : 0;
}
