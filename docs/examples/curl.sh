#!/bin/sh
# Causeway's API with curl (7.76 or newer) and jq. API_URL and API_KEY come from the environment.
set -eu

answer=$(mktemp -d)
trap 'rm -rf "$answer"' EXIT

# call METHOD PATH [curl's options]: the body goes to $answer/body, the headers to $answer/headers.
# Fails where the API does; the body is then a problem with a stable code.
call() {
    method=$1 path=$2
    shift 2
    curl -sS --max-time 30 --retry 3 --fail-with-body -X "$method" "$API_URL$path" -H "X-API-Key: $API_KEY" \
        -D "$answer/headers" -o "$answer/body" "$@" 2>"$answer/complaint"
}
create() { # create KEY BODY: safe to repeat, as long as the key is the same
    call POST /v2/documents/Sales%20Order -H "Idempotency-Key: $1" -H "Content-Type: application/json" -d "$2"
}
etag() { sed -n 's/^etag: *\(.*[^[:space:]]\).*$/\1/Ip' "$answer/headers"; }

# Create a document.
customer="Atelier Nord $(date +%s)-$$"
key="curl-$(date +%s)-$$" # of your own, one for each thing to be created
order='{"naming_series": "EX-.YYYY.-", "customer": "'$customer'", "grand_total": 1250.00}'
create "$key" "$order"
name=$(jq -r .data.name "$answer/body")
echo "created $name"

# Read it.
call GET "/v2/documents/Sales%20Order/$name"
echo "read $name of $(jq -r .data.customer "$answer/body")"

# Page through a list: page.next is the cursor of the next page, null at the end.
count=0 pages=0 cursor=""
while [ "$pages" -lt 1000 ]; do
    call GET /v2/documents/Sales%20Order -G -d limit=50 ${cursor:+--data-urlencode "cursor=$cursor"}
    count=$((count + $(jq '.data | length' "$answer/body"))) pages=$((pages + 1))
    cursor=$(jq -r '.page.next // ""' "$answer/body")
    [ -n "$cursor" ] || break
done
echo "paged through $count in $pages"

# Handle an error by its code.
if ! call GET /v2/documents/Sales%20Order/NO-SUCH-ORDER; then
    case $(jq -r .code "$answer/body") in
        document_not_found) echo "not found, as expected" ;;
        *) cat "$answer/body" >&2; exit 1 ;;
    esac
fi

# Create it again, as after a lost answer: it is still one document.
create "$key" "$order"
[ "$(jq -r .data.name "$answer/body")" = "$name" ]
echo "created once"

# List with a filter.
call GET /v2/documents/Sales%20Order -G --data-urlencode "filters=[[\"customer\", \"=\", \"$customer\"]]"
echo "found $(jq '.data | length' "$answer/body") with the filter"

# Update it, if nobody else did since it was read.
call GET "/v2/documents/Sales%20Order/$name"
read_as=$(etag)
update() { # update ETAG BODY
    call PATCH "/v2/documents/Sales%20Order/$name" -H "If-Match: $1" -H "Content-Type: application/json" -d "$2"
}
update "$read_as" '{"grand_total": 1300.00}'
echo "updated to revision $(jq -r .data.revision "$answer/body")"
if ! update "$read_as" '{"grand_total": 1400.00}'; then
    [ "$(jq -r .code "$answer/body")" = precondition_failed ]
    echo "somebody was quicker: read it again, and decide"
fi
