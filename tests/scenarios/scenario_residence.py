"""A second residence, which shares no name with the example: another country, other doors, readers and readers' speeds,
hard and timed areas, an interlock, and the other dialects of the two sheets. Its day expects what
examples/README.md says, written down before it was ever played."""

from pathlib import Path

SITE = """\
site = "les-tilleuls"
name = "Résidence Les Tilleuls"
time_zone = "America/Toronto"
country = "CA"
subdivision = "QC"
manager = 31
untrusted_clock = "allow"

[[week_type]]
name = "Cleaning"
mon = ["06:00-09:00"]
tue = ["06:00-09:00"]
wed = ["06:00-09:00"]
thu = ["06:00-09:00"]
fri = ["06:00-09:00"]

[[week_type]]
name = "Late"
sat = ["22:00-03:00"]

[[week_type]]
name = "Office"
mon = ["09:00-17:00"]
tue = ["09:00-17:00"]

[[week_type]]
name = "Nights with code"
mon = ["20:00-06:00"]

[[holiday]]
date = "2027-06-22"
name = "Portes closes"

[[block]]
id = "nord"
name = "Aile nord"
access_profile = "Nord"

[[block]]
id = "sud"
access_profile = "Sud"

[[controller]]
id = "north"

  [[controller.door]]
  id = "lobby"
  name = "Entrée"
  outputs = ["strike", "aux1"]
  unlock_ms = 3000
  held_open_s = 15
  readers = [
    { id = "lobby-pad", kind = "osdp", address = 5, baud = 38400, keypad = true },
    { id = "lobby-radio", kind = "radio" },
    { id = "lobby-line", kind = "gsm" },
  ]

  [[controller.door]]
  id = "vault"
  unlock_ms = 4000
  area_in = "vault"
  readers = [
    { id = "vault-in", kind = "osdp", address = 6, baud = 38400, format = "26" },
    { id = "vault-out", kind = "osdp", address = 7, baud = 38400, format = "26", direction = "out" },
  ]

  [[controller.door]]
  id = "strongroom"
  area_in = "strongroom"
  readers = [
    { id = "strong-in", kind = "osdp", address = 5, baud = 115200 },
    { id = "strong-out", kind = "osdp", address = 9, baud = 115200, direction = "out" },
  ]

[[controller]]
id = "south"

  [[controller.door]]
  id = "bikes"
  area_in = "bikes"
  readers = [{ id = "bikes-in", kind = "osdp", address = 0, baud = 115200 }]

  [[controller.door]]
  id = "annex"
  auto_open = "Office"
  badge_and_code = "Nights with code"
  readers = [{ id = "annex-pad", kind = "wiegand", bits = 26, keypad = true }]

  [[controller.door]]
  id = "trap-outer"
  interlock = ["trap-inner"]
  readers = [{ id = "trap-outer-in", kind = "wiegand", bits = 34 }]

  [[controller.door]]
  id = "trap-inner"
  interlock = ["trap-outer"]
  readers = [{ id = "trap-inner-in", kind = "wiegand", bits = 34 }]

[[panel]]
id = "panel-north"
door = "lobby"
modem = "lobby-line"
blocks = ["nord"]
open_key = "9"

[[area]]
id = "vault"
passback = "hard"

[[area]]
id = "strongroom"
passback = "hard"

[[area]]
id = "bikes"
passback = "timed"
timed_min = 15

[[access_profile]]
name = "Nord"
grants = [
  { door = "lobby", media = ["badge", "code"] },
  { door = "lobby", media = ["remote"], buttons = [1] },
  { door = "lobby", output = "aux1", media = ["remote", "code"], buttons = [2] },
  { door = "vault", media = ["badge"] },
  { door = "strongroom", media = ["badge"] },
  { door = "bikes" },
]

[[access_profile]]
name = "Sud"
grants = [
  { door = "bikes" },
  { door = "annex", media = ["badge", "code", "phone"] },
  { door = "trap-outer" },
  { door = "trap-inner" },
]

[[access_profile]]
name = "Fêtards"
grants = [{ door = "lobby", week_type = "Late" }]

[[company]]
name = "Net et Clair"

[[provider]]
name = "Équipe du matin"
company = "Net et Clair"
from = "2026-06-01"
to = "2028-05-31"
pass = "0000777001"
door_code = "80808"
relay1_code = "70717"

[[task]]
name = "Ménage"
provider = "Équipe du matin"
week_type = "Cleaning"
access = [{ door = "lobby", media = ["badge", "code"] }]
"""

# English headings, a comma, a byte order mark, quoted names.
RESIDENTS = (
    "\ufeffblock,flat,name,floor,display,call_code,phone1,phone2,phone3,delay1_s,delay2_s,delay3_s,auto_open,door_code,"
    "aux1_code,duress_code\r\n"
    'nord,11,"Tremblay, Zoé",1,Tremblay,11,+15145550101,0015145550102,,15,25,,Never,24680,13579,97531\r\n'
    'nord,12,"Gagnon ""Gus""",1,,12,514-555-0103,,,,,,Never,55566,,\r\n'
    "sud,21,Roy,2,Roy,21,514.555.0104,,,,,,,60606,,\r\n"
)

# French headings and values, a semicolon, French days.
PASSES = (
    "Numéro;Numéro radio;Type;Couleur;Bloc;Appartement;Profil;Du;Au;État;Remarques\n"
    "0000500001;;badge;bleu;nord;11;;;;actif;\n"
    "0000500002;0000600002;bi-technologie;;nord;12;;;;actif;\n"
    "0000500003;;badge;;nord;12;;;;perdu;\n"
    "0000500004;;badge;;nord;12;;;;désactivé;\n"
    "0000500005;;badge;;;;;;;en stock;\n"
    "0000500006;;badge;;nord;11;;01/01/2027;20/06/2027;actif;fini hier\n"
    "0000500007;;badge;;nord;11;;2028-01-01;;actif;\n"
    "0000500008;;badge;;sud;21;;;;actif;\n"
    "0000500009;;badge;;nord;11;Fêtards;;;actif;\n"
    "0000600010;;télécommande;;sud;21;;;;actif;\n"
)

FIRST_S = 1_813_572_000  # 2027-06-21T06:00 in Toronto
HEADINGS = "at;door;reader;medium;value;button;expect;note\n"

# 21 June 2027 is a Monday; Québec's 24 June is a holiday, and the site adds the 22nd.
DAY = (
    HEADINGS
    + """\
2027-06-21T05:59:50;lobby;lobby-pad;badge;0000777001;;denied:outside-schedule;the cleaners are early
2027-06-21T06:00:00;lobby;lobby-pad;badge;0000777001;;open;
2027-06-21T06:00:10;lobby;lobby-pad;code;80808;;open;
2027-06-21T06:00:20;lobby;lobby-pad;code;70717;;denied:unknown;their task grants no aux1
2027-06-21T06:10:00;lobby;lobby-pad;badge;0000500001;;open;
2027-06-21T06:10:10;lobby;lobby-pad;badge;0000500003;;denied:lost;
2027-06-21T06:10:20;lobby;lobby-pad;badge;0000500004;;denied:disabled;
2027-06-21T06:10:30;lobby;lobby-pad;badge;0000500005;;denied:unknown;in stock
2027-06-21T06:10:40;lobby;lobby-pad;badge;0000500006;;denied:expired;
2027-06-21T06:10:50;lobby;lobby-pad;badge;0000500007;;denied:not-started;
2027-06-21T06:11:00;lobby;lobby-pad;badge;0000500008;;denied:no-access;of the south wing
2027-06-21T06:11:10;lobby;lobby-pad;code;24680;;open;
2027-06-21T06:11:20;lobby;lobby-pad;code;13579;;open:aux1;
2027-06-21T06:11:30;lobby;lobby-pad;code;97531;;open+alarm:duress;
2027-06-21T06:11:40;lobby;lobby-pad;code;55566;;denied:unknown;a flat without display
2027-06-21T06:11:50;lobby;lobby-pad;code;60606;;denied:unknown;known to the site, granted elsewhere
2027-06-21T06:12:00;lobby;;mobile;0000500001;;denied:unknown;no such mobile
2027-06-21T06:15:00;lobby;lobby-radio;remote;0000600002;1;open;the dual pass' remote
2027-06-21T06:15:10;lobby;lobby-radio;remote;0000600002;2;open:aux1;
2027-06-21T06:15:20;lobby;lobby-radio;remote;0000600002;4;denied:no-access;
2027-06-21T06:15:30;lobby;lobby-radio;remote;0000600010;1;denied:no-access;
2027-06-21T06:15:40;lobby;lobby-pad;badge;0000500002;;open;the dual pass' badge
2027-06-21T06:20:00;lobby;;call;11;2;open;the second number answers
2027-06-21T06:22:00;lobby;;call;11;none;denied:not-completed;
2027-06-21T06:24:00;lobby;;call;11;refused;denied:refused;
2027-06-21T06:25:00;lobby;;call;21;1;denied:unknown;a flat of the other wing
2027-06-21T06:30:00;lobby;lobby-pad;badge;0000500001;;open;
2027-06-21T06:30:01;lobby;;contact;open;;none;
2027-06-21T06:30:16;lobby;;contact;closed;;alarm:held;after 15 s exactly
2027-06-21T06:31:00;lobby;;contact;open;;alarm:forced;
2027-06-21T06:31:05;lobby;;contact;closed;;none;
2027-06-21T06:31:10;lobby;;rex;;;open:exit;
2027-06-21T06:31:11;lobby;;contact;open;;none;
2027-06-21T06:31:15;lobby;;contact;closed;;none;
2027-06-21T07:00:00;vault;vault-in;badge;0000500001;;open;an area with a contact: one moves when the leaf opens
2027-06-21T07:00:10;vault;vault-in;badge;0000500001;;open;it never opened
2027-06-21T07:00:11;vault;;contact;open;;none;
2027-06-21T07:00:14;vault;;contact;closed;;none;
2027-06-21T07:01:00;vault;vault-in;badge;0000500001;;denied:passback;
2027-06-21T07:01:10;vault;vault-in;badge;0000500002;;open;somebody else
2027-06-21T07:02:00;vault;vault-out;badge;0000500001;;open;
2027-06-21T07:02:10;vault;vault-in;badge;0000500001;;denied:passback;the leaf stayed closed: still inside
2027-06-21T07:02:20;vault;vault-out;badge;0000500001;;open;an exit is never blocked
2027-06-21T07:02:21;vault;;contact;open;;none;
2027-06-21T07:02:24;vault;;contact;closed;;none;
2027-06-21T07:03:00;vault;vault-in;badge;0000500001;;open;
2027-06-21T07:10:00;strongroom;strong-in;badge;0000500001;;open;no contact: inside at the grant
2027-06-21T07:10:10;strongroom;strong-in;badge;0000500001;;denied:passback;
2027-06-21T07:10:15;;;power;restart;;none;every controller
2027-06-21T07:10:20;strongroom;strong-in;badge;0000500001;;denied:passback;who is where survives
2027-06-21T07:10:30;strongroom;;command;forgive;;none;
2027-06-21T07:10:40;strongroom;strong-in;badge;0000500001;;open;
2027-06-21T07:10:50;strongroom;strong-out;badge;0000500001;;open;
2027-06-21T07:11:00;strongroom;strong-out;badge;0000500001;;open;twice out is nobody's harm
2027-06-21T07:20:00;bikes;bikes-in;badge;0000500008;;open;
2027-06-21T07:20:10;bikes;bikes-in;badge;0000500001;;open;
2027-06-21T07:34:59;bikes;bikes-in;badge;0000500008;;denied:passback;
2027-06-21T07:35:00;bikes;bikes-in;badge;0000500008;;open;15 minutes are over
2027-06-21T07:40:00;trap-outer;trap-outer-in;badge;0000500008;;open;
2027-06-21T07:40:01;trap-outer;;contact;open;;none;
2027-06-21T07:40:10;trap-inner;trap-inner-in;badge;0000500008;;denied:interlock;
2027-06-21T07:40:15;trap-outer;;contact;closed;;none;
2027-06-21T07:40:20;trap-inner;trap-inner-in;badge;0000500008;;open;
2027-06-21T07:50:00;lobby;lobby-pad;tamper;on;;alarm:tamper;
2027-06-21T07:50:10;lobby;lobby-pad;tamper;off;;none;
2027-06-21T08:00:00;lobby;;command;lockdown;;none;
2027-06-21T08:00:10;lobby;lobby-pad;badge;0000500001;;denied:lockdown;
2027-06-21T08:00:20;lobby;lobby-radio;remote;0000600002;1;denied:lockdown;
2027-06-21T08:00:30;lobby;;rex;;;open:exit;the way out stays
2027-06-21T08:00:40;lobby;;command;open;;denied:lockdown;
2027-06-21T08:00:50;bikes;bikes-in;badge;0000500002;;open;another door
2027-06-21T08:01:00;lobby;;command;release;;none;
2027-06-21T08:01:10;lobby;lobby-pad;badge;0000500001;;open;
2027-06-21T08:01:20;lobby;;command;open;;open;
2027-06-21T08:01:30;lobby;;command;hold;;open;
2027-06-21T08:01:40;lobby;;contact;open;;none;
2027-06-21T08:30:00;lobby;;contact;closed;;none;a held door is not held open
2027-06-21T08:30:10;lobby;;command;release;;none;
2027-06-21T08:30:20;lobby;;contact;open;;alarm:forced;locked again
2027-06-21T08:30:30;lobby;;contact;closed;;none;
2027-06-21T08:59:59;lobby;lobby-pad;badge;0000777001;;open;
2027-06-21T09:00:00;lobby;lobby-pad;badge;0000777001;;denied:outside-schedule;
2027-06-21T09:30:00;annex;;contact;open;;none;office hours: the annex stands open
2027-06-21T09:31:00;annex;;contact;closed;;none;
2027-06-21T17:00:00;annex;;contact;open;;alarm:forced;not any more
2027-06-21T17:00:10;annex;;contact;closed;;none;
2027-06-21T17:10:00;annex;annex-pad;badge;0000500008;;open;
2027-06-21T20:00:00;annex;annex-pad;badge;0000500008;;denied:code-needed;
2027-06-21T20:00:05;annex;annex-pad;code;60606;;open;badge and code
2027-06-21T20:01:00;annex;annex-pad;code;60606;;denied:code-needed;a code alone
2027-06-21T20:05:00;annex;annex-pad;code;11111;;denied:unknown;
2027-06-21T20:05:01;annex;annex-pad;code;11112;;denied:unknown;
2027-06-21T20:05:02;annex;annex-pad;code;11113;;denied:unknown;
2027-06-21T20:05:03;annex;annex-pad;code;11114;;denied:unknown;
2027-06-21T20:05:04;annex;annex-pad;code;11115;;denied:unknown+alarm:lockout;the fifth
2027-06-21T20:05:05;annex;annex-pad;badge;0000500008;;denied:code-needed;badges are not locked out
2027-06-21T20:05:06;annex;annex-pad;code;60606;;denied:locked-out;
2027-06-21T20:05:07;lobby;lobby-pad;code;24680;;open;the other controller's keypads are free
2027-06-21T20:05:34;annex;annex-pad;badge;0000500008;;denied:code-needed;
2027-06-21T20:05:35;annex;annex-pad;code;60606;;open;30 s are over
2027-06-22T06:30:00;lobby;lobby-pad;badge;0000777001;;denied:outside-schedule;the site's own holiday
2027-06-22T09:30:00;annex;;contact;open;;alarm:forced;on which no office opens
2027-06-22T09:30:10;annex;;contact;closed;;none;
2027-06-23T06:30:00;lobby;lobby-pad;badge;0000777001;;open;
2027-06-24T06:30:00;lobby;lobby-pad;badge;0000777001;;denied:outside-schedule;Saint-Jean
2027-06-24T12:00:00;;;clock;untrusted;;alarm:clock;at both controllers, said once
2027-06-24T12:00:10;lobby;lobby-pad;badge;0000500001;;open;Always needs no clock
2027-06-24T12:00:20;lobby;lobby-pad;badge;0000777001;;open;this site allows what it cannot check
2027-06-24T12:00:30;lobby;lobby-pad;badge;0000500007;;open;not-started is never said without a clock
2027-06-24T12:00:40;lobby;lobby-pad;badge;0000500006;;denied:expired;the log's own past proves it
2027-06-24T12:01:00;;;clock;trusted;;none;
2027-06-24T12:01:10;lobby;lobby-pad;badge;0000777001;;denied:outside-schedule;
2027-06-24T13:00:00;lobby;lobby-pad;badge;0000500001;;open;
2027-06-24T13:00:01;lobby;;contact;open;;none;
2027-06-24T13:00:02;lobby;;clock;2027-06-24T18:00:00;;none;wall time is stepped while the leaf is open
2027-06-24T13:00:30;lobby;;contact;closed;;alarm:held;durations do not follow wall time
2027-06-24T13:01:00;lobby;;clock;2027-06-24T13:01:00;;none;and back
2027-11-06T22:30:00;lobby;lobby-pad;badge;0000500009;;open;Saturday
2027-11-07T01:30:00-04:00;lobby;lobby-pad;badge;0000500009;;open;the clock repeats this hour
2027-11-07T01:30:00-05:00;lobby;lobby-pad;badge;0000500009;;open;
2027-11-07T02:59:59;lobby;lobby-pad;badge;0000500009;;open;
2027-11-07T03:00:00;lobby;lobby-pad;badge;0000500009;;denied:outside-schedule;
2027-11-08T08:00:00;;;network;down;;none;
2027-11-08T08:00:10;lobby;lobby-pad;badge;0000500001;;open;
2027-11-08T08:00:20;bikes;bikes-in;badge;0000500005;;denied:unknown;it never comes back up
"""
)


def write(folder: Path, day: str = DAY) -> tuple[Path, Path]:
    """Write the residence; returns its folder and its day's file."""
    folder.mkdir(parents=True)
    (folder / "site.toml").write_text(SITE, "utf-8")
    (folder / "residents.csv").write_bytes(RESIDENTS.encode())
    (folder / "passes.csv").write_text(PASSES, "utf-8")
    (folder / "day.csv").write_text(day, "utf-8")
    return folder, folder / "day.csv"
