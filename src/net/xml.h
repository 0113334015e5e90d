/* xml.h: the door to expat: the texts of an answer's leaf elements, found by their path. For what STS and object stores answer; nothing else of XML
 * is taken: attributes, comments and processing instructions are skipped, a namespace's prefix is cut off, a document type is refused and with it
 * every entity but the five and characters by number. UTF-8 only. What expat copies lies in crypt/heap.h: an answer may hold credentials. Pure. */
#ifndef COFFER_NET_XML_H
#define COFFER_NET_XML_H

#include "base/err.h"

#include <stddef.h>

#define XML_BYTES_MAX (8u << 20)
#define XML_DEPTH_MAX 12
#define XML_PATH_MAX 512
#define XML_LEAF_MAX 16384   /* bytes of text in one leaf */

/* Called for each leaf, path "/Root/Child/Leaf", text of len bytes with a NUL behind it (none within), blanks kept; and with text NULL at the end
 * of each element that has children, so that a caller knows when an entry of a list is whole. Both belong to the callee during the call only.
 * Below 0: reading ends with it. */
typedef int xml_each(void *arg, const char *path, const char *text, size_t len);

/* -EUCLEAN: not well-formed, a document type, or beyond a maximum; what was reported before that is to be dropped. -EFBIG: more than XML_BYTES_MAX;
 * -ENOMEM. */
int xml_read(const char *p, size_t len, xml_each *each, void *arg) must_check;
/* The text of the one leaf with this path. -ENOENT: none; -EUCLEAN: two, or as above; -EMSGSIZE: max is too small (it counts a NUL). The caller wipes
 * what was a secret, in any case. */
int xml_text(const char *p, size_t len, const char *path, size_t max, char *ret_text) must_check;

#endif
