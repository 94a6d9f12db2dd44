# The commits of $1 after $2 up to $3, as records in the file $4.
set -eu

repository=$1
from=$2
to=$3
commits=$4

git() {
    command git -C "$repository" -c core.fsmonitor=false "$@"
}

to=$(git rev-parse --verify --quiet --end-of-options "$to^{commit}") || {
    echo "there is no commit \`$3\`" >&2
    exit 2
}
if [ -z "$from" ]; then
    # The first release has no tag before it, and begins at the beginning.
    from=$(git describe --tags --abbrev=0 "$to^" 2>/dev/null) || from=
fi
range=$to
if [ -n "$from" ]; then
    start=$(git rev-parse --verify --quiet --end-of-options "$from^{commit}") || {
        echo "there is no commit \`$from\`" >&2
        exit 2
    }
    range=$start..$to
fi
git log --no-merges --date=short --pretty=tformat:'%h%x1f%ad%x1f%an%x1f%s%x1f%b%x1e' "$range" > "$commits"
echo "commits after ${from:-the beginning} up to $3"
