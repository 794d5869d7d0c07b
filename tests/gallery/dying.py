"""A process that makes one change to a gallery and kills itself in the middle of it.

Forked from a program that has no database open, so that SQLite's locks are its own. It dies at a
call that is counted, not at a time, so that a test that found something finds it again.
"""

import atexit
import json
import subprocess
import sys
from functools import cache
from typing import Any

_PROGRAM = """
import hashlib, json, os, signal, sys
from reid_attn.gallery import Gallery, gallery
from reid_attn.gallery.local import records as clock

inside = os.path.dirname(gallery.__file__)

def make(place, change, vector):
    with Gallery.open(place) as opened:
        if "add" in change:
            name = change["add"]
            digest = hashlib.sha256(name.encode()).digest()
            opened.add_vectors([vector], [change["person"]], [1], [name], [digest])
        elif "remove" in change:
            opened.remove([change["remove"]])
        else:
            opened.forget(change["forget"])

def dying_at(calls):
    left = [calls]
    def count(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(inside):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    return count

for line in sys.stdin:
    order = json.loads(line)
    clock.now = lambda: order["now"]
    if (child := os.fork()) == 0:
        os.chdir(order["folder"])
        sys.setprofile(dying_at(order["calls"]))
        try:
            make(order["place"], order["change"], order["vector"])
        except BaseException as error:
            sys.stderr.write(repr(error))
            os._exit(1)
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@cache
def _program() -> "subprocess.Popen[str]":
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    program = subprocess.Popen([sys.executable, "-c", _PROGRAM], text=True, **pipes)
    atexit.register(program.kill)
    return program


def die(order: dict[str, Any]) -> bool:
    """Let a process carry out `order`, a `change` at a `place`; whether it died in it.

    `calls`: after how many calls of functions of the gallery it dies; `now`: its clock; `folder`:
    the one it works in; `vector`: of a picture that is added.
    """
    program = _program()
    assert program.stdin and program.stdout
    program.stdin.write(json.dumps(order) + "\n")
    program.stdin.flush()
    status = int(program.stdout.readline())
    assert status in (0, 9), "the change failed"
    return status == 9
