#!/bin/sh
# Entrypoint of keepmum/postgres. It treats these variables and files as the
# official postgres image does:
#
#   POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE   required for a new database; setting both is an error, so is an empty one
#   POSTGRES_USER (postgres), POSTGRES_DB (the user's name), and the same with _FILE
#   POSTGRES_INITDB_ARGS, PGDATA (/var/lib/postgresql/data)
#   /docker-entrypoint-initdb.d/*.sh, *.sql, *.sql.gz   run once, in order of name
#
# Differences: no program gets the password in its environment or arguments, not
# even the server; init scripts do not see it. A first start that was killed at
# any point starts over. Until the first start is complete, nothing answers on
# the socket or the port, so that no health check passes too early. Connections
# over TCP need the password, even from inside the container.
# POSTGRES_HOST_AUTH_METHOD is refused.
set -eu
trap 'exit 130' INT TERM # after the current step

fail() {
	echo "postgres entrypoint: $*" >&2
	exit 1
}

# setting NAME DEFAULT: sets the variable NAME, for this shell only, from NAME or
# from the file that NAME_FILE names.
setting() {
	eval "direct=\${$1:-} file=\${$1_FILE:-}"
	unset "$1" "$1_FILE"
	if [ -n "$direct" ] && [ -n "$file" ]; then
		fail "$1 and $1_FILE are both set; set one of them"
	fi
	if [ -n "$file" ]; then
		[ -f "$file" ] && [ -r "$file" ] || fail "$1_FILE names $file, which user $(id -u) cannot read"
		direct=$(cat "$file")
		[ -n "$direct" ] || fail "$1_FILE names $file, which is empty"
	fi
	case $direct in
	*"
"*) fail "$1 has more than one line" ;;
	esac
	eval "$1=\${direct:-\$2}"
	unset direct file
}

# run_scripts runs the files in /docker-entrypoint-initdb.d against the server
# whose socket is in PGHOST.
run_scripts() {
	for script in "$initdir"/*; do
		case $script in
		*.sh)
			echo "postgres entrypoint: running $script" >&2
			if [ -x "$script" ]; then "$script"; else (set +u; . "$script"); fi
			;;
		*.sql)
			echo "postgres entrypoint: running $script" >&2
			query --dbname "$POSTGRES_DB" --file "$script"
			;;
		*.sql.gz)
			echo "postgres entrypoint: running $script" >&2
			gunzip -c "$script" | query --dbname "$POSTGRES_DB"
			;;
		"$initdir/*") ;;
		*) echo "postgres entrypoint: ignoring $script" >&2 ;;
		esac
	done
}

query() {
	psql --set ON_ERROR_STOP=1 --no-psqlrc --no-password --quiet --username "$POSTGRES_USER" "$@"
}

# create_database makes the database in $PGDATA/.new and moves it into place,
# PG_VERSION last: if that file is there, the first start was completed.
create_database() {
	[ -z "${POSTGRES_HOST_AUTH_METHOD:-}" ] || fail "POSTGRES_HOST_AUTH_METHOD is not supported; connections need the password"
	[ -n "$POSTGRES_PASSWORD" ] || fail "no password for a new database: set POSTGRES_PASSWORD_FILE to a file that contains it"
	new=$PGDATA/.new
	if [ -d "$new" ]; then
		echo "postgres entrypoint: the first start was not completed; starting over" >&2
		find "$PGDATA" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
	elif [ -n "$(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found)" ]; then
		fail "$PGDATA contains files but no database"
	fi
	mkdir -m 0700 "$new"
	# The here-document is a pipe: the password is in no file and no argument.
	initdb --pgdata "$new" --username "$POSTGRES_USER" --pwfile /dev/fd/3 --auth-local trust --auth-host scram-sha-256 \
		${POSTGRES_INITDB_ARGS:-} 3<<END >&2
$POSTGRES_PASSWORD
END
	unset POSTGRES_PASSWORD
	printf '\nhost all all all scram-sha-256\n' >>"$new/pg_hba.conf"
	export POSTGRES_USER POSTGRES_DB PGHOST="$new"
	pg_ctl --pgdata "$new" --wait --silent --options "-c listen_addresses='' -c unix_socket_directories='$new'" start >&2
	if [ "$POSTGRES_DB" != postgres ]; then
		query --dbname postgres --set name="$POSTGRES_DB" <<-'END'
		CREATE DATABASE :"name";
		END
	fi
	run_scripts
	pg_ctl --pgdata "$new" --wait --silent --mode fast stop >&2
	unset POSTGRES_USER POSTGRES_DB PGHOST
	for item in "$new"/* ; do
		[ "$item" = "$new/PG_VERSION" ] || mv "$item" "$PGDATA/"
	done
	sync
	mv "$new/PG_VERSION" "$PGDATA/"
	rmdir "$new"
	echo "postgres entrypoint: the database was created" >&2
}

: "${PGDATA:=/var/lib/postgresql/data}"
export PGDATA
initdir=${KEEPMUM_INITDB_DIR:-/docker-entrypoint-initdb.d}

case ${1:-} in
'' | -*) set -- postgres "$@" ;;
esac
if [ "$1" != postgres ]; then
	exec "$@"
fi
for argument; do
	case $argument in
	--help | -'?' | --version | -V | --describe-config | -C) exec "$@" ;;
	esac
done

mkdir -p "$PGDATA" || fail "user $(id -u) cannot create $PGDATA"
if [ "$(id -u)" = 0 ]; then
	chown postgres:postgres "$PGDATA" || fail "the owner of $PGDATA cannot be changed to postgres: run as 999:999, or grant the capability CHOWN"
	exec su -s /bin/sh -c 'exec "$0" "$@"' -- postgres "$0" "$@"
fi
chmod 0700 "$PGDATA" 2>/dev/null || [ -w "$PGDATA" ] || fail "user $(id -u) cannot write to $PGDATA"
setting POSTGRES_PASSWORD ''
setting POSTGRES_USER postgres
setting POSTGRES_DB "$POSTGRES_USER"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	create_database
fi
[ ! -d "$PGDATA/.new" ] || rmdir "$PGDATA/.new"
exec "$@"
