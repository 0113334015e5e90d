#include "base/lock.h"

#if COFFER_DEVELOPER
__thread struct lock_held lock_held;
#endif
