/* rules.h: the rules of the crash model (tests/model/logmodel.py) as bits, so that a test build can switch each off and show that a named test
 * then fails. In release builds rule_on() is the constant true. */
#ifndef COFFER_IO_RULES_H
#define COFFER_IO_RULES_H

#define RULES(X)                                                                                                      \
	X(committedmeta) X(twover) X(freeze) X(freed) X(meta0) X(homeflush) X(ident) X(l7) X(rename) X(logfull)           \
	X(rekeyone) X(reflush) X(vouch) X(tailorder) X(reuseorder) X(cutlate) X(cutviews) X(rewrite) X(mountsync)         \
	X(directlog) X(whole) X(lastmark) X(seal) X(baseempty) X(gaps) X(dropgone) X(durable) X(bothslots) X(slotorder)

enum rule {
#define RULES_ENUM(name) RULE_##name,
	RULES(RULES_ENUM)
#undef RULES_ENUM
	RULE_COUNT
};

#if COFFER_TEST_HOOKS
#define rule_on(params, name) (!((params)->rules_off & (1u << RULE_##name)))
#else
#define rule_on(params, name) ((void)(params), true)
#endif

#endif
