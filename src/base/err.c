#include "base/err.h"

#include <string.h>

const char *err_text(int r)
{
	static __thread char buf[128];

	r = r < 0 ? -r : r;
	switch (r) {
	case EBADMSG:
		return "does not authenticate";
	case EUCLEAN:
		return "malformed";
	case EKEYREJECTED:
		return "wrong key";
	case ENOKEY:
		return "locked";
	case EPROTO:
		return "unexpected answer";
	case EOPNOTSUPP:
		return "not supported";
	case ESTALE:
		return "stale";
	case EXDEV:
		return "a copy, or across devices";
	default:
		/* The GNU variant: returns its own text or buf, never fails. */
		return strerror_r(r, buf, sizeof(buf));
	}
}
