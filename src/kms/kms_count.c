/* kms_count.c: counters of what key services were asked, for metrics. Process-wide as the connections in net/http.c are. */
#include "kms/kms_impl.h"

static struct {
	_Atomic uint64_t ended[KMS_CLASSES];
	struct meter time;
} counts[KMS_COUNTS_MAX];

void kms_count_ended(size_t n, enum kms_class class, uint64_t began_ns)
{
	if (n >= KMS_COUNTS_MAX || class >= KMS_CLASSES)
		return;
	atomic_fetch_add_explicit(&counts[n].ended[class], 1, memory_order_relaxed);
	meter_since(&counts[n].time, began_ns);
}

void kms_count_get(size_t n, struct kms_count *ret_count)
{
	for (unsigned c = 0; c < KMS_CLASSES; c++)
		ret_count->ended[c] = atomic_load_explicit(&counts[n].ended[c], memory_order_relaxed);
	meter_read(&counts[n].time, &ret_count->time);
}
