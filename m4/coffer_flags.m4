# coffer_flags.m4: ask the compiler, one flag at a time. -Werror makes clang's "unknown option" a no.

# COFFER_CFLAGS_APPEND(VAR, FLAGS): append to VAR each of FLAGS that the compiler takes.
AC_DEFUN([COFFER_CFLAGS_APPEND], [
  for coffer_flag in $2; do
    coffer_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $coffer_flag"
    AC_MSG_CHECKING([whether $CC takes $coffer_flag])
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes]); $1="$$1 $coffer_flag"],
      [AC_MSG_RESULT([no])])
    CFLAGS=$coffer_save_CFLAGS
  done
])

# COFFER_LDFLAGS_APPEND(VAR, FLAGS): the same for flags of the link.
AC_DEFUN([COFFER_LDFLAGS_APPEND], [
  for coffer_flag in $2; do
    coffer_save_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS -Werror $coffer_flag"
    AC_MSG_CHECKING([whether the link takes $coffer_flag])
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes]); $1="$$1 $coffer_flag"],
      [AC_MSG_RESULT([no])])
    LDFLAGS=$coffer_save_LDFLAGS
  done
])
