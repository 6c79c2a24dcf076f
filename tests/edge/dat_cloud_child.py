"""`vantail-cloud` again and again in one process, which is what its start-up time is too long for: a JSON list of
arguments a line in, [exit code, stdout, stderr] a line out."""

import contextlib
import io
import json
import sys


def main() -> None:
    from cloud_stub import cli

    answers = sys.stdout
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli.main(json.loads(line))
            except SystemExit as left:
                code = left.code
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)


if __name__ == "__main__":
    main()
