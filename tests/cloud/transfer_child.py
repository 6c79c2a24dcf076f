"""`vantail-cloud` again and again in one process, since two data folders cannot share one: a JSON list of arguments a
line in, [exit code, stdout, stderr] a line out; ["residence", SITE]: what the database has of it."""

import contextlib
import io
import json
import sys


def main() -> None:
    from cloud_stub import cli

    answers = sys.stdout
    for line in sys.stdin:
        arguments, out, err = json.loads(line), io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = residence(arguments[1]) if arguments[0] == "residence" else cli.main(arguments)
            except SystemExit as left:
                code = left.code
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)


def residence(slug: str) -> int:
    from cloud_stub.residences import archive
    from cloud_stub.residences.models import Site

    site = Site.objects.get(slug=slug)
    print(site.uid, archive.load(site))
    return 0


if __name__ == "__main__":
    main()
