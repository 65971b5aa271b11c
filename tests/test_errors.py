"""How a command line ends: an error in one line, a closed pipe and Ctrl-C without a traceback."""

import functools
import signal
import subprocess
import sys
import time

STAGE = """
import argparse, sys, time
from dfer.errors import UserError, stage

def main(args):
    if args.kind == "error":
        raise UserError("a.csv: not a list. Copy it anew.")
    if args.kind == "wait":
        print("waiting", flush=True)
        time.sleep(60)
    for _ in range(100_000):
        print("a line")

parser = argparse.ArgumentParser()
parser.add_argument("kind")
stage(main, parser)
"""


def start(kind):
    command = [sys.executable, "-c", STAGE, kind]
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    # Shells start what runs in the background deaf to Ctrl-C, these tests for example.
    return subprocess.Popen(command, stdout=-1, stderr=-1, text=True, preexec_fn=heed)


def test_an_error_is_one_line_and_status_1():
    process = start("error")
    out, err = process.communicate()
    assert (process.returncode, out, err) == (1, "", "error: a.csv: not a list. Copy it anew.\n")


def test_a_reader_who_has_enough_ends_it_without_a_word():
    process = start("print")
    assert process.stdout.readline() == "a line\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_ctrl_c_ends_it_without_a_traceback():
    process = start("wait")
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")
