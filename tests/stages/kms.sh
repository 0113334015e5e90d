# kms: the Vault and AWS providers and the agent with them, against the servers that tests/kms/servers and aws-servers installed. Bash; sourced by runtests.
# shellcheck shell=bash
"$SRC/tests/kms/servers" -n >/dev/null || {
	echo "not ok - the Vault server of tests/kms/servers is not installed"
	return 1
}
"$SRC/tests/kms/aws-servers" -n >/dev/null || {
	echo "not ok - what tests/kms/aws-servers installs is not there"
	return 1
}
cd "$BUILD" && check_tests "$(make_variable KMS_TESTS)"
