"""Makes an empty virtual environment, or says what is missing on this machine.

    python3 venv.py DIR
"""

import shutil
import subprocess
import sys

OLDEST = (3, 10)


def main(folder):
    if sys.version_info < OLDEST:
        sys.exit("Python %d.%d or later is needed, this is %s; make PYTHON=python3.12 names another one"
                 % (*OLDEST, sys.version.split()[0]))
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit("python3 -m venv does not work here. On Debian and Ubuntu its part ensurepip is a package of its own: "
                 "apt-get install python3-venv. What it said:\n" + made.stdout + made.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
