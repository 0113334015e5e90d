/* traces.h: for each rule of rules.h a short program that fails when the rule is off and passes when it is on (tests/model/logdirected.py, in real sizes), and
 * programs that once failed. Included by crash.c alone. */

#define N_ { OP_CREATE, 'a', 0, 0 }
#define NB_ { OP_CREATE, 'b', 0, 0 }
#define W_(off, len) { OP_WRITE, 'a', off, len }
#define T_(size) { OP_TRUNCATE, 'a', size, 0 }
#define P_(off, len) { OP_PUNCH, 'a', off, len }
#define Z_(off, len) { OP_ZERO, 'a', off, len }
#define A_(off, len) { OP_ALLOCATE, 'a', off, len }
#define Y_(off, len) { OP_COPY, 'a', off, len }
#define F_ { OP_FSYNC, 'a', 0, 0 }
#define C_ { OP_CHECKPOINT, 0, 0, 0 }
#define K_ { OP_KILL, 0, 0, 0 }
#define XL_ { OP_FAIL_LOG, 0, 0, 0 }
#define XH_ { OP_FAIL_HOME, 0, 0, 0 }
#define MAXT 16
#define TRACE_SECONDS 3.0
#define FOUND_SECONDS 60.0 /* what shows that a rule is off may come with the last operations: not to be missed on a slow host */
#define SETUP_MAX 24

struct trace {
	const char *rule;        /* NULL: must pass with all rules on */
	struct op setup[SETUP_MAX], prog[MAXT];
	bool between;            /* the last of prog comes into the commit that the one before makes */
};

#define SET_NEW { N_ }
#define SET_C3 { N_, W_(0, 6000), F_, C_ }
#define SET_C4 { N_, W_(0, 2 * B), F_, C_ }
#define SET_F3 { N_, W_(0, 6000), F_ }
#define SET_C10 { N_, W_(0, G), W_(G, G), W_(2 * G, B), F_, C_ }
#define SET_HOLE { N_, W_(0, 100), W_(5 * G + B, 5000), F_, C_ }
#define WF_ W_(0, 100 * B), F_

static const struct trace traces[] = {
	{ "committedmeta", SET_C3, { W_(0, B), C_, W_(0, B), F_, W_(3 * B, 100), C_ }, false },
	{ "twover", SET_C4, { W_(0, 2 * B), F_, W_(0, 2 * B), C_ }, false },
	{ "freeze", SET_NEW, { N_, W_(0, G / 2), F_, W_(0, G / 2) }, true },
	{ "freed", SET_C10, { T_(G), F_, W_(G, G) }, false },
	{ "meta0", SET_NEW, { W_(0, G), W_(0, G) }, false },
	{ "homeflush", SET_NEW, { W_(0, G), F_ }, false },
	{ "ident", SET_NEW, { W_(0, 2 * B), F_ }, false },
	{ "l7", SET_NEW, { W_(0, 2 * B), F_ }, false },
	{ "rename", { N_, W_(0, 6000), F_, NB_, { OP_WRITE, 'b', 0, 2 * B }, { OP_FSYNC, 'b', 0, 0 }, C_ }, { W_(0, 2 * B), { OP_RENAME, 'a', 1, 0 } }, false },
	{ "logfull", SET_NEW, { WF_, WF_, WF_, WF_, WF_, WF_, WF_, WF_ }, false },
	{ "reflush", SET_C4, { W_(0, 2 * B), XL_, F_ }, false },
	{ "vouch", SET_C10, { T_(G + 3 * B), T_(2 * G), F_, C_ }, false },
	{ "tailorder", SET_F3, { C_ }, false },
	{ "reuseorder", { N_, WF_, WF_, WF_, C_, WF_, WF_, WF_, WF_ }, { WF_ }, false },
	{ "cutlate", SET_C10, { T_(G) }, false },
	{ "cutviews", SET_C10, { T_(G), F_, C_, T_(100), F_, W_(G, G), C_, F_ }, false },
	{ "rewrite", SET_F3, { XH_, C_ }, false },
	{ "mountsync", SET_C4, { W_(0, 2 * B), F_ }, false },
	{ "directlog", SET_C4, { W_(0, 2 * B), XL_, F_ }, false },
	{ "whole", SET_C4, { W_(0, 2 * B), F_ }, false },
	{ "lastmark", SET_NEW, { W_(0, 100 * B), { OP_WRITE, 'a', 130 * B, 100 * B }, F_ }, false },
	{ "seal", SET_C4, { W_(0, 2 * B), F_, C_ }, false },
	{ "baseempty", SET_C10, { T_(G), F_, W_(G, 100), F_ }, false },
	{ "gaps", SET_HOLE, { W_(2 * G, G), W_(2 * G, G) }, false },
	{ "dropgone", SET_C10, { W_(G, B), F_, T_(G), F_, W_(0, B), F_, C_, W_(G, G), F_ }, false },
	{ "durable", SET_C4, { W_(0, 2 * B), F_, W_(0, 2 * B), F_ }, false },
	{ "bothslots", SET_NEW, { W_(0, 2 * B), F_ }, false },
	{ "slotorder", SET_C4, { K_ }, false },
	{ "cutlate", SET_C10, { P_(G, G) }, false },
	{ "cutlate", SET_C10, { P_(G + 3 * B, 5 * B) }, false },
	{ "cutviews", SET_C10, { P_(G, G), F_, W_(G, G), C_, F_ }, false },
	{ "baseempty", SET_C10, { W_(G, 3 * B), F_, P_(G, G), F_, W_(G + B, 100), F_ }, false },
	{ NULL, SET_C10, { T_(G), W_(3 * G, G / 2), F_, C_ }, false },
	/* punch, then write bulk into the space before its commit is vouched for */
	{ NULL, SET_C10, { P_(G, G), W_(G, G), F_, C_ }, false },
	{ NULL, SET_C10, { P_(G, G), F_, W_(G, G), F_, C_, K_ }, false },
	{ NULL, SET_C10, { P_(G, G / 2), F_, C_ }, false },
	{ NULL, SET_C10, { P_(G + 7 * B, 60 * B), F_, W_(G, G), C_, F_ }, false },
	{ NULL, SET_C10, { P_(0, 3 * G), F_, C_, W_(0, 2 * G), F_, P_(10, G), F_, C_, K_ }, false },
	{ NULL, SET_C10, { W_(3 * G, G), P_(3 * G, G), W_(3 * G, G), P_(3 * G + 100, 2 * B), F_, C_, K_ }, false },
	{ NULL, SET_C10, { Z_(G - 100, 5 * B), F_, Z_(2 * G, 2 * G + 77), C_, F_, W_(2 * G, G), F_, C_ }, false },
	{ NULL, SET_C10, { P_(G, G), T_(G), F_, W_(2 * G, B), P_(2 * G, B), F_, C_, W_(G, G), F_ }, false },
	{ NULL, SET_NEW, { A_(100, 2 * G), W_(G, G), F_, P_(0, 2 * G), F_, C_, K_ }, false },
	{ NULL, SET_C10, { T_(G), A_(G, 2 * G), F_, W_(G, G), C_, T_(100), F_, C_, K_ }, false },
	{ NULL, { N_, NB_, W_(0, 2 * G), W_(5 * G, B), F_, C_ }, { Y_(G / 2, 3 * B), Y_(0, 2 * G + 5 * B), { OP_FSYNC, 'b', 0, 0 }, C_, P_(0, G), Y_(100, G), { OP_COMMIT_ALL, 0, 0, 0 } }, false },
	{ NULL, SET_C10, { P_(0, G), XH_, XL_, F_, C_, K_, W_(0, G), F_ }, false },
	{ NULL, SET_C10, { T_(G), W_(3 * G, G), F_, C_, K_ }, false },
	{ NULL, SET_C10, { { OP_APPEND, 'a', 0, 60 * B }, T_(G), { OP_APPEND, 'a', 0, 2 * G }, F_, C_ }, false },
	{ NULL, SET_HOLE, { W_(G, G), F_, C_, T_(0), F_, W_(4 * G, G), F_ }, false },
	{ NULL, SET_C10, { T_(0), T_(G), W_(2 * G, G), F_, F_, W_(3 * G, G), { OP_APPEND, 'a', 0, 40 * B } }, false },
	{ NULL, SET_NEW, { W_(0, 2 * G), XH_, XL_, F_, K_, W_(0, B), F_ }, false },
	/* killed in a mount that was told of an old error: the next one is told of it too, file by file */
	{ NULL, { N_, W_(10200, 469), F_, W_(0, 217989) }, { XH_, K_ }, false },
	/* a transaction near the log's size; writes far out in a new file */
	{ NULL, SET_NEW, { W_(0, 120 * B), W_(140 * B, 110 * B), F_, C_, W_(10, 230 * B), F_ }, false },
	/* bulk writes that end inside a new group, whose metadata goes home with its beginning; what continues them */
	{ NULL, SET_NEW, { W_(0, G), W_(G, G / 2), W_(G + G / 2, G), F_, C_, K_ }, false },
	{ NULL, SET_C10, { W_(3 * G, G / 2 + 100), F_, W_(3 * G + G / 2 + 100, G), F_, C_, W_(3 * G, 2 * B), F_, K_ }, false },
	{ NULL, SET_C10, { W_(3 * G, G / 2), F_, W_(3 * G + 90 * B, 5), F_, T_(3 * G + B), F_, W_(3 * G + B, G), XH_, F_, C_ }, false },
	{ NULL, SET_C10, { W_(4 * G + G / 2, G / 2), W_(3 * G + G / 2, G), F_, P_(3 * G + G / 2, G), F_, W_(3 * G, G), C_, F_ }, false },
	{ NULL, SET_NEW, { W_(5 * G + 17, 3 * B), F_, W_(3 * G, 1), { OP_COMMIT_ALL, 0, 0, 0 }, C_ }, false },
};
#define NTRACES (sizeof(traces) / sizeof(traces[0]))

static size_t ops_in(const struct op *p, size_t max)
{
	size_t n = 0;

	while (n < max && (p[n].what || p[n].name))
		n++;
	return n;
}

static bool run_trace(const struct trace *t, uint64_t seed, uint64_t cap, double seconds)
{
	x.rng.s = seed * 0x9e3779b97f4a7c15ull + 7;
	x.every = 1;
	x.cap = cap;
	x.until = now() + seconds;
	if (t->between)
		return run_between(t->prog, ops_in(t->prog, MAXT), seed);
	return run_program(t->setup, ops_in(t->setup, SETUP_MAX), t->prog, ops_in(t->prog, MAXT), seed, SIMFS_EXT4);
}

/* The trace of crash table row N, by name, and all others. */
static int directed(size_t n, size_t from)
{
	int bad = 0;

	for (size_t i = from; i < from + n && i < NTRACES; i++) {
		bool ok = true;

		for (uint64_t seed = 1; seed <= 1 && ok; seed++)
			ok = run_trace(&traces[i], seed, 16, TRACE_SECONDS);
		if (!ok)
			print_violation("trace", i, traces[i].setup, ops_in(traces[i].setup, SETUP_MAX), traces[i].prog, ops_in(traces[i].prog, MAXT));
		(void)printf("%s %zu - trace %s with all rules on\n", ok ? "ok" : "not ok", i + 1, traces[i].rule ? traces[i].rule : "that once failed");
		bad += !ok;
	}
	(void)printf("# %llu states, %llu cut again, %llu copies, %llu damaged (%llu refused)\n1..%zu\n", (unsigned long long)x.n.states,
		     (unsigned long long)x.n.deep, (unsigned long long)x.n.copies, (unsigned long long)x.n.damaged,
		     (unsigned long long)x.n.refused, NTRACES);
	return bad != 0;
}

static char found_text[200];

static bool found_without(unsigned bit, const char *rule)
{
	bool found = true;

	x.rules_off = 1u << bit;
	for (size_t i = 0; i < NTRACES && found; i++) { /* each of them must show it */
		if (!traces[i].rule || strcmp(traces[i].rule, rule) != 0)
			continue;
		found = false;
		for (uint64_t seed = 1; seed <= 200 && !found; seed++) /* threads may be slow to meet on a busy machine */
			found = !run_trace(&traces[i], seed, 30, FOUND_SECONDS);
		(void)snprintf(found_text, sizeof(found_text), "%s", found && x.what ? x.what : "a random program");
	}
	x.until = 0;
	if (!found)
		found = random_programs(300, 99, 5, true) > 0;
	x.rules_off = 0;
	return found;
}

static int rules_off(const char *which)
{
	static const char *const names[] = {
#define RULES_NAME(name) #name,
		RULES(RULES_NAME)
#undef RULES_NAME
	};
	unsigned n = 0, bad = 0;

	for (unsigned i = 0; i < RULE_COUNT; i++) {
		bool found;

		if (strcmp(which, "all") != 0 && strcmp(which, names[i]) != 0)
			continue;
		/* No rekey in this version: the model alone covers it. A slot of the state is one sector, which does not tear: nothing fails without
		 * slotorder. The other three are shown by tests/unit/test_replay.c and test_state.c. */
		if (i == RULE_rekeyone || i == RULE_slotorder || i == RULE_bothslots || i == RULE_directlog || i == RULE_dropgone)
			continue;
		found = found_without(i, names[i]);
		(void)printf("%s %u - without rule %s a test fails%s%s\n", found ? "ok" : "not ok", ++n, names[i], found ? ": " : "",
			     found ? found_text : "");
		bad += !found;
	}
	(void)printf("1..%u\n", n);
	return bad != 0;
}
