/* backup_set.c: see backup_set.h. Open addressing. */
#include "backup/backup_set.h"

#include <string.h>

#include "base/hash.h"

#define SIZE_MIN 1024u

void backup_set_done(struct backup_set *s)
{
	free(s->tab);
	*s = (struct backup_set){ 0 };
}

static struct backup_set_item *place(const struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN])
{
	size_t i = (size_t)hash_bytes(hash, RECORD_HASH_LEN) & (s->size - 1);

	while (s->tab[i].used && memcmp(s->tab[i].hash, hash, RECORD_HASH_LEN) != 0)
		i = (i + 1) & (s->size - 1);
	return &s->tab[i];
}

struct backup_set_item *backup_set_find(const struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN])
{
	struct backup_set_item *i = s->size ? place(s, hash) : NULL;

	return i && i->used ? i : NULL;
}

static int grow(struct backup_set *s)
{
	struct backup_set more = { .n = s->n, .size = s->size ? s->size * 2 : SIZE_MIN };

	more.tab = calloc(more.size, sizeof(*more.tab));
	if (!more.tab)
		return -ENOMEM;
	for (size_t i = 0; i < s->size; i++)
		if (s->tab[i].used)
			*place(&more, s->tab[i].hash) = s->tab[i];
	free(s->tab);
	*s = more;
	return 0;
}

int backup_set_add(struct backup_set *s, const uint8_t hash[static RECORD_HASH_LEN], struct backup_set_item **ret_item)
{
	struct backup_set_item *i;
	int r = 0;

	if (s->size / 2 <= s->n)
		r = grow(s);
	if (r < 0)
		return r;
	i = place(s, hash);
	if (!i->used) {
		*i = (struct backup_set_item){ .used = true };
		memcpy(i->hash, hash, RECORD_HASH_LEN);
		s->n++;
	}
	if (ret_item)
		*ret_item = i;
	return 0;
}
