"""`vantail-cloud`: import a residence, bind its controllers, publish policies, serve, and list what happened."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cloud_stub import dat_file, database, folder, ingest_command, order_options
from cloud_stub.errors import CloudError, UsageError
from cloud_stub.transfers import options as transfer_options

BEGINNERS = ("import", "serve", "broker-config", "manager")  # a data folder that is not there is made by these alone
EXAMPLES = """\
examples:
  vantail-cloud --data cloud import examples/clos-des-dunes     read a residence's files
  vantail-cloud --data cloud provision hall-a --keys keys/hall-a  bind a controller's device
  vantail-cloud --data cloud publish                              new policies, where rows changed
  vantail-cloud --data cloud broker-config mosquitto --host broker.example   mosquitto's files, with mutual TLS
  vantail-cloud --data cloud enrol-token hall-a                   let a controller's device enrol, once
  vantail-cloud --data cloud revoke hall-a                        end its certificates
  vantail-cloud --data cloud serve --broker mqtt://127.0.0.1:1883 --port 8000
  vantail-cloud --data cloud events --json --since 2026-11-23 --door hall-a
  vantail-cloud --data cloud open hall-a/cellar --who Martin      open a door now
  vantail-cloud --data cloud lockdown clos-des-dunes              nobody enters, until: release clos-des-dunes
  vantail-cloud --data cloud status

exit codes are those of sysexits.h: 64 usage, 65 wrong data, 66 missing input, 69 unavailable, 73 cannot write,
78 not set up"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and the exit code that scripts expect."""
        raise UsageError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Errors are one line on stderr."""
    os.umask(0o077)
    try:
        options = _parser().parse_args(arguments)
        data = getattr(options, "data", "") or os.environ.get(folder.ENVIRONMENT, "")
        if data and options.command not in BEGINNERS and not Path(data).is_dir():
            raise UsageError(f"data folder {data}: no such folder; check --data, or begin one with: import DIR")
        if database_url := getattr(options, "database", ""):
            os.environ[database.ENVIRONMENT] = database_url
        _open_data(data)
        # Imported late: models need the settings, and the settings need the data folder.
        commands = importlib.import_module("cloud_stub.commands")
        code: int = getattr(commands, f"run_{options.command.replace('-', '_')}")(options)
        sys.stdout.flush()
        return code
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed; run: pip install 'vantail[cloud]'", os.EX_UNAVAILABLE)
    except CloudError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:  # `events | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_OK
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception as error:
        if os.environ.get("VANTAIL_TRACEBACK"):
            raise
        if isinstance(error, PermissionError) and error.filename:
            return _fail(f"{error.filename}: {error.strerror}; run this as a user who may", os.EX_NOPERM)
        return _fail(
            f"unexpected {type(error).__name__}: {error}; set VANTAIL_TRACEBACK=1 to see where", os.EX_SOFTWARE
        )


def _fail(said: str, code: int) -> int:
    """One line, whatever was typed or is in a file: what would move the cursor is left out."""
    print("vantail-cloud: " + "".join(each if each.isprintable() else " " for each in said), file=sys.stderr)
    return code


def _open_data(data: str) -> None:
    """Point Django at the data folder, made ready, its database migrated."""
    if not data:
        raise UsageError(f"no data folder: give --data DIR or set {folder.ENVIRONMENT}")
    ready = folder.prepare(Path(data))
    os.environ[folder.ENVIRONMENT] = str(ready)
    os.environ["DJANGO_SETTINGS_MODULE"] = "cloud_stub.settings"
    schema = importlib.import_module("cloud_stub.schema")
    schema.bring_up_to_date(ready)


def _parser() -> argparse.ArgumentParser:
    place = _Parser(add_help=False)
    place.add_argument(
        "--data", metavar="DIR", default=argparse.SUPPRESS, help=f"data folder (default: ${folder.ENVIRONMENT})"
    )
    place.add_argument(
        "--database", metavar="URL", default=argparse.SUPPRESS,
        help=f"postgresql://USER@HOST/NAME instead of a file in the data folder (default: ${database.ENVIRONMENT})",
    )  # fmt: skip
    parser = _Parser(
        prog="vantail-cloud",
        description="vantail's cloud: residences, policies and passages.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[place],
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_import(commands.add_parser("import", parents=[place], help="read a residence's files"))
    _add_provision(commands.add_parser("provision", parents=[place], help="bind a controller's device"))
    _add_enrol_token(commands.add_parser("enrol-token", parents=[place], help="let a controller's device enrol, once"))
    revoke = commands.add_parser("revoke", parents=[place], help="end a controller's certificates and tokens")
    revoke.add_argument("controller", metavar="CONTROLLER", help="its id, or SITE/ID")
    _add_broker_config(
        commands.add_parser("broker-config", parents=[place], help="write mosquitto's files, with mutual TLS")
    )
    publish = commands.add_parser("publish", parents=[place], help="make new policies where rows changed")
    publish.add_argument("--controller", default="", metavar="ID", help="only this one (ID or SITE/ID)")
    publish.add_argument("--json", action="store_true", help="one object a line")
    _add_now(publish)
    _add_serve(commands.add_parser("serve", parents=[place], help="pages and MQTT ingest"))
    ingest_command.add(commands.add_parser("ingest", parents=[place], help="ingest alone, by several workers"))
    _add_events(commands.add_parser("events", parents=[place], help="list what happened at the doors"))
    purge = commands.add_parser("purge", parents=[place], help="take the persons from old events")
    purge.add_argument("--days", type=int, default=90, metavar="N", help="older than so many days (default 90)")
    erase = commands.add_parser("erase", parents=[place], help="take one person from every event, for good")
    erase.add_argument("--credential", metavar="NUMBER", help="a badge's, remote's or telephone's number")
    erase.add_argument("--call-code", metavar="CODE", help="the code by which visitors called")
    status = commands.add_parser("status", parents=[place], help="controllers, logs, and what was refused")
    status.add_argument("--json", action="store_true", help="one object")
    order_options.add(commands, place)
    dat_file.add(commands, place)
    transfer_options.add(commands, place)
    commands.add_parser("metrics", parents=[place], help="figures for Prometheus, as the page /metrics has them")
    return parser


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="holds site.toml, residents.csv and passes.csv")
    parser.add_argument("--partial", action="store_true", help="leave out rows with errors, import the others")
    parser.add_argument("--json", action="store_true", help="one object: what was imported, every problem")
    _add_now(parser)


def _add_now(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--now", default="", metavar="WHEN", help="as if it were then, ISO 8601 (to play a day of another year)"
    )


def _add_provision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("controller", metavar="CONTROLLER", help="its id, SITE/ID, or SITE/* for all of a site")
    parser.add_argument(
        "--keys", required=True, metavar="DIR", help="has device.pub, gets manager.toml; for SITE/*: a folder each"
    )
    parser.add_argument("--replace", action="store_true", help="another device takes this controller's place")


def _add_enrol_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("controller", metavar="CONTROLLER", help="its id, or SITE/ID")
    parser.add_argument("--hours", type=float, default=24, metavar="N", help="for how long (default: %(default)s)")
    parser.add_argument("--replace", action="store_true", help="another device may take this controller's place")
    parser.add_argument("--broker", default="", metavar="URL", help="mqtts://…; default: what broker-config was told")
    parser.add_argument("--json", action="store_true", help="one object")


def _add_broker_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="gets mosquitto.conf, acl, certificates, key and revocations")
    parser.add_argument("--host", required=True, metavar="NAME", help="how controllers reach the broker")
    parser.add_argument("--port", type=int, default=8883, help="default: %(default)s")
    parser.add_argument(
        "--listen", default="127.0.0.1", metavar="ADDRESS", help="of this machine, or any (default: %(default)s)"
    )
    parser.add_argument(
        "--state", default="/var/lib/mosquitto", metavar="DIR", help="what the broker keeps (default: %(default)s)"
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--broker", required=True, metavar="URL", help="mqtt://HOST:PORT or mqtts://HOST:PORT")
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: a free one")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a host name that browsers use for us"
    )
    parser.add_argument(
        "--enrol-port", type=int, metavar="PORT", help="where controllers enrol, by HTTPS (default: nowhere)"
    )
    parser.add_argument("--enrol-listen", default="127.0.0.1", metavar="ADDRESS", help="default: %(default)s")
    parser.add_argument(
        "--enrol-host", action="append", default=[], metavar="NAME", help="a name by which controllers reach it"
    )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end when standard input closes (for a supervisor)"
    )


def _add_events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--since", default="", metavar="WHEN", help="a day or a time, ISO 8601, included")
    parser.add_argument("--until", default="", metavar="WHEN", help="a day, included, or a time, excluded")
    parser.add_argument("--door", default="", metavar="ID", help="a door's id, or CONTROLLER/ID")
    parser.add_argument("--text", default="", help="in holder, credential, description or detail")
    parser.add_argument("--follow", action="store_true", help="stay and print what comes in")


if __name__ == "__main__":
    sys.exit(main())
